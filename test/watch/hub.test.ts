import { expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { utf8 } from "../../src/base/bytes.ts";
import {
  WATCH_BATCH_REVISIONS_MAX,
  WATCH_BLOCK_SIZE_MAX,
  WATCH_GATHERED_ROWS_MAX,
  WATCH_OUTBOX_SIZE_MAX,
  WATCH_PUBLISH_ROWS_MAX,
  WATCH_QUEUED_SIZE_MAX,
} from "../../src/base/limits.ts";
import { WatchResponseSchema } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { CompactedError } from "../../src/watch/mod.ts";
import { Client, readBody, World } from "./world.ts";

function start(): { world: World; client: Client } {
  const world = new World();
  return { world, client: world.client() };
}

// --- creating

test("a watcher is created at the store's revision and gets what comes after", () => {
  const { world, client } = start();
  world.put("a", "1");
  client.watch("a");
  world.put("a", "2");
  world.put("b", "1");
  world.delete("a");
  expect(client.take()).toEqual(["0@2 created", "0@3 a=2:3", "0@5 a-:5"]);
});

test("ids count from 0 on each stream, and skip those that the client chose", () => {
  const { world, client } = start();
  for (const watchId of [0n, 1n, 0n, 0n, -7n, 2n ** 62n, 0n]) client.watch("a", { watchId });
  world.client().watch("a");
  expect(client.take().map((line) => line.split("@")[0])).toEqual([
    "0",
    "1",
    "2",
    "3",
    "-7",
    "4611686018427387904",
    "4",
  ]);
  world.put("a");
  expect(client.take().map((line) => line.split("@")[0]).sort()).toEqual(
    ["-7", "0", "1", "2", "3", "4", "4611686018427387904"],
  );
});

test("a freed id can be chosen again, but is not given out again", () => {
  const { client } = start();
  client.watch("a");
  client.cancel(0);
  client.watch("a");
  client.cancel(1);
  client.watch("a", { watchId: 1n });
  expect(client.take().map((line) => line.slice(0, 3))).toEqual(["0@1", "0@1", "1@1", "1@1", "1@1"]);
});

test("a request that cannot be met is answered as created and cancelled, with the reason", () => {
  const { client } = start();
  client.watch("a", { watchId: 5n });
  client.watch("a", { watchId: 5n });
  client.watch("b", { end: "a" });
  client.watch("b", { end: "b" });
  client.watch("a", { startRevision: -1 });
  client.watch("a", { denied: "rpc error: code = PermissionDenied desc = etcdserver: permission denied" });
  client.watch("a", { startRevision: -1, denied: "not looked at" });
  expect(client.take()).toEqual([
    "5@1 created",
    '-1@1 created canceled "mvcc: duplicate watch ID provided on the WatchStream"',
    '-1@1 created canceled "mvcc: watcher range is empty"',
    '-1@1 created canceled "mvcc: watcher range is empty"',
    '-1@1 created canceled "etcdserver: mvcc: required revision has been compacted"',
    '-1@1 created canceled "rpc error: code = PermissionDenied desc = etcdserver: permission denied"',
    '-1@1 created canceled "etcdserver: mvcc: required revision has been compacted"',
  ]);
});

test("a range is watched from its start to before its end", () => {
  const { world, client } = start();
  client.watch("b", { end: "d" });
  client.watch("c", { end: "\0" });
  client.watch("", { end: "c" });
  client.watch("");
  client.take();
  for (const key of ["\0", "a", "b", "c", "d", "ÿ"]) world.put(key);
  expect(client.take().map((line) => line.replace(/@\d+|:\d+|=v/g, "")).sort()).toEqual(
    ["0 b", "0 c", "1 c", "1 d", "1 ÿ", "2 \0", "2 a", "2 b", "3 \0"].map((line) => line.replace("ÿ", "\u00c3\u00bf")),
  );
});

test("two watchers of one stream on the same key both get the event", () => {
  const { world, client } = start();
  client.watch("a");
  client.watch("a");
  client.take();
  world.put("a");
  expect(client.take().sort()).toEqual(["0@2 a=v:2", "1@2 a=v:2"]);
});

// --- start revisions

test("a start in the past brings the events since then, in the store's revision", () => {
  const { world, client } = start();
  world.put("a", "1");
  world.put("a", "2");
  world.put("b", "1");
  world.put("a", "3");
  client.watch("a", { startRevision: 3 });
  expect(client.take()).toEqual(["0@5 created"]);
  world.settle();
  expect(client.take()).toEqual(["0@5 a=2:3, a=3:5"]);
  world.put("a", "4");
  expect(client.take()).toEqual(["0@6 a=4:6"]);
});

test("a start at the store's revision brings that revision", () => {
  const { world, client } = start();
  world.put("a", "1");
  client.watch("a", { startRevision: 2 });
  world.settle();
  expect(client.take()).toEqual(["0@2 created", "0@2 a=1:2"]);
});

test("a start in the future suppresses what comes before it", () => {
  const { world, client } = start();
  client.watch("a", { startRevision: 4 });
  world.put("a", "1");
  world.put("a", "2");
  world.put("a", "3");
  expect(client.take()).toEqual(["0@1 created", "0@4 a=3:4"]);
});

test("revisions added while a watcher catches up come once, after the older ones", () => {
  const { world, client } = start();
  for (let i = 0; i < 50; i++) world.put("a", String(i));
  client.watch("a", { startRevision: 2 });
  for (let i = 50; i < 100; i++) {
    world.hub.step(3);
    world.put("a", String(i));
  }
  world.settle();
  const seen = client.responses.flatMap((response) => response.events.map((event) => Number(event.kv!.modRevision)));
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i + 2));
});

