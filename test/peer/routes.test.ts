/** Who may ask what at the peer port: etcd's codes and texts. */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { PEER_REMOTES_MAX } from "../../src/base/limits.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { writeMessage } from "../../src/peer/codec/mod.ts";
import { APPEND_THREAD, APPLY_THREAD, type Message, MessageType } from "../../src/raft/mod.ts";
import { append, CLUSTER_ID, Machine, message, requestHead, World } from "./world.ts";

const { HEARTBEAT, APPEND_RESPONSE, STORAGE_APPEND_RESPONSE } = MessageType;
const A = 0xan;
const B = 0xbn;

/** A member, and a machine that is not one. */
function setting() {
  const world = new World();
  const a = new Machine(world, "a", A).start().know({ id: B, url: "http://b:2380" });
  const stranger = world.host("b");
  return { world, a, ask: (request: string | Uint8Array) => world.exchange(stranger, a, request) };
}

function posted(message: Message, from = B, fields: Readonly<Record<string, string>> = {}): Uint8Array {
  const writer = new WireWriter();
  writeMessage(writer, message);
  return post(writer.finish(), from, fields);
}

function post(body: Uint8Array, from = B, fields: Readonly<Record<string, string>> = {}): Uint8Array {
  const head = requestHead("POST /raft", from, { "Content-Length": String(body.length), ...fields });
  return Uint8Array.from([...utf8(head), ...body]);
}

const STREAM = "GET /raft/stream/message/b";

test.each([
  ["DELETE /raft", {}, 405, "Method Not Allowed"],
  ["GET /raft", {}, 405, "Method Not Allowed"],
  ["GET /raft/snapshot", {}, 405, "Method Not Allowed"],
  ["POST /raft/stream/message/b", { "Content-Length": "0" }, 405, "Method Not Allowed"],
  [STREAM, { "X-Server-Version": undefined }, 412, "incompatible version"],
  [STREAM, { "X-Server-Version": "2.3.8" }, 412, "incompatible version"],
  [STREAM, { "X-Server-Version": "three" }, 412, "incompatible version"],
  [STREAM, { "X-Min-Cluster-Version": "3.8.0" }, 412, "incompatible version"],
  ["POST /raft", { "X-Server-Version": "2.3.8", "Content-Length": "0" }, 412, "incompatible version"],
  [STREAM, { "X-Etcd-Cluster-ID": "c2" }, 412, "cluster ID mismatch"],
  [STREAM, { "X-Etcd-Cluster-ID": undefined }, 412, "cluster ID mismatch"],
  ["POST /raft", { "X-Etcd-Cluster-ID": "c2", "Content-Length": "0" }, 412, "cluster ID mismatch"],
  ["POST /raft/snapshot", { "X-Etcd-Cluster-ID": "c2", "Content-Length": "0" }, 412, "cluster ID mismatch"],
  ["GET /raft/stream/other/b", {}, 404, "invalid path"],
  ["GET /raft/stream/b", {}, 404, "invalid path"],
  ["GET /raft/stream/message/", {}, 404, "invalid from"],
  ["GET /raft/stream/message/xyz", {}, 404, "invalid from"],
  ["GET /raft/stream/message/10000000000000000", {}, 404, "invalid from"],
  ["GET /raft/stream/message/d", {}, 410, "removed member"],
  ["GET /raft/stream/message/c", {}, 404, "error sender not found"],
  [STREAM, { "X-Raft-To": "c" }, 412, "to field mismatch"],
  [STREAM, {}, 412, "to field mismatch"],
  ["GET /raft/other", {}, 404, "404 page not found"],
  ["DELETE /members", {}, 405, "Method Not Allowed"],
  ["GET /members", { "X-Etcd-Cluster-ID": "c2" }, 412, "cluster ID mismatch"],
  ["POST /leases", { "Content-Length": "65537", "body": "x".repeat(65537) }, 413, "request body too large"],
])(
  "%s with %j is answered %i %s",
  async (line, { body = "", ...fields }: Record<string, string | undefined>, status, text) => {
    const { a, ask } = setting();
    a.handler.removed.add(0xdn);
    const answer = await ask(requestHead(line, B, fields) + body);
    expect(answer).toStartWith(`HTTP/1.1 ${status} `);
    expect(answer).toEndWith(`\r\n\r\n${text}\n`);
    expect(answer).toContain("content-type: text/plain; charset=utf-8\r\n");
    expect(a.handler.messages).toEqual([]);
    expect(a.handler.questions).toEqual([]);
  },
);

