import type { Case, Context } from "../context.ts";
import { delay } from "../process.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Kind } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

const LAYOUTS: readonly (readonly Kind[])[] = [["etcd", "etcd", "subject"], ["etcd", "subject", "subject"]];
const CALM_MS = 700;

export const clusterMixed: Case = {
  name: "cluster_mixed",
  about: "new clusters of etcd and the server under test, either leading, each member killed and restarted under load",
  async run(context) {
    const told: string[] = [];
    for (const kinds of LAYOUTS) {
      told.push(await lead(context, kinds));
    }
    return told.join("\n      ");
  },
};

async function lead(context: Context, kinds: readonly Kind[]): Promise<string> {
  const cluster = await Cluster.start(context, kinds);
  const traffic = await Traffic.start(context, cluster);
  const rounds = context.settings.isLong ? 5 : 1;
  for (let round = 0; round < rounds; round++) {
    for (const member of cluster.members) {
      await cluster.moveLeader(member);
      await delay(CALM_MS);
      await cluster.compare();
    }
    for (const member of cluster.members) {
      await member.stop("SIGKILL");
      await delay(CALM_MS);
      await cluster.compare(cluster.members.filter((other) => other !== member));
      await cluster.restart(member);
      await cluster.compare();
    }
  }
  const verdict = await traffic.judge();
  const agreed = await cluster.compare();
  await cluster.stop();
  return `${kinds.join(" + ")}: ${verdict}; ${agreed.split(", ")[0]}`;
}
