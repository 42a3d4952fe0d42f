import { describe, expect, test } from "bun:test";
import { concatBytes, utf8Text } from "../../../src/base/bytes.ts";
import {
  HTTP2_CONTROL_CREDIT_MAX,
  HTTP2_OUTPUT_BACKLOG_MAX,
  HTTP2_PREFACE_TIMEOUT_MS,
  HTTP2_PROBE_TICK_MS,
  HTTP2_REPLY_STALL_MS,
  HTTP2_RESET_CREDIT_MAX,
  HTTP2_STREAM_COST,
  HTTP2_STREAM_WINDOW_SIZE,
  HTTP2_TURN_WRITE_MAX,
  HTTP2_WRITE_STALL_MS,
} from "../../../src/base/limits.ts";
import type { HttpExchange } from "../../../src/io/net.ts";
import { Budget, ErrorCode, exchangeApplication } from "../../../src/rpc/http2/mod.ts";
import { CLIENT_PREFACE, FrameType, Setting } from "../../../src/rpc/http2/protocol.ts";
import { microtasks } from "../clock.ts";
import { dataOf, frame, goaway, headerBlock, makeServer, RawPeer, requestFields, resetCode, uint32 } from "../peer.ts";

/** A server that keeps its exchanges for the test to answer. */
function makePlain(options: { budget?: Budget; concurrentStreamsMax?: number; keepaliveIntervalMs?: number } = {}) {
  const exchanges: HttpExchange[] = [];
  const application = exchangeApplication((exchange) => exchanges.push(exchange));
  return { exchanges, ...makeServer({ application, ...options }) };
}

function setting(id: number, value: number): Uint8Array {
  return frame(FrameType.SETTINGS, 0, 0, concatBytes([Uint8Array.of(0, id), uint32(value)]));
}

function windowUpdate(id: number, increment: number): Uint8Array {
  return frame(FrameType.WINDOW_UPDATE, 0, id, uint32(increment));
}

