import { expect, test } from "bun:test";
import { PEER_PIPELINE_POSTS_MAX, PEER_PIPELINE_QUEUE_MAX, PEER_STREAM_HELD_MAX } from "../../src/base/limits.ts";
import { type Message, MessageType } from "../../src/raft/mod.ts";
import { append, Machine, message, World } from "./world.ts";

const { HEARTBEAT, HEARTBEAT_RESPONSE, PROPOSAL, APPEND, READ_INDEX, VOTE } = MessageType;

test("messages arrive unchanged, those over one stream in their order", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const appends = [append(a.id, b.id, 1), append(a.id, b.id, 2), append(a.id, b.id, 9)];
  const others = [message(HEARTBEAT, a.id, b.id, { commit: 3 }), message(VOTE, a.id, b.id, { index: 8, logTerm: 1 })];
  a.transport.send([appends[0], others[0], appends[1], appends[2], others[1]]);
  await world.clock.advance(50);
  const { messages } = b.handler;
  expect(messages.filter(({ type }) => type === APPEND)).toEqual(appends);
  expect(messages.filter(({ type }) => type !== APPEND)).toEqual(others);
  b.transport.send([message(HEARTBEAT_RESPONSE, b.id, a.id)]);
  await world.clock.advance(50);
  expect(a.handler.messages).toEqual([message(HEARTBEAT_RESPONSE, b.id, a.id)]);
});

test("while a stream stands, nothing is posted, and it stays open without messages", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const before = world.counts.get("connections opened");
  await world.clock.advance(60_000);
  a.transport.send([message(HEARTBEAT, a.id, b.id), append(a.id, b.id, 1)]);
  await world.clock.advance(50);
  expect(b.received.sort()).toEqual([`${APPEND}:0`, `${HEARTBEAT}:0`]);
  expect(a.log.with("lost TCP streaming connection")).toEqual([]);
  // But for the connections that probes use again and again.
  expect(world.counts.get("connections opened")! - before!).toBeLessThanOrEqual(2);
});

test("all messages of a turn leave in one write on each stream", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan);
  const b = new Machine(world, "b", 0xbn);
  let writeCount = 0;
  const served = a.transport.serve.bind(a.transport);
  a.transport.serve = (stream) => {
    const write = stream.write.bind(stream);
    stream.write = (bytes) => {
      writeCount++;
      return write(bytes);
    };
    served(stream);
  };
  a.start().know(b);
  b.start().know(a);
  await world.clock.advance(500);
  writeCount = 0;
  const messages: Message[] = [];
  for (let i = 1; i <= 100; i++) messages.push(append(a.id, b.id, i), message(HEARTBEAT, a.id, b.id));
  a.transport.send(messages);
  a.transport.send([append(a.id, b.id, 101)]);
  await world.clock.advance(50);
  expect(b.handler.messages).toHaveLength(201);
  expect(writeCount).toBe(2);
});

test("without streams messages are posted; who is not known yet learns where to answer", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start();
  const b = new Machine(world, "b", 0xbn).start();
  // b is new: its log does not name a yet.
  a.know(b);
  a.transport.send([append(a.id, b.id, 1)]);
  await world.clock.advance(50);
  expect(b.handler.messages).toEqual([append(a.id, b.id, 1)]);
  expect(b.transport.activeSinceMs(a.id)).toBeUndefined();
  b.transport.send([message(HEARTBEAT_RESPONSE, b.id, a.id)]);
  await world.clock.advance(50);
  expect(a.handler.messages).toEqual([message(HEARTBEAT_RESPONSE, b.id, a.id)]);
  expect(b.log.with("added new remote peer")).toHaveLength(1);
  b.know(a);
  await world.clock.advance(500);
  expect(a.log.with("established TCP streaming connection")).toHaveLength(4);
});

test("to whom nobody has introduced it, nothing is sent", async () => {
  const world = new World();
  const { a } = await world.pair();
  a.transport.send([message(HEARTBEAT, a.id, 0x99n), message(HEARTBEAT, a.id, 0n)]);
  expect(await a.transport.ask(0x99n, { method: "GET", path: "/", contentType: "", body: new Uint8Array() }, 10))
    .toBeUndefined();
  expect(a.handler.unreachable).toEqual([]);
});

