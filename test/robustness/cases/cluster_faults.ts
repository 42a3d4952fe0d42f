/**
 * Three processes under load while they are killed, paused, cut off and slowed down; what the clients saw is recorded, and
 * judged by porcupine and other judges afterwards. Over a proxy wherever this runs, and in network namespaces.
 */
import { type Case, type Context } from "../context.ts";
import { Cluster, CLUSTER_SIZE } from "../cluster/cluster.ts";
import { FAULTS, Scene, shuffled } from "../cluster/faults.ts";
import { buildHistory, History, type Verdict } from "../cluster/history.ts";
import { NamespacedNetwork } from "../cluster/namespaced_network.ts";
import type { FaultyNetwork } from "../cluster/network.ts";
import { ProxiedNetwork } from "../cluster/proxied_network.ts";

/** Each time with a fresh cluster, and every fault once. */
const ROUNDS = 1;
const ROUNDS_LONG = 60;

export const clusterFaults: Case = {
  name: "cluster_faults",
  about: "kills, pauses, partitions and slow links through a proxy; the clients' history is linearizable",
  async run(context) {
    let members: Cluster | undefined;
    const network = await ProxiedNetwork.start(context, CLUSTER_SIZE, (member) => members?.members[member]?.runningPid);
    return await inRounds(context, network, (cluster) => {
      members = cluster;
    });
  },
};

export const clusterNamespaces: Case = {
  name: "cluster_namespaces",
  about: "the same in network namespaces, where packets are really lost; needs root",
  async run(context) {
    return await inRounds(context, NamespacedNetwork.start(context, CLUSTER_SIZE), () => {});
  },
};

async function inRounds(
  context: Context,
  network: FaultyNetwork,
  onCluster: (cluster: Cluster) => void,
): Promise<string> {
  buildHistory();
  const rounds = context.settings.rounds ?? (context.settings.isLong ? ROUNDS_LONG : ROUNDS);
  const total = {
    faults: 0,
    operations: 0,
    acknowledged: 0,
    inDoubt: 0,
    adopted: 0,
    reads: 0,
    events: 0,
    leases: 0,
    compactions: 0,
  };
  let longestMs = 0, longestDuring = "";
  for (let round = 1; round <= rounds; round++) {
    const cluster = new Cluster(context, network, { name: `round-${round}` });
    onCluster(cluster);
    try {
      await cluster.start();
      const verdict = await judged(context, cluster, network);
      total.faults += FAULTS.length;
      total.operations += verdict.operations;
      total.acknowledged += verdict.acknowledged;
      total.inDoubt += verdict.inDoubt;
      total.adopted += verdict.adopted;
      total.reads += verdict.serializable;
      total.events += verdict.events;
      total.leases += verdict.leases;
      total.compactions += verdict.compactions;
      if (verdict.longestWithoutWriteMs > longestMs) {
        longestMs = verdict.longestWithoutWriteMs;
        longestDuring = verdict.longestWithoutWriteDuring;
      }
    } catch (error) {
      throw new Error(`round ${round}, seed ${context.settings.seed}, ${network.tool}: ${(error as Error).message}`);
    }
    await cluster.kill(...cluster.members.keys());
  }
  return `${network.tool}; ${total.faults} faults; ${total.operations} operations, ${total.acknowledged} acknowledged, ` +
    `${total.inDoubt} in doubt of which ${total.adopted} took place, linearizable; ${total.reads} serializable reads, ` +
    `${total.events} watched events, ${total.leases} leases, ${total.compactions} compactions; at most ${longestMs} ms without a write (${longestDuring})`;
}

async function judged(context: Context, cluster: Cluster, network: FaultyNetwork): Promise<Verdict> {
  const history = new History(context, cluster.endpoints);
  await new Scene(cluster, network, history, context.random).play(shuffled(FAULTS, context.random));
  return await history.verdict();
}