describe("a request", () => {
  test("is answered with headers, body and trailers in one write", async () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    const writes = peer.stream.writeCount;
    peer.request(1, requestFields("/a?b", [["x", "y"]], "GET"), true);
    const [exchange] = exchanges;
    expect([exchange.method, exchange.scheme, exchange.authority, exchange.path]).toEqual([
      "GET",
      "http",
      "test",
      "/a?b",
    ]);
    expect(exchange.headers).toEqual([["x", "y"]]);
    exchange.respond(200, [["content-type", "text/plain"]]);
    exchange.write(Uint8Array.of(1, 2));
    exchange.write(Uint8Array.of(3));
    exchange.end([["t", "u"]]);
    expect(exchange.isClosed).toBe(true);

    const frames = await peer.settled();
    expect(peer.stream.writeCount).toBe(writes + 1);
    expect(frames.map((one) => one.type)).toEqual([1, 0, 0, 1]);
    expect(peer.decode(frames[0].payload)).toEqual({ ":status": "200", "content-type": "text/plain" });
    expect(dataOf(frames, 1)).toEqual(Uint8Array.of(1, 2, 3));
    expect(peer.decode(frames[3].payload)).toEqual({ t: "u" });
    expect(frames[3].flags & 1).toBe(1);
    expect(server.streamCount).toBe(0);
    expect(server.budget.used).toBe(0);
  });

  test("arrives the same however the bytes are cut", () => {
    const bytes = concatBytes([
      CLIENT_PREFACE,
      frame(FrameType.SETTINGS, 0, 0),
      frame(FrameType.HEADERS, 4, 1, headerBlock(requestFields("/"))),
      frame(FrameType.DATA, 8, 1, [2, 10, 11, 0, 0]),
      frame(FrameType.DATA, 1, 1, [12]),
    ]);
    for (const step of [1, 2, 3, 7, 9, 10, 25, 1000]) {
      const { server, exchanges } = makePlain();
      const peer = new RawPeer(server, false);
      const body: number[] = [];
      let isEnded = false;
      for (let i = 0; i < bytes.length; i += step) {
        peer.stream.listener!.onData(bytes.subarray(i, i + step));
        if (exchanges.length === 1) {
          exchanges[0].onData((chunk) => body.push(...chunk));
          exchanges[0].onEnd(() => isEnded = true);
        }
      }
      if (step < bytes.length) expect({ body, isEnded }).toEqual({ body: [10, 11, 12], isEnded: true });
    }
  });

  test("may spread its header block over CONTINUATION frames, and end in trailers", () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    const block = headerBlock(requestFields("/", [["long", "x".repeat(20_000)]]));
    peer.send(
      frame(FrameType.HEADERS, 0, 1, block.subarray(0, 10)),
      frame(FrameType.CONTINUATION, 0, 1, block.subarray(10, 16_000)),
      frame(FrameType.CONTINUATION, 4, 1, block.subarray(16_000)),
    );
    expect(exchanges[0].headers[0][1].length).toBe(20_000);
    let isEnded = false;
    exchanges[0].onEnd(() => isEnded = true);
    peer.send(frame(FrameType.HEADERS, 5, 1, headerBlock([["t", "u"]])));
    expect(isEnded).toBe(true);
    expect(server.budget.used).toBeGreaterThan(20_000);
  });

  test("answered before it is complete ends with NO_ERROR, and what still comes is ignored", async () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"));
    exchanges[0].respond(413, []);
    exchanges[0].end();
    expect(resetCode(await peer.settled(), 1)).toBe(ErrorCode.NO_ERROR);
    peer.data(1, new Uint8Array(1000));
    peer.send(frame(FrameType.HEADERS, 5, 1, headerBlock([["t", "u"]])));
    expect(goaway(peer.read())).toBeUndefined();
  });

  test("beyond the header list's limit is refused with its stream only", () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    const block = headerBlock(requestFields("/", [["long", "x".repeat(16_000)]]));
    const fields = Uint8Array.of(0x40, 1, 0x61, 1, 0x62);
    peer.send(frame(FrameType.HEADERS, 4, 1, concatBytes([fields])));
    expect(resetCode(peer.read(), 1)).toBe(ErrorCode.PROTOCOL_ERROR);
    // A hundred bytes refer to a table entry of 4,000 again and again: a bomb.
    const bomb = concatBytes([
      headerBlock(requestFields("/")),
      Uint8Array.of(0x40, 1, 0x63, 0x7f, 0xa1, 0x1d),
      new Uint8Array(3872).fill(0x78),
      new Uint8Array(100).fill(0x80 | 62),
    ]);
    peer.send(frame(FrameType.HEADERS, 5, 3, bomb));
    expect(resetCode(peer.read(), 3)).toBe(ErrorCode.FRAME_SIZE_ERROR);
    peer.send(frame(FrameType.HEADERS, 5, 5, block));
    expect(exchanges.length).toBe(1);
  });

  test("beyond the concurrent streams, or the budget, is refused", () => {
    const few = makePlain({ concurrentStreamsMax: 1 });
    const peer = new RawPeer(few.server);
    peer.request(1, requestFields("/"));
    peer.request(3, requestFields("/"));
    expect(resetCode(peer.read(), 3)).toBe(ErrorCode.REFUSED_STREAM);

    const poor = makePlain({ budget: new Budget(HTTP2_STREAM_COST) });
    const other = new RawPeer(poor.server);
    other.request(1, requestFields("/"));
    other.request(3, requestFields("/"));
    expect(resetCode(other.read(), 3)).toBe(ErrorCode.REFUSED_STREAM);
    expect(few.exchanges.length + poor.exchanges.length).toBe(2);
  });

  test("that is reset, or whose connection goes, is aborted once", async () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    const aborted: string[] = [];
    for (const id of [1, 3]) {
      peer.request(id, requestFields(`/${id}`));
      exchanges.at(-1)!.onAbort(() => aborted.push(exchanges.at(-1)!.path));
    }
    peer.send(frame(FrameType.RST_STREAM, 0, 1, uint32(ErrorCode.CANCEL)));
    expect(aborted.length).toBe(1);
    peer.stream.listener!.onEnd();
    await peer.settled();
    expect(aborted.length).toBe(2);
    expect(server.connectionCount).toBe(0);
    expect(server.budget.used).toBe(0);
  });
});

