/**
 * The configuration of a member: what the settings mean together, checked in etcd's order and refused in its words.
 *
 * A `Config` is complete, valid and frozen; nothing behind it looks at flags or variables again.
 */

import * as v from "valibot";
import { formatDuration } from "../base/duration.ts";
import { KEELSON_VERSION } from "../base/version.ts";
import type { LogLevel } from "../io/log.ts";
import type { CompactionRetention } from "../member/mod.ts";
import { asksForDefault, type Settings, variableName } from "./flags/mod.ts";
import { parseRetention } from "./retention.ts";
import { isIpAddress, type MemberUrl, parseUrls } from "../membership/mod.ts";

const LOG_LEVELS: Readonly<Record<string, LogLevel>> = {
  "": "info",
  debug: "debug",
  info: "info",
  warn: "warn",
  error: "error",
  // Go's logger has two more levels that end the process; nothing is written at them that "fatal" would not write.
  dpanic: "fatal",
  panic: "fatal",
  fatal: "fatal",
};

/** Election timeouts beyond this are refused: it is etcd's bound. */
const ELECTION_TIMEOUT_MAX_MS = 50_000;

const DEFAULT_PEER_URL = "http://localhost:2380";
const DEFAULT_CLIENT_URL = "http://localhost:2379";
const DEFAULT_NAME = "default";

/** Connections between members are given at least so long: it is etcd's bound. */
export const RAFT_TIMEOUT_MS_MIN = 5000;

/** A number of milliseconds or of things, set by the flag of this name. */
function amount(flagName: string) {
  return v.pipe(v.number(), v.finite(), v.minValue(0, `--${flagName} must not be negative`));
}

const Url = v.custom<MemberUrl>((input) => typeof input === "object" && input !== null);
const Urls = v.pipe(v.array(Url), v.readonly());
const Texts = v.pipe(v.array(v.string()), v.readonly());
const Retention = v.custom<CompactionRetention | undefined>(() => true);

const ConfigSchema = v.strictObject({
  name: v.string(),
  /** Directory of the member's data. */
  dataDir: v.string(),
  /** `<dataDir>/member`: what etcd puts its files below. */
  memberDir: v.string(),
  /** Directory of the log's segments: `--wal-dir`, or `<memberDir>/wal`. */
  walDir: v.string(),
  /** True if `--wal-dir` was given. */
  isWalDirDedicated: v.boolean(),

  /** gRPC, and HTTP too where `listenClientHttpUrls` is empty. */
  listenClientUrls: Urls,
  /** HTTP only. */
  listenClientHttpUrls: Urls,
  advertiseClientUrls: Urls,
  listenPeerUrls: Urls,
  initialAdvertisePeerUrls: Urls,
  /** `--initial-cluster` as written. */
  initialCluster: v.string(),
  initialClusterState: v.picklist(["new", "existing"]),
  initialClusterToken: v.string(),
  isReconfigCheckStrict: v.boolean(),
  hasPreVote: v.boolean(),
  /** Most learners in the cluster. */
  maxLearners: amount("max-learners"),
  /** Give up the other members, and what is not committed, and go on alone. */
  forcesNewCluster: v.boolean(),

  heartbeatIntervalMs: amount("heartbeat-interval"),
  electionTimeoutMs: amount("election-timeout"),
  /** The first election timeout after a start is shortened where others can be reached. */
  advancesInitialElection: v.boolean(),
  raftReadTimeoutMs: amount("raft-read-timeout"),
  raftWriteTimeoutMs: amount("raft-write-timeout"),
  snapshotCatchupEntries: amount("snapshot-catchup-entries"),
  snapshotCount: amount("snapshot-count"),
  maxWals: amount("max-wals"),
  maxSnapshots: amount("max-snapshots"),
  /** Pause between watch progress notifications. */
  watchProgressNotifyIntervalMs: amount("watch-progress-notify-interval"),
  /** Revisions dropped in one step of a compaction, and the pause between steps. */
  compactionBatchLimit: amount("compaction-batch-limit"),
  compactionSleepIntervalMs: amount("compaction-sleep-interval"),
  /** What automatic compaction keeps; undefined: it is off. */
  autoCompactionRetention: Retention,

  /** Time between comparisons of all members, 0: never; and of their hashes at compactions, where that is on. */
  corruptCheckTimeMs: amount("corrupt-check-time"),
  compactHashCheckTimeMs: v.number(),
  hasCompactHashCheck: v.boolean(),
  /** A member that differs from the others does not start. */
  hasInitialCorruptCheck: v.boolean(),
  /** What is left of long leases goes into the log. */
  hasLeaseCheckpoint: v.boolean(),

  /** Bytes that may be stored: 0 for 2 GiB, negative for no bound. */
  quotaBackendBytes: v.number(),
  isQuotaAlarmAutoDisarmed: v.boolean(),
  /** MiB that a start must be able to free in the database file to write it anew; 0: never. */
  bootstrapDefragThresholdMegabytes: amount("bootstrap-defrag-threshold-megabytes"),
  /** Time between looks at a running downgrade; 0: never. */
  downgradeCheckTimeMs: amount("downgrade-check-time"),

  maxTxnOps: amount("max-txn-ops"),
  maxRequestBytes: amount("max-request-bytes"),
  maxConcurrentStreams: amount("max-concurrent-streams"),
  grpcKeepaliveMinTimeMs: amount("grpc-keepalive-min-time"),
  grpcKeepaliveIntervalMs: amount("grpc-keepalive-interval"),
  grpcKeepaliveTimeoutMs: amount("grpc-keepalive-timeout"),

  isGatewayEnabled: v.boolean(),
  /** Origins whose pages may call; ["*"] for all. */
  cors: Texts,
  /** Host names of HTTP requests without TLS; ["*"] for all. */
  hostWhitelist: Texts,

  logger: v.string(),
  logLevel: v.picklist(["debug", "info", "warn", "error", "fatal"]),
  /** "auto": console on a terminal, JSON elsewhere. */
  logFormat: v.picklist(["auto", "json", "console"]),
  logOutputs: Texts,
  warningUnaryRequestDurationMs: amount("warning-unary-request-duration"),
  warningApplyDurationMs: amount("warning-apply-duration"),

  /** Never wait for the disk: a crash of the machine then loses acknowledged data. */
  unsafeNoFsync: v.boolean(),
});