test("a catching-up response holds a bounded number of revisions", () => {
  const { world, client } = start();
  const count = WATCH_BATCH_REVISIONS_MAX * 2 + 10;
  for (let i = 0; i < count; i++) world.put("a");
  client.watch("a", { startRevision: 1 });
  world.settle();
  expect(client.responses.map((response) => response.events.length)).toEqual([
    0,
    WATCH_BATCH_REVISIONS_MAX,
    WATCH_BATCH_REVISIONS_MAX,
    10,
  ]);
});

test("a watcher that catches up with a revision before it is published gets it once", () => {
  const { world, client } = start();
  world.put("a", "1");
  client.watch("a", { startRevision: 2 });
  client.take();
  const transaction = world.store.beginWrite();
  transaction.put(utf8("a"), utf8("2"), 0n);
  const { firstRow, endRow } = transaction;
  transaction.commit();
  world.settle();
  world.hub.publish(firstRow, endRow);
  world.hub.flush();
  expect(client.take()).toEqual(["0@3 a=1:2, a=2:3"]);
});

test("the half of a transaction that is not committed yet is not seen", () => {
  const { world, client } = start();
  world.put("a", "1");
  client.watch("a", { end: "z", startRevision: 2 });
  const transaction = world.store.beginWrite();
  transaction.put(utf8("b"), utf8("2"), 0n);
  world.settle();
  expect(client.take()).toEqual(["0@2 created", "0@2 a=1:2"]);
  transaction.put(utf8("c"), utf8("2"), 0n);
  const { firstRow, endRow } = transaction;
  transaction.commit();
  world.hub.publish(firstRow, endRow);
  world.hub.flush();
  expect(client.take()).toEqual(["0@3 b=2:3, c=2:3"]);
});

test("very many rows gathered for very many watchers are delivered before the head, in whole revisions", () => {
  const world = new World();
  const clients = Array.from({ length: 300 }, () => world.client());
  const revisions = Math.floor(WATCH_GATHERED_ROWS_MAX / clients.length / 3) + 20;
  for (let i = 0; i < revisions; i++) world.write({ put: "m" }, { put: "ma" }, { put: "mb" });
  clients.forEach((client, i) => {
    client.watch("a", { end: `n${i}`, startRevision: 2 });
    client.take();
  });
  world.settle(10_000);
  for (const { responses } of clients) {
    const counts = responses.map((response) => response.events.length);
    expect(counts.length).toBe(2);
    expect(counts[0]).toBeGreaterThan((revisions - 30) * 3);
    expect(counts[0] % 3).toBe(0);
    expect(counts[0] + counts[1]).toBe(revisions * 3);
  }
});

