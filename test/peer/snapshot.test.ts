/** Snapshots, from a member's database to a peer's disk. */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { PEER_SNAPSHOT_HELD_HIGH } from "../../src/base/limits.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { writeSnapshotHead } from "../../src/peer/codec/mod.ts";
import { type Message, MessageType, newMessage } from "../../src/raft/mod.ts";
import { databaseOf, Machine, requestHead, snapshotMessage, World } from "./world.ts";

const A = 0xan;
const B = 0xbn;
const MEBIBYTE = 1024 * 1024;

test.each([0, 1, 100_000, 3 * MEBIBYTE])("a database of %i bytes arrives whole", async (size) => {
  const world = new World();
  const { a, b } = await world.pair();
  const { view, hash } = databaseOf(size);
  const message = snapshotMessage(A, B);
  expect(await world.wait(a.transport.sendSnapshot(message, view))).toBe(true);
  expect(b.handler.snapshots).toEqual([{ message, size, hash }]);
  expect(b.handler.messages).toEqual([]);
  const { snapshotsSent, snapshotsSending, sentBytes } = a.transport.statistics.of(B);
  expect([snapshotsSent, snapshotsSending]).toEqual([1, 0]);
  expect(sentBytes).toBeGreaterThanOrEqual(size);
  expect(b.transport.statistics.of(A).snapshotsReceived).toBe(1);
});

test("it arrives at a member that does not know yet who sends it", async () => {
  const world = new World();
  const a = new Machine(world, "a", A).start();
  const b = new Machine(world, "b", B).start();
  a.know(b);
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), databaseOf(1000).view))).toBe(true);
  expect(b.handler.snapshots).toHaveLength(1);
});

test("messages go on while a snapshot does", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const sent = a.transport.sendSnapshot(snapshotMessage(A, B), databaseOf(3 * MEBIBYTE).view);
  await world.clock.advance(5);
  a.transport.send([{ ...snapshotMessage(A, B), type: 8, snapshot: undefined }]);
  await world.clock.advance(5);
  expect(b.handler.messages).toHaveLength(1);
  expect(b.handler.snapshots).toHaveLength(0);
  expect(await world.wait(sent)).toBe(true);
});

test("a member that refuses it is done with it at once, and its sender hears of it", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  b.handler.takePiece = () => Promise.reject(new Error("the disk is full"));
  const startMs = world.clock.nowMs;
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), databaseOf(3 * MEBIBYTE).view))).toBe(false);
  expect(world.clock.nowMs - startMs).toBeLessThan(500);
  expect(a.handler.unreachable).toEqual([B]);
  expect(a.transport.statistics.of(B).snapshotsFailed).toBe(1);
  expect(b.transport.statistics.of(A)).toMatchObject({ snapshotReceiveFailures: 1, snapshotsReceiving: 0 });
});

test("a slow disk slows the sender down; little of the snapshot waits in memory", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  let taken = 0;
  let lead = 0;
  let read = 0;
  const { view } = databaseOf(12 * MEBIBYTE);
  b.handler.takePiece = (piece) => {
    taken += piece.length;
    lead = Math.max(lead, read - taken);
    return new Promise((resolve) => world.clock.after(5, resolve));
  };
  const counted = {
    ...view,
    read: async (target: Uint8Array, position: number) => {
      const count = await view.read(target, position);
      read += count;
      return count;
    },
  };
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), counted))).toBe(true);
  expect(taken).toBe(12 * MEBIBYTE);
  expect(lead).toBeWithin(PEER_SNAPSHOT_HELD_HIGH, PEER_SNAPSHOT_HELD_HIGH + 2 * MEBIBYTE);
});

test("a database that cannot be read to its end is not taken for a whole one", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const { view } = databaseOf(2 * MEBIBYTE);
  const damaged = {
    ...view,
    read: (target: Uint8Array, position: number) =>
      position < MEBIBYTE ? view.read(target, position) : Promise.reject(new Error("a page is damaged")),
  };
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), damaged))).toBe(false);
  await world.clock.advance(100);
  expect(b.handler.snapshotFailures).toEqual(["the connection was lost"]);
  expect(b.handler.snapshots).toEqual([]);
});

test("a sender that says nothing more, and one that ends, are not waited for", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const stuck = { size: 1000, read: () => new Promise<number>(() => {}), close: () => Promise.resolve() };
  const sent = a.transport.sendSnapshot(snapshotMessage(A, B), stuck);
  await world.clock.advance(50_000);
  expect(b.transport.statistics.of(A).snapshotsReceiving).toBe(1);
  await world.clock.advance(30_000);
  expect(b.handler.snapshotFailures).toEqual(["the connection was lost"]);
  expect(b.transport.statistics.of(A).snapshotsReceiving).toBe(0);
  expect(await world.wait(sent)).toBe(false);
  void a.transport.sendSnapshot(snapshotMessage(A, B), stuck);
  await world.clock.advance(1000);
  a.host.end();
  await world.clock.advance(1000);
  expect(b.handler.snapshotFailures).toHaveLength(2);
});

