/**
 * Every flag of etcd 3.7.1, and the few of our own: its kind, its default and whether Keelson has built what it asks for. Names, kinds and
 * defaults are frozen: operators' scripts hold them.
 */

import {
  readBool,
  readDuration,
  readFeatureGates,
  readSigned,
  readStringSet,
  readUnsigned,
  readUrls,
  ValueError,
} from "./values.ts";

/** How a flag's text is read; the names of the kinds are what `--help` calls the value. */
export type FlagKind =
  | "string"
  | "bool"
  | "uint"
  | "uint32"
  | "int"
  | "duration"
  /** Comma-separated URLs, as a sorted set. */
  | "urls"
  /** As `urls`, or "*". */
  | "origins"
  /** Comma-separated texts, as a sorted set. */
  | "set"
  /** Comma-separated texts in the order given. */
  | "list"
  /** One of `choices`. */
  | "choice"
  /** Some of `choices`, comma-separated. */
  | "choices"
  | "gates"
  /** A flag of an older etcd that does nothing but warn. */
  | "ignored";

export type FlagValue = string | boolean | number | readonly string[] | ReadonlyMap<string, boolean>;

export interface Flag {
  readonly name: string;
  readonly kind: FlagKind;
  /** As etcd writes it. */
  readonly defaultText: string;
  readonly group: string;
  readonly help: string;
  readonly choices?: readonly string[];
  /**
   * What is missing for this flag to work, as a noun phrase; undefined if it works. Any value but the default then
   * refuses to start.
   */
  readonly later?: string;
  /** etcd has no such flag. */
  readonly isOwn?: boolean;
}

const TLS = "TLS";
const DISCOVERY = "discovery of the other members";
const DATABASE = "the database file";
const AUTH = "authentication";
const TRACING = "distributed tracing";
const METRICS = "metrics";
const ROTATION = "log rotation";
const SOCKETS = "socket options";

const flags: Flag[] = [];
let group = "";

function add(name: string, kind: FlagKind, defaultText: string, help: string, rest?: Partial<Flag>): void {
  flags.push({ name, kind, defaultText, group, help, ...rest });
}

group = "Member";
add("name", "string", "default", "Name of this member; unique in its cluster.");
add("data-dir", "string", "", "Directory of the data; ${name}.etcd if empty.");
add("wal-dir", "string", "", "Directory of the write-ahead log, if it has one of its own.");
add("snapshot-count", "uint", "10000", "Committed requests between two snapshots.");
add(
  "snapshot-catchup-entries",
  "uint",
  "5000",
  "Applied log entries kept in memory for followers that are a little behind.",
);
add("heartbeat-interval", "uint", "100", "Milliseconds between two heartbeats.");
add("election-timeout", "uint", "1000", "Milliseconds without a leader before an election.");
add(
  "initial-election-tick-advance",
  "bool",
  "true",
  "Shorten the first election timeout after a start (a single member always does).",
);
add("listen-peer-urls", "urls", "http://localhost:2380", "Where the other members reach this one.");
add(
  "listen-client-urls",
  "urls",
  "http://localhost:2379",
  "Where clients are served: gRPC, and HTTP too unless --listen-client-http-urls is given.",
);
add("listen-client-http-urls", "urls", "", "Where clients are served HTTP only, away from gRPC.");
add("max-snapshots", "uint", "5", "Snapshot files to keep (0: all). Deprecated by etcd.");
add("max-wals", "uint", "5", "Released log files to keep (0: all).");
add("memory-mlock", "bool", "false", "Lock the memory of the process.", { later: "memory locking" });
add(
  "quota-backend-bytes",
  "int",
  "0",
  "Bytes of keys, history and leases at which writes stop (0: 2 GiB; negative: no bound).",
);
add(
  "quota-alarm-auto-disarm",
  "bool",
  "false",
  "Clear this member's alarm by itself once there is room again (not in etcd).",
  { isOwn: true },
);
add("backend-bbolt-freelist-type", "string", "map", "Form of the database's free list: map or array.", {
  later: DATABASE,
});
add("backend-batch-interval", "duration", "0s", "Longest time between commits of the database.", { later: DATABASE });
add("backend-batch-limit", "int", "0", "Most operations between commits of the database.", { later: DATABASE });
add("max-txn-ops", "uint", "128", "Most operations in one transaction.");
add("max-request-bytes", "uint", "1572864", "Largest request of a client, in bytes.");
add("max-concurrent-streams", "uint32", "4294967295", "Most streams a client may have open on one connection.");
add("grpc-keepalive-min-time", "duration", "5s", "Shortest time between pings that a client may send (0: 5m).");
add(
  "grpc-keepalive-interval",
  "duration",
  "2h0m0s",
  "Time without traffic before the server pings a client (0: 2h).",
);
add("grpc-keepalive-timeout", "duration", "20s", "Time to wait for that ping's answer before closing (0: 20s).");
add("socket-reuse-port", "bool", "false", "Listen with SO_REUSEPORT.", { later: SOCKETS });
add("socket-reuse-address", "bool", "false", "Listen with SO_REUSEADDR.", { later: SOCKETS });
add("enable-grpc-gateway", "bool", "true", "Serve the JSON gateway under /v3/.");
add("raft-read-timeout", "duration", "5s", "Read timeout of connections between members, at least 5s.");
add("raft-write-timeout", "duration", "5s", "Write timeout of connections between members, at least 5s.");
add("feature-gates", "gates", "", "Features to switch, as Name=true,Other=false.");