describe("flow control", () => {
  test("sends no more than the stream's and the connection's windows allow", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 10));
    peer.request(1, requestFields("/"), true);
    exchanges[0].respond(200, []);
    exchanges[0].write(new Uint8Array(100_000));
    exchanges[0].end();
    await clock.settle();
    expect(dataOf(peer.read(), 1).length).toBe(10);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 4));
    peer.send(windowUpdate(1, 5));
    expect(dataOf(peer.read(), 1).length).toBe(0);
    peer.send(windowUpdate(1, 2));
    expect(dataOf(peer.read(), 1).length).toBe(1);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 200_000));
    await clock.settle();
    // The connection's own window was never widened.
    expect(dataOf(peer.read(), 1).length).toBe(65_535 - 11);
    peer.send(windowUpdate(0, 100_000));
    const frames = await peer.settled();
    expect(dataOf(frames, 1).length).toBe(100_000 - 65_535);
    expect(frames.at(-1)!.flags).toBe(1);
    expect(server.budget.used).toBe(0);
  });

  test("gives back window as the handler takes data, and only then", () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"));
    exchanges[0].pause();
    let size = 0;
    exchanges[0].onData((chunk) => size += chunk.length);
    const chunk = new Uint8Array(16_384);
    for (let sent = 0; sent < HTTP2_STREAM_WINDOW_SIZE; sent += chunk.length) peer.data(1, chunk);
    expect(size).toBe(0);
    expect(peer.read().filter((one) => one.type === FrameType.WINDOW_UPDATE && one.id === 1)).toEqual([]);
    expect(server.budget.used).toBe(HTTP2_STREAM_WINDOW_SIZE + HTTP2_STREAM_COST);
    exchanges[0].resume();
    expect(size).toBe(HTTP2_STREAM_WINDOW_SIZE);
    expect(server.budget.used).toBe(HTTP2_STREAM_COST);
    peer.data(1, chunk);
    expect(resetCode(peer.read(), 1)).toBeUndefined();
  });

  test("ends a stream whose client ignores its window", () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"));
    exchanges[0].pause();
    const chunk = new Uint8Array(16_384);
    for (let sent = 0; sent <= HTTP2_STREAM_WINDOW_SIZE; sent += chunk.length) peer.data(1, chunk);
    expect(resetCode(peer.read(), 1)).toBe(ErrorCode.FLOW_CONTROL_ERROR);
    expect(server.budget.used).toBe(0);
  });

  test("drops an answer that its client never makes room for", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 0));
    peer.request(1, requestFields("/"), true);
    exchanges[0].respond(200, []);
    exchanges[0].write(new Uint8Array(1000));
    exchanges[0].end();
    await clock.advance(HTTP2_REPLY_STALL_MS + 60_000);
    expect(resetCode(peer.read(), 1)).toBe(ErrorCode.CANCEL);
    expect(server.budget.used).toBe(0);
  });
});

describe("output", () => {
  test("a large body does not hold up a small message on another stream", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 1 << 30), windowUpdate(0, 1 << 30));
    peer.request(1, requestFields("/large"), true);
    peer.request(3, requestFields("/small"), true);
    exchanges[0].respond(200, []);
    exchanges[0].write(new Uint8Array(20 << 20));
    exchanges[0].end();
    exchanges[1].respond(200, []);
    await clock.turn();
    exchanges[1].write(Uint8Array.of(7));
    await clock.turn();
    const position = peer.read().findIndex((one) => one.type === FrameType.DATA && one.id === 3);
    expect(position).toBeGreaterThan(0);
    expect(dataOf(peer.frames.slice(0, position), 1).length).toBeLessThanOrEqual(3 * HTTP2_TURN_WRITE_MAX);
    await clock.settle();
    peer.read();
    expect(dataOf(peer.frames, 1).length).toBe(20 << 20);
  });

  test("two large bodies take turns, and no turn of the loop writes more than its share", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 1 << 30), windowUpdate(0, 1 << 30));
    for (const id of [1, 3]) peer.request(id, requestFields("/"), true);
    for (const exchange of exchanges) {
      exchange.respond(200, []);
      exchange.write(new Uint8Array(1 << 20));
    }
    await microtasks();
    peer.read();
    let sent = 2 * dataOf(peer.frames, 1).length;
    while (await clock.turn()) {
      peer.read();
      const [one, three] = [dataOf(peer.frames, 1).length, dataOf(peer.frames, 3).length];
      expect(Math.abs(one - three)).toBeLessThanOrEqual(16_384);
      expect(one + three - sent).toBeLessThanOrEqual(HTTP2_TURN_WRITE_MAX + 16_384);
      sent = one + three;
    }
    expect(sent).toBe(2 << 20);
  });

  test("waits for a socket that does not take it, and stops reading a client that does not read", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 1 << 30), windowUpdate(0, 1 << 30));
    peer.request(1, requestFields("/"), true);
    peer.stream.isBlocked = true;
    exchanges[0].respond(200, []);
    exchanges[0].write(new Uint8Array(1 << 20));
    await clock.settle();
    const writes = peer.stream.writeCount;
    for (let id = 3; !peer.stream.isPaused; id += 2) {
      expect(id * 500).toBeLessThan(2 * HTTP2_OUTPUT_BACKLOG_MAX);
      peer.request(id, requestFields("/"), true);
      exchanges.at(-1)!.respond(200, [["x", "y".repeat(1000)]]);
      exchanges.at(-1)!.end();
    }
    expect(peer.stream.writeCount).toBe(writes);
    peer.stream.isBlocked = false;
    peer.stream.drain();
    await clock.settle();
    peer.read();
    expect(peer.stream.isPaused as boolean).toBe(false);
    expect(dataOf(peer.frames, 1).length).toBe(1 << 20);
    expect(server.budget.used).toBe(HTTP2_STREAM_COST);
  });

  test("that a socket does not take for a minute ends its connection", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"), true);
    peer.stream.isBlocked = true;
    exchanges[0].respond(200, []);
    await clock.advance(10_000);
    expect(server.budget.used).toBeGreaterThan(HTTP2_STREAM_COST);
    expect(peer.stream.isDestroyed).toBe(false);
    await clock.advance(HTTP2_WRITE_STALL_MS);
    expect(peer.stream.isDestroyed).toBe(true);
    expect(server.budget.used).toBe(0);
  });

  test("asks a fast sender to hold back and calls it when there is room", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"), true);
    const [exchange] = exchanges;
    exchange.respond(200, []);
    const chunk = new Uint8Array(10_000);
    let drains = 0;
    exchange.onDrain(() => drains++);
    let sent = 0;
    do sent += chunk.length; while (exchange.write(chunk));
    expect(sent).toBeLessThan(65_535 + 300_000);
    await clock.settle();
    expect(drains).toBe(0);
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 1 << 20), windowUpdate(0, 1 << 20));
    await clock.settle();
    expect(drains).toBe(1);
  });
});

