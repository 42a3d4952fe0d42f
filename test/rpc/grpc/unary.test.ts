import { describe, expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { utf8, utf8Text } from "../../../src/base/bytes.ts";
import { GRPC_MESSAGE_BUFFER_FIRST, HTTP2_STREAM_COST } from "../../../src/base/limits.ts";
import { Code, type MessageBody, type Method, RpcError, type UnaryCall } from "../../../src/io/rpc.ts";
import { Budget, ErrorCode } from "../../../src/rpc/http2/mod.ts";
import { FrameType, Setting } from "../../../src/rpc/http2/protocol.ts";
import { type Fields, frame, headerBlock, requestFields, uint32 } from "../peer.ts";
import { GRPC, GrpcPeer, message, serve } from "./peer.ts";

function unary(path: string, handle: (call: UnaryCall, request: Uint8Array) => void | Promise<void>): Method {
  return { kind: "unary", path, handle };
}

const echo = unary("/test.Echo/Echo", (call, request) => call.reply(request));

describe("a unary call", () => {
  test("is answered with headers, message and OK in one write", async () => {
    const { peer, server } = serve([echo]);
    for (let i = 0; i < 3; i++) {
      const writes = peer.stream.writeCount;
      const id = peer.call("/test.Echo/Echo", `hello ${i}`);
      const answer = await peer.answer(id);
      expect(answer.fields).toEqual({ ":status": "200", "content-type": "application/grpc", "grpc-status": "0" });
      expect(answer.messages).toEqual([{ flags: 0, content: utf8(`hello ${i}`) }]);
      expect(answer.reset).toBeUndefined();
      expect(peer.stream.writeCount).toBeLessThanOrEqual(writes + 2);
    }
    expect(server.streamCount).toBe(0);
    expect(server.budget.used).toBe(0);
  });

  test("knows its path, metadata, peer and that it has no deadline", async () => {
    let seen: unknown[] = [];
    const method = unary("/test.Echo/Look", (call) => {
      seen = [call.path, call.metadata.get("token"), call.metadata.get("nothing"), call.metadata.get("te"), call.peer];
      seen.push(call.deadlineMs, [...call.metadata.entries()]);
      call.reply(new Uint8Array(0));
    });
    const { peer } = serve([method]);
    const more: Fields = [["token", "a"], ["token", "b"], ["blob-bin", "AQID"], ["user-agent", "t/1"]];
    const answer = await peer.answer(peer.call("/test.Echo/Look", "", more));
    expect(answer.messages).toEqual([{ flags: 0, content: new Uint8Array(0) }]);
    expect(seen).toEqual([
      "/test.Echo/Look",
      "a",
      undefined,
      undefined,
      "127.0.0.1:40000",
      Infinity,
      [[":authority", "test"], ...more],
    ]);
  });

  test("may come in any pieces", async () => {
    const { peer, server } = serve([echo]);
    const bytes = message("0123456789".repeat(5000));
    for (const step of [1000, 4999, 16_384]) {
      const id = peer.open("/test.Echo/Echo");
      for (let i = 0; i < bytes.length; i += step) peer.data(id, bytes.subarray(i, i + step), i + step >= bytes.length);
      expect((await peer.answer(id)).messages[0].content.length).toBe(50_000);
      peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(50_005)));
    }
    const id = peer.open("/test.Echo/Echo");
    for (const byte of message("abc")) peer.data(id, Uint8Array.of(byte));
    peer.data(id, new Uint8Array(0), true);
    expect((await peer.answer(id)).messages[0].content).toEqual(utf8("abc"));
    expect(server.budget.used).toBe(0);
  });

  test("is answered from an async handler, and the answers of one event leave in one write", async () => {
    const waiting: UnaryCall[] = [];
    const { peer } = serve([unary("/t.T/Wait", (call) => void waiting.push(call))]);
    const ids = [1, 2, 3].map(() => peer.call("/t.T/Wait", ""));
    await peer.settled();
    const writes = peer.stream.writeCount;
    for (const call of waiting) call.reply(utf8("done"));
    for (const id of ids) expect((await peer.answer(id)).fields["grpc-status"]).toBe("0");
    expect(peer.stream.writeCount).toBe(writes + 1);
  });

  test("is handled at its first message, without waiting for the client's end, and then resets the client's side", async () => {
    const { peer } = serve([echo]);
    const id = peer.open("/test.Echo/Echo");
    peer.data(id, message("first"));
    const answer = await peer.answer(id);
    expect(answer.messages.length).toBe(1);
    expect(answer.reset).toBe(ErrorCode.NO_ERROR);
  });

  test("echoes the subtype of its content type", async () => {
    const { peer } = serve([echo]);
    for (const [i, type] of ["application/grpc", "application/grpc+proto"].entries()) {
      const id = i * 2 + 1;
      peer.request(id, requestFields("/test.Echo/Echo", [["content-type", type]]));
      peer.data(id, message("x"), true);
      expect((await peer.answer(id)).fields["content-type"]).toBe(type);
    }
  });
});