export type Config = Readonly<v.InferOutput<typeof ConfigSchema>>;

/** The settings cannot be started with; the text says why, in etcd's words where etcd would refuse too. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConfigError";
  }
}

/** The checks of the finished object, in etcd's order; each gives etcd's text or undefined. */
const CHECKS: ((config: Config) => string | undefined)[] = [
  checkLogger,
  checkLogOutputs,
  (config) => checkBindUrls(config.listenPeerUrls),
  (config) => checkBindUrls(config.listenClientUrls),
  (config) => checkBindUrls(config.listenClientHttpUrls),
  (config) => {
    const problem = checkHostUrls(config.initialAdvertisePeerUrls);
    if (problem === undefined) return undefined;
    const urls = joinUrls(config.initialAdvertisePeerUrls);
    return `--initial-advertise-peer-urls ${JSON.stringify(urls)} must be "host:port" (${problem})`;
  },
  (config) => {
    const problem = checkHostUrls(config.advertiseClientUrls);
    if (problem === undefined) return undefined;
    return `--advertise-client-urls ${JSON.stringify(joinUrls(config.advertiseClientUrls))} must be in the format ` +
      `"host:port", "unix:/path/to/socket" or "unixs:/path/to/socket" (${problem})`;
  },
  (config) =>
    config.heartbeatIntervalMs > 0
      ? undefined
      : `--heartbeat-interval must be >0 (set to ${config.heartbeatIntervalMs}ms)`,
  (config) =>
    config.electionTimeoutMs > 0 ? undefined : `--election-timeout must be >0 (set to ${config.electionTimeoutMs}ms)`,
  (config) =>
    5 * config.heartbeatIntervalMs <= config.electionTimeoutMs ? undefined : (
      `--election-timeout[${config.electionTimeoutMs}ms] should be at least as 5 times as ` +
      `--heartbeat-interval[${config.heartbeatIntervalMs}ms]`
    ),
  (config) =>
    config.electionTimeoutMs <= ELECTION_TIMEOUT_MAX_MS ? undefined : (
      `--election-timeout[${config.electionTimeoutMs}ms] is too long, and should be set less than ` +
      `${ELECTION_TIMEOUT_MAX_MS}ms`
    ),
  (config) =>
    config.advertiseClientUrls.length > 0
      ? undefined
      : "--advertise-client-urls is required when --listen-client-urls is set explicitly",
];