describe("floods end in ENHANCE_YOUR_CALM:", () => {
  function flood(send: (peer: RawPeer, round: number) => void, roundsMax: number): ReturnType<typeof goaway> {
    const { server } = makePlain();
    const peer = new RawPeer(server);
    for (let round = 0; round < roundsMax && !peer.stream.isEnded; round++) send(peer, round);
    expect(peer.stream.isEnded).toBe(true);
    expect(server.budget.used).toBe(0);
    return goaway(peer.read());
  }
  const calm = ErrorCode.ENHANCE_YOUR_CALM;

  test("rapid resets", () => {
    const end = flood((peer, round) => {
      peer.request(round * 2 + 1, requestFields("/"));
      peer.send(frame(FrameType.RST_STREAM, 0, round * 2 + 1, uint32(8)));
    }, HTTP2_RESET_CREDIT_MAX + 2);
    expect(end).toMatchObject({ code: calm, text: "too many resets" });
  });

  test("CONTINUATION without end", () => {
    const end = flood((peer, round) => {
      if (round === 0) peer.send(frame(FrameType.HEADERS, 0, 1, headerBlock(requestFields("/"))));
      else peer.send(frame(FrameType.CONTINUATION, 0, 1));
    }, 100);
    expect(end).toMatchObject({ code: calm, text: "too many CONTINUATION frames" });
  });

  test("a header block without end", () => {
    const end = flood((peer, round) => {
      const part = new Uint8Array(16_384);
      peer.send(frame(round === 0 ? FrameType.HEADERS : FrameType.CONTINUATION, 0, 1, part));
    }, 100);
    expect(end).toMatchObject({ code: calm, text: "header block too large" });
  });

  test.each([
    ["SETTINGS", frame(FrameType.SETTINGS, 0, 0)],
    ["PING acknowledgements", frame(FrameType.PING, 1, 0, new Uint8Array(8))],
    ["PRIORITY", frame(FrameType.PRIORITY, 0, 9, new Uint8Array(5))],
    ["empty DATA", frame(FrameType.DATA, 0, 1)],
    ["tiny WINDOW_UPDATE", windowUpdate(0, 1)],
    ["unknown frames", frame(0x70, 0, 0)],
    ["malformed requests", frame(FrameType.PRIORITY, 0, 9, uint32(9))],
  ])("%s", (_, one) => {
    const end = flood((peer, round) => {
      if (round === 0) peer.request(1, requestFields("/"));
      peer.send(one);
    }, HTTP2_CONTROL_CREDIT_MAX + 10);
    expect(end).toMatchObject({ code: calm, text: "too many frames that serve no call" });
  });

  test("but a connection that goes on with its calls never runs out", async () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    for (let i = 0; i < HTTP2_CONTROL_CREDIT_MAX; i++) {
      peer.request(i * 2 + 1, requestFields("/"), true);
      exchanges[i].respond(200, []);
      exchanges[i].end();
      peer.send(frame(FrameType.PING, 0, 0, new Uint8Array(8)), windowUpdate(0, 1), windowUpdate(0, 1));
    }
    expect(goaway(await peer.settled())).toBeUndefined();
  });
});