test("one that never ends is ended when the disk has no room, and holds nothing after that", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  let size = 0;
  b.handler.takePiece = (piece) => {
    size += piece.length;
    return size < 10 * MEBIBYTE ? Promise.resolve() : Promise.reject(new Error("the disk is full"));
  };
  const zeros = {
    size: 1e12,
    read: (target: Uint8Array) => Promise.resolve(target.length),
    close: () => Promise.resolve(),
  };
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), zeros))).toBe(false);
  await world.clock.advance(2000);
  expect(size).toBeLessThan(11 * MEBIBYTE);
  expect(b.transport.statistics.of(A).snapshotsReceiving).toBe(0);
});

test("a peer that does not answer after the last byte is not waited for for ever", async () => {
  const world = new World();
  const { url } = world.impostor("b", () => {});
  const a = new Machine(world, "a", A).start().know({ id: B, url });
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), databaseOf(1000).view))).toBe(false);
});

test.each([
  ["cannot process message from removed member", "c1", 1],
  ["cannot process message to mismatch member", "c1", 0],
  ["cannot process message from removed member", "c2", 0],
])("of 403 %s in cluster %s it concludes rightly whether it was removed", async (text, clusterId, reports) => {
  const world = new World();
  const { url } = world.impostor("b", (exchange) => {
    const isStream = exchange.method === "GET";
    exchange.onEnd(() => {
      exchange.respond(isStream ? 404 : 403, [["x-etcd-cluster-id", clusterId]]);
      exchange.write(utf8(JSON.stringify({ message: text })));
      exchange.end();
    });
  });
  const a = new Machine(world, "a", A).start().know({ id: B, url });
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), databaseOf(1000).view))).toBe(false);
  expect(a.handler.removedReports).toBe(reports);
});

test("who passes on what a removed member asks for does not take the refusal for its own", async () => {
  const world = new World();
  const { url } = world.impostor("b", (exchange) => {
    exchange.onEnd(() => {
      exchange.respond(403, [["x-etcd-cluster-id", "c1"]]);
      exchange.write(utf8(JSON.stringify({ message: "cannot process message from removed member" })));
      exchange.end();
    });
  });
  const a = new Machine(world, "a", A).start().know({ id: B, url });
  a.transport.send([{ ...newMessage(MessageType.PROPOSAL, B), from: 0xdn }]);
  await world.clock.advance(200);
  expect([a.handler.unreachable.length > 0, a.handler.removedReports]).toEqual([true, 0]);
  a.transport.send([{ ...newMessage(MessageType.PROPOSAL, B), from: A }]);
  await world.clock.advance(200);
  expect(a.handler.removedReports).toBe(1);
});

test.each<[string, Message, bigint, number]>([
  ["for another member", snapshotMessage(B, 0xcn), B, 403],
  ["from a member that was removed", snapshotMessage(0xdn, A), 0xdn, 403],
  ["in another's name", snapshotMessage(0xcn, A), B, 400],
])("a snapshot %s is refused before any of it is taken", async (_what, message, from, status) => {
  const world = new World();
  const a = new Machine(world, "a", A).start();
  a.handler.removed.add(0xdn);
  const answer = await world.exchange(world.host("b"), a, `${snapshotHead(message, 1000, from)}${"x".repeat(1000)}`);
  expect(answer).toStartWith(`HTTP/1.1 ${status} `);
  expect(a.handler.snapshots).toEqual([]);
  expect(a.transport.statistics.of(from).snapshotReceiveFailures).toBe(1);
});

test.each([
  ["garbage", "\xff".repeat(100)],
  ["nothing", ""],
  ["half of a message", "\0\0\0\0\0\0\0\x10abc"],
])("%s in place of a snapshot is refused", async (_what, body) => {
  const world = new World();
  const a = new Machine(world, "a", A).start();
  const head = requestHead("POST /raft/snapshot", B, { "Content-Length": String(utf8(body).length) });
  const answer = await world.exchange(world.host("b"), a, `${head}${body}`);
  expect(answer).toStartWith("HTTP/1.1 400 ");
  expect(answer).toContain("failed to decode raft message (");
  expect(a.handler.snapshots).toEqual([]);
});

test("stopping ends a snapshot that is coming in", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const zeros = {
    size: 1e12,
    read: (target: Uint8Array) => Promise.resolve(target.length),
    close: () => Promise.resolve(),
  };
  const sent = a.transport.sendSnapshot(snapshotMessage(A, B), zeros);
  await world.clock.advance(20);
  const startMs = world.clock.nowMs;
  await world.wait(b.transport.stop());
  expect(world.clock.nowMs - startMs).toBeLessThan(500);
  expect(b.handler.snapshotFailures).toHaveLength(1);
  expect(await world.wait(sent)).toBe(false);
});

/** A request's head and the head of its body, all of it ASCII, for a database of so many bytes. */
function snapshotHead(message: Message, databaseSize: number, from = message.from): string {
  const writer = new WireWriter();
  writeSnapshotHead(writer, message);
  const bodyHead = String.fromCharCode(...writer.view());
  const size = bodyHead.length + databaseSize;
  return requestHead("POST /raft/snapshot", from, { "Content-Length": String(size) }) + bodyHead;
}

test("of a snapshot that failed long ago nobody concludes that the peer cannot be reached", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const sinceMs = a.transport.activeSinceMs(B)!;
  b.handler.takePiece = () => Promise.reject(new Error("the disk is full"));
  expect(await world.wait(a.transport.sendSnapshot(snapshotMessage(A, B), databaseOf(1000).view))).toBe(false);
  expect(a.transport.activeSinceMs(B)).toBe(sinceMs);
});