test("watchers with different starts in the same range share a sweep and get their own part", () => {
  const { world, client } = start();
  for (let i = 2; i <= 9; i++) world.put(i % 2 === 0 ? "a" : "b", String(i));
  for (const startRevision of [8, 2, 5, 9]) client.watch("a", { end: "c", startRevision });
  client.take();
  world.settle();
  expect(client.take().sort()).toEqual([
    "0@9 a=8:8, b=9:9",
    "1@9 a=2:2, b=3:3, a=4:4, b=5:5, a=6:6, b=7:7, a=8:8, b=9:9",
    "2@9 b=5:5, a=6:6, b=7:7, a=8:8, b=9:9",
    "3@9 b=9:9",
  ]);
});

// --- transactions

test("all events of a transaction that a watcher wants come in one response, in order", () => {
  const { world, client } = start();
  world.put("c", "0");
  client.watch("a", { end: "z" });
  client.watch("b");
  client.take();
  world.write({ put: "b", value: "1" }, { put: "a", value: "1" }, { delete: "c" });
  expect(client.take().sort()).toEqual(["0@3 b=1:3, a=1:3, c-:3", "1@3 b=1:3"]);
});

test("a transaction of very many rows is delivered in steps, in one response for each watcher", () => {
  const { world, client } = start();
  client.watch("k", { end: "l" });
  client.watch("k00000007");
  client.take();
  const count = WATCH_PUBLISH_ROWS_MAX + 500;
  const name = (i: number) => `k${String(i).padStart(8, "0")}`;
  world.write(...Array.from({ length: count }, (_, i) => ({ put: name(i) })));
  expect(client.take()).toEqual([]);
  expect(world.hub.hasWork).toBe(true);
  let steps = 0;
  while (world.hub.step(100)) steps++;
  world.hub.flush();
  expect(steps).toBeGreaterThan(10);
  const sizes = client.responses.map((response) => [Number(response.watchId), response.events.length]);
  expect(sizes.sort()).toEqual([[0, count], [1, 1]]);
  client.take();
  world.delete("k", "l");
  world.settle();
  expect(client.responses.map((response) => response.events.length).sort()).toEqual([1, count]);
});

// --- options

test("a filter drops its kind of event, and a response with nothing left is not sent", () => {
  const { world, client } = start();
  client.watch("a", { noPut: true });
  client.watch("a", { noDelete: true });
  client.watch("a", { noPut: true, noDelete: true });
  client.take();
  world.put("a", "1");
  world.delete("a");
  client.watch("a", { startRevision: 1, noPut: true });
  world.settle();
  expect(client.take()).toEqual(["1@2 a=1:2", "0@3 a-:3", "3@3 created", "3@3 a-:3"]);
});

test("prev_kv is what the key was before, if it was", () => {
  const { world, client } = start();
  client.watch("a", { prevKv: true });
  client.watch("a");
  client.take();
  world.put("a", "1");
  world.put("a", "2");
  world.delete("a");
  world.put("a", "3");
  expect(client.take().filter((line) => line.startsWith("0"))).toEqual([
    "0@2 a=1:2",
    "0@3 a=2:3 was a=1:2",
    "0@4 a-:4 was a=2:3",
    "0@5 a=3:5",
  ]);
});

test("prev_kv is left out where the revision before is compacted", () => {
  const { world, client } = start();
  for (let i = 1; i <= 5; i++) world.put("a", String(i));
  world.compact(4);
  client.watch("a", { prevKv: true, startRevision: 4 });
  client.take();
  world.settle();
  expect(client.take()).toEqual(["0@6 a=3:4, a=4:5 was a=3:4, a=5:6 was a=4:5"]);
});