test("a peer is active while it can be reached, and its version known", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  expect(a.transport.activeSinceMs(b.id)).toBeLessThan(world.clock.nowMs);
  expect([a.transport.versionOf(b.id), b.transport.versionOf(a.id)]).toEqual(["3.7.1", "3.7.1"]);
  expect(a.log.with("peer became active")).toHaveLength(1);
  b.host.end();
  await world.clock.advance(1000);
  expect(a.transport.activeSinceMs(b.id)).toBeUndefined();
  expect(a.transport.versionOf(b.id)).toBeUndefined();
  expect(a.log.with("peer became inactive (message send to peer failed)")).toHaveLength(1);
  expect(a.handler.unreachable).toContain(b.id);
  expect(a.handler.gone).toContain(b.id);
  const next = new Machine(world, "b", b.id, { version: "3.8.0" }).start().know(a);
  await world.clock.advance(1000);
  expect(a.transport.versionOf(b.id)).toBe("3.8.0");
  expect(a.transport.activeSinceMs(b.id)).toBeLessThan(world.clock.nowMs);
  a.transport.send([message(HEARTBEAT, a.id, b.id)]);
  await world.clock.advance(50);
  expect(next.received).toEqual([`${HEARTBEAT}:0`]);
});

test("a peer that vanishes without a word is found out within two read timeouts", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  b.host.losePower();
  await world.clock.advance(10_000);
  expect(a.transport.activeSinceMs(b.id)).toBeUndefined();
});

test("a new address of a peer is used once the old one fails", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const moved = new Machine(world, "elsewhere", b.id).start().know(a);
  a.transport.updatePeer(b.id, ["not a url", moved.url]);
  b.host.end();
  await world.clock.advance(1000);
  a.transport.send([append(a.id, b.id, 1)]);
  await world.clock.advance(50);
  expect(moved.received).toEqual([`${APPEND}:0`]);
});

test("of several addresses of a peer, one that works is found", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start();
  const b = new Machine(world, "b", 0xbn).start().know(a);
  world.host("empty");
  a.transport.addPeer(b.id, ["http://unknown:2380", "http://empty:2380", b.url]);
  await world.clock.advance(1000);
  expect(a.transport.activeSinceMs(b.id)).toBeDefined();
  expect(b.log.with("established TCP streaming connection")).toHaveLength(4);
});

test("messages for a slow reader wait up to a bound, then they are dropped and reported; later it goes on", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  world.network.link("a", "b").isCut = true;
  const sentCount = PEER_STREAM_HELD_MAX + 5000;
  const filling = "x".repeat(1000);
  for (let i = 1; i <= sentCount; i++) a.transport.send([append(a.id, b.id, i, filling)]);
  expect(a.handler.unreachable.length).toBeGreaterThan(4000);
  expect(a.log.with("dropped internal Raft message")).toHaveLength(1);
  expect(a.transport.statistics.of(b.id).sentFailures).toBe(a.handler.unreachable.length);
  world.network.link("a", "b").isCut = false;
  await world.clock.advance(3000);
  expect(b.handler.messages).toHaveLength(sentCount - a.handler.unreachable.length);
  // The first of those that were dropped leaves a gap, which is raft's to close.
  a.transport.send([append(a.id, b.id, sentCount + 1)]);
  await world.clock.advance(50);
  expect(b.handler.messages.at(-1)).toEqual(append(a.id, b.id, sentCount + 1));
});

test("a peer that is cut off is not taken for one that has ended", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  world.network.link("a", "b").isCut = true;
  world.network.link("b", "a").isCut = true;
  await world.clock.advance(20_000);
  expect(a.transport.activeSinceMs(b.id)).toBeUndefined();
  expect(a.handler.gone).toEqual([]);
});

test("a stream that takes nothing for the write timeout is given up", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  world.network.link("a", "b").isCut = true;
  const filling = "x".repeat(10_000);
  for (let i = 1; i <= 100; i++) a.transport.send([append(a.id, b.id, i, filling)]);
  await world.clock.advance(8000);
  expect(a.log.with("lost TCP streaming connection").map(({ fields }) => fields["stream-writer-type"]))
    .toContain("stream MsgApp v2");
  expect(a.handler.unreachable).toContain(b.id);
});

test("messages for a peer that nobody answers for are bounded too", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start();
  const b = new Machine(world, "b", 0xbn);
  a.know(b);
  b.host.losePower();
  const room = PEER_PIPELINE_POSTS_MAX + PEER_PIPELINE_QUEUE_MAX;
  for (let i = 0; i < room + 10; i++) a.transport.send([message(HEARTBEAT, a.id, b.id)]);
  expect(a.handler.unreachable).toHaveLength(10);
  expect(a.log.with("dropped internal Raft message")).toHaveLength(1);
});

test("a proposal that a stream or a post has lost is not sent again", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const proposal = message(PROPOSAL, a.id, b.id, { term: 0, entries: [] });
  world.network.link("a", "b").isCut = true;
  a.transport.send([proposal]);
  await world.clock.advance(100);
  world.network.reset("a", "b");
  world.network.heal();
  await world.clock.advance(5000);
  expect(b.handler.messages).toEqual([]);
  expect(a.handler.unreachable).toContain(b.id);
  b.transport.removePeer(a.id);
  await world.clock.advance(100);
  world.network.link("b", "a").isCut = true;
  a.transport.send([proposal]);
  await world.clock.advance(100);
  // It was taken in, and only the answer is lost.
  expect(b.handler.messages).toHaveLength(1);
  world.network.reset("a", "b");
  world.network.heal();
  await world.clock.advance(5000);
  expect(b.handler.messages).toHaveLength(1);
});