/**
 * Makes the configuration of the settings. Throws a ConfigError.
 *
 * `defaultHost` is the address of this machine that others can reach, if it is known: it replaces "localhost" in
 * default advertised URLs of a member that listens on every address.
 */
export function makeConfig(settings: Settings, defaultHost?: string): Config {
  checkFallback(settings);
  const name = settings.string("name");
  const listenPeerUrls = parseUrls(settings.list("listen-peer-urls"));
  const listenClientUrls = parseUrls(settings.list("listen-client-urls"));
  const initialAdvertisePeerUrls = reachable(
    parseUrls(settings.list("initial-advertise-peer-urls")),
    DEFAULT_PEER_URL,
    listenPeerUrls,
    defaultHost,
  );
  const initialCluster = settings.string("initial-cluster");
  const isInitialClusterDefault = initialCluster === `${DEFAULT_NAME}=${DEFAULT_PEER_URL}`;
  const dataDir = settings.string("data-dir") || `${name}.etcd`;
  const memberDir = joinPath(dataDir, "member");
  const walDir = settings.string("wal-dir");

  const gates = settings.gates();
  const result = v.safeParse(ConfigSchema, {
    name,
    dataDir,
    memberDir,
    walDir: walDir || joinPath(memberDir, "wal"),
    isWalDirDedicated: walDir !== "",

    listenClientUrls,
    listenClientHttpUrls: parseUrls(settings.list("listen-client-http-urls")),
    advertiseClientUrls: reachable(advertisedClientUrls(settings), DEFAULT_CLIENT_URL, listenClientUrls, defaultHost),
    listenPeerUrls,
    initialAdvertisePeerUrls,
    initialCluster: name !== DEFAULT_NAME && isInitialClusterDefault
      ? initialAdvertisePeerUrls.map((url) => `${name}=${url.text}`).join(",")
      : initialCluster,
    initialClusterState: settings.string("initial-cluster-state"),
    initialClusterToken: settings.string("initial-cluster-token"),
    isReconfigCheckStrict: settings.boolean("strict-reconfig-check"),
    hasPreVote: settings.boolean("pre-vote"),
    maxLearners: settings.number("max-learners"),
    forcesNewCluster: settings.boolean("force-new-cluster"),

    heartbeatIntervalMs: settings.number("heartbeat-interval"),
    electionTimeoutMs: settings.number("election-timeout"),
    advancesInitialElection: settings.boolean("initial-election-tick-advance"),
    raftReadTimeoutMs: Math.max(settings.number("raft-read-timeout"), RAFT_TIMEOUT_MS_MIN),
    raftWriteTimeoutMs: Math.max(settings.number("raft-write-timeout"), RAFT_TIMEOUT_MS_MIN),
    snapshotCatchupEntries: settings.number("snapshot-catchup-entries"),
    snapshotCount: settings.number("snapshot-count"),
    maxWals: settings.number("max-wals"),
    maxSnapshots: settings.number("max-snapshots"),
    watchProgressNotifyIntervalMs: settings.number("watch-progress-notify-interval") || 600_000,
    compactionBatchLimit: settings.number("compaction-batch-limit") || 1000,
    compactionSleepIntervalMs: settings.number("compaction-sleep-interval") || 10,
    autoCompactionRetention: readRetention(settings),

    corruptCheckTimeMs: settings.number("corrupt-check-time"),
    compactHashCheckTimeMs: settings.number("compact-hash-check-time"),
    hasCompactHashCheck: gates.get("CompactHashCheck")!,
    hasInitialCorruptCheck: gates.get("InitialCorruptCheck")!,
    hasLeaseCheckpoint: gates.get("LeaseCheckpoint")!,

    quotaBackendBytes: settings.number("quota-backend-bytes"),
    isQuotaAlarmAutoDisarmed: settings.boolean("quota-alarm-auto-disarm"),
    bootstrapDefragThresholdMegabytes: settings.number("bootstrap-defrag-threshold-megabytes"),
    downgradeCheckTimeMs: settings.number("downgrade-check-time"),

    maxTxnOps: settings.number("max-txn-ops"),
    maxRequestBytes: settings.number("max-request-bytes"),
    maxConcurrentStreams: settings.number("max-concurrent-streams"),
    ...keepalive(settings),

    isGatewayEnabled: settings.boolean("enable-grpc-gateway"),
    cors: settings.list("cors"),
    hostWhitelist: settings.list("host-whitelist"),

    logger: settings.string("logger"),
    logLevel: readLogLevel(settings.string("log-level")),
    logFormat: readLogFormat(settings),
    logOutputs: settings.list("log-outputs"),
    warningUnaryRequestDurationMs: settings.number("warning-unary-request-duration") || 300,
    warningApplyDurationMs: settings.number("warning-apply-duration"),

    unsafeNoFsync: settings.boolean("unsafe-no-fsync"),
  });
  if (!result.success) throw new ConfigError(result.issues[0].message);
  const config: Config = Object.freeze(result.output);
  for (const check of CHECKS) {
    const problem = check(config);
    if (problem !== undefined) throw new ConfigError(problem);
  }
  checkUnusedSettings(settings);
  checkBuilt(settings, config);
  return config;
}