describe("keepalive, as grpc-go:", () => {
  const ping = frame(FrameType.PING, 0, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));

  test("a ping is answered with its own content", () => {
    const { server } = makePlain();
    const peer = new RawPeer(server);
    peer.send(ping);
    expect(peer.read()).toEqual([{ type: 6, flags: 1, id: 0, payload: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }]);
  });

  describe("the probe with which grpc-go follows data", () => {
    const payload = Uint8Array.of(2, 4, 16, 16, 9, 14, 7, 7);
    const probe = frame(FrameType.PING, 0, 0, payload);
    const answer = { type: 6, flags: 1, id: 0, payload };

    test("is answered behind the data that is sent next, in the same write", async () => {
      const { server, exchanges, clock } = makePlain();
      const peer = new RawPeer(server);
      peer.request(1, requestFields("/"));
      exchanges[0].respond(200, []);
      await peer.settled();
      for (let i = 0; i < 3; i++) {
        const writes = peer.stream.writeCount;
        peer.send(probe);
        expect(peer.read()).toEqual([]);
        exchanges[0].write(Uint8Array.of(i));
        const frames = await peer.settled();
        expect(frames).toEqual([{ type: 0, flags: 0, id: 1, payload: Uint8Array.of(i) }, answer]);
        expect(peer.stream.writeCount).toBe(writes + 1);
      }
      await clock.advance(1000);
      expect(peer.read()).toEqual([]);
    });

    test("is answered alone where nothing is sent for a while, and then no timer is left", async () => {
      const { server, clock } = makePlain();
      const peers = [new RawPeer(server), new RawPeer(server)];
      const timers = clock.timerCount;
      for (let round = 0; round < 2; round++) {
        for (const peer of peers) peer.send(probe);
        await clock.advance(HTTP2_PROBE_TICK_MS);
        for (const peer of peers) expect(peer.read()).toEqual([]);
        await clock.advance(HTTP2_PROBE_TICK_MS);
        for (const peer of peers) expect(peer.read()).toEqual([answer]);
        expect(clock.timerCount).toBe(timers);
      }
    });

    test("does not wait where another one comes, and each is answered", async () => {
      const { server, clock } = makePlain();
      const peer = new RawPeer(server);
      peer.send(probe, probe);
      expect(peer.read()).toEqual([answer, answer]);
      await clock.advance(1000);
      expect(peer.read()).toEqual([]);
    });

    test("is forgotten with its connection", async () => {
      const { server, clock } = makePlain();
      const peer = new RawPeer(server);
      const writes = peer.stream.writeCount;
      peer.send(probe);
      peer.stream.listener!.onClose();
      await clock.advance(1000);
      expect(peer.stream.writeCount).toBe(writes);
      expect(clock.timerCount).toBe(0);
    });
  });

  test("the third ping too soon after another ends the connection with too_many_pings", () => {
    const { server } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"));
    for (let i = 0; i < 3; i++) peer.send(ping);
    expect(goaway(peer.read())).toBeUndefined();
    peer.send(ping);
    expect(goaway(peer.read())).toEqual({ last: 1, code: ErrorCode.ENHANCE_YOUR_CALM, text: "too_many_pings" });
    expect(peer.stream.isEnded).toBe(true);
  });

  test("pings at the permitted interval are fine with a call open, and strikes without one", async () => {
    const { server, clock } = makePlain();
    const active = new RawPeer(server);
    const idle = new RawPeer(server);
    active.request(1, requestFields("/"));
    for (let i = 0; i < 4; i++) {
      active.send(ping);
      idle.send(ping);
      await clock.advance(5001);
    }
    expect(goaway(active.read())).toBeUndefined();
    expect(goaway(idle.read())?.text).toBe("too_many_pings");
  });

  test("strikes are forgotten when something was sent since the last ping", () => {
    const { server, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"));
    exchanges[0].respond(200, []);
    for (let i = 0; i < 20; i++) {
      peer.send(ping);
      exchanges[0].write(Uint8Array.of(i));
    }
    expect(goaway(peer.read())).toBeUndefined();
  });

  test("a silent client is pinged and, without an answer, dropped", async () => {
    const { server, clock } = makePlain({ keepaliveIntervalMs: 60_000 });
    const deaf = new RawPeer(server);
    const alive = new RawPeer(server);
    await clock.advance(62_000);
    const sent = alive.read().find((one) => one.type === FrameType.PING)!;
    alive.send(frame(FrameType.PING, 1, 0, sent.payload));
    await clock.advance(21_000);
    expect(deaf.stream.isDestroyed).toBe(true);
    expect(alive.stream.isDestroyed).toBe(false);
  });

  test("a client that never greets is dropped", async () => {
    const { server, clock } = makePlain();
    const peer = new RawPeer(server, false);
    peer.send(CLIENT_PREFACE.subarray(0, 5));
    await clock.advance(HTTP2_PREFACE_TIMEOUT_MS + 1000);
    expect(peer.stream.isDestroyed).toBe(true);
    expect(server.connectionCount).toBe(0);
    expect(clock.timerCount).toBe(0);
  });
});

