import { expect, test } from "bun:test";
import { type Config, makeConfig } from "../../src/cli/config.ts";
import { parseArguments, readEnvironment, readFileSettings, Settings } from "../../src/cli/flags/mod.ts";

function configOf(args: string[], defaultHost?: string): Config {
  const settings = new Settings();
  expect(parseArguments(args, settings)).toEqual({ kind: "parsed", rest: [] });
  return makeConfig(settings, defaultHost);
}

test("without settings it is etcd's single member on this machine", () => {
  const config = configOf([]);
  expect(config.name).toBe("default");
  expect(config.dataDir).toBe("default.etcd");
  expect(config.memberDir).toBe("default.etcd/member");
  expect(config.walDir).toBe("default.etcd/member/wal");
  expect(config.isWalDirDedicated).toBe(false);
  expect(config.listenClientUrls.map((url) => url.text)).toEqual(["http://localhost:2379"]);
  expect(config.initialCluster).toBe("default=http://localhost:2380");
  expect(config.maxRequestBytes).toBe(1572864);
  expect(config.watchProgressNotifyIntervalMs).toBe(600_000);
  expect(config.compactionBatchLimit).toBe(1000);
  expect(config.compactionSleepIntervalMs).toBe(10);
  expect(config.logFormat).toBe("auto");
  expect(Object.isFrozen(config)).toBe(true);
});

test("a name alone names the data directory and the member of the initial cluster", () => {
  const config = configOf(["--name=a"]);
  expect(config.dataDir).toBe("a.etcd");
  expect(config.initialCluster).toBe("a=http://localhost:2380");
});

test("the log may live in a directory of its own", () => {
  const config = configOf(["--data-dir=/d", "--wal-dir=/w"]);
  expect([config.walDir, config.isWalDirDedicated]).toEqual(["/w", true]);
});

test("a member that listens on every address advertises one that others can reach", () => {
  const config = configOf(["--listen-peer-urls=http://0.0.0.0:1234", "--name=a"], "10.0.0.7");
  expect(config.initialAdvertisePeerUrls.map((url) => url.text)).toEqual(["http://10.0.0.7:1234"]);
  expect(config.initialCluster).toBe("a=http://10.0.0.7:1234");
});

test("keepalive times of zero are grpc-go's defaults", () => {
  const config = configOf([
    "--grpc-keepalive-min-time=0",
    "--grpc-keepalive-interval=0",
    "--grpc-keepalive-timeout=1s",
  ]);
  expect([config.grpcKeepaliveMinTimeMs, config.grpcKeepaliveIntervalMs, config.grpcKeepaliveTimeoutMs])
    .toEqual([300_000, 7_200_000, 20_000]);
});

