import type { Case, Context } from "../context.ts";
import { executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Kind, Member } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

/** So that whoever was away for a moment, or is new, lies before the first entry that the leader still has. */
const FLAGS = ["--snapshot-count", "100", "--snapshot-catchup-entries", "10", "--strict-reconfig-check=false"];
const PUTS = 2_000;
const LONG_PUTS = 100_000;
const VALUE_SIZE = 512;

/** Leader, and who catches up with it. */
const PAIRS: readonly (readonly [leader: Kind, follower: Kind])[] = [
  ["etcd", "subject"],
  ["subject", "etcd"],
  ["etcd-3.6", "subject"],
  ["subject", "etcd-3.6"],
];

export const clusterSnapshot: Case = {
  name: "cluster_snapshot",
  about: "a follower, and a learner that is then promoted, catch up by snapshot from a leader of the other program",
  async run(context) {
    const told: string[] = [];
    for (const [leader, follower] of PAIRS) told.push(await catchUp(context, leader, follower));
    return told.join("\n      ");
  },
};

async function catchUp(context: Context, leaderKind: Kind, followerKind: Kind): Promise<string> {
  // A third member of the leader's kind, so that a majority is left while the follower is away.
  const cluster = await Cluster.start(context, [leaderKind, leaderKind, followerKind], { flags: FLAGS });
  const [leader, , follower] = cluster.members as [Member, Member, Member];
  await cluster.moveLeader(leader);
  await follower.stop("SIGKILL");
  const puts = String(context.settings.isLong ? LONG_PUTS : PUTS);
  await executeOrThrow(programPath("load"), [
    ...["put", "--endpoint", leader.endpoint, "--total", puts, "--clients", "20", "--val-size", String(VALUE_SIZE)],
  ]);
  const traffic = await Traffic.start(context, cluster);
  await expectSnapshot(cluster, leader, async () => {
    await cluster.restart(follower);
    await cluster.caughtUp(follower);
  });
  await cluster.compare();

  const learner = await expectSnapshot(cluster, leader, async () => {
    const added = await cluster.add(followerKind, true);
    await cluster.caughtUp(added);
    return added;
  });
  await cluster.promote(learner);
  await cluster.ready(learner);
  await traffic.watch(learner);
  await traffic.follow(cluster);
  await cluster.compare();
  // It is now a full member: it can lead, and the cluster lives without another one.
  await cluster.moveLeader(learner);
  await leader.stop("SIGTERM");
  await cluster.compare(cluster.members.filter((member) => member !== leader));
  await cluster.restart(leader);
  const verdict = await traffic.judge();
  const agreed = await cluster.compare();
  await cluster.stop();
  return `${followerKind} from ${leaderKind}: ${verdict}; ${agreed.split(", ")[0]}`;
}

/** The leader says that it sends a snapshot while this is done; without one nothing was tested. */
async function expectSnapshot<Result>(
  cluster: Cluster,
  leader: Member,
  action: () => Promise<Result>,
): Promise<Result> {
  const sentBefore = snapshotsSent(leader);
  const result = await action();
  if (await cluster.leader() === leader && snapshotsSent(leader) === sentBefore) {
    throw new Error(`${leader} has sent no snapshot\n${leader.logTail()}`);
  }
  return result;
}

function snapshotsSent(leader: Member): number {
  return leader.log().split('"sent database snapshot').length - 1;
}
