import { describe, expect, test } from "bun:test";
import { concatBytes, utf8, utf8Text } from "../../../src/base/bytes.ts";
import { HTTP2_SEND_HIGH_WATER, HTTP2_STREAM_WINDOW_SIZE } from "../../../src/base/limits.ts";
import { Code, type Method, RpcError, type StreamCall } from "../../../src/io/rpc.ts";
import { Budget, ErrorCode } from "../../../src/rpc/http2/mod.ts";
import { FrameType } from "../../../src/rpc/http2/protocol.ts";
import { frame, uint32 } from "../peer.ts";
import { message, serve } from "./peer.ts";

function bidi(path: string, handle: (call: StreamCall) => void | Promise<void>): Method {
  return { kind: "bidi_streaming", path, handle };
}

describe("a bidirectional stream", () => {
  const echo = bidi("/t.T/Echo", (call) => {
    call.onMessage((content) => void call.send(content));
    call.onHalfClose(() => call.end());
  });

  test("carries messages both ways as they come, and ends when the handler says so", async () => {
    const { peer, server } = serve([echo]);
    const id = peer.open("/t.T/Echo");
    peer.data(id, concatBytes([message("a"), message("b"), message("").subarray(0, 3)]));
    expect((await peer.answer(id)).messages.map((one) => utf8Text(one.content))).toEqual(["a", "b"]);
    peer.data(id, message("").subarray(3));
    expect((await peer.answer(id)).messages.length).toBe(3);
    expect((await peer.answer(id)).isEnded).toBe(false);
    peer.data(id, new Uint8Array(0), true);
    expect(await peer.answer(id)).toMatchObject({ isEnded: true, reset: undefined });
    expect(await peer.status(id)).toEqual([0, ""]);
    expect(server.budget.used).toBe(0);
  });

  test("that ends within a message fails", async () => {
    const { peer } = serve([echo]);
    const id = peer.open("/t.T/Echo");
    peer.data(id, Uint8Array.of(0, 0, 0, 0, 5, 1), true);
    expect(await peer.status(id)).toEqual([13, "unexpected EOF"]);
  });

  test("may end from either side with an error after messages", async () => {
    const { peer } = serve([bidi("/t.T/Fail", (call) => {
      call.onMessage((content) => {
        call.send(content);
        throw new RpcError(Code.DATA_LOSS, "gone");
      });
    })]);
    const id = peer.open("/t.T/Fail");
    peer.data(id, concatBytes([message("a"), message("b")]));
    const answer = await peer.answer(id);
    expect(answer.messages.length).toBe(1);
    expect(answer.isTrailersOnly).toBe(false);
    expect(answer.reset).toBe(ErrorCode.NO_ERROR);
    expect(await peer.status(id)).toEqual([15, "gone"]);
  });

  test("is told at once that the server stops, while calls in progress are waited for", async () => {
    let reply: (() => void) | undefined;
    const { peer, server, clock } = serve([echo, {
      kind: "unary",
      path: "/t.T/Wait",
      handle: (call) => void (reply = () => call.reply(new Uint8Array(0))),
    }]);
    const early = peer.open("/t.T/Echo");
    const call = peer.call("/t.T/Wait", "");
    let isDrained = false;
    server.drain(60_000).then(() => isDrained = true);
    expect(await peer.status(early)).toEqual([14, "transport is closing"]);

    // Opened before the client knew.
    const late = peer.open("/t.T/Echo");
    const ping = (await peer.settled(), peer.frames.find((one) => one.type === FrameType.PING)!);
    peer.send(frame(FrameType.PING, 1, 0, ping.payload));
    expect(await peer.status(late)).toEqual([14, "transport is closing"]);
    expect(peer.stream.isEnded).toBe(false);

    reply!();
    expect(await peer.status(call)).toEqual([0, ""]);
    expect(peer.stream.isEnded).toBe(true);
    await clock.advance(2000);
    expect(isDrained).toBe(true);
  });

  test("sends its headers early when asked to", async () => {
    const { peer } = serve([bidi("/t.T/Headers", (call) => {
      call.sendHeaders();
      call.sendHeaders();
    })]);
    const id = peer.open("/t.T/Headers");
    expect((await peer.answer(id)).fields).toEqual({ ":status": "200", "content-type": "application/grpc" });
    expect(peer.frames.filter((one) => one.id === id).length).toBe(1);
  });

  test("that throws at once fails with trailers only", async () => {
    const { peer } = serve([bidi("/t.T/Throw", () => {
      throw new Error("at once");
    })]);
    const id = peer.open("/t.T/Throw");
    expect(await peer.status(id)).toEqual([2, "at once"]);
    expect((await peer.answer(id)).isTrailersOnly).toBe(true);
  });

  test("that is aborted ends after what was sent, and its handler hears of it once", async () => {
    const causes: string[] = [];
    let given: StreamCall | undefined;
    const { peer } = serve([bidi("/t.T/Wait", (call) => {
      given = call;
      call.onCancel((cause) => causes.push(cause.message));
      call.send(utf8("hello"));
    })]);
    const id = peer.open("/t.T/Wait");
    for (let i = 0; i < 2; i++) given!.abort(new RpcError(Code.UNAVAILABLE, "no leader"));
    expect([causes, given!.isClosed]).toEqual([["no leader"], true]);
    expect((await peer.answer(id)).messages.length).toBe(1);
    expect(await peer.status(id)).toEqual([14, "no leader"]);
  });

  test("is cancelled with the client's reset, and its deadline", async () => {
    const causes: string[] = [];
    const { peer, clock, router } = serve([bidi("/t.T/Wait", (call) => {
      call.onCancel((cause) => causes.push(cause.message));
      call.send(utf8("hello"));
    })]);
    const reset = peer.open("/t.T/Wait");
    peer.send(frame(FrameType.RST_STREAM, 0, reset, uint32(ErrorCode.CANCEL)));
    expect(causes).toEqual(["context canceled"]);
    const late = peer.open("/t.T/Wait", [["grpc-timeout", "3S"]]);
    await clock.advance(3100);
    expect(causes).toEqual(["context canceled", "context deadline exceeded"]);
    expect(await peer.status(late)).toEqual([4, "context deadline exceeded"]);
    expect(router.deadlines.size).toBe(0);
  });
});