describe("a handler's error", () => {
  test.each<[string, (call: UnaryCall) => void | Promise<void>, [number, string]]>([
    ["that is answered", (call) => call.fail(Code.NOT_FOUND, "no such thing"), [5, "no such thing"]],
    ["that is thrown", () => {
      throw new RpcError(Code.OUT_OF_RANGE, "too far");
    }, [11, "too far"]],
    ["that is rejected", () => Promise.reject(new RpcError(Code.ABORTED, "try again")), [10, "try again"]],
    ["of any other kind", () => {
      throw new Error("plain");
    }, [2, "plain"]],
    ["with characters that must be encoded", (call) => call.fail(Code.INTERNAL, "50 % größer\n"), [
      13,
      "50 % größer\n",
    ]],
  ])("%s reaches the client as trailers only", async (_, handle, status) => {
    const { peer, server } = serve([unary("/t.T/Fail", handle)]);
    const id = peer.call("/t.T/Fail", "");
    expect(await peer.status(id)).toEqual(status);
    const answer = await peer.answer(id);
    expect(answer.isTrailersOnly).toBe(true);
    expect(answer.fields).toMatchObject({ ":status": "200", "content-type": "application/grpc" });
    expect(server.budget.used).toBe(0);
  });

  test("is percent-encoded in upper case, and carries details in base64", async () => {
    const { peer } = serve([unary("/t.T/Fail", (call) => call.fail(Code.UNKNOWN, "ü%", Uint8Array.of(1, 2, 3, 255)))]);
    const { fields } = await peer.answer(peer.call("/t.T/Fail", ""));
    expect(fields["grpc-message"]).toBe("%C3%BC%25");
    expect(fields["grpc-status-details-bin"]).toBe("AQID/w");
  });

  test("after the answer changes nothing", async () => {
    const { peer } = serve([unary("/t.T/Twice", (call) => {
      call.reply(utf8("ok"));
      call.fail(Code.INTERNAL, "no");
      throw new Error("no");
    })]);
    expect(await peer.status(peer.call("/t.T/Twice", ""))).toEqual([0, ""]);
  });
});

