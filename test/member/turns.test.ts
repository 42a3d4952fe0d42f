import { expect, test } from "bun:test";
import { TURN_MS_MAX } from "../../src/base/limits.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { TestMember } from "../harness/member.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

const KEY_COUNT = 200_000;
/**
 * What a turn may take beyond its time: the step during which it ran out, one of a job, and what a tick, an answer and an
 * append that has ended read.
 */
const STEPS_OVER_MAX = 5;
const ALL = { key: utf8("key"), rangeEnd: utf8("kez") };

function keyOf(number: number): Uint8Array {
  return utf8(`key${number.toString().padStart(7, "0")}`);
}

async function putKeys(server: TestMember, count: number): Promise<void> {
  const calls: Promise<unknown>[] = [];
  for (let first = 0; first < count; first += 100) {
    const success = Array.from({ length: 100 }, (_, i) => ({
      request: { case: "requestPut", value: { key: keyOf(first + i), value: utf8("v") } },
    } as const));
    calls.push(server.startCall(KV.method.txn, { success }).response);
    // What waits to be applied is bounded.
    if (calls.length === 500) await server.clock.run(Promise.all(calls.splice(0)));
  }
  await server.clock.run(Promise.all(calls));
}

/** Notes when a call is answered. */
function watched<T>(promise: Promise<T>): { readonly isAnswered: () => boolean; readonly promise: Promise<T> } {
  let isAnswered = false;
  promise.then(() => isAnswered = true, () => isAnswered = true);
  return { isAnswered: () => isAnswered, promise };
}

test("while 200,000 keys are deleted in one request, time, appends and reads go on", async () => {
  // Between two readings of the clock lies a step of work, and each takes a millisecond.
  const clock = new SimulatedClock({ readingMs: 1 });
  const server = await TestMember.start({ clock, member: { tickMs: 10 } });
  const { member, disk } = server;
  await putKeys(server, KEY_COUNT);
  await server.call(Lease.method.leaseGrant, { ID: 7n, TTL: 1000n });
  await server.call(KV.method.put, { key: keyOf(5), lease: 7n });
  const { header } = await server.call(KV.method.range, { ...ALL, countOnly: true });
  const revision = header!.revision;

  const deletion = watched(server.startCall(KV.method.deleteRange, ALL).response);
  let turnCount = 0;
  const isApplying = () => member.headRevision !== 0;
  while (!isApplying()) await clock.turn();
  let tickCount = 0;
  clock.every(10, () => tickCount++);
  const operationCount = disk.operationCount;

  const put = watched(server.startCall(KV.method.put, { key: utf8("other") }).response);
  const reads = [
    // The newest complete revision, and an older one; small ones and one that takes many steps itself.
    server.startCall(KV.method.range, { ...ALL, countOnly: true }),
    server.startCall(KV.method.range, { ...ALL, limit: 3n, serializable: true }),
    server.startCall(KV.method.range, { ...ALL, limit: 1n, revision: revision - 1n }),
    server.startCall(KV.method.range, { ...ALL, keysOnly: true, revision: revision - 1n, limit: 30_000n }),
    server.startCall(KV.method.txn, {
      success: [{ request: { case: "requestRange", value: { ...ALL, countOnly: true } } }],
    }),
  ];
  const [count, first, older, large, txn] = reads.map(({ response }) => watched(response as Promise<unknown>));
  const timeToLive = watched(server.startCall(Lease.method.leaseTimeToLive, { ID: 7n, keys: true }).response);
  let appendedAfter = 0;
  let turnLongestMs = 0;
  while (isApplying()) {
    if (appendedAfter === 0 && disk.operationCount > operationCount) appendedAfter = turnCount;
    for (const read of [count, first, older, large, txn]) {
      if (read.isAnswered()) expect(deletion.isAnswered()).toBe(false);
    }
    turnCount++;
    const startMs = clock.nowMs;
    await clock.turn();
    turnLongestMs = Math.max(turnLongestMs, clock.nowMs - startMs);
  }

  expect(turnCount).toBeGreaterThan(10);
  expect(appendedAfter).toBeLessThan(turnCount / 2);
  // The member's turn after an append and the one it asked for may fall into one turn of the event loop.
  expect(turnLongestMs).toBeLessThanOrEqual(2 * (TURN_MS_MAX + STEPS_OVER_MAX));
  expect(tickCount).toBeGreaterThan(2);
  expect([count, first, older, large, txn].every((read) => read.isAnswered())).toBe(true);
  expect(await count.promise).toMatchObject({ count: BigInt(KEY_COUNT), header: { revision } });
  expect(await first.promise).toMatchObject({ kvs: [{ key: keyOf(0) }, { key: keyOf(1) }, { key: keyOf(2) }] });
  expect(await older.promise).toMatchObject({ kvs: [{ key: keyOf(0), value: utf8("v") }] });
  expect(await txn.promise).toMatchObject({ responses: [{ response: { value: { count: BigInt(KEY_COUNT) } } }] });
  expect(((await large.promise) as { kvs: unknown[] }).kvs.length).toBe(30_000);

  // What has no revisions to go by waits for the deletion, and what was proposed after it comes after it.
  expect(await clock.run(deletion.promise)).toMatchObject({
    deleted: BigInt(KEY_COUNT),
    header: { revision: revision + 1n },
  });
  expect(await clock.run(put.promise)).toMatchObject({ header: { revision: revision + 2n } });
  expect(await clock.run(timeToLive.promise)).toMatchObject({ grantedTTL: 1000n, keys: [] });
  expect(server.budget.used).toBe(0);
  await server.stop();
}, 60_000);
