/** One member's disk is full, or stands still: that member says so and steps aside, the others go on. */
import { bytes, CallError, Client } from "../client.ts";
import { type Case, check, type Context } from "../context.ts";
import { Cluster, CLUSTER_SIZE, withClient } from "../cluster/cluster.ts";
import { learn } from "../cluster/intruder.ts";
import { LocalNetwork } from "../cluster/local_network.ts";
import { FreezingDisk } from "../freezing_disk.ts";
import { requireNamespaces, SmallDisk } from "../small_disk.ts";
import { delay, within } from "../server.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

/** The member with the bad disk. */
const VICTIM = 2;
const OTHERS = [0, 1];
/** Two segments of the log do not fit. */
const SMALL_SIZE = 100 << 20;
const LARGE_SIZE = 600 << 20;
const VALUE_SIZE = 512 << 10;
const FILL_SIZE = 400 << 20;
const FILLERS = 4;
const FROZEN_SIZE = 400 << 20;
const FROZEN_MS = 5000;
/** A leader sees that its disk stands still after half an election timeout, then hands over; then there is one more try. */
const SILENCE_MS_MAX = 3000;
const CALL_MS_MAX = 1000;
const STOPS_WITHIN_MS = 20_000;

export const clusterDisks: Case = {
  name: "cluster_disks",
  about: "the leader's disk is full, or stands still: another one leads, the others go on, it comes back; needs root",
  async run(context) {
    requireNamespaces();
    return `full: ${await full(context)}; frozen for ${FROZEN_MS} ms: ${await frozen(context)}`;
  },
};

async function full(context: Context): Promise<string> {
  const disk = await SmallDisk.mount(context, "small", SMALL_SIZE);
  const cluster = new Cluster(context, new LocalNetwork(context, CLUSTER_SIZE), {
    name: "full",
    placeOf: (member) => member === VICTIM ? { dataDirectory: `${disk.path}/data`, wrapper: disk.wrapper } : undefined,
  });
  await cluster.start();
  await lead(cluster, VICTIM);
  const victim = cluster.members[VICTIM]!;
  const acknowledged = await fill(cluster);
  const end = await within(STOPS_WITHIN_MS, victim.end);
  check(end.code === 1 && /no space left/.test(victim.lastLogLine()), `it ended so: ${victim.lastLogLine()}`);
  await cluster.works(OTHERS);
  await disk.resize(LARGE_SIZE);
  await victim.start();
  await cluster.works();
  for (const { port } of cluster.members) {
    const client = await Client.open(port);
    const { count } = await client.call(KV.method.range, {
      key: bytes("/fill/"),
      rangeEnd: bytes("/fill0"),
      countOnly: true,
    });
    client.close();
    check(Number(count) >= acknowledged, `${acknowledged} keys were acknowledged, ${count} are there`);
  }
  await equalHashes(cluster);
  await cluster.kill(...cluster.members.keys());
  return `the leader stopped on purpose, ${acknowledged} values acknowledged and there, it came back with room`;
}

/** Puts large values through the others until the victim is gone. Returns how many were acknowledged. */
async function fill(cluster: Cluster): Promise<number> {
  const victim = cluster.members[VICTIM]!;
  let acknowledged = 0, sent = 0;
  const work = Array.from({ length: FILLERS }, async (_, filler) => {
    const client = await Client.open(cluster.members[OTHERS[filler % OTHERS.length]!]!.port);
    for (let i = 0; victim.isRunning; i++) {
      check((sent += VALUE_SIZE) < FILL_SIZE, "the disk is not full yet");
      const value = new Uint8Array(VALUE_SIZE).fill(filler * 16 + i % 16);
      await client.call(KV.method.put, { key: bytes(`/fill/${filler}/${i}`), value }).then(
        () => acknowledged++,
        // The leader that fills up drops what it has not committed.
        (error) => check(error instanceof CallError, String(error)),
      );
    }
    client.close();
  });
  await Promise.all(work);
  return acknowledged;
}

async function frozen(context: Context): Promise<string> {
  const disk = await FreezingDisk.mount(context, "freezing", FROZEN_SIZE);
  const cluster = new Cluster(context, new LocalNetwork(context, CLUSTER_SIZE), {
    name: "frozen",
    placeOf: (member) => member === VICTIM ? { dataDirectory: `${disk.path}/data`, wrapper: disk.wrapper } : undefined,
  });
  await cluster.start();
  await lead(cluster, VICTIM);
  const stopAtMs = performance.now() + FROZEN_MS;
  const silenceMs = await disk.frozen(() =>
    Promise.all(OTHERS.map((member) => longestSilence(cluster, member, stopAtMs)))
  );
  const longestMs = Math.max(...silenceMs);
  check(longestMs < SILENCE_MS_MAX, `no write was acknowledged for ${longestMs.toFixed(0)} ms`);
  const leader = await cluster.untilLeader();
  check(leader !== VICTIM, "the member whose disk stood still leads all the time");
  check(
    cluster.members[VICTIM]!.logLines().some((line) => /stalled/.test(line)),
    "it does not say that its disk stands still",
  );
  await cluster.works();
  await equalHashes(cluster);
  await cluster.kill(...cluster.members.keys());
  return `another member leads, ${longestMs.toFixed(0)} ms without a write`;
}

/** Puts through a member, one after the other. Returns the longest time between two acknowledgements. */
async function longestSilence(cluster: Cluster, member: number, untilMs: number): Promise<number> {
  const client = await Client.open(cluster.members[member]!.port);
  let longestMs = 0, lastMs = performance.now();
  while (performance.now() < untilMs) {
    const put = client.call(KV.method.put, { key: bytes(`/silence/${member}`), value: bytes("x") });
    const isDone = await within(CALL_MS_MAX, put).then(() => true, () => false);
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    if (isDone) lastMs = nowMs;
    await delay(5);
  }
  client.close();
  return longestMs;
}

async function lead(cluster: Cluster, member: number): Promise<void> {
  const { memberIds } = await learn(cluster);
  for (let leader; (leader = await cluster.untilLeader()) !== member;) {
    const targetID = memberIds[member]!;
    // It may have to be tried again, while the members are still getting to know each other.
    await withClient(cluster.members[leader]!, (client) => client.call(Maintenance.method.moveLeader, { targetID }))
      .catch(() => delay(100));
  }
}

async function equalHashes(cluster: Cluster): Promise<void> {
  const { header } = await withClient(
    cluster.members[0]!,
    (client) => client.call(KV.method.put, { key: bytes("/hash"), value: bytes("now") }),
  );
  const { revision } = header!;
  const hashes = await Promise.all(cluster.members.map((member) =>
    withClient(member, async (client) => {
      // The read waits until the member has that revision.
      await client.call(KV.method.range, { key: bytes("/hash") });
      return (await client.call(Maintenance.method.hashKV, { revision })).hash;
    })
  ));
  check(new Set(hashes).size === 1, `the members have the hashes ${hashes.join(", ")}`);
}