describe("what grpc-go refuses is refused with its status and text:", () => {
  test.each<[string, string, Fields, [number, string]]>([
    ["an unknown service", "/test.Nope/X", [], [12, "unknown service test.Nope"]],
    ["an unknown method", "/test.Echo/X", [], [12, "unknown method X for service test.Echo"]],
    ["a path without method", "/test", [], [12, 'malformed method name: "/test"']],
    ["a path without slash", 'a"b', [], [12, 'malformed method name: "a\\"b"']],
    ["an encoding it does not have", "/test.Echo/Echo", [["grpc-encoding", "zstd"]], [
      12,
      'grpc: Decompressor is not installed for grpc-encoding "zstd"',
    ]],
    ["a timeout without unit", "/test.Echo/Echo", [["grpc-timeout", "1"]], [
      13,
      'malformed grpc-timeout: transport: timeout string is too short: "1"',
    ]],
    ["a timeout too long", "/test.Echo/Echo", [["grpc-timeout", "123456789S"]], [
      13,
      'malformed grpc-timeout: transport: timeout string is too long: "123456789S"',
    ]],
    ["a timeout of unknown unit", "/test.Echo/Echo", [["grpc-timeout", "1x"]], [
      13,
      'malformed grpc-timeout: transport: timeout unit is not recognized: "1x"',
    ]],
    ["a timeout that is no number", "/test.Echo/Echo", [["grpc-timeout", "-1S"]], [
      13,
      'malformed grpc-timeout: strconv.ParseUint: parsing "-1": invalid syntax',
    ]],
    ["a timeout of nothing", "/test.Echo/Echo", [["grpc-timeout", "0n"]], [4, "context deadline exceeded"]],
    ["metadata that is not base64", "/test.Echo/Echo", [["x-bin", "A*=="]], [
      13,
      'malformed binary metadata "A*==" in header "x-bin": illegal base64 data at input byte 1',
    ]],
    ["two hosts", "/test.Echo/Echo", [["host", "a"], ["host", "b"]], [
      13,
      "num values of :authority: 1, num values of host: 2, both must only have 1 value as per HTTP/2 spec",
    ]],
  ])("%s", async (_, path, more, status) => {
    const { peer, server } = serve([echo]);
    expect(await peer.status(peer.call(path, "x", more))).toEqual(status);
    expect(server.streamCount).toBe(0);
  });

  test.each<[string, Fields, string, string, [number, string]]>([
    ["another method than POST", requestFields("/test.Echo/Echo", GRPC, "GET"), "405", "application/grpc", [
      13,
      'Received a HEADERS frame with :method "GET" which should be POST',
    ]],
    ["another content type", requestFields("/test.Echo/Echo", [["content-type", "application/json"]]), "415", "", [
      3,
      'invalid gRPC request content-type "application/json"',
    ]],
    [
      "a content type that only looks like gRPC",
      requestFields("/", [["content-type", "application/grpc-web"]]),
      "415",
      "",
      [
        3,
        'invalid gRPC request content-type "application/grpc-web"',
      ],
    ],
    ["no content type", requestFields("/test.Echo/Echo"), "415", "", [3, 'invalid gRPC request content-type ""']],
  ])("%s", async (_, fields, httpStatus, _type, status) => {
    const { peer } = serve([echo]);
    peer.request(1, fields, true);
    expect((await peer.answer(1)).fields[":status"]).toBe(httpStatus);
    expect(await peer.status(1)).toEqual(status);
  });

  test("other content types, where somebody takes them, are handed on", async () => {
    const { peer } = serve([echo], {
      onRequest(exchange) {
        exchange.respond(204, []);
        exchange.end();
      },
    });
    peer.request(1, requestFields("/", [["content-type", "application/grpc-web"]]), true);
    expect((await peer.answer(1)).fields).toEqual({ ":status": "204" });
  });

  test.each<[string, Uint8Array[], [number, string]]>([
    ["no message", [], [2, "EOF"]],
    ["half a prefix", [Uint8Array.of(0, 0)], [2, "EOF"]],
    ["half a message", [Uint8Array.of(0, 0, 0, 0, 5, 1)], [2, "unexpected EOF"]],
    ["a compressed message without encoding", [message("x", 1)], [
      13,
      "grpc: compressed flag set with identity or empty encoding",
    ]],
    ["a flag that does not exist", [message("x", 7)], [13, "grpc: received unexpected payload format 7"]],
  ])("%s", async (_, parts, status) => {
    const { peer, server } = serve([echo]);
    const id = peer.open("/test.Echo/Echo");
    for (const part of parts) peer.data(id, part);
    peer.data(id, new Uint8Array(0), true);
    expect(await peer.status(id)).toEqual(status);
    expect(server.budget.used).toBe(0);
  });

  test("a message too large, at its prefix and before anything is kept", async () => {
    const { peer, server } = serve([echo], { receiveMessageSizeMax: 2_097_152 });
    const id = peer.open("/test.Echo/Echo");
    peer.data(id, Uint8Array.of(0, 0, 0x20));
    peer.data(id, Uint8Array.of(0, 1));
    expect(await peer.status(id)).toEqual([8, "grpc: received message larger than max (2097153 vs. 2097152)"]);
    expect(server.budget.peak).toBeLessThan(100_000);
    const largest = peer.open("/test.Echo/Echo");
    peer.data(largest, Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff));
    expect(await peer.status(largest)).toEqual([8, "grpc: received message larger than max (4294967295 vs. 2097152)"]);
  });
});