test("what etcd refuses is refused in its words", () => {
  const cases: [string[], string][] = [
    [
      ["--listen-client-urls=http://127.0.0.1:1"],
      "--advertise-client-urls is required when --listen-client-urls is set explicitly",
    ],
    [
      ["--listen-client-urls=http://example.com:1", "--advertise-client-urls=http://x:1"],
      "expected IP in URL for binding (http://example.com:1)",
    ],
    [
      ["--advertise-client-urls=http://:1"],
      '--advertise-client-urls "http://:1" must be in the format "host:port", "unix:/path/to/socket" or ' +
      '"unixs:/path/to/socket" (unexpected empty host (http://:1))',
    ],
    [
      ["--initial-advertise-peer-urls=http://:1"],
      '--initial-advertise-peer-urls "http://:1" must be "host:port" (unexpected empty host (http://:1))',
    ],
    [["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"],
    [["--election-timeout=0"], "--election-timeout must be >0 (set to 0ms)"],
    [
      ["--heartbeat-interval=1000"],
      "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[1000ms]",
    ],
    [["--election-timeout=60000"], "--election-timeout[60000ms] is too long, and should be set less than 50000ms"],
    [["--logger=capnslog"], "--logger=capnslog is removed in v3.5"],
    [["--logger=capnslog2"], 'unknown logger option "capnslog2"'],
    [["--log-level=loud"], 'unrecognized level: "loud"'],
    [["--log-format=xml"], "unknown log format: xml, supported values json, console"],
    [["--log-outputs=default,stdout"], 'multi logoutput for "default" is not supported yet'],
    [["--auto-compaction-mode=x"], 'unknown auto-compaction-mode "x"'],
    [["--auto-compaction-mode="], "undefined auto-compaction-mode"],
    [
      ["--auto-compaction-retention=1d"],
      'error parsing CompactionRetention: time: unknown unit "d" in duration "1d"',
    ],
    [["--discovery-token=x"], "both --discovery-token and --discovery-endpoints must be set"],
    [["--compact-hash-check-time=0"], "--compact-hash-check-time must be >0 (set to 0s)"],
    [["--tls-min-version=TLS1.1"], 'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)'],
    [
      ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
      "min version (TLS1.3) is greater than max version (TLS1.2)",
    ],
    [
      ["--discovery-fallback=proxy"],
      'v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"',
    ],
  ];
  for (const [args, message] of cases) expect(() => configOf(args)).toThrow(message);
});

test("a flag whose feature is not built refuses to start, by name", () => {
  const cases: [string[], string][] = [
    [["--cert-file=c.pem"], "--cert-file=c.pem needs TLS"],
    [["--discovery-srv=example.com"], "--discovery-srv=example.com needs discovery of the other members"],
    [["--feature-gates=SetMemberLocalAddr=true"], "--feature-gates=SetMemberLocalAddr=true needs"],
    [
      ["--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://x:1"],
      "https://127.0.0.1:1 needs TLS",
    ],
    [["--listen-peer-urls=https://127.0.0.1:1"], "listening on https://127.0.0.1:1 needs TLS"],
    [["--log-outputs=systemd/journal"], "systemd/journal needs"],
  ];
  for (const [args, message] of cases) expect(() => configOf(args)).toThrow(message);
});

test("feature gates that mean something here switch it, and one that lacks another is refused", () => {
  expect(configOf([])).toMatchObject({ hasCompactHashCheck: false, hasInitialCorruptCheck: false });
  expect(configOf(["--feature-gates=CompactHashCheck=true,LeaseCheckpoint=true", "--corrupt-check-time=1h"]))
    .toMatchObject({
      corruptCheckTimeMs: 3_600_000,
      compactHashCheckTimeMs: 60_000,
      hasCompactHashCheck: true,
      hasInitialCorruptCheck: false,
      hasLeaseCheckpoint: true,
    });
  expect(() => configOf(["--feature-gates=LeaseCheckpointPersist=true"])).toThrow(
    "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
  );
});

test("a variable is refused by its own name", () => {
  const settings = new Settings();
  readEnvironment({ ETCD_CERT_FILE: "c.pem" }, settings);
  expect(() => makeConfig(settings)).toThrow("ETCD_CERT_FILE=c.pem needs TLS");
});

test("quota and retention are read, the quota's sign with them", () => {
  const config = configOf([
    "--quota-backend-bytes=-1",
    "--quota-alarm-auto-disarm",
    "--auto-compaction-mode=revision",
    "--auto-compaction-retention=100",
  ]);
  expect(config).toMatchObject({
    quotaBackendBytes: -1,
    isQuotaAlarmAutoDisarmed: true,
    autoCompactionRetention: { mode: "revision", revisions: 100 },
  });
  expect(configOf([])).toMatchObject({ quotaBackendBytes: 0, isQuotaAlarmAutoDisarmed: false });
  expect(configOf([]).autoCompactionRetention).toBeUndefined();
});

test("a negative amount is refused by its flag's name", () => {
  expect(() => configOf(["--compaction-batch-limit=-1"])).toThrow("--compaction-batch-limit must not be negative");
  expect(() => configOf(["--watch-progress-notify-interval=-1s"]))
    .toThrow("--watch-progress-notify-interval must not be negative");
});

test("a file keeps the default of the advertised client URLs", () => {
  const settings = new Settings();
  readFileSettings("listen-client-urls: http://127.0.0.1:1", settings);
  expect(makeConfig(settings).advertiseClientUrls.map((url) => url.text)).toEqual(["http://localhost:2379"]);
});

test("what concerns the other members is read, with etcd's defaults", () => {
  const defaults = {
    isReconfigCheckStrict: true,
    hasPreVote: true,
    maxLearners: 1,
    forcesNewCluster: false,
    advancesInitialElection: true,
    raftReadTimeoutMs: 5000,
    raftWriteTimeoutMs: 5000,
  };
  expect(configOf([])).toMatchObject(defaults);
  const args = [
    ...["--strict-reconfig-check=false", "--pre-vote=false", "--max-learners=3", "--force-new-cluster"],
    ...["--initial-election-tick-advance=false", "--raft-read-timeout=6s", "--raft-write-timeout=1s"],
    ...["--initial-cluster=default=http://a:1,b=http://b:1", "--initial-cluster-state=existing"],
  ];
  expect(configOf(args)).toMatchObject({
    isReconfigCheckStrict: false,
    hasPreVote: false,
    maxLearners: 3,
    forcesNewCluster: true,
    advancesInitialElection: false,
    raftReadTimeoutMs: 6000,
    // Less than etcd's least is raised to it.
    raftWriteTimeoutMs: 5000,
    initialCluster: "default=http://a:1,b=http://b:1",
    initialClusterState: "existing",
  });
});

test("a wrong initial cluster does not keep a member from starting again", () => {
  expect(configOf(["--initial-cluster=default=foo"]).initialCluster).toBe("default=foo");
});