/** Checks of etcd's on settings that are not part of the configuration, or belong together in a way it does not show. */
function checkUnusedSettings(settings: Settings): void {
  const gates = settings.gates();
  if (gates.get("LeaseCheckpointPersist") && !gates.get("LeaseCheckpoint")) {
    throw new ConfigError(
      "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
    );
  }
  const hasToken = settings.string("discovery-token") !== "";
  const endpoints = settings.list("discovery-endpoints");
  if (hasToken !== endpoints.length > 0) {
    throw new ConfigError("both --discovery-token and --discovery-endpoints must be set");
  }
  const checkTimeMs = settings.number("compact-hash-check-time");
  if (checkTimeMs <= 0) {
    throw new ConfigError(`--compact-hash-check-time must be >0 (set to ${formatDuration(checkTimeMs)})`);
  }
  const minimum = settings.string("tls-min-version");
  const maximum = settings.string("tls-max-version");
  for (const version of [minimum, maximum]) {
    if (!["", "TLS1.2", "TLS1.3"].includes(version)) {
      throw new ConfigError(`unexpected TLS version ${JSON.stringify(version)} (must be one of: TLS1.2, TLS1.3)`);
    }
  }
  if (maximum !== "" && minimum > maximum) {
    throw new ConfigError(`min version (${minimum}) is greater than max version (${maximum})`);
  }
  if (minimum === "TLS1.3" && settings.list("cipher-suites").length > 0) {
    throw new ConfigError("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
}

/** Refuses what is not built yet. */
function checkBuilt(settings: Settings, config: Config): void {
  if (settings.gates().get("SetMemberLocalAddr")) {
    throw notBuilt("--feature-gates=SetMemberLocalAddr=true", "a local address of its own for connections to peers");
  }
  for (const setting of settings.all()) {
    const { flag, text, source } = setting;
    if (flag.later === undefined || asksForDefault(setting)) continue;
    const what = source === "environment" ? variableName(flag.name) : `--${flag.name}`;
    throw notBuilt(`${what}=${text}`, flag.later);
  }
  for (const url of [...config.listenPeerUrls, ...config.listenClientUrls, ...config.listenClientHttpUrls]) {
    if (url.scheme === "https" || url.scheme === "unixs") throw notBuilt(`listening on ${url.text}`, "TLS");
  }
  for (const output of config.logOutputs) {
    if (output === "systemd/journal") throw notBuilt(`--log-outputs=${output}`, "logging to the journal");
  }
}

/** Refuses, by name, what needs a feature that is not there yet. */
export function notBuilt(what: string, feature: string): ConfigError {
  return new ConfigError(
    `${what} needs ${feature}, which Keelson ${KEELSON_VERSION} does not have yet: start without it, or use etcd`,
  );
}

/** Zero stands for grpc-go's defaults; for the server's own pings, zero in either place is zero in both. */
function keepalive(settings: Settings) {
  const intervalMs = settings.number("grpc-keepalive-interval");
  const timeoutMs = settings.number("grpc-keepalive-timeout");
  const isSet = intervalMs !== 0 && timeoutMs !== 0;
  return {
    grpcKeepaliveMinTimeMs: settings.number("grpc-keepalive-min-time") || 300_000,
    grpcKeepaliveIntervalMs: isSet ? intervalMs : 7_200_000,
    grpcKeepaliveTimeoutMs: isSet ? timeoutMs : 20_000,
  };
}

function checkFallback(settings: Settings): void {
  if (settings.string("discovery-fallback") === "proxy") {
    throw new ConfigError('v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"');
  }
}

/** Advertised client URLs have no default once the operator has said where to listen (in a file they keep it). */
function advertisedClientUrls(settings: Settings): MemberUrl[] {
  const isFromFile = settings.all().some((setting) => setting.source === "file");
  const isLeftOut = settings.isSet("listen-client-urls") && !settings.isSet("advertise-client-urls");
  return isLeftOut && !isFromFile ? [] : parseUrls(settings.list("advertise-client-urls"));
}

/** Advertised default URLs of a member that listens on every address: its own address instead of "localhost". */
function reachable(
  advertised: MemberUrl[],
  defaultUrl: string,
  listening: readonly MemberUrl[],
  defaultHost: string | undefined,
): MemberUrl[] {
  const isDefault = advertised.length === 1 && advertised[0].text === defaultUrl;
  if (defaultHost === undefined || !isDefault || listening[0]?.host !== "0.0.0.0") return advertised;
  return parseUrls([`${advertised[0].scheme}://${defaultHost}:${listening[0].port}`]);
}

function readRetention(settings: Settings): CompactionRetention | undefined {
  const mode = settings.string("auto-compaction-mode");
  if (mode === "") throw new ConfigError("undefined auto-compaction-mode");
  if (mode !== "periodic" && mode !== "revision") {
    throw new ConfigError(`unknown auto-compaction-mode ${JSON.stringify(mode)}`);
  }
  try {
    return parseRetention(mode, settings.string("auto-compaction-retention"));
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
}

function readLogLevel(text: string): LogLevel {
  const level = Object.hasOwn(LOG_LEVELS, text.toLowerCase()) ? LOG_LEVELS[text.toLowerCase()] : undefined;
  if (level === undefined) throw new ConfigError(`unrecognized level: ${JSON.stringify(text)}`);
  return level;
}

function readLogFormat(settings: Settings): string {
  const format = settings.string("log-format");
  if (!settings.isSet("log-format") || format === "") return "auto";
  if (format === "json" || format === "console") return format;
  throw new ConfigError(`unknown log format: ${format}, supported values json, console`);
}

function checkLogger(config: Config): string | undefined {
  if (config.logger === "zap") return undefined;
  if (config.logger === "capnslog") return "--logger=capnslog is removed in v3.5";
  return `unknown logger option ${JSON.stringify(config.logger)}`;
}

function checkLogOutputs(config: Config): string | undefined {
  if (config.logOutputs.length > 1 && config.logOutputs.includes("default")) {
    return 'multi logoutput for "default" is not supported yet';
  }
  return undefined;
}

function isUnix(url: MemberUrl): boolean {
  return url.scheme === "unix" || url.scheme === "unixs";
}

function checkBindUrls(urls: readonly MemberUrl[]): string | undefined {
  for (const url of urls) {
    if (isUnix(url) || url.host === "localhost" || isIpAddress(url.host)) continue;
    return `expected IP in URL for binding (${url.text})`;
  }
  return undefined;
}

function checkHostUrls(urls: readonly MemberUrl[]): string | undefined {
  for (const url of urls) {
    if (!isUnix(url) && url.host === "") return `unexpected empty host (${url.text})`;
  }
  return undefined;
}

function joinUrls(urls: readonly MemberUrl[]): string {
  return urls.map((url) => url.text).join(",");
}

function joinPath(directory: string, name: string): string {
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}