describe("a drain", () => {
  test("tells the client twice, serves what is in progress, and then ends", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/1"), true);
    let isDrained = false;
    server.drain(60_000).then(() => isDrained = true);
    let frames = await peer.settled();
    expect(goaway(frames)).toEqual({ last: 0x7fff_ffff, code: 0, text: "" });
    const ping = frames.find((one) => one.type === FrameType.PING)!;

    // Sent before the client knew: still served.
    peer.request(3, requestFields("/3"), true);
    peer.send(frame(FrameType.PING, 1, 0, ping.payload));
    expect(goaway(peer.read())).toEqual({ last: 3, code: 0, text: "" });
    peer.request(5, requestFields("/5"), true);
    peer.data(5, Uint8Array.of(1));
    expect(exchanges.length).toBe(2);

    for (const exchange of exchanges) {
      expect(peer.stream.isEnded).toBe(false);
      exchange.respond(200, []);
      exchange.end();
      frames = await peer.settled();
      expect(peer.decode(frames[0].payload)[":status"]).toBe("200");
    }
    expect(peer.stream.isEnded).toBe(true);
    expect(isDrained).toBe(false);
    await clock.advance(2000);
    expect(isDrained).toBe(true);
    expect(clock.timerCount).toBe(0);
  });

  test("that takes too long aborts what is left", async () => {
    const { server, clock, exchanges } = makePlain();
    const peer = new RawPeer(server);
    peer.request(1, requestFields("/"), true);
    let isAborted = false;
    exchanges[0].onAbort(() => isAborted = true);
    const drained = server.drain(5000);
    await clock.advance(4999);
    expect(isAborted).toBe(false);
    await clock.advance(1);
    expect(isAborted).toBe(true);
    await clock.advance(2000);
    await drained;
    expect(resetCode(peer.read(), 1)).toBe(ErrorCode.CANCEL);
    expect(server.budget.used).toBe(0);
  });

  test("turns away who comes later", async () => {
    const { server } = makePlain();
    await server.drain(1000);
    const peer = new RawPeer(server, false);
    expect(peer.stream.isDestroyed).toBe(true);
  });
});

test("input that would take a turn too long is continued in later turns", async () => {
  const { server, clock, exchanges } = makePlain();
  const peer = new RawPeer(server);
  let nowMs = 0;
  const monotonicMs = clock.monotonicMs;
  clock.monotonicMs = () => nowMs += 1;
  const requests: Uint8Array[] = [];
  for (let id = 1; id < 200; id += 2) {
    requests.push(frame(FrameType.HEADERS, 5, id, headerBlock(requestFields(`/${id}`))));
  }
  peer.send(...requests);
  expect(exchanges.length).toBeLessThan(20);
  expect(peer.stream.isPaused).toBe(true);
  await clock.settle();
  expect(exchanges.map((exchange) => exchange.path)).toEqual(requests.map((_, i) => `/${i * 2 + 1}`));
  expect(peer.stream.isPaused).toBe(false);
  clock.monotonicMs = monotonicMs;
});

test("a greeting that is not HTTP/2 ends in PROTOCOL_ERROR", () => {
  const { server } = makePlain();
  const peer = new RawPeer(server, false);
  peer.send(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  expect(goaway(peer.read())).toMatchObject({ code: ErrorCode.PROTOCOL_ERROR, text: "bogus greeting" });
  expect(utf8Text(CLIENT_PREFACE)).toStartWith("PRI * HTTP/2.0");
});
