import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { execute, executeOrThrow, Server } from "../process.ts";
import { type Program, programPath } from "../tools.ts";
import { type Case, type Context, expectEqual } from "../context.ts";
import { type Replayed, replayLog } from "../replay.ts";

interface Origin {
  readonly server: Program;
  /** The version that its clusters may go back to. */
  readonly downgradeTo: string;
  /** What it cannot be asked in the way the others can. */
  readonly flags: readonly string[];
}

const ORIGINS: readonly Origin[] = [
  { server: "server", downgradeTo: "3.6.0", flags: [] },
  { server: "etcd-3.6", downgradeTo: "3.5.0", flags: [] },
  // It lets everybody delete while an alarm is raised; later versions, and this one, do not.
  { server: "etcd-3.5", downgradeTo: "3.4.0", flags: ["--separate-alarms"] },
];

const OPERATIONS = 1600;
/** Whatever the seed, the logs hold entries without effect for these reasons; if not, less is compared than it seems. */
const REFUSALS = [
  ...["root_role_not_exist", "user_exists", "user_not_found", "role_exists", "role_not_found", "role_not_granted"],
  ...["permission_not_granted", "permission_denied", "invalid_auth_management", "no_space", "corrupt"],
  ...["lease_not_found", "key_not_found", "member_removed", "peer_url_exists", "too_many_learners"],
];
const RUN_TIMEOUT_MS = 5 * 60_000;
/** All that follows from the log alone. */
const BUCKETS = ["alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed"];
const COMPACTION_KEYS = ["finishedCompactRev", "scheduledCompactRev"].map((key) => Buffer.from(key).toString("hex"));
/** The whole log stays, and neither hashing passwords nor the disk takes time. */
const FLAGS = ["--snapshot-count", "1000000", "--bcrypt-cost", "4", "--unsafe-no-fsync", "--log-level", "error"];

export const authLog: Case = {
  name: "auth_log",
  about: "logs of etcd 3.5, 3.6 and 3.7 full of users, roles, leases, alarms and members lead to etcd's database",
  async run(context) {
    const remarks: string[] = [];
    const refusals = new Set<string>();
    for (const origin of ORIGINS) remarks.push(await compare(context, origin, refusals));
    const missing = REFUSALS.filter((reason) => !refusals.has(reason));
    if (missing.length > 0) throw new Error(`no entry was refused as ${missing.join(", ")}`);
    return `seed ${context.settings.seed}: ${remarks.join("; ")}`;
  },
};

/** The log is compared twice: once with access control disabled at its end, and once enabled. */
async function compare(
  context: Context,
  { server, downgradeTo, flags }: Origin,
  refusals: Set<string>,
): Promise<string> {
  const ports = { clientPort: context.takePort(), peerPort: context.takePort() };
  const options = { kind: "etcd", command: programPath(server), directory: join(context.directory, server) } as const;
  mkdirSync(options.directory);
  const remarks: string[] = [];
  for (const isLast of [false, true]) {
    // Another name and address are published at the second start.
    const changes = isLast ? ["--name", `the "<second>" & last`, "--advertise-client-urls", "http://127.0.0.1:1"] : [];
    const running = context.adopt(new Server({ ...options, ...ports, flags: [...FLAGS, ...changes] }));
    await running.start();
    const { stdout } = await executeOrThrow(programPath("authlog"), [
      ...["--endpoint", running.endpoint, "--seed", String(context.settings.seed + (isLast ? 1 : 0))],
      ...["--ops", String(OPERATIONS), ...flags, ...(isLast ? ["--leave-enabled"] : ["--downgrade-to", downgradeTo])],
    ], { timeoutMs: RUN_TIMEOUT_MS });
    await running.stop();
    const replayed = await compareState(`${server}${isLast ? ", enabled" : ""}`, running.dataDirectory, isLast);
    for (const reason of replayed.refusals) refusals.add(reason);
    remarks.push(`${replayed.entryCount} entries (${stdout.trim()})`);
  }
  return `${server}: ${remarks.join(", ")}`;
}

async function compareState(what: string, dataDirectory: string, isEnabled: boolean): Promise<Replayed> {
  const copy = `${dataDirectory}.copy`;
  cpSync(join(dataDirectory, "member", "wal"), copy, { recursive: true });
  const replayed = await replayLog(copy);
  const database = await dumpDatabase(join(dataDirectory, "member", "snap", "db"));
  for (const bucket of BUCKETS) {
    expectEqual(`${what}: bucket ${bucket}`, text(database.get(bucket)), text(replayed.buckets.get(bucket)));
  }
  const compactions = database.get("meta")!.filter((line) => COMPACTION_KEYS.includes(line.split(" ")[0]!));
  expectEqual(`${what}: compactions`, text(compactions), text(replayed.buckets.get("meta")));
  if (replayed.isAuthEnabled !== isEnabled) throw new Error(`${what}: access control is not as it was left`);
  return replayed;
}

/** The lines of each bucket. */
async function dumpDatabase(path: string): Promise<Map<string, string[]>> {
  const { stdout } = await execute(programPath("dbdump"), [path]);
  const buckets = new Map<string, string[]>();
  let lines: string[] = [];
  for (const line of stdout.trimEnd().split("\n")) {
    if (line.includes(" ")) lines.push(line);
    else buckets.set(line, lines = []);
  }
  return buckets;
}

function text(lines: readonly string[] | undefined): string {
  if (lines === undefined) throw new Error("a bucket is missing");
  return lines.join("\n");
}