group = "Clustering";
add(
  "initial-advertise-peer-urls",
  "urls",
  "http://localhost:2380",
  "This member's peer URLs, as told to the others; its id comes from them.",
);
add("initial-cluster", "string", "default=http://localhost:2380", "The members of a new cluster: name=peerURL,...");
add("initial-cluster-state", "choice", "new", "Whether this member starts a cluster or joins one.", {
  choices: ["new", "existing"],
});
add("initial-cluster-token", "string", "etcd-cluster", "Makes the ids of a new cluster differ from any other's.");
add("advertise-client-urls", "urls", "http://localhost:2379", "This member's client URLs, as told to clients.");
add("strict-reconfig-check", "bool", "true", "Refuse changes of membership that would lose the quorum.");
add("pre-vote", "bool", "true", "Ask before an election whether it could be won.");
add("max-learners", "int", "1", "Most learners in the cluster; the same on all members.");
add(
  "auto-compaction-retention",
  "string",
  "0",
  "History kept by automatic compaction: 5m, a number of hours or revisions (0: off).",
);
add("auto-compaction-mode", "string", "periodic", "Whether that is a time (periodic) or a number (revision).");
add("v2-deprecation", "choices", "write-only", "Without effect, as in etcd. Deprecated by etcd.", {
  choices: ["write-only", "write-only-skip-check", "write-only-drop-data", "gone"],
});

group = "Discovery";
add("discovery-srv", "string", "", "DNS domain whose SRV records name the members.", { later: DISCOVERY });
add("discovery-srv-name", "string", "", "Suffix of the SRV service names.", { later: DISCOVERY });
add("discovery-token", "string", "", "The cluster's token at the discovery service.", { later: DISCOVERY });
add("discovery-endpoints", "set", "", "gRPC endpoints of the discovery service.", { later: DISCOVERY });
add("discovery-dial-timeout", "duration", "2s", "Time to connect to it.", { later: DISCOVERY });
add("discovery-request-timeout", "duration", "5s", "Time for a request to it.", { later: DISCOVERY });
add("discovery-keepalive-time", "duration", "2s", "Time without traffic before pinging it.", { later: DISCOVERY });
add("discovery-keepalive-timeout", "duration", "6s", "Time to wait for that ping's answer.", { later: DISCOVERY });
add("discovery-insecure-transport", "bool", "true", "Connect to it without TLS.", { later: DISCOVERY });
add("discovery-insecure-skip-tls-verify", "bool", "false", "Take any certificate from it.", { later: DISCOVERY });
add("discovery-cert", "string", "", "Certificate to show to it.", { later: DISCOVERY });
add("discovery-key", "string", "", "Key of that certificate.", { later: DISCOVERY });
add("discovery-cacert", "string", "", "Authorities its certificate must come from.", { later: DISCOVERY });
add("discovery-user", "string", "", "User to authenticate as: name or name:password.", { later: DISCOVERY });
add("discovery-password", "string", "", "Password of that user.", { later: DISCOVERY });
add("discovery-fallback", "choice", "exit", "What to do when discovery fails; only exit is left.", {
  choices: ["exit", "proxy"],
});

