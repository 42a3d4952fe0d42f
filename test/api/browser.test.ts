import { expect, test } from "bun:test";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Lease as BrowserLease } from "../../src/gen/keelson/v1/lease_pb.ts";
import { Watch as BrowserWatch, type WatchResponse } from "../../src/gen/keelson/v1/watch_pb.ts";
import { Code, RpcError } from "../../src/io/rpc.ts";
import { TestMember, type TestStream } from "../harness/member.ts";

const WATCH = BrowserWatch.method.watch;
type Stream = TestStream<typeof WATCH.input, typeof WATCH.output>;

const key = (text: string) => new TextEncoder().encode(text);

/** A response in a line. */
function line(response: WatchResponse | undefined): string {
  if (response === undefined) return "end";
  const { message } = response;
  if (message.case === "heartbeat") return `heartbeat ${message.value.revision}`;
  if (message.case === undefined) return "nothing";
  const { watchId, created, canceled, cancelReason, events } = message.value;
  const parts = [`${watchId}:`];
  if (created) parts.push("created");
  if (canceled) parts.push(`canceled ${cancelReason}`);
  for (const event of events) parts.push(`${new TextDecoder().decode(event.kv!.key)}@${event.kv!.modRevision}`);
  return parts.join(" ");
}

async function lines(stream: Stream, count: number): Promise<string[]> {
  const read: string[] = [];
  for (let i = 0; i < count; i++) read.push(line(await stream.next()));
  return read;
}

test("all watchers of the list are opened in order on one stream, and get their events", async () => {
  const member = await TestMember.start();
  await member.call(KV.method.put, { key: key("a") });
  const stream = member.stream(WATCH, {
    creates: [{ key: key("a"), startRevision: 1n }, { key: key("b"), watchId: 7n }, { key: key("c") }],
  });
  expect(await lines(stream, 4)).toEqual(["0: created", "7: created", "1: created", "0: a@2"]);
  await member.call(KV.method.put, { key: key("b") });
  await member.call(KV.method.put, { key: key("c") });
  expect(await lines(stream, 2)).toEqual(["7: b@3", "1: c@4"]);
  stream.call.cancel(new RpcError(Code.CANCELED, "context canceled"));
  await member.stop();
});

test("a list without watchers is refused", async () => {
  const member = await TestMember.start();
  const error = await member.stream(WATCH, {}).next().then(() => undefined, (reason: RpcError) => reason);
  expect([error!.code, error!.message]).toEqual([
    Code.INVALID_ARGUMENT,
    "keelson: a watch needs at least one create request",
  ]);
  await member.stop();
});

test("a failed watcher does not end the stream, the last one does", async () => {
  const member = await TestMember.start();
  for (let i = 0; i < 3; i++) await member.call(KV.method.put, { key: key("a") });
  await member.call(KV.method.compact, { revision: 4n });
  const compacted = "etcdserver: mvcc: required revision has been compacted";
  const some = member.stream(WATCH, { creates: [{ key: key("a"), startRevision: -1n }, { key: key("a") }] });
  expect(await lines(some, 2)).toEqual([`-1: created canceled ${compacted}`, "0: created"]);
  await member.call(KV.method.put, { key: key("a") });
  expect(await lines(some, 1)).toEqual(["0: a@5"]);
  const late = member.stream(WATCH, { creates: [{ key: key("a"), startRevision: 2n }] });
  expect(await lines(late, 3)).toEqual(["0: created", "0: canceled ", "end"]);
  await member.stop();
});

test("silence is broken within 15 seconds by a heartbeat that says how far all watchers are", async () => {
  const member = await TestMember.start();
  const stream = member.stream(WATCH, { creates: [{ key: key("a") }] });
  expect(await lines(stream, 1)).toEqual(["0: created"]);
  let isSilent = true;
  const first = stream.receive();
  first.then(() => isSilent = false);
  await member.clock.advance(8000);
  expect(isSilent).toBe(true);
  await member.clock.advance(7000);
  expect(isSilent).toBe(false);
  expect(line(await first)).toBe("heartbeat 1");
  await member.call(KV.method.put, { key: key("other") });
  for (let round = 0; round < 3; round++) {
    const next = stream.receive();
    await member.clock.advance(15_000);
    expect(line(await next)).toBe("heartbeat 2");
  }
  stream.call.cancel(new RpcError(Code.CANCELED, "context canceled"));
  await member.stop();
});

test("no revision is promised for a watcher that waits for a later one", async () => {
  const member = await TestMember.start();
  const stream = member.stream(WATCH, { creates: [{ key: key("a"), startRevision: 100n }] });
  expect(await lines(stream, 1)).toEqual(["0: created"]);
  const beat = stream.receive();
  await member.clock.advance(15_000);
  expect(line(await beat)).toBe("heartbeat 0");
  stream.call.cancel(new RpcError(Code.CANCELED, "context canceled"));
  await member.stop();
});

test("a client that leaves takes its watchers and its timer with it", async () => {
  const member = await TestMember.start();
  const timers = member.clock.timerCount;
  const stream = member.stream(WATCH, { creates: [{ key: key("a") }] });
  await stream.next();
  expect(member.clock.timerCount).toBe(timers + 1);
  stream.call.cancel(new RpcError(Code.CANCELED, "context canceled"));
  await member.clock.settle();
  expect(member.clock.timerCount).toBe(timers);
  expect(member.member.keyspace.watchHub.watcherCount).toBe(0);
  await member.stop();
});

test("a lease is kept alive call by call, and a lease that is gone has no time left", async () => {
  const member = await TestMember.start();
  await member.call(Lease.method.leaseGrant, { ID: 5n, TTL: 3n });
  for (let i = 0; i < 4; i++) {
    await member.clock.advance(2000);
    const { ID, TTL } = await member.call(BrowserLease.method.keepAlive, { ID: 5n });
    expect([ID, TTL]).toEqual([5n, 3n]);
  }
  await member.clock.advance(10_000);
  expect((await member.call(BrowserLease.method.keepAlive, { ID: 5n })).TTL).toBe(0n);
  await member.stop();
});