describe("gzip", () => {
  const gzipped: Fields = [["grpc-encoding", "gzip"], ["grpc-accept-encoding", "identity, gzip"]];

  test("is read, and answered in kind", async () => {
    const { peer } = serve([echo]);
    const id = peer.open("/test.Echo/Echo", gzipped);
    peer.data(id, message(gzipSync(utf8("hello")), 1), true);
    const answer = await peer.answer(id);
    expect(answer.fields).toMatchObject({ "grpc-encoding": "gzip", "grpc-status": "0" });
    expect(answer.messages[0].flags).toBe(1);
    expect(utf8Text(gunzipSync(answer.messages[0].content))).toBe("hello");
  });

  test("is not answered in kind to who cannot read it, nor used unasked", async () => {
    const { peer } = serve([echo]);
    for (
      const more of [[["grpc-encoding", "gzip"], ["grpc-accept-encoding", "identity"]], [[
        "grpc-accept-encoding",
        "gzip",
      ]]]
    ) {
      const answer = await peer.answer(peer.call("/test.Echo/Echo", "hello", more as unknown as Fields));
      expect(answer.fields["grpc-encoding"]).toBeUndefined();
      expect(answer.messages).toEqual([{ flags: 0, content: utf8("hello") }]);
    }
  });

  test.each<[string, Uint8Array, [number, string]]>([
    ["a bomb", gzipSync(new Uint8Array(10_000_000)), [
      8,
      "grpc: received message after decompression larger than max 100000",
    ]],
    ["something else", utf8("not gzip at all"), [13, "grpc: failed to decompress the message: gzip: invalid header"]],
    ["nothing", new Uint8Array(0), [13, "grpc: failed to decompress the message: EOF"]],
    ["half of it", gzipSync(utf8("hello hello")).subarray(0, 18), [
      13,
      "grpc: failed to read decompressed data: unexpected EOF",
    ]],
  ])("%s is refused", async (_, content, status) => {
    const { peer } = serve([echo], { receiveMessageSizeMax: 100_000 });
    const id = peer.open("/test.Echo/Echo", gzipped);
    peer.data(id, message(content, 1), true);
    expect(await peer.status(id)).toEqual(status);
  });

  test("of exactly the largest size is read", async () => {
    const { peer } = serve([echo], { receiveMessageSizeMax: 100_000 });
    const id = peer.open("/test.Echo/Echo", [["grpc-encoding", "gzip"], ["grpc-accept-encoding", "identity"]]);
    peer.data(id, message(gzipSync(new Uint8Array(60_000)), 1), true);
    expect((await peer.answer(id)).messages[0].content.length).toBe(60_000);
  });
});

