import { expect, test } from "bun:test";
import type { MemberOptions } from "../../src/member/mod.ts";
import { Cluster, type ClusterMember } from "../harness/cluster.ts";

const TTL = 100;
const CHECKPOINTED: Partial<MemberOptions> = { leaseCheckpointIntervalMs: 20_000 };

function renew(cluster: Cluster, { running }: ClusterMember, id: bigint): Promise<number> {
  return cluster.clockUntilSettled<number>((settle) => running.renewLease(id, settle));
}

function remaining(cluster: Cluster, { running }: ClusterMember, id: bigint): Promise<number> {
  return cluster.clockUntilSettled<number>((settle) => running.remainingTtl(id, settle));
}

/** Another member leads from now on. */
async function changeLeader(cluster: Cluster): Promise<ClusterMember> {
  const leader = await cluster.untilLeader();
  const [next] = cluster.others(leader);
  await cluster.clockUntilSettled((settle) => leader.running.moveLeader(next.running.id, settle));
  return await cluster.untilLeader((machine) => machine === next);
}

test("a new leader goes on with what was left of a lease, about, and does not begin its time again", async () => {
  const cluster = await Cluster.start(3, CHECKPOINTED);
  const leader = await cluster.untilLeader();
  await cluster.grant(leader, 7n, TTL);
  await cluster.clock.advance(50_000);
  const next = await changeLeader(cluster);
  const left = await remaining(cluster, next, 7n);
  // The last checkpoint is up to twenty seconds old, and taking over gives an election timeout on top.
  expect(left).toBeGreaterThanOrEqual(50);
  expect(left).toBeLessThanOrEqual(72);
  await cluster.stopAll();
});

test("without checkpoints a new leader begins its time again", async () => {
  const cluster = await Cluster.start(3);
  await cluster.grant(await cluster.untilLeader(), 7n, TTL);
  await cluster.clock.advance(50_000);
  expect(await remaining(cluster, await changeLeader(cluster), 7n)).toBeGreaterThanOrEqual(TTL);
  await cluster.stopAll();
});

test("a renewal forgets the checkpoint first, so that no later leader expires the lease by it", async () => {
  const cluster = await Cluster.start(3, CHECKPOINTED);
  const leader = await cluster.untilLeader();
  await cluster.grant(leader, 7n, TTL);
  await cluster.clock.advance(80_000);
  for (const machine of cluster.machines) expect(await renew(cluster, machine, 7n)).toBe(TTL);
  const next = await changeLeader(cluster);
  expect(await remaining(cluster, next, 7n)).toBeGreaterThanOrEqual(TTL - 1);
  await cluster.clock.advance(90_000);
  for (const { running } of cluster.machines) expect(running.keyspace.lessor.has(7n)).toBe(true);
  await cluster.clock.advance(20_000);
  for (const { running } of cluster.machines) expect(running.keyspace.lessor.has(7n)).toBe(false);
  await cluster.stopAll();
});

test(
  "all checkpoints of a flood of leases are written, and all are revoked in time, a thousand a second at most",
  async () => {
    const cluster = await Cluster.start(3, CHECKPOINTED);
    const leader = await cluster.untilLeader();
    const count = 3000;
    for (let id = 1n; id <= count; id++) await cluster.grant(leader, id, 60);
    await cluster.clock.advance(30_000);
    const next = await changeLeader(cluster);
    const { lessor } = next.running.keyspace;
    const startMs = cluster.clock.nowMs;
    let before = lessor.leases().length;
    expect(before).toBe(count);
    let fastest = 0;
    while (lessor.leases().length > 0 && cluster.clock.nowMs - startMs < 120_000) {
      await cluster.clock.advance(1000);
      fastest = Math.max(fastest, before - lessor.leases().length);
      before = lessor.leases().length;
    }
    expect(before).toBe(0);
    expect(fastest).toBeLessThanOrEqual(1000);
    // With forty seconds left, and four seconds to spread them.
    expect(cluster.clock.nowMs - startMs).toBeLessThan(60_000);
    await cluster.stopAll();
  },
  30_000,
);
