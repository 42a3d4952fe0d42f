import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import { Cluster, until } from "../cluster/cluster.ts";
import type { Kind, Member } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

/** Every check that a member can make of the others, as often as it goes. */
const FLAGS = [
  ...["--feature-gates", "InitialCorruptCheck=true,CompactHashCheck=true"],
  ...["--corrupt-check-time", "1s", "--compact-hash-check-time", "1s"],
];
const LAYOUTS: readonly (readonly Kind[])[] = [["etcd", "etcd", "subject"], ["subject", "subject", "etcd"]];
/** What the checks of both programs say of what they find. */
const SUSPICION = /"msg":"[^"]*(corruption detected|hash mismatch|different hash|CORRUPT|alarm raised)/;
const CALM_MS = 1_500;
const LONG_CALM_MS = 10_000;

export const clusterChecks: Case = {
  name: "cluster_checks",
  about:
    "checks for corruption between etcd and the server under test raise no alarm; etcdctl's tables of mixed clusters",
  async run(context) {
    const told: string[] = [];
    for (const kinds of LAYOUTS) told.push(await check(context, kinds));
    return told.join("\n      ");
  },
};

async function check(context: Context, kinds: readonly Kind[]): Promise<string> {
  const cluster = await Cluster.start(context, kinds, { flags: FLAGS });
  const traffic = await Traffic.start(context, cluster);
  let hashesChecked = 0;
  for (const member of cluster.members) {
    // It compares itself with the others before it serves.
    await member.stop("SIGKILL");
    await cluster.restart(member);
    if (!member.lastLog().includes("initial corruption checking passed")) {
      throw new Error(`${member} has not checked itself\n${member.logTail()}`);
    }
    await cluster.moveLeader(member);
    await delay(context.settings.isLong ? LONG_CALM_MS : CALM_MS);
    await until(`${member} has compared the hashes of compactions`, () => hashesComparedBy(member) > 0);
    hashesChecked += hashesComparedBy(member);
  }
  await expectNoAlarm(cluster);
  const verdict = await traffic.judge();
  const agreed = await cluster.compare();
  await compareTables(cluster);
  await cluster.stop();
  return `${kinds.join(" + ")}: ${hashesChecked} hashes checked; ${verdict}; ${agreed.split(", ")[0]}`;
}

/** Compactions whose hash all members have answered for, and alike. */
function hashesComparedBy(member: Member): number {
  return member.lastLog().split('"successfully checked hash on whole cluster"').length - 1;
}

async function expectNoAlarm(cluster: Cluster): Promise<void> {
  const { stdout } = await etcdctl(cluster, ["alarm", "list"]);
  if (stdout !== "") throw new Error(`alarms: ${stdout}`);
  for (const member of cluster.members) {
    const line = member.log().split("\n").find((each) => SUSPICION.test(each));
    if (line !== undefined) throw new Error(`${member} suspects corruption: ${line}`);
  }
}

/** What etcdctl shows must not depend on whom it asks. */
async function compareTables(cluster: Cluster): Promise<void> {
  const [one, ...others] = cluster.members as [Member, ...Member[]];
  for (const command of [["member", "list", "-w", "table"], ["member", "list", "-w", "json", "--hex"]]) {
    const ask = async (member: Member) => {
      const { stdout } = await executeOrThrow(programPath("etcdctl"), ["--endpoints", member.endpoint, ...command]);
      return stdout.replace(/"(member_id|raft_term)":[^,}]*/g, "").replace(/ID *\| STATUS/, "");
    };
    const expected = await ask(one);
    for (const other of others) expectEqual(`${command.join(" ")}: ${one} and ${other}`, expected, await ask(other));
  }
  const health = await etcdctl(cluster, ["endpoint", "health", "--cluster"]);
  const healthy = (health.stdout + health.stderr).match(/is healthy/g)?.length;
  if (healthy !== cluster.members.length) throw new Error(`${healthy} are healthy\n${health.stdout}${health.stderr}`);

  const status = JSON.parse((await etcdctl(cluster, ["endpoint", "status", "--cluster", "-w", "json"])).stdout) as {
    Status: { leader: number; version: string; raftAppliedIndex: number; raftTerm: number; errors?: string[] };
  }[];
  for (const field of ["leader", "raftTerm", "raftAppliedIndex", "version"] as const) {
    const values = status.map((each) => String(each.Status[field]));
    if (new Set(values).size !== 1) throw new Error(`members differ in ${field}: ${values.join(", ")}`);
  }
  const hashes = JSON.parse((await etcdctl(cluster, ["endpoint", "hashkv", "--cluster", "-w", "json"])).stdout) as {
    HashKV: { hash: number; compact_revision?: number; hash_revision?: number };
  }[];
  const values = hashes.map(({ HashKV: each }) => `${each.hash} ${each.compact_revision} ${each.hash_revision}`);
  if (values.length !== cluster.members.length || new Set(values).size !== 1) {
    throw new Error(`endpoint hashkv: ${values.join(", ")}`);
  }
}

function etcdctl(cluster: Cluster, command: string[]): Promise<{ stdout: string; stderr: string }> {
  return executeOrThrow(programPath("etcdctl"), ["--endpoints", cluster.endpoints.join(","), ...command]);
}