describe("a call ends early", () => {
  function waiting() {
    const causes: string[] = [];
    const calls: UnaryCall[] = [];
    const method = unary("/t.T/Wait", (call) => {
      calls.push(call);
      call.onCancel((cause) => causes.push(`${cause.code} ${cause.message} ${call.isClosed}`));
    });
    return { causes, calls, ...serve([method]) };
  }

  test("when the client resets it", async () => {
    const { peer, causes, calls } = waiting();
    const id = peer.call("/t.T/Wait", "");
    peer.send(frame(FrameType.RST_STREAM, 0, id, uint32(ErrorCode.CANCEL)));
    expect(causes).toEqual(["1 context canceled true"]);
    calls[0].reply(utf8("late"));
    expect((await peer.answer(id)).isEnded).toBe(false);
    // A listener that comes too late is called at once.
    calls[0].onCancel((cause) => causes.push(cause.message));
    expect(causes.length).toBe(2);
  });

  test("when its connection goes", () => {
    const { peer, causes, server } = waiting();
    peer.call("/t.T/Wait", "");
    peer.call("/t.T/Wait", "");
    peer.stream.listener!.onClose();
    expect(causes).toEqual(["1 context canceled true", "1 context canceled true"]);
    expect(server.budget.used).toBe(0);
  });

  test("at its deadline, not before, and hardly later", async () => {
    const { peer, causes, clock, router, calls } = waiting();
    const id = peer.call("/t.T/Wait", "", [["grpc-timeout", "250m"]]);
    expect(calls[0].deadlineMs).toBe(clock.monotonicMs() + 250);
    await clock.advance(249);
    expect(causes).toEqual([]);
    await clock.advance(33);
    expect(causes).toEqual(["4 context deadline exceeded true"]);
    expect(await peer.status(id)).toEqual([4, "context deadline exceeded"]);
    expect(router.deadlines.size).toBe(0);
  });

  test("and not at its deadline once it is answered", async () => {
    const { peer, causes, clock, router, calls } = waiting();
    const ids = ["1S", "2M", "3H", "5000000u"].map((timeout) =>
      peer.call("/t.T/Wait", "", [["grpc-timeout", timeout]])
    );
    expect(router.deadlines.size).toBe(4);
    for (const call of calls) call.reply(new Uint8Array(0));
    expect(router.deadlines.size).toBe(0);
    await clock.advance(20_000);
    expect(causes).toEqual([]);
    for (const id of ids) expect(await peer.status(id)).toEqual([0, ""]);
  });

  test("when the server stops, with an answer", async () => {
    const { peer, causes, server, clock } = waiting();
    const id = peer.call("/t.T/Wait", "");
    server.drain(1000);
    await clock.advance(1000);
    expect(causes).toEqual(["14 transport is closing true"]);
    expect(await peer.status(id)).toEqual([14, "transport is closing"]);
  });
});