test("requests that a follower passes on stay in the name of the member that they come from", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  a.transport.send([message(READ_INDEX, 0xcn, b.id, { term: 0 })]);
  await world.clock.advance(50);
  expect(b.handler.messages.map(({ from }) => from)).toEqual([0xcn]);
});

test("a peer that was removed hears nothing more", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  a.handler.removed.add(b.id);
  a.transport.removePeer(b.id);
  await world.clock.advance(500);
  expect(a.transport.activeSinceMs(b.id)).toBeUndefined();
  a.transport.send([message(HEARTBEAT, a.id, b.id)]);
  b.transport.send([message(HEARTBEAT, b.id, a.id)]);
  await world.clock.advance(500);
  expect(b.handler.messages).toEqual([]);
  expect(a.handler.messages).toEqual([]);
  expect(b.handler.removedReports).toBeGreaterThan(0);
});

test("after it has stopped, nothing is told to the member and nothing is left running", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  b.transport.send([message(HEARTBEAT, b.id, a.id)]);
  const stoppedMs = world.clock.nowMs;
  await world.wait(a.transport.stop());
  expect(world.clock.nowMs - stoppedMs).toBeLessThan(500);
  const { messages: { length }, unreachable } = a.handler;
  const unreachableCount = unreachable.length;
  b.transport.send([message(HEARTBEAT, b.id, a.id)]);
  await world.clock.advance(2000);
  expect(a.handler.messages).toHaveLength(length);
  expect(a.handler.unreachable).toHaveLength(unreachableCount);
  expect(a.host.streamCount).toBe(0);
  await world.wait(b.transport.stop());
  await world.clock.advance(2000);
  expect(world.clock.timerCount).toBe(0);
});

test("probes tell how long the way is, and of clocks that disagree", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan);
  const { clock } = world;
  const ahead = { ...clockOf(world), wallMs: () => clock.wallMs() + 5000 };
  const b = new Machine(world, "b", 0xbn, { clock: ahead });
  a.start().know(b);
  b.start().know(a);
  await clock.advance(30_000);
  const { roundTripSeconds } = a.transport.statistics.of(b.id);
  expect(roundTripSeconds.count).toBeGreaterThan(5);
  expect(roundTripSeconds.sum / roundTripSeconds.count).toBeWithin(0.0004, 0.02);
  expect(a.log.with("prober found high clock drift").map(({ fields }) => fields["clock-drift"])).toHaveLength(1);
  expect(a.log.with("prober detected unhealthy status")).toHaveLength(0);
  b.host.end();
  await clock.advance(30_000);
  expect(a.log.with("prober detected unhealthy status")).toHaveLength(1);
});

test("what was sent and received is counted", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const before = { ...b.transport.statistics.of(a.id) };
  a.transport.send([append(a.id, b.id, 1, "x".repeat(100_000))]);
  await world.clock.advance(100);
  expect(a.transport.statistics.of(b.id).sentBytes).toBeWithin(100_000, 101_000);
  expect(b.transport.statistics.of(a.id).receivedBytes - before.receivedBytes).toBeWithin(100_000, 101_000);
  expect([...a.transport.statistics.entries()].map(([id, { isActive }]) => [id, isActive])).toEqual([[b.id, true]]);
});

function clockOf({ clock }: World) {
  return {
    monotonicMs: () => clock.monotonicMs(),
    after: clock.after.bind(clock),
    every: clock.every.bind(clock),
    defer: clock.defer.bind(clock),
  };
}

test.each([
  ["cluster ID mismatch", "request sent was ignored due to cluster ID mismatch"],
  ["incompatible version", "request sent was ignored by peer"],
])("of posts that are refused for %j it complains once", async (text, complaint) => {
  const world = new World();
  const { url } = world.impostor("b", (exchange) => {
    const isStream = exchange.method === "GET";
    exchange.onEnd(() => {
      exchange.respond(isStream ? 404 : 412, [["x-etcd-cluster-id", "c2"]]);
      exchange.write(new TextEncoder().encode(`${text}\n`));
      exchange.end();
    });
  });
  const b = { id: 0xbn, url };
  const a = new Machine(world, "a", 0xan).start().know(b);
  for (let i = 0; i < 3; i++) {
    a.transport.send([message(HEARTBEAT, a.id, b.id)]);
    await world.clock.advance(100);
  }
  expect(a.handler.unreachable).toEqual([b.id, b.id, b.id]);
  expect(a.log.with(complaint)).toHaveLength(1);
});
