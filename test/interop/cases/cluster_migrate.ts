import type { Case, Context } from "../context.ts";
import { delay, executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import { Cluster, until } from "../cluster/cluster.ts";
import type { Kind, Member } from "../cluster/member.ts";
import { Traffic } from "../cluster/traffic.ts";

const CALM_MS = 300;
/** So that each program finds snapshots and cut logs of the other. */
const FLAGS = ["--snapshot-count", "200", "--snapshot-catchup-entries", "20"];

export const clusterMigrate: Case = {
  name: "cluster_migrate",
  about: "a running etcd cluster moved to the server under test one member at a time, and back, under load",
  async run(context) {
    const told = [
      await inPlace(context),
      await fromOlder(context),
      await byNewMembers(context, "etcd"),
    ];
    if (context.settings.isLong) told.push(await byNewMembers(context, "etcd-3.6"));
    return told.join("\n      ");
  },
};

/** Each member's program is exchanged for the other on the same data directory, with the same flags. */
async function inPlace(context: Context): Promise<string> {
  const cluster = await Cluster.start(context, ["etcd", "etcd", "etcd"], { flags: FLAGS });
  const traffic = await Traffic.start(context, cluster);
  for (const kind of ["subject", "etcd"] as const) {
    for (const [turn, member] of cluster.members.entries()) {
      await exchange(cluster, member, kind, turn === 0 || kind === "etcd" ? "SIGTERM" : "SIGKILL");
    }
  }
  return `in place: ${await finish(cluster, traffic)}`;
}

/** The cluster stays of version 3.6, and members go back to it as they like, until the last etcd 3.6 has left. */
async function fromOlder(context: Context): Promise<string> {
  const cluster = await Cluster.start(context, ["etcd-3.6", "etcd-3.6", "etcd-3.6"], { flags: FLAGS });
  const traffic = await Traffic.start(context, cluster);
  const [a, b, c] = cluster.members as [Member, Member, Member];
  await exchange(cluster, a, "subject", "SIGTERM");
  await exchange(cluster, b, "subject", "SIGKILL");
  await cluster.moveLeader(a);
  await exchange(cluster, b, "etcd-3.6", "SIGTERM");
  await expectClusterVersion(cluster, "3.6.0");
  for (const member of [b, c]) await exchange(cluster, member, "subject", "SIGKILL");
  await expectClusterVersion(cluster, "3.7.0");
  // All the way back, as an operator does it.
  await executeOrThrow(programPath("etcdctl"), ["--endpoints", a.endpoint, "downgrade", "enable", "3.6"]);
  await expectClusterVersion(cluster, "3.6.0");
  for (const member of cluster.members) await exchange(cluster, member, "etcd-3.6", "SIGTERM");
  await expectClusterVersion(cluster, "3.6.0");
  return `from 3.6, and back: ${await finish(cluster, traffic)}`;
}

/** Each member is removed and another, empty one of the other program added, which the leader brings up to date. */
async function byNewMembers(context: Context, origin: Kind): Promise<string> {
  // Without the check that refuses changes for 5 s after a member was away.
  const flags = [...FLAGS, "--strict-reconfig-check=false"];
  const cluster = await Cluster.start(context, [origin, origin, origin], { flags });
  const traffic = await Traffic.start(context, cluster);
  for (const kind of ["subject", origin === "etcd" ? "etcd" : "subject"] as const) {
    for (const old of [...cluster.members]) {
      await delay(CALM_MS);
      await traffic.unwatch(old);
      await cluster.remove(old);
      const fresh = await cluster.add(kind);
      await cluster.ready(fresh);
      await traffic.watch(fresh);
      await traffic.follow(cluster);
      await cluster.compare();
    }
  }
  return `by new members from ${origin}: ${await finish(cluster, traffic)}`;
}

/** etcd, told to stop, waits 8 s for its watches to end: most etcd members are killed, which a member must survive anyway. */
async function exchange(cluster: Cluster, member: Member, kind: Kind, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  await member.stop(signal);
  member.kind = kind;
  await cluster.restart(member);
  await cluster.compare();
  await delay(CALM_MS);
}

async function expectClusterVersion(cluster: Cluster, version: string): Promise<void> {
  for (const member of cluster.members) {
    await until(`${member} is in a cluster of version ${version}`, async () => {
      const answer = await fetch(`${member.clientUrl}/version`);
      return (await answer.json() as { etcdcluster: string }).etcdcluster === version;
    }, () => member.logTail());
  }
}

async function finish(cluster: Cluster, traffic: Traffic): Promise<string> {
  const verdict = await traffic.judge();
  const agreed = await cluster.compare();
  await cluster.stop();
  return `${verdict}; ${agreed.split(", ")[0]}`;
}
