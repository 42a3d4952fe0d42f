import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Kind, Member } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

const LAYOUTS: readonly (readonly Kind[])[] = [["etcd", "etcd", "subject"], ["etcd", "subject", "subject"]];
const CALM_MS = 700;
const OPERATIONS = 100;

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
  await compareStates(context, cluster);
  await cluster.stop();
  return `${kinds.join(" + ")}: ${verdict}; ${agreed.split(", ")[0]}`;
}

/** What each member was asked for is found at every other: all that a client can see. */
async function compareStates(context: Context, cluster: Cluster): Promise<void> {
  for (const [turn, member] of cluster.members.entries()) {
    const seed = String(context.settings.seed * 100 + turn);
    await executeOrThrow(programPath("state"), [
      ...["populate", "--endpoint", member.endpoint, "--seed", seed, "--ops", String(OPERATIONS)],
    ]);
  }
  const record = async (member: Member) => {
    const { stdout } = await executeOrThrow(programPath("state"), ["record", "--endpoint", member.endpoint]);
    return stdout.split("\n").filter((line) => !line.startsWith("auth")).join("\n");
  };
  const [one, ...others] = cluster.members as [Member, ...Member[]];
  const expected = await record(one);
  for (const other of others) expectEqual(`the states of ${one} and ${other}`, expected, await record(other));
}