test("a large response is split for a watcher that asked for fragments, and only for it", () => {
  const world = new World();
  const client = world.client({ responseSizeMax: 600_000 });
  client.watch("a", { end: "z", fragment: true });
  client.watch("a", { end: "z" });
  client.take();
  const value = "x".repeat(150_000);
  world.write(...Array.from({ length: 10 }, (_, i) => ({ put: `k${i}`, value })));
  // One response fills the outbox, so the other watcher waits for room.
  world.settle();
  const of = (id: bigint) => client.responses.filter((response) => response.watchId === id);
  expect(of(0n).map((response) => [response.fragment, response.events.length])).toEqual([
    [true, 3],
    [true, 3],
    [true, 3],
    [false, 1],
  ]);
  expect(of(0n).every((response) => response.header!.revision === 2n)).toBe(true);
  expect(of(1n).map((response) => [response.fragment, response.events.length])).toEqual([[false, 10]]);
  for (const id of [0n, 1n]) {
    const keys = of(id).flatMap((response) => response.events.map((event) => String.fromCharCode(...event.kv!.key)));
    expect(keys).toEqual(Array.from({ length: 10 }, (_, i) => `k${i}`));
  }
  const fragmentSizes = client.messageSizes.filter((size) => size > 100_000 && size < 1_000_000);
  expect(fragmentSizes.length).toBe(4);
  for (const size of fragmentSizes) expect(size).toBeLessThan(600_000);
});

test("a fragment is encoded while it is read, and the next one may be asked for before that", () => {
  const world = new World();
  const client = world.client({ responseSizeMax: 600_000 });
  client.watch("a", { end: "z", fragment: true });
  client.take();
  client.room = 0;
  const value = "x".repeat(150_000);
  world.write(...Array.from({ length: 6 }, (_, i) => ({ put: `k${i}`, value })));
  const fragments = [client.stream.next(), client.stream.next()].map((message) => {
    if (message === undefined || message instanceof Uint8Array) throw new Error("a fragment comes as a body");
    return message;
  });
  const keys = fragments.map((body) =>
    fromBinary(WatchResponseSchema, readBody(body)).events.map(({ kv }) => String.fromCharCode(...kv!.key)).join(" ")
  );
  expect(keys).toEqual(["k0 k1 k2", "k3 k4 k5"]);
  expect(client.stream.next()).toBeUndefined();
});

test("an event larger than a fragment goes alone", () => {
  const world = new World();
  const client = world.client({ responseSizeMax: 600_000 });
  client.watch("a", { end: "z", fragment: true });
  client.take();
  world.write({ put: "a", value: "x".repeat(700_000) }, { put: "b" }, { put: "c", value: "x".repeat(700_000) });
  expect(client.responses.map((response) => [response.fragment, response.events.length])).toEqual([
    [true, 1],
    [true, 1],
    [false, 1],
  ]);
});

test("filters hold for large responses as well", () => {
  const world = new World();
  const client = world.client({ responseSizeMax: 600_000 });
  world.put("k0", "0");
  client.watch("a", { end: "z", fragment: true, noDelete: true, prevKv: true });
  client.watch("a", { end: "z", noPut: true });
  client.take();
  const value = "x".repeat(400_000);
  world.write({ put: "k0", value }, { put: "k1", value }, { put: "k2", value });
  world.write({ delete: "k0" }, { put: "k1", value }, { delete: "k2" }, { put: "k3", value }, { put: "k4", value });
  const text = client.take().map((line) => line.replaceAll(/x+/g, "x"));
  expect(text.filter((line) => line.startsWith("0"))).toEqual([
    "0@3 fragment k0=x:3 was k0=0:2",
    "0@3 fragment k1=x:3",
    "0@3 k2=x:3",
    "0@4 fragment k1=x:4 was k1=x:3",
    "0@4 fragment k3=x:4",
    "0@4 k4=x:4",
  ]);
  expect(text.filter((line) => line.startsWith("1"))).toEqual(["1@4 k0-:4, k2-:4"]);
});

// --- cancelling

