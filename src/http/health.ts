/** /health, /livez, /readyz and /version, as etcd answers them. */

import { formatDuration } from "../base/duration.ts";
import type { Logger } from "../io/log.ts";
import { methodNotAllowed, notFound, textError, textResponse } from "./answers.ts";

/** What the operations endpoints ask of the member. */
export interface ServerStatus {
  /** Kinds of the alarms that are raised, one per raised alarm: "NOSPACE", "CORRUPT". */
  alarms(): readonly string[];
  hasLeader(): boolean;
  isLearner(): boolean;
  /** A range of one key, as root, of this member's state. Rejects with what went wrong. */
  serializableRead(): Promise<void>;
  /** The same, agreed on by a quorum. */
  linearizableRead(): Promise<void>;
  /** Milliseconds for which the disk has not finished a write to the log; 0: it works. */
  diskStalledMs(): number;
  /** Undefined: not decided (cluster), unknown (storage). */
  versions(): { readonly server: string; readonly cluster: string | undefined; readonly storage: string | undefined };
}

type Check = (status: ServerStatus) => Promise<void>;

const CHECKS: Readonly<Record<string, Check>> = {
  data_corruption: async (status) => {
    if (status.alarms().includes("CORRUPT")) throw new Error("alarm activated: CORRUPT");
  },
  serializable_read: (status) => status.serializableRead(),
  linearizable_read: (status) => status.linearizableRead(),
  non_learner: async (status) => {
    if (status.isLearner()) throw new Error("not supported for learner");
  },
  disk: async (status) => {
    const stalledMs = status.diskStalledMs();
    if (stalledMs > 0) throw new Error(`a write to the log has not finished for ${formatDuration(stalledMs)}`);
  },
};

/** Checks that etcd does not have: they show in a report only when they fail. */
const OWN_CHECKS: ReadonlySet<string> = new Set(["disk"]);

const CHECKS_OF_PATH: Readonly<Record<string, readonly string[]>> = {
  "/livez": ["serializable_read"],
  "/readyz": ["data_corruption", "serializable_read", "linearizable_read", "non_learner", "disk"],
};

/** /health: alarms, then the leader, then a read. */
export async function healthResponse(
  method: string,
  query: URLSearchParams,
  status: ServerStatus,
  log: Logger,
): Promise<Response> {
  if (method !== "GET") {
    log.warn("/health error", { "status-code": 405 });
    return methodNotAllowed();
  }
  const reason = await healthProblem(query, status, log);
  const body = JSON.stringify({ health: reason === "" ? "true" : "false", reason });
  if (reason !== "") {
    log.warn("/health error", { output: body, "status-code": 503 });
    return textError(503, body);
  }
  return textResponse(body, { "content-type": "text/plain; charset=utf-8" });
}

async function healthProblem(query: URLSearchParams, status: ServerStatus, log: Logger): Promise<string> {
  const excluded = query.getAll("exclude");
  const alarm = status.alarms().find((name) => !excluded.includes(name));
  if (alarm !== undefined) {
    log.warn("serving /health false due to an alarm", { alarm });
    return alarm === "NOSPACE" || alarm === "CORRUPT" ? `ALARM ${alarm}` : "ALARM UNKNOWN";
  }
  const isSerializable = query.get("serializable") === "true";
  if (!isSerializable && !status.hasLeader()) {
    log.warn("serving /health false; no leader");
    return "RAFT NO LEADER";
  }
  try {
    await (isSerializable ? status.serializableRead() : status.linearizableRead());
    return "";
  } catch (error) {
    log.warn("serving /health false; Range fails", { error });
    return `RANGE ERROR:${textOf(error)}`;
  }
}

/** /livez and /readyz with what is below them, undefined for other paths. */
export function checkResponse(
  method: string,
  path: string,
  query: URLSearchParams,
  status: ServerStatus,
  log: Logger,
): Promise<Response> | undefined {
  const root = Object.keys(CHECKS_OF_PATH).find((candidate) => path === candidate || path.startsWith(`${candidate}/`));
  if (root === undefined) return undefined;
  if (path === root) {
    const excluded = new Set(query.getAll("exclude").filter((name) => name !== ""));
    const names = CHECKS_OF_PATH[root].filter((name) => !excluded.delete(name));
    if (excluded.size > 0) {
      const missing = [...excluded].map((name) => JSON.stringify(name)).join(",");
      log.warn("some health checks cannot be excluded", { "missing-health-checks": missing });
    }
    return runChecks(method, path, names, query, status, log);
  }
  const name = path.slice(root.length + 1);
  if (!CHECKS_OF_PATH[root].includes(name)) return Promise.resolve(notFound());
  return runChecks(method, path, [name], query, status, log);
}

async function runChecks(
  method: string,
  path: string,
  names: readonly string[],
  query: URLSearchParams,
  status: ServerStatus,
  log: Logger,
): Promise<Response> {
  if (method !== "GET") {
    log.warn("Health request error", { path, "status-code": 405 });
    return methodNotAllowed();
  }
  let report = "";
  let isHealthy = true;
  for (const name of names) {
    try {
      await CHECKS[name](status);
      if (!OWN_CHECKS.has(name)) report += `[+]${name} ok\n`;
    } catch (error) {
      report += `[-]${name} failed: ${textOf(error)}\n`;
      isHealthy = false;
    }
  }
  if (!isHealthy) {
    log.error("Health check error", { path, reason: report, "status-code": 503 });
    return textError(503, report);
  }
  return textResponse(`${query.has("verbose") ? report : ""}ok\n`, {
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
  });
}

export function versionResponse(method: string, status: ServerStatus): Response {
  if (method !== "GET") return methodNotAllowed();
  const { server, cluster, storage } = status.versions();
  const body = JSON.stringify({
    etcdserver: server,
    etcdcluster: cluster ?? "not_decided",
    storage: storage ?? "unknown",
  });
  return textResponse(body, { "content-type": "application/json" });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
