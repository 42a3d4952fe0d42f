import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../src/base/bytes.ts";
import type { HttpExchange } from "../../../src/io/net.ts";
import { exchangeApplication, type Http2Server } from "../../../src/rpc/http2/mod.ts";
import { CLIENT_PREFACE, FrameType } from "../../../src/rpc/http2/protocol.ts";
import { frame, goaway, headerBlock, makeServer, RawPeer, requestFields } from "../peer.ts";

/** Answers in pieces while the request arrives, so that hostile frames meet streams in every state. */
function answering(): Http2Server {
  const open: HttpExchange[] = [];
  const application = exchangeApplication((exchange) => {
    open.push(exchange);
    exchange.onData((chunk) => {
      if (chunk.length % 3 === 0) exchange.pause();
      for (const other of open) other.resume();
      exchange.respond(200, [["x", "y"]]);
      exchange.write(chunk);
    });
    exchange.onEnd(() => exchange.end([["t", "u"]]));
  });
  return makeServer({ application }).server;
}

/** Whatever came, the connection is either alive or ended in order, and has given back what it held. */
async function check(server: Http2Server, peer: RawPeer): Promise<void> {
  const frames = await peer.settled();
  if (peer.stream.isEnded) expect(goaway(peer.frames)).toBeDefined();
  for (const one of frames) expect(one.payload.length).toBeLessThanOrEqual(16_384);
  peer.stream.destroy();
  await peer.settled();
  expect(server.connectionCount).toBe(0);
  expect(server.budget.used).toBe(0);
}

const hostileFrame = fc.tuple(
  fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 255 })),
  fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x2d), fc.integer({ min: 0, max: 255 })),
  fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 0, max: 7 }) }, { weight: 1, arbitrary: fc.nat(0x7fff_ffff) }),
  fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.constantFrom(4, 5, 6, 8, 16_384, 16_385).map((size) => new Uint8Array(size)),
    fc.constant(headerBlock(requestFields("/"))),
    fc.constant(headerBlock(requestFields("/", [["content-length", "5"]]))),
  ),
).map(([type, flags, id, payload]) => frame(type, flags, id, payload));

describe("nothing throws out of a connection, and nothing is left behind,", () => {
  test("after any bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 })), fc.boolean(), async (chunks, greets) => {
        const server = answering();
        const peer = new RawPeer(server, greets);
        for (const chunk of chunks) peer.send(chunk);
        await check(server, peer);
      }),
    );
  });

  test("after any frames, cut anywhere", async () => {
    const sizes = fc.integer({ min: 1, max: 20_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(hostileFrame, { maxLength: 30 }), sizes, fc.boolean(), async (frames, size, blocks) => {
        const server = answering();
        const peer = new RawPeer(server);
        peer.stream.isBlocked = blocks;
        const bytes = concatBytes([frame(FrameType.HEADERS, 4, 1, headerBlock(requestFields("/"))), ...frames]);
        for (let i = 0; i < bytes.length; i += size) peer.send(bytes.subarray(i, i + size));
        await peer.settled();
        peer.stream.isBlocked = false;
        peer.stream.drain();
        await check(server, peer);
      }),
      { numRuns: 2000 },
    );
  });

  test("after a valid conversation with one bit turned", async () => {
    const conversation = concatBytes([
      CLIENT_PREFACE,
      frame(FrameType.SETTINGS, 0, 0, [0, 4, 0, 0, 0, 9]),
      frame(FrameType.HEADERS, 4, 1, headerBlock(requestFields("/", [["a", "b"]]))),
      frame(FrameType.DATA, 8, 1, [1, 2, 3, 0]),
      frame(FrameType.WINDOW_UPDATE, 0, 1, [0, 0, 1, 0]),
      frame(FrameType.HEADERS, 0, 3, [0x82, 0x87]),
      frame(FrameType.CONTINUATION, 4, 3, [0x84, 0x41, 1, 0x78]),
      frame(FrameType.DATA, 1, 1, [4, 5, 6, 7]),
      frame(FrameType.RST_STREAM, 0, 3, [0, 0, 0, 8]),
    ]);
    for (let bit = 0; bit < conversation.length * 8; bit++) {
      const bytes = conversation.slice();
      bytes[bit >> 3] ^= 1 << (bit & 7);
      const server = answering();
      const peer = new RawPeer(server, false);
      peer.send(bytes);
      await check(server, peer);
    }
  });
});