describe("pause", () => {
  function paused() {
    const seen: string[] = [];
    let call!: StreamCall;
    const method = bidi("/t.T/Take", (opened) => {
      call = opened;
      call.onMessage((content) => {
        seen.push(utf8Text(content));
        if (content[0] === "p".charCodeAt(0)) call.pause();
      });
      call.onHalfClose(() => seen.push("end"));
    });
    return { seen, call: () => call, ...serve([method]) };
  }

  test("stops the delivery amid a frame, and resume goes on where it stopped", () => {
    const { seen, call, peer, server } = paused();
    const id = peer.open("/t.T/Take");
    const bytes = concatBytes(["a", "p1", "b", "p2", "c"].map((content) => message(content)));
    peer.data(id, bytes.subarray(0, bytes.length - 2));
    peer.data(id, bytes.subarray(bytes.length - 2), true);
    expect(seen).toEqual(["a", "p1"]);
    call().resume();
    expect(seen).toEqual(["a", "p1", "b", "p2"]);
    call().resume();
    expect(seen).toEqual(["a", "p1", "b", "p2", "c", "end"]);
    call().end();
    expect(server.budget.used).toBe(0);
  });

  test("holds the client by its window", async () => {
    const { seen, call, peer } = paused();
    const id = peer.open("/t.T/Take");
    peer.data(id, message("p"));
    const chunk = message("x".repeat(16_000));
    let sent = 6;
    while (sent + chunk.length <= HTTP2_STREAM_WINDOW_SIZE) {
      peer.data(id, chunk);
      sent += chunk.length;
    }
    const updates = async () =>
      (await peer.settled()).filter((one) => one.type === FrameType.WINDOW_UPDATE && one.id === id);
    expect(await updates()).toEqual([]);
    expect(seen.length).toBe(1);
    call().resume();
    expect(seen.length).toBe(1 + Math.floor(sent / chunk.length));
    expect((await updates()).length).toBeGreaterThan(0);
  });

  test("beyond the budget ends the call with RESOURCE_EXHAUSTED", async () => {
    const budget = new Budget(100_000);
    const causes: number[] = [];
    const { peer } = serve([bidi("/t.T/Hold", (opened) => {
      opened.pause();
      opened.onCancel((cause) => causes.push(cause.code));
    })], { budget });
    const id = peer.open("/t.T/Hold");
    for (let i = 0; i < 10; i++) peer.data(id, new Uint8Array(16_000));
    expect(causes).toEqual([Code.RESOURCE_EXHAUSTED]);
    expect(await peer.status(id)).toEqual([8, "server has no buffer space left for this call"]);
    expect(budget.used).toBe(0);
  });
});