group = "Security";
add("cert-file", "string", "", "Certificate shown to clients.", { later: TLS });
add("key-file", "string", "", "Key of that certificate.", { later: TLS });
add("client-cert-auth", "bool", "false", "Demand certificates from clients.", { later: TLS });
add("client-cert-file", "string", "", "Certificate to show when this member is a client itself.", { later: TLS });
add("client-key-file", "string", "", "Key of that certificate.", { later: TLS });
add("client-crl-file", "string", "", "Revoked certificates of clients.", { later: TLS });
add("client-cert-allowed-hostname", "list", "", "Host names of which a client's certificate must have one.", {
  later: TLS,
});
add("trusted-ca-file", "string", "", "Authorities that clients' certificates must come from.", { later: TLS });
add("auto-tls", "bool", "false", "Make a certificate for clients to see.", { later: TLS });
add("peer-cert-file", "string", "", "Certificate shown to other members.", { later: TLS });
add("peer-key-file", "string", "", "Key of that certificate.", { later: TLS });
add("peer-client-cert-auth", "bool", "false", "Demand certificates from other members.", { later: TLS });
add("peer-client-cert-file", "string", "", "Certificate to show when calling other members.", { later: TLS });
add("peer-client-key-file", "string", "", "Key of that certificate.", { later: TLS });
add("peer-trusted-ca-file", "string", "", "Authorities that members' certificates must come from.", { later: TLS });
add("peer-cert-allowed-cn", "list", "", "Common names of which a member's certificate must have one.", { later: TLS });
add("peer-cert-allowed-hostname", "list", "", "Host names of which a member's certificate must have one.", {
  later: TLS,
});
add("peer-auto-tls", "bool", "false", "Make a certificate for other members to see.", { later: TLS });
add("peer-crl-file", "string", "", "Revoked certificates of members.", { later: TLS });
add("peer-skip-client-san-verification", "bool", "false", "Do not compare a member's certificate with its address.", {
  later: TLS,
});
add("self-signed-cert-validity", "uint", "1", "Years for which made certificates are valid.", { later: TLS });
add("cipher-suites", "list", "", "TLS cipher suites, by Go's names.", { later: TLS });
add("tls-min-version", "string", "TLS1.2", "Oldest TLS version: TLS1.2 or TLS1.3.", { later: TLS });
add("tls-max-version", "string", "", "Newest TLS version: TLS1.2 or TLS1.3.", { later: TLS });
add("cors", "origins", "*", "Origins whose pages may call (empty or *: all).");
add("host-whitelist", "set", "*", "Host names by which HTTP clients may call without TLS (empty or *: all).");

group = "Authentication";
add("auth-token", "string", "simple", "Kind of token: simple, or jwt with its options.", { later: AUTH });
add("auth-token-ttl", "uint", "300", "Seconds a simple token lives.", { later: AUTH });
add("bcrypt-cost", "uint", "10", "Cost of hashing a password.", { later: AUTH });

group = "Observability";
add("logger", "string", "zap", "Only zap: the shape of its lines is kept.");
add("log-level", "string", "info", "Least level written: debug, info, warn, error, panic or fatal.");
add("log-format", "string", "json", "json or console; where not given, console on a terminal.");
add("log-outputs", "set", "default", "Where the log goes: default (stderr), stderr, stdout or files.");
add("enable-log-rotation", "bool", "false", "Rotate the log file.", { later: ROTATION });
add(
  "log-rotation-config-json",
  "string",
  '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
  "How to rotate it.",
  { later: ROTATION },
);
add("warning-unary-request-duration", "duration", "300ms", "A request that took longer is logged.");
add("warning-apply-duration", "duration", "100ms", "An entry that took longer to apply is logged.");
add("enable-pprof", "bool", "false", "Serve profiles under /debug/pprof/.", { later: "profiling over HTTP" });
add("metrics", "string", "basic", "basic, or extensive with a histogram per call.", { later: METRICS });
add("listen-metrics-urls", "urls", "", "Further addresses for metrics and health.", { later: METRICS });
add("enable-distributed-tracing", "bool", "false", "Send traces to a collector.", { later: TRACING });
add("distributed-tracing-address", "string", "localhost:4317", "Address of the collector.", { later: TRACING });
add("distributed-tracing-service-name", "string", "etcd", "Service name in the traces.", { later: TRACING });
add("distributed-tracing-instance-id", "string", "", "Instance id in the traces.", { later: TRACING });
add("distributed-tracing-sampling-rate", "int", "0", "Traces taken of a million requests.", { later: TRACING });

