/** What a member makes of what a peer sends when it is asked for a stream. */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import type { HttpExchange, HttpField } from "../../src/io/net.ts";
import { writeFramedMessage } from "../../src/peer/codec/mod.ts";
import { APPEND_THREAD, type Message, MessageType } from "../../src/raft/mod.ts";
import { Machine, message, World } from "./world.ts";

const { HEARTBEAT, APPEND_RESPONSE, TIMEOUT_NOW } = MessageType;
const A = 0xan;
const B = 0xbn;
const OURS: readonly HttpField[] = [["x-etcd-cluster-id", "c1"], ["x-server-version", "3.7.1"]];

/** A member whose peer answers for streams of messages as the test says, and has none of appends. */
async function facing(handle: (exchange: HttpExchange) => void, ms = 450) {
  const world = new World();
  const asked: HttpExchange[] = [];
  const { url } = world.impostor("b", (exchange) => {
    if (!exchange.path.startsWith("/raft/stream/message/")) {
      exchange.respond(404, [["content-length", "0"]]);
      return exchange.end();
    }
    asked.push(exchange);
    handle(exchange);
  });
  const a = new Machine(world, "a", A).start().know({ id: B, url });
  await world.clock.advance(ms);
  return { world, a, asked };
}

function answering(status: number, text: string, fields: readonly HttpField[] = OURS) {
  return (exchange: HttpExchange): void => {
    exchange.respond(status, fields);
    exchange.write(utf8(text));
    exchange.end();
  };
}

function streaming(...messages: readonly Message[]) {
  const bytes = framed(...messages);
  return (exchange: HttpExchange): void => {
    exchange.respond(200, OURS);
    exchange.write(bytes);
  };
}

function framed(...messages: readonly Message[]): Uint8Array {
  const writer = new WireWriter();
  for (const message of messages) writeFramedMessage(writer, message);
  return writer.finish();
}

test("it says who asks, and whom", async () => {
  const { asked } = await facing(streaming());
  expect(asked).toHaveLength(1);
  expect(asked[0].path).toBe("/raft/stream/message/a");
  expect(Object.fromEntries(asked[0].headers)).toEqual({
    "host": "b:2380",
    "x-server-from": "a",
    "x-server-version": "3.7.1",
    "x-min-cluster-version": "3.0.0",
    "x-etcd-cluster-id": "c1",
    "x-peerurls": "http://a:2380",
    "x-raft-to": "b",
  });
});

test("that it was removed it believes of a member of its own cluster only", async () => {
  expect((await facing(answering(410, "removed member\n"))).a.handler.removedReports).toBeGreaterThan(0);
  const other: readonly HttpField[] = [["x-etcd-cluster-id", "c2"], ["x-server-version", "3.7.1"]];
  expect((await facing(answering(410, "removed member\n", other))).a.handler.removedReports).toBe(0);
  expect((await facing(answering(410, "removed member\n", []))).a.handler.removedReports).toBe(0);
});

test.each([
  [404, "error sender not found\n"],
  [412, "incompatible version\n"],
  [412, "cluster ID mismatch\n"],
  [412, "to field mismatch\n"],
  [500, "sorry"],
  [403, ""],
  [200, ""],
])("after %i %j it asks again ten times a second", async (status, text) => {
  const { a, asked } = await facing(answering(status, text), 2000);
  expect(asked.length).toBeWithin(18, 22);
  expect(a.handler.removedReports).toBe(0);
});

test("an answer of a cluster that is not its own is complained of", async () => {
  const { a } = await facing(answering(412, "cluster ID mismatch\n"));
  expect(a.log.with("request sent was ignored by remote peer due to cluster ID mismatch")).toHaveLength(1);
});

test("who does not say that it has streams is not listened to", async () => {
  const { a } = await facing((exchange) => {
    exchange.respond(200, []);
    exchange.write(utf8("HELLO"));
  });
  expect(a.log.with("established TCP streaming connection")).toEqual([]);
  expect(a.transport.activeSinceMs(B)).toBeUndefined();
});

test.each<[string, Uint8Array]>([
  ["garbage", utf8("GARBAGE GARBAGE GARBAGE")],
  ["a message without end", Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ["a message of no known form", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2, 0x0b, 0xff)],
  ["a message in the name of the storage", framed(message(APPEND_RESPONSE, APPEND_THREAD, A))],
  ["a message of the storage", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 6, 8, 20, 16, 0xa, 24, 0xb)],
])("a stream of %s is dropped, and asked for anew", async (_what, bytes) => {
  const { a, asked } = await facing((exchange) => {
    exchange.respond(200, OURS);
    exchange.write(bytes);
  }, 1000);
  expect(asked.length).toBeGreaterThan(5);
  expect(a.handler.messages).toEqual([]);
  expect(a.transport.statistics.of(B).receivedFailures).toBeGreaterThan(5);
});

test("what is not for this member, or not in the peer's name, is left out; what follows is not", async () => {
  const { a } = await facing(streaming(
    message(HEARTBEAT, B, 0xcn),
    message(HEARTBEAT, 0xcn, A),
    message(HEARTBEAT, A, A),
    message(TIMEOUT_NOW, B, A),
  ));
  expect(a.handler.messages).toEqual([message(TIMEOUT_NOW, B, A)]);
  expect(a.transport.statistics.of(B).receivedFailures).toBe(3);
  expect(a.log.with("rejected Raft message to mismatch member")).toHaveLength(1);
});

test("messages from the future are raft's to judge", async () => {
  const future = message(HEARTBEAT, B, A, { term: 2 ** 52, commit: 2 ** 52 });
  expect((await facing(streaming(future))).a.handler.messages).toEqual([future]);
});

test("a stream that is silent for the read timeout is asked for anew", async () => {
  const { world, a, asked } = await facing(streaming());
  await world.clock.advance(4000);
  expect(asked).toHaveLength(1);
  await world.clock.advance(3000);
  expect(asked).toHaveLength(2);
  expect(a.log.with("lost TCP streaming connection with remote peer")).toHaveLength(1);
});

test("a stream that breaks off within a message has failed", async () => {
  const { a } = await facing((exchange) => {
    exchange.respond(200, OURS);
    exchange.write(Uint8Array.of(0, 0, 0));
    exchange.end();
  });
  const [line] = a.log.with("lost TCP streaming connection with remote peer");
  expect(line.fields["error"]).toBe("unexpected EOF");
});
