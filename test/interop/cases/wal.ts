import { execute, executeOrThrow, type Server } from "../process.ts";
import { programPath } from "../tools.ts";
import { type Case, expectEqual } from "../context.ts";

/** What is told to both servers; it leaves every kind of request that writes in the log. */
const COMMANDS = [
  ["put", "a", "1"],
  ["put", "b", "2"],
  ["put", "--prev-kv", "a", "3"],
  ["del", "a"],
  ["lease", "grant", "600"],
  ["compaction", "3"],
  ["put", "c", "x".repeat(10_000)],
  ["del", "--prefix", "c"],
];

export const wal: Case = {
  name: "wal",
  about: "the log read by etcd's own WAL package and by etcd-dump-logs, entry for entry as etcd's",
  async run(context) {
    const servers = await context.startBoth();
    const logs: string[] = [];
    for (const server of servers) {
      for (const command of COMMANDS) {
        await executeOrThrow(programPath("etcdctl"), ["--endpoints", server.endpoint, ...command]);
      }
      await server.restart("SIGKILL");
      await executeOrThrow(programPath("etcdctl"), ["--endpoints", server.endpoint, "put", "after", "restart"]);
      await server.stop("SIGKILL");
      logs.push(comparable((await executeOrThrow(programPath("waldump"), [server.dataDirectory])).stdout));
    }
    expectEqual("the logs' entries differ", logs[0]!, logs[1]!);
    return `${logs[1]!.split("\n").length} entries; ${await dumpLogs(servers)}`;
  },
};

/**
 * Leaves the entries that clients caused. etcd's own (its version and name published at every start) come at moments of
 * their own choice, and lease ids are random.
 */
function comparable(dump: string): string {
  return dump.split("\n")
    .filter((line) => !/ EntryNormal (empty|.*(cluster_version_set|cluster_member_attr_set|ID:0 ))/.test(line))
    .filter((line) => !line.startsWith("metadata"))
    .map((line) => line.replace(/lease_grant:\s*\{.*?\}/, "lease_grant").replace(/header:\s*\{\}\s*/, ""))
    .join("\n");
}

/**
 * etcd-dump-logs 3.7.1 crashes on the entries etcd 3.7.1 itself writes (their type is left out, and it does not expect
 * that), so it can only be held to: what it can read of etcd's, it must read of ours.
 */
async function dumpLogs(servers: readonly Server[]): Promise<string> {
  const [etcd, subject] = await Promise.all(servers.map(async (server) => {
    const { code } = await execute(programPath("etcd-dump-logs"), ["--start-index", "1", server.dataDirectory]);
    return code === 0;
  }));
  if (etcd && !subject) throw new Error("etcd-dump-logs reads etcd's log but not the subject's");
  return subject ? "etcd-dump-logs reads it" : "etcd-dump-logs reads neither this log nor etcd's own";
}