group = "Features";
add(
  "watch-progress-notify-interval",
  "duration",
  "0s",
  "Time between progress notifications of idle watchers (0: 10m).",
);
add("compaction-batch-limit", "int", "0", "Revisions dropped in one step of a compaction (0: 1000).");
add("compaction-sleep-interval", "duration", "0s", "Pause between two such steps (0: 10ms).");
add("corrupt-check-time", "duration", "0s", "Time between comparisons of the members' hashes (0: never).");
add(
  "compact-hash-check-time",
  "duration",
  "1m0s",
  "Time between comparisons of compaction hashes (gate CompactHashCheck).",
);
add(
  "bootstrap-defrag-threshold-megabytes",
  "uint",
  "0",
  "Defragment at the start if it frees so much (0: never).",
);
add("downgrade-check-time", "duration", "5s", "Time between looks at a running downgrade (0: never).");

group = "Unsafe";
add("force-new-cluster", "bool", "false", "Forget all other members and go on alone.");
add("unsafe-no-fsync", "bool", "false", "Never wait for the disk. A crash of the machine loses acknowledged data.");

group = "Other";
add("config-file", "string", "", "YAML or JSON file with all settings; other flags and variables are then ignored.");
add("version", "bool", "false", "Print the version and exit.");

group = "";
const LEGACY = [
  "cluster-active-size",
  "cluster-remove-delay",
  "cluster-sync-interval",
  "config",
  "force",
  "max-result-buffer",
  "max-retry-attempts",
  "peer-heartbeat-interval",
  "peer-election-timeout",
  "retry-interval",
  "snapshot",
  "v",
  "vv",
  "test.coverprofile",
  "test.outputdir",
];
for (const name of LEGACY) add(name, "ignored", "", "Ignored, as by etcd.");

/** In the order of `--help`; legacy flags, which it does not show, come last with an empty group. */
export const FLAGS: readonly Flag[] = flags;

const byName = new Map(FLAGS.map((flag) => [flag.name, flag]));

export function findFlag(name: string): Flag | undefined {
  return byName.get(name);
}

/** The value without any setting. */
export function defaultValue(flag: Flag): FlagValue {
  const isEmptyList = flag.defaultText === "" && (flag.kind === "urls" || flag.kind === "set");
  return isEmptyList ? [] : readValue(flag, flag.defaultText);
}

/** Reads a value. Throws an Error with Go's text if it is not one. */
export function readValue(flag: Flag, text: string): FlagValue {
  switch (flag.kind) {
    case "string":
      return text;
    case "bool":
      return readBool(text);
    case "uint":
      return readUnsigned(text, 64);
    case "uint32":
      return readUint32(text);
    case "int":
      return readSigned(text);
    case "duration":
      return readDuration(text);
    case "urls":
      // etcd takes an empty text for "leave the default".
      return text === "" ? defaultValue(flag) : readUrls(text);
    case "origins":
      return text === "*" ? ["*"] : readUrls(text);
    case "set":
      return readStringSet(text);
    case "list":
      return text === "" ? [] : text.split(",");
    case "choice":
      if (!flag.choices!.includes(text)) throw new ValueError("invalid value");
      return text;
    case "choices": {
      const values = text.split(",");
      for (const value of values) {
        if (!flag.choices!.includes(value)) throw new ValueError(`invalid value ${JSON.stringify(value)}`);
      }
      return values;
    }
    case "gates":
      return readFeatureGates(text);
    case "ignored":
      return text;
  }
}

/** etcd reads this one kind without hiding strconv's own words. */
function readUint32(text: string): number {
  try {
    return readUnsigned(text, 32);
  } catch (error) {
    const reason = (error as Error).message === "parse error" ? "invalid syntax" : "value out of range";
    throw new ValueError(`strconv.ParseUint: parsing ${JSON.stringify(text)}: ${reason}`);
  }
}