test("a cancelled watcher gets nothing more, and an unknown id no answer", () => {
  const { world, client } = start();
  client.watch("a");
  world.put("a");
  client.cancel(0);
  client.cancel(0);
  client.cancel(77);
  world.put("a");
  expect(client.take()).toEqual(["0@1 created", "0@2 a=v:2", "0@2 canceled"]);
  expect(world.hub.watcherCount).toBe(0);
});

test("a watcher can be cancelled wherever it stands", () => {
  const { world, client } = start();
  for (let i = 0; i < 20; i++) world.put("a");
  client.watch("a", { startRevision: 2 });
  client.watch("a", { startRevision: 2 });
  client.watch("a", { startRevision: 2 });
  client.cancel(0);
  world.hub.step(1);
  client.cancel(1);
  world.hub.step(5);
  client.cancel(2);
  world.settle();
  expect(client.take().filter((line) => line.includes("a=v"))).toEqual([]);
  expect([world.hub.watcherCount, world.hub.slowWatcherCount, client.stream.watcherCount]).toEqual([0, 0, 0]);
});

test("a closed stream leaves nothing behind", () => {
  const { world, client } = start();
  world.put("a");
  client.room = 0;
  client.watch("a");
  client.watch("a", { startRevision: 1 });
  client.watch("a", { end: "z", prevKv: true });
  world.put("a");
  client.stream.close();
  client.stream.close();
  client.resume();
  client.watch("a");
  world.put("a");
  world.settle();
  expect(client.take()).toEqual([]);
  const { streamCount, watcherCount, slowWatcherCount, queuedSize, hasWork } = world.hub;
  expect({ streamCount, watcherCount, slowWatcherCount, queuedSize, hasWork }).toEqual({
    streamCount: 0,
    watcherCount: 0,
    slowWatcherCount: 0,
    queuedSize: 0,
    hasWork: false,
  });
});

// --- compaction

test("compaction that passes a watcher cancels it, and its id stays taken until the client cancels it", () => {
  const { world, client } = start();
  for (let i = 1; i <= 5; i++) world.put("a", String(i));
  client.watch("a", { startRevision: 2 });
  world.compact(4);
  world.settle();
  expect(client.take()).toEqual(["0@6 created", "0@0 canceled compacted at 4"]);
  client.watch("a", { watchId: 0n, startRevision: 0 });
  client.requestProgress();
  client.cancel(0);
  client.requestProgress();
  expect(client.take()).toEqual(["1@6 created", "0@6 canceled", "-1@6"]);
});

test("a start at the compacted revision itself is served", () => {
  const { world, client } = start();
  for (let i = 1; i <= 5; i++) world.put("a", String(i));
  world.compact(4);
  client.watch("a", { startRevision: 4 });
  client.watch("a", { startRevision: 3 });
  client.take();
  world.settle();
  expect(client.take().sort()).toEqual(["0@6 a=3:4, a=4:5, a=5:6", "1@0 canceled compacted at 4"]);
});

test("compaction in the middle of a catch-up cancels who still needed what is gone", () => {
  const { world, client } = start();
  for (let i = 2; i <= 101; i++) world.put("a", String(i));
  client.watch("a", { startRevision: 2 });
  client.watch("a", { startRevision: 90 });
  client.take();
  // Part of the history is visited and nothing delivered: all of it fits in one response.
  world.hub.step(60);
  expect(client.take()).toEqual([]);
  world.compact(80);
  world.settle();
  const lines = client.take();
  expect(lines.filter((line) => line.startsWith("0"))).toEqual(["0@0 canceled compacted at 80"]);
  expect(lines.filter((line) => line.startsWith("1")).length).toBe(1);
  expect(lines.find((line) => line.startsWith("1"))!.split(", ").length).toBe(12);
});

test("compaction at the first revision gathered takes only what its keys were before", () => {
  const { world, client } = start();
  for (let i = 2; i <= 9; i++) world.put("a", String(i));
  client.watch("a", { startRevision: 6, prevKv: true });
  client.take();
  world.hub.step(3);
  world.compact(6);
  world.settle();
  expect(client.take()).toEqual(["0@9 a=6:6, a=7:7 was a=6:6, a=8:8 was a=7:7, a=9:9 was a=8:8"]);
});