test("a stream that a peer asks for begins at once, and names cluster and version", async () => {
  const { a, ask } = setting();
  const answer = await ask(requestHead(STREAM, B, { "X-Raft-To": "a" }));
  expect(answer).toStartWith("HTTP/1.1 200 OK\r\n");
  expect(answer).toContain("x-etcd-cluster-id: c1\r\n");
  expect(answer).toContain("x-server-version: 3.7.1\r\n");
  expect(answer).toContain("transfer-encoding: chunked\r\n");
  expect(a.log.with("peer became active")).toHaveLength(1);
});

test.each([0n, APPEND_THREAD, APPLY_THREAD])("nobody posts in the name of %i, which is no member's id", async (id) => {
  const { a, ask } = setting();
  const read = { ...message(MessageType.READ_INDEX, id, A), term: 0 };
  expect(await ask(posted(read, id))).toStartWith("HTTP/1.1 400 ");
  expect(a.handler.messages).toEqual([]);
});

test("a stream that is asked for again takes the place of the one before", async () => {
  const { world, a } = setting();
  const host = world.host("c");
  const texts = ["", ""];
  for (const i of [0, 1]) {
    const stream = await world.connect(host, a);
    stream.listen({
      onData: (bytes) => void (texts[i] += String.fromCharCode(...bytes)),
      onEnd() {},
      onDrain() {},
      onClose() {},
    });
    stream.write(utf8(requestHead(STREAM, B, { "X-Raft-To": "a" })));
    await world.clock.advance(100);
  }
  expect(texts[0]).toEndWith("\r\n0\r\n\r\n");
  const size = texts[1].length;
  a.transport.send([message(HEARTBEAT, A, B)]);
  await world.clock.advance(100);
  expect(texts[1].length).toBeGreaterThan(size);
  expect(a.log.with("closed TCP streaming connection with remote peer")).toHaveLength(1);
});

test("a message that is posted is taken in", async () => {
  const { a, ask } = setting();
  expect(await ask(posted(append(B, A, 5)))).toStartWith("HTTP/1.1 204 No Content\r\nx-etcd-cluster-id: c1\r\n");
  expect(a.handler.messages).toEqual([append(B, A, 5)]);
});

test.each<[string, Uint8Array, number, string]>([
  ["is garbage", post(utf8("\x0b\xff garbage")), 400, "error unmarshalling raft message\n"],
  ["comes from a removed member", posted(message(HEARTBEAT, 0xdn, A), 0xdn), 403, "removed member"],
  [
    "is passed on for a removed member",
    posted(message(MessageType.PROPOSAL, 0xdn, A)),
    400,
    "error processing raft message\n",
  ],
  ["is for another member", posted(message(HEARTBEAT, B, 0xcn)), 403, "to mismatch member"],
  ["is in another's name", posted(message(HEARTBEAT, 0xcn, A)), 400, "error processing raft message\n"],
  ["is in this member's name", posted(message(HEARTBEAT, A, A), A), 400, "error processing raft message\n"],
  [
    "is in the name of the storage",
    posted(message(APPEND_RESPONSE, APPEND_THREAD, A)),
    400,
    "error unmarshalling raft message\n",
  ],
  [
    "is its read in the name of the storage",
    posted(message(MessageType.READ_INDEX, APPLY_THREAD, A)),
    400,
    "error unmarshalling raft message\n",
  ],
  ["is the storage's", storageMessage(), 400, "error unmarshalling raft message\n"],
])("a message that %s is refused", async (_what, request, status, text) => {
  const { a, ask } = setting();
  a.handler.removed.add(0xdn);
  const answer = await ask(request);
  expect(answer).toStartWith(`HTTP/1.1 ${status} `);
  expect(answer).toContain(text);
  expect(answer).toContain(`x-etcd-cluster-id: ${CLUSTER_ID.toString(16)}\r\n`);
  expect(a.handler.messages).toEqual([]);
});