describe("memory", () => {
  /** Counts how often it is closed. */
  class CountedBody implements MessageBody {
    closed = 0;
    produced = 0;
    readonly size: number;

    constructor(size: number) {
      this.size = size;
    }

    read(target: Uint8Array): number {
      const size = Math.min(target.length, 1000);
      for (let i = 0; i < size; i++) target[i] = this.produced++ & 0xff;
      return size;
    }

    close(): void {
      this.closed++;
    }
  }

  test("a large body is read only as the window opens, and closed once", async () => {
    const body = new CountedBody(1_000_000);
    const { peer, server, clock } = serve([unary("/t.T/Big", (call) => call.replyBody(body))]);
    const id = peer.call("/t.T/Big", "");
    await clock.settle();
    expect(body.produced).toBe(65_535 - 5);
    expect(server.budget.used).toBe(HTTP2_STREAM_COST);
    peer.send(frame(FrameType.SETTINGS, 0, 0, [0, Setting.INITIAL_WINDOW_SIZE, 0x10, 0, 0, 0]));
    peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1 << 24)));
    await clock.settle();
    const answer = await peer.answer(id);
    expect(answer.fields["grpc-status"]).toBe("0");
    expect(answer.messages[0].content.length).toBe(1_000_000);
    expect(answer.messages[0].content.every((byte, i) => byte === (i & 0xff))).toBe(true);
    expect(body.closed).toBe(1);
    expect(server.budget.used).toBe(0);
  });

  test("a body is closed once when its call is reset, or was closed before", async () => {
    const bodies = [new CountedBody(1_000_000), new CountedBody(1_000_000)];
    const { peer, clock } = serve([unary("/t.T/Big", (call) => {
      call.replyBody(bodies[0]);
      call.replyBody(bodies[1]);
    })]);
    const id = peer.call("/t.T/Big", "");
    await clock.settle();
    expect(bodies.map((body) => body.closed)).toEqual([0, 1]);
    peer.send(frame(FrameType.RST_STREAM, 0, id, uint32(ErrorCode.CANCEL)));
    expect(bodies.map((body) => body.closed)).toEqual([1, 1]);
  });

  test("replies that a client does not take are bounded: by what they leave to other clients", async () => {
    const budget = new Budget(1_000_000);
    const large = unary("/t.T/Large", (call) => call.reply(new Uint8Array(300_000)));
    const { peer, server } = serve([large, echo], { budget });
    const ids = [1, 2, 3, 4].map(() => peer.call("/t.T/Large", ""));
    const statusOf = async (of: GrpcPeer, id: number) => (await of.answer(id)).fields["grpc-status"];
    // Two wait in the queue; a third would take more than the half.
    const statuses = [];
    for (const id of ids) statuses.push(await statusOf(peer, id));
    expect(statuses).toEqual([undefined!, undefined!, "8", "8"]);
    expect(await peer.status(ids[3])).toEqual([8, "server has no buffer space left for this reply"]);

    const other = new GrpcPeer(server);
    expect(await statusOf(other, other.call("/t.T/Large", ""))).toBeUndefined();
    expect(await statusOf(other, other.call("/t.T/Large", ""))).toBe("8");
    expect(budget.peak).toBeLessThanOrEqual(1_000_000);

    const third = new GrpcPeer(server);
    expect(await third.status(third.call("/test.Echo/Echo", ""))).toEqual([0, ""]);
    for (const each of [peer, other, third]) each.stream.listener!.onClose();
    expect(server.budget.used).toBe(0);
  });

  test("calls that are opened and never made leave room for those of others", async () => {
    const budget = new Budget(1_000_000);
    const { peer, server } = serve([echo], { budget });
    for (let i = 0; i < 1000; i++) peer.open("/test.Echo/Echo");
    await peer.settled();
    expect(budget.used).toBeLessThan(810_000);
    const other = new GrpcPeer(server);
    expect(await other.status(other.call("/test.Echo/Echo", "x"))).toEqual([0, ""]);
  });

  test("messages announced large but never sent cost nothing; those that come are bounded by the budget", async () => {
    const budget = new Budget(2_000_000);
    const { peer, server } = serve([echo], { budget });
    for (let i = 0; i < 200; i++) peer.data(peer.open("/test.Echo/Echo"), Uint8Array.of(0, 0, 0x3f, 0, 0, 1));
    expect(budget.used).toBe(200 * (HTTP2_STREAM_COST + GRPC_MESSAGE_BUFFER_FIRST));
    const id = peer.open("/test.Echo/Echo");
    peer.data(id, Uint8Array.of(0, 0, 0x3f, 0, 0));
    const chunk = new Uint8Array(16_384);
    for (let i = 0; i < 100; i++) peer.data(id, chunk);
    expect(await peer.status(id)).toEqual([8, "server has no buffer space left for this call"]);
    peer.stream.listener!.onClose();
    expect(server.budget.used).toBe(0);
  });
});

test("repeated header blocks are understood once, those that differ each for itself", async () => {
  const { peer } = serve([echo, unary("/test.Echo/Other", (call) => call.reply(utf8("other")))]);
  for (let i = 0; i < 3; i++) {
    const other = await peer.answer(peer.call("/test.Echo/Other", "x"));
    expect(utf8Text(other.messages[0].content)).toBe("other");
    const same = await peer.answer(peer.call("/test.Echo/Echo", "x"));
    expect(utf8Text(same.messages[0].content)).toBe("x");
  }
  expect(headerBlock(requestFields("/test.Echo/Echo", GRPC)).length).toBeLessThan(128);
});
