import type { Case, Context } from "../context.ts";
import { delay } from "../process.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Kind } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

const KILLS = 10;
const LONG_KILLS = 40;
/** For the requests that were under way to get an answer, or another attempt. */
const CALM_MS = 600;

export const clusterElections: Case = {
  name: "cluster_elections",
  about: "the leader of a mixed cluster, of either kind in turn, is killed again and again: leases and watches live on",
  async run(context) {
    return await killLeaders(context, ["etcd", "subject", "subject", "etcd", "subject"]);
  },
};

async function killLeaders(context: Context, kinds: readonly Kind[]): Promise<string> {
  const cluster = await Cluster.start(context, kinds);
  const traffic = await Traffic.start(context, cluster);
  const withoutLeaderMs: number[] = [];
  const kills = context.settings.isLong ? LONG_KILLS : KILLS;
  for (let kill = 0; kill < kills; kill++) {
    const kind = kill % 2 === 0 ? "subject" : "etcd";
    let leader = await cluster.leader();
    if (leader.kind !== kind) {
      leader = cluster.members.find((member) => member.kind === kind)!;
      await cluster.moveLeader(leader);
    }
    const beganMs = performance.now();
    await leader.stop("SIGKILL");
    await cluster.leader();
    withoutLeaderMs.push(performance.now() - beganMs);
    await cluster.restart(leader);
    await cluster.compare();
    await delay(CALM_MS);
  }
  const verdict = await traffic.judge();
  await cluster.stop();
  withoutLeaderMs.sort((a, b) => a - b);
  const [median, longest] = [withoutLeaderMs[kills >> 1]!, withoutLeaderMs.at(-1)!].map(Math.round);
  return `${kills} kills: ${verdict}; without a leader ${median} ms, at most ${longest} ms`;
}