describe("sending", () => {
  test("asks to hold back above the high-water mark and calls when there is room", async () => {
    let call!: StreamCall;
    let drains = 0;
    const { peer, clock, server } = serve([bidi("/t.T/Send", (opened) => {
      call = opened;
      call.onDrain(() => drains++);
    })]);
    const id = peer.open("/t.T/Send");
    const content = new Uint8Array(50_000);
    let count = 1;
    while (call.send(content)) count++;
    expect(call.queuedSize).toBeGreaterThanOrEqual(HTTP2_SEND_HIGH_WATER - 65_535);
    await clock.settle();
    expect(drains).toBe(0);
    peer.send(
      frame(FrameType.SETTINGS, 0, 0, [0, 4, 0x10, 0, 0, 0]),
      frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1 << 24)),
    );
    await clock.settle();
    expect(drains).toBe(1);
    expect(call.queuedSize).toBe(0);
    call.end();
    const answer = await peer.answer(id);
    expect(answer.messages.length).toBe(count);
    expect(server.budget.used).toBe(0);
  });

  test("beyond the budget ends the call and tells the handler", async () => {
    const causes: string[] = [];
    const { peer, server } = serve([bidi("/t.T/Send", (call) => {
      call.onCancel((cause) => causes.push(cause.message));
      for (let i = 0; i < 100; i++) call.send(new Uint8Array(10_000));
    })], { budget: new Budget(200_000) });
    const id = peer.open("/t.T/Send");
    expect(causes).toEqual(["server has no buffer space left for this stream"]);
    expect((await peer.answer(id)).reset).toBe(ErrorCode.CANCEL);
    expect(server.budget.used).toBe(0);
  });

  test("a body keeps its place between messages", async () => {
    const { peer, clock } = serve([bidi("/t.T/Mixed", (call) => {
      call.send(utf8("before"));
      call.sendBody({
        size: 40_000,
        read(target) {
          target.fill(7);
          return target.length;
        },
        close() {},
      });
      call.send(utf8("after"));
      call.end();
    })]);
    const id = peer.open("/t.T/Mixed");
    await clock.settle();
    const { messages } = await peer.answer(id);
    expect(messages.map((one) => one.content.length)).toEqual([6, 40_000, 5]);
    expect(await peer.status(id)).toEqual([0, ""]);
  });

  test("a body that fails resets its call only", async () => {
    let closed = 0;
    const { peer, clock, server } = serve([bidi("/t.T/Bad", (call) => {
      call.sendBody({
        size: 40_000,
        read() {
          throw new Error("no more");
        },
        close: () => closed++,
      });
    })]);
    const id = peer.open("/t.T/Bad");
    await clock.settle();
    expect((await peer.answer(id)).reset).toBe(ErrorCode.INTERNAL_ERROR);
    expect([closed, server.budget.used, peer.stream.isEnded]).toEqual([1, 0, false]);
  });
});

describe("a server-streaming call", () => {
  const count: Method = {
    kind: "server_streaming",
    path: "/t.T/Count",
    handle(call, request) {
      for (let i = 0; i < request[0]; i++) call.send(Uint8Array.of(i));
      call.end();
    },
  };

  test("answers one request with many messages", async () => {
    const { peer } = serve([count]);
    const id = peer.call("/t.T/Count", Uint8Array.of(3));
    expect((await peer.answer(id)).messages.map((one) => one.content[0])).toEqual([0, 1, 2]);
    expect(await peer.status(id)).toEqual([0, ""]);
    expect(await peer.status(peer.call("/t.T/Count", Uint8Array.of(0)))).toEqual([0, ""]);
  });

  test("waits for the client's end and takes exactly one message", async () => {
    const { peer } = serve([count]);
    const waiting = peer.open("/t.T/Count");
    peer.data(waiting, message(Uint8Array.of(1)));
    expect((await peer.answer(waiting)).messages).toEqual([]);
    peer.data(waiting, new Uint8Array(0), true);
    expect((await peer.answer(waiting)).messages.length).toBe(1);

    const two = peer.open("/t.T/Count");
    peer.data(two, concatBytes([message("a"), message("b")]), true);
    expect(await peer.status(two)).toEqual([
      13,
      "cardinality violation: received multiple request messages for non-client-streaming RPC",
    ]);
    const none = peer.open("/t.T/Count");
    peer.data(none, new Uint8Array(0), true);
    expect(await peer.status(none)).toEqual([
      13,
      "cardinality violation: received no request message from non-client-streaming RPC",
    ]);
  });
});

test("a client-streaming call answers many messages with one", async () => {
  const { peer } = serve([{
    kind: "client_streaming",
    path: "/t.T/Sum",
    handle(call) {
      let sum = 0;
      call.onMessage((content) => sum += content[0]);
      call.onHalfClose(() => {
        call.send(Uint8Array.of(sum));
        call.end();
      });
    },
  }]);
  const id = peer.open("/t.T/Sum");
  for (const part of [1, 2, 3]) peer.data(id, message(Uint8Array.of(part)));
  peer.data(id, new Uint8Array(0), true);
  expect((await peer.answer(id)).messages[0].content).toEqual(Uint8Array.of(6));
});
