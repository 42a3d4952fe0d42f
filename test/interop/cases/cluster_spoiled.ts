import { join } from "node:path";
import type { Case, Context } from "../context.ts";
import { executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import { Cluster, until } from "../cluster/cluster.ts";
import type { Kind, Member } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

const FLAGS = ["--compact-hash-check-time", "1s"];
const AT_START = ["--feature-gates", "InitialCorruptCheck=true"];
const WHILE_IT_RUNS = ["--feature-gates", "CompactHashCheck=true"];
const PUTS = 300;
const END_MS = 15_000;

/** Who finds it out, as the leader, and whose database is changed. */
const PAIRS: readonly (readonly [leader: Kind, victim: Kind])[] = [["etcd", "subject"], ["subject", "etcd"]];

export const clusterSpoiled: Case = {
  name: "cluster_spoiled",
  about: "a member whose database was changed behind its back is found out by members of the other program",
  async run(context) {
    const told: string[] = [];
    for (const [leader, victim] of PAIRS) told.push(await findOut(context, leader, victim));
    return told.join("\n      ");
  },
};

async function findOut(context: Context, leaderKind: Kind, victimKind: Kind): Promise<string> {
  const cluster = await Cluster.start(context, [leaderKind, victimKind, victimKind], {
    flags: [...FLAGS, ...WHILE_IT_RUNS],
  });
  const [leader, , victim] = cluster.members as [Member, Member, Member];
  await cluster.moveLeader(leader);
  await executeOrThrow(programPath("load"), [
    ...["put", "--endpoint", leader.endpoint, "--total", String(PUTS), "--clients", "5"],
  ]);
  await cluster.compare();
  const victimId = await cluster.idOf(victim);
  // So that its database holds all that was put.
  await executeOrThrow(programPath("etcdctl"), ["--endpoints", victim.endpoint, "defrag"]);
  await victim.stop("SIGKILL");
  await executeOrThrow(programPath("spoil"), [join(victim.dataDirectory, "member", "snap", "db")]);

  cluster.launch(victim, "new", AT_START);
  const timer = setTimeout(() => void victim.stop("SIGKILL"), END_MS);
  const { code } = await victim.end;
  clearTimeout(timer);
  if (code !== 1) throw new Error(`${victim}, spoiled, ended with ${code}\n${victim.logTail()}`);

  // Without that check it takes part, until the leader compares what compactions have hashed.
  await cluster.restart(victim);
  await cluster.moveLeader(leader);
  const traffic = await Traffic.start(context, cluster);
  await until(`the alarm of ${victim} is raised`, async () => {
    const { alarms } = await cluster.ask<{ alarms?: { memberID: string; alarm: string }[] }>("maintenance/alarm", {});
    const raised = alarms?.find(({ alarm }) => alarm === "CORRUPT");
    if (raised !== undefined && raised.memberID !== victimId) throw new Error(`of ${raised.memberID}, not ${victimId}`);
    return raised !== undefined;
  }, () => leader.logTail());
  await traffic.stop();
  await cluster.stop();
  return `${victimKind}, spoiled, is refused at its start with exit code ${code}, and found out by ${leaderKind}`;
}