test("compaction does not cancel a slow watcher for what it has queued already", () => {
  const { world, client } = start();
  client.watch("a");
  client.take();
  client.room = 0;
  while (client.stream.behindCount === 0) world.put("a", "x".repeat(200_000));
  const waitsFor = world.store.revision;
  world.compact(waitsFor);
  client.resume();
  world.settle();
  const revisions = client.responses.map((response) => Number(response.events[0].kv!.modRevision));
  expect(revisions).toEqual(Array.from({ length: waitsFor - 1 }, (_, i) => i + 2));
});

test("compaction does not concern a synced watcher", () => {
  const { world, client } = start();
  client.watch("a");
  world.put("b");
  world.put("b");
  world.compact(3);
  world.put("a");
  world.settle();
  expect(client.take()).toEqual(["0@1 created", "0@4 a=v:4"]);
});

// --- slow clients

test("a client that takes nothing costs a bounded outbox, and gets everything once it does", () => {
  const { world, client } = start();
  client.watch("a");
  client.watch("a", { end: "c" });
  client.take();
  client.room = 0;
  const value = "x".repeat(10_000);
  for (let i = 0; i < 1000; i++) world.put("a", value);
  expect(client.stream.queuedSize).toBeLessThan(WATCH_OUTBOX_SIZE_MAX + 20_000);
  expect(world.hub.slowWatcherCount).toBe(2);
  client.resume();
  expect(world.hub.hasWork).toBe(true);
  world.settle();
  for (const id of [0n, 1n]) {
    const seen = client.responses.filter((response) => response.watchId === id).flatMap((response) =>
      response.events.map((event) => Number(event.kv!.modRevision))
    );
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => i + 2));
  }
  expect(world.hub.slowWatcherCount).toBe(0);
  expect(world.hub.queuedSize).toBe(0);
});

test("a slow client does not hold up another one", () => {
  const { world, client } = start();
  const slow = world.client();
  slow.watch("a");
  client.watch("a");
  slow.room = 0;
  const value = "x".repeat(50_000);
  for (let i = 0; i < 100; i++) world.put("a", value);
  expect(client.responses.length).toBe(101);
  expect(slow.stream.behindCount).toBe(1);
});

test("while a watcher waits for room, no other of its stream overtakes it", () => {
  const { world, client } = start();
  client.watch("a");
  client.watch("b");
  client.take();
  client.room = 0;
  while (client.stream.behindCount === 0) world.put("a", "x".repeat(200_000));
  client.room = 2;
  client.drain();
  expect(client.stream.isFull).toBe(false);
  world.put("b");
  expect(client.stream.behindCount).toBe(2);
  client.resume();
  world.settle();
  expect(client.stream.behindCount).toBe(0);
  expect(client.take().filter((line) => line.startsWith("1@")).length).toBe(1);
});

test("many clients that take nothing share a bound, and one that reads goes on", () => {
  const { world, client } = start();
  const stalled = Array.from({ length: 400 }, () => world.client());
  for (const each of stalled) {
    each.watch("a");
    each.room = 0;
  }
  client.watch("a");
  const value = "x".repeat(200_000);
  for (let i = 0; i < 10; i++) world.put("a", value);
  expect(world.hub.queuedSize).toBeGreaterThan(WATCH_QUEUED_SIZE_MAX - WATCH_OUTBOX_SIZE_MAX);
  expect(world.hub.queuedSize).toBeLessThan(WATCH_QUEUED_SIZE_MAX + WATCH_OUTBOX_SIZE_MAX);
  expect(client.take().length).toBe(11);
  for (const each of stalled.splice(3)) each.stream.close();
  for (const each of stalled) each.resume();
  world.settle();
  for (const each of stalled) {
    const events = each.responses.flatMap((response) => response.events);
    expect(events.map((event) => Number(event.kv!.modRevision))).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  }
  expect(world.hub.queuedSize).toBe(0);
});