/** The codec does not write it. */
function storageMessage(): Uint8Array {
  return post(Uint8Array.of(8, STORAGE_APPEND_RESPONSE, 16, 0xa, 24, 0xb));
}

test("who does not say who it is may not post", async () => {
  const { a, ask } = setting();
  expect(await ask(posted(message(HEARTBEAT, B, A), B, { "X-Server-From": "" }))).toStartWith("HTTP/1.1 400 ");
  expect(a.handler.messages).toEqual([]);
});

test("whoever asks for the time is told it, whatever its cluster", async () => {
  const { ask } = setting();
  const answer = await ask("GET /raft/probing HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(answer).toMatch(/\r\n\r\n\{"OK":true,"Now":"2023-11-14T22:13:\d\d\.\d{3}Z"\}\n$/);
});

test("before the member has started, everyone is told to come again", async () => {
  const world = new World();
  const a = new Machine(world, "a", A);
  expect(await world.exchange(world.host("b"), a, requestHead(STREAM, B))).toStartWith("HTTP/1.1 503 ");
});

test("members that nobody has introduced are remembered up to a bound, and only with addresses that make sense", async () => {
  const { world, a } = setting();
  const stranger = world.host("c");
  const stream = await world.connect(stranger, a);
  stream.listen({ onData() {}, onEnd() {}, onDrain() {}, onClose() {} });
  const meet = async (id: bigint, urls: string): Promise<void> => {
    const request = utf8(requestHead(`GET /raft/stream/message/${id.toString(16)}`, id, { "X-PeerURLs": urls }));
    if (!stream.write(request)) throw new Error("the window is full");
    await world.clock.advance(20);
  };
  await meet(APPEND_THREAD, "http://c:2380");
  await meet(A, "http://c:2380");
  await meet(0x50n, "ftp://c");
  await meet(0x51n, Array(20).fill("http://c:2380").join(","));
  expect(a.log.with("added new remote peer")).toEqual([]);
  for (let id = 0x100n; id < 0x100 + PEER_REMOTES_MAX + 10; id++) await meet(id, "http://c:2380");
  expect(a.log.with("added new remote peer")).toHaveLength(PEER_REMOTES_MAX);
});

test("what somebody does wrong again and again is complained of once in a while", async () => {
  const { a, ask } = setting();
  for (let i = 0; i < 5; i++) await ask(requestHead(STREAM, B, { "X-Etcd-Cluster-ID": "c2" }));
  const lines = a.log.with("request cluster ID mismatch");
  expect(lines).toHaveLength(1);
  expect(lines[0].fields).toMatchObject({ "remote-peer-cluster-id": "c2", "local-member-cluster-id": "c1" });
});

test("messages that are posted and never completed hold a bounded amount of memory, and give it back", async () => {
  const { world, a } = setting();
  const host = world.host("c");
  const answers: string[] = [];
  const piece = new Uint8Array(1024 * 1024);
  const connections = [];
  // Three of these are more than there is room for.
  for (let i = 0; i < 3; i++) {
    const stream = await world.connect(host, a);
    let left = 100;
    const fill = (): void => {
      while (left > 0) {
        left--;
        if (!stream.write(piece)) return;
      }
    };
    stream.listen({
      onData: (bytes) => void answers.push(String.fromCharCode(...bytes)),
      onEnd() {},
      onDrain: fill,
      onClose() {},
    });
    stream.write(utf8(requestHead("POST /raft", B, { "Content-Length": String(120 * piece.length) })));
    fill();
    connections.push(stream);
  }
  await world.until(() => answers.length > 0);
  expect(answers[0]).toStartWith("HTTP/1.1 503 ");
  for (const stream of connections) stream.destroy();
  await world.clock.advance(100);
  expect(await world.exchange(host, a, posted(append(B, A, 5)))).toStartWith("HTTP/1.1 204 ");
});