test("compaction that passes a slow client's watcher cancels it after what was queued", () => {
  const { world, client } = start();
  client.watch("a");
  client.take();
  client.room = 0;
  const value = "x".repeat(100_000);
  for (let i = 0; i < 50; i++) world.put("a", value);
  world.compact(50);
  client.resume();
  world.settle();
  const lines = client.take();
  expect(lines.at(-1)).toBe("0@0 canceled compacted at 50");
  const revisions = lines.slice(0, -1).map((line) => Number(line.split(":")[1]));
  expect(revisions).toEqual(Array.from({ length: revisions.length }, (_, i) => i + 2));
  expect(revisions.length).toBeGreaterThan(5);
});

test("a large response is not sent when compaction has passed it: the watcher is cancelled", () => {
  const { world, client } = start();
  client.watch("a", { watchId: 9n });
  client.take();
  client.room = 0;
  world.put("a", "x".repeat(WATCH_BLOCK_SIZE_MAX));
  world.put("a", "y");
  world.put("a", "z");
  world.compact(4);
  client.resume();
  world.put("a", "later");
  expect(client.take()).toEqual(["9@0 canceled compacted at 4"]);
  client.cancel(9);
  expect(client.take()).toEqual(["9@5 canceled"]);
  expect(world.hub.watcherCount).toBe(0);
});

test("a large response that is half sent when compaction passes it ends with an error", () => {
  const { world, client } = start();
  client.watch("a", { end: "z" });
  client.take();
  client.room = 0;
  const value = "x".repeat(WATCH_BLOCK_SIZE_MAX);
  world.write({ put: "a", value }, { put: "b", value });
  world.put("a");
  world.put("b");
  const body = client.stream.next();
  if (body === undefined || body instanceof Uint8Array) throw new Error("a large response comes as a body");
  expect(body.size).toBeGreaterThan(2 * WATCH_BLOCK_SIZE_MAX);
  const target = new Uint8Array(1000);
  expect(body.read(target)).toBeGreaterThan(0);
  world.compact(4);
  expect(() => {
    while (body.read(target) > 0);
  }).toThrow(CompactedError);
});

test("a large response that is half sent cannot lose what its keys were before", () => {
  const { world, client } = start();
  const value = "x".repeat(WATCH_BLOCK_SIZE_MAX);
  world.write({ put: "a" }, { put: "b" });
  client.watch("a", { end: "z", prevKv: true });
  client.take();
  client.room = 0;
  world.write({ put: "a", value }, { put: "b", value });
  const body = client.stream.next();
  if (body === undefined || body instanceof Uint8Array) throw new Error("a large response comes as a body");
  const target = new Uint8Array(1000);
  body.read(target);
  world.compact(3);
  expect(() => {
    while (body.read(target) > 0);
  }).toThrow(CompactedError);
});

test("nothing follows the response that compaction took, a progress notification neither", () => {
  const world = new World();
  const client = world.client({ progressIntervalMs: 1000 });
  client.watch("a", { progressNotify: true });
  client.take();
  client.room = 0;
  world.put("a", "x".repeat(WATCH_BLOCK_SIZE_MAX));
  world.hub.tick(1000);
  world.hub.tick(2000);
  world.put("a", "1");
  world.compact(3);
  client.resume();
  expect(client.take()).toEqual(["0@0 canceled compacted at 3"]);
});

test("a large response may outlive a compaction that does not pass it", () => {
  const { world, client } = start();
  world.put("a", "1");
  client.watch("a");
  client.take();
  client.room = 0;
  world.put("a", "x".repeat(WATCH_BLOCK_SIZE_MAX));
  world.compact(2);
  client.resume();
  expect(client.take().map((line) => line.replace(/x+/, "x"))).toEqual(["0@3 a=x:3"]);
});

// --- progress

test("progress is asked for on the whole stream, and answered only while all of it is synced", () => {
  const { world, client } = start();
  client.requestProgress();
  client.watch("a");
  world.put("b");
  client.requestProgress();
  client.watch("b", { startRevision: 1 });
  client.requestProgress();
  world.settle();
  client.requestProgress();
  expect(client.take()).toEqual(["0@1 created", "-1@2", "1@2 created", "1@2 b=v:2", "-1@2"]);
});

test("progress counts revisions from before the first watcher, which were never published", () => {
  const { world, client } = start();
  const transaction = world.store.beginWrite();
  transaction.put(utf8("a"), utf8("1"), 0n);
  transaction.commit();
  client.watch("a");
  client.requestProgress();
  expect(client.take()).toEqual(["0@2 created", "-1@2"]);
});

test("there is no progress before the start of a watcher in the future", () => {
  const { world, client } = start();
  client.watch("a", { startRevision: 3, progressNotify: true });
  world.put("b");
  client.requestProgress();
  world.hub.tick(600_000);
  world.put("b");
  client.requestProgress();
  world.hub.tick(1_200_000);
  world.hub.flush();
  expect(client.take()).toEqual(["0@1 created", "-1@3", "0@3"]);
});

test("a watcher that asked for it is notified every interval without events", () => {
  const world = new World();
  const client = world.client({ progressIntervalMs: 1000, now: 500 });
  client.watch("a", { progressNotify: true });
  client.watch("a");
  const tick = (now: number) => {
    world.hub.tick(now);
    world.hub.flush();
    return client.take();
  };
  client.take();
  expect(tick(1499)).toEqual([]);
  expect(tick(1500)).toEqual(["0@1"]);
  expect(tick(1600)).toEqual([]);
  world.put("b");
  expect(tick(2500)).toEqual(["0@2"]);
  world.put("a");
  expect(client.take().length).toBe(2);
  expect(tick(3500)).toEqual([]);
  expect(tick(4500)).toEqual(["0@3"]);
  expect(tick(60_000)).toEqual(["0@3"]);
  expect(tick(60_001)).toEqual([]);
});

test("a watcher that is behind is not notified", () => {
  const world = new World();
  const client = world.client({ progressIntervalMs: 1000 });
  world.put("a");
  client.watch("a", { progressNotify: true, startRevision: 1 });
  client.take();
  world.hub.tick(1000);
  world.settle();
  expect(client.take()).toEqual(["0@2 a=v:2"]);
});

test("a full outbox gets no progress notifications", () => {
  const world = new World();
  const client = world.client({ progressIntervalMs: 1000 });
  client.watch("a", { progressNotify: true });
  client.watch("b", { progressNotify: true });
  client.take();
  client.room = 0;
  world.put("a", "x".repeat(WATCH_OUTBOX_SIZE_MAX));
  world.hub.tick(1000);
  client.requestProgress();
  client.resume();
  expect(client.responses.length).toBe(1);
});

// --- a snapshot

test("when the store is replaced by a snapshot everyone goes on from where it stood", () => {
  const { world, client } = start();
  const other = new World();
  for (const each of [world, other]) for (let i = 2; i <= 4; i++) each.put("a", String(i));
  client.watch("a");
  client.watch("a", { startRevision: 3 });
  client.watch("a", { startRevision: 100 });
  client.take();
  for (let i = 5; i <= 7; i++) other.put("a", String(i));
  other.compact(5);
  world.hub.restore(other.store);
  world.settle();
  expect(client.take().sort()).toEqual(["0@7 a=5:5, a=6:6, a=7:7", "1@0 canceled compacted at 5"]);
  client.requestProgress();
  expect(client.take()).toEqual([]);
  expect(world.hub.slowWatcherCount).toBe(0);
});

test("a watcher's bytes are what protobuf makes of the response", () => {
  const { world, client } = start();
  client.watch("k", { watchId: 300n, prevKv: true });
  world.put("k", "1");
  const key = utf8("k");
  client.stream.create({
    key,
    rangeEnd: Uint8Array.of(0),
    startRevision: 2,
    progressNotify: false,
    noPut: false,
    noDelete: false,
    prevKv: false,
    watchId: -5n,
    fragment: false,
  });
  world.put("k", "2");
  world.settle();
  expect(client.take()).toEqual([
    "300@1 created",
    "300@2 k=1:2",
    "-5@2 created",
    "300@3 k=2:3 was k=1:2",
    "-5@3 k=1:2, k=2:3",
  ]);
});
