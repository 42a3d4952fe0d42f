import { expect, test } from "bun:test";
import { LOCAL_STREAM_HIGH_WATER } from "../../src/base/limits.ts";
import { Code, type MessageBody, type Method, RpcError, type StreamCall, type UnaryCall } from "../../src/io/rpc.ts";
import {
  callUnary,
  type LocalMessage,
  metadataFromPairs,
  startStream,
  startUnary,
  type StreamMethod,
  type UnaryMethod,
  wholeMessage,
} from "../../src/io/rpc_local.ts";

const CANCELED = new RpcError(Code.CANCELED, "context canceled");

function unary(handle: (call: UnaryCall, request: Uint8Array) => void | Promise<void>): UnaryMethod {
  return { kind: "unary", path: "/test.T/Unary", handle };
}

function bidi(handle: (call: StreamCall) => void | Promise<void>): StreamMethod {
  return { kind: "bidi_streaming", path: "/test.T/Bidi", handle };
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

async function errorOf(promise: Promise<unknown>): Promise<RpcError> {
  return await promise.then(() => Promise.reject(new Error("no error")), (reason) => reason as RpcError);
}

function body(size: number): MessageBody & { closed: number } {
  let left = size;
  return {
    size,
    closed: 0,
    read(target) {
      const count = Math.min(left, target.length, 1000);
      target.fill(7, 0, count);
      left -= count;
      return count;
    },
    close() {
      this.closed++;
    },
  };
}

test("a unary call gets its answer, whose buffer the handler may use again", async () => {
  const buffer = bytes(0);
  const method = unary((call, request) => {
    buffer[0] = request[0] + 1;
    call.reply(buffer);
    buffer[0] = 99;
  });
  expect(await callUnary(method, bytes(4))).toEqual(bytes(5));
});

test("a handler knows path, metadata, peer and deadline of its call", async () => {
  let seen: unknown[] = [];
  const method = unary((call) => {
    seen = [call.path, call.metadata.get("token"), [...call.metadata.entries()], call.peer, call.deadlineMs];
    call.reply(bytes());
  });
  const metadata = metadataFromPairs([["Token", "a"], ["token", "b"]]);
  await callUnary(method, bytes(), { metadata, peer: "1.2.3.4:5", deadlineMs: 77 });
  expect(seen).toEqual(["/test.T/Unary", "a", [["token", "a"], ["token", "b"]], "1.2.3.4:5", 77]);
  await callUnary(method, bytes());
  expect(seen).toEqual(["/test.T/Unary", undefined, [], "local", Infinity]);
});

test("whatever a handler throws becomes a status, thrown at once or later", async () => {
  for (const wait of [false, true]) {
    const thrower = (reason: unknown) =>
      unary(
        wait ? () => Promise.resolve().then(() => Promise.reject(reason)) : () => {
          throw reason;
        },
      );
    const known = await errorOf(callUnary(thrower(new RpcError(Code.NOT_FOUND, "no", bytes(1))), bytes()));
    expect([known.code, known.message, known.details]).toEqual([Code.NOT_FOUND, "no", bytes(1)]);
    const other = await errorOf(callUnary(thrower(new Error("odd")), bytes()));
    expect([other.code, other.message]).toEqual([Code.UNKNOWN, "odd"]);
  }
});

test("a large answer is read piece by piece and closed once", async () => {
  const large = body(5000);
  const method = unary((call) => call.replyBody(large));
  const answer = await callUnary(method, bytes());
  expect([answer.length, answer.every((byte) => byte === 7), large.closed]).toEqual([5000, true, 1]);
});

test("a cancelled call tells the handler and its caller, and drops a late answer", async () => {
  const causes: RpcError[] = [];
  let call!: UnaryCall;
  const started = startUnary(
    unary((given) => {
      call = given;
      given.onCancel((cause) => causes.push(cause));
    }),
    bytes(),
  );
  expect(call.isClosed).toBe(false);
  started.cancel(CANCELED);
  expect(await errorOf(started.response)).toBe(CANCELED);
  expect(call.isClosed).toBe(true);
  call.onCancel((cause) => causes.push(cause));
  expect(causes).toEqual([CANCELED, CANCELED]);
  const late = body(10);
  call.replyBody(late);
  expect(late.closed).toBe(1);
});

test("a stream carries messages both ways until its end", async () => {
  const echo = bidi((call) => {
    call.onMessage((message) => void call.send(message.map((byte) => byte * 2)));
    call.onHalfClose(() => call.end());
  });
  const call = startStream(echo, undefined);
  expect(call.write(bytes(1))).toBe(true);
  call.write(bytes(2));
  call.halfClose();
  expect(await call.receive()).toEqual(bytes(2));
  expect(await call.receive()).toEqual(bytes(4));
  expect(await call.receive()).toBeUndefined();
});

test("a failure comes after what was sent before it", async () => {
  const call = startStream(
    bidi((given) => {
      given.send(bytes(1));
      given.fail(Code.ABORTED, "enough");
    }),
    undefined,
  );
  expect(await call.receive()).toEqual(bytes(1));
  expect((await errorOf(call.receive())).message).toBe("enough");
});

test("a handler that pauses holds its caller back, and has its messages in order afterwards", async () => {
  const taken: number[] = [];
  let handler!: StreamCall;
  const call = startStream(
    bidi((given) => {
      handler = given;
      given.onMessage((message) => {
        taken.push(message[0]);
        if (message[0] === 1) given.pause();
      });
      given.onHalfClose(() => taken.push(-1));
    }),
    undefined,
  );
  expect([call.write(bytes(1)), call.write(bytes(2)), call.write(bytes(3))]).toEqual([true, false, false]);
  call.halfClose();
  const writable = call.writable();
  expect(taken).toEqual([1]);
  handler.resume();
  await writable;
  expect(taken).toEqual([1, 2, 3, -1]);
});

test("a handler is told to hold back above the high-water mark, and to go on when its caller has caught up", async () => {
  const half = new Uint8Array(LOCAL_STREAM_HIGH_WATER / 2);
  const answers: boolean[] = [];
  let drained = 0;
  let handler!: StreamCall;
  const call = startStream(
    bidi((given) => {
      handler = given;
      given.onDrain(() => drained++);
      for (let i = 0; i < 3; i++) answers.push(given.send(half));
    }),
    undefined,
  );
  expect(answers).toEqual([true, true, false]);
  expect(handler.queuedSize).toBe(3 * half.length);
  await call.receive();
  await call.receive();
  expect(drained).toBe(0);
  await call.receive();
  await Promise.resolve();
  expect([drained, handler.queuedSize]).toEqual([1, 0]);
});

test("a stream that is aborted ends after what was sent before, and its handler hears of it", async () => {
  const causes: RpcError[] = [];
  let given: StreamCall | undefined;
  const call = startStream(
    bidi((opened) => {
      given = opened;
      opened.onCancel((cause) => causes.push(cause));
      opened.send(bytes(1));
    }),
    undefined,
  );
  for (let i = 0; i < 2; i++) given!.abort(CANCELED);
  expect([causes, call.isClosed]).toEqual([[CANCELED], true]);
  expect(await call.receive()).toEqual(bytes(1));
  expect(await errorOf(call.receive())).toBe(CANCELED);
});

test("a cancelled stream drops what nobody took, closes its bodies, and ends both sides", async () => {
  const large = body(10);
  const causes: RpcError[] = [];
  const call = startStream(
    bidi((given) => {
      given.onCancel((cause) => causes.push(cause));
      given.send(bytes(1));
      given.sendBody(large);
    }),
    undefined,
  );
  call.cancel(CANCELED);
  expect([causes, large.closed]).toEqual([[CANCELED], 1]);
  expect(await errorOf(call.receive())).toBe(CANCELED);

  const ended = body(10);
  const over = startStream(
    bidi((given) => {
      given.sendBody(ended);
      given.end();
    }),
    undefined,
  );
  over.cancel(CANCELED);
  expect(ended.closed).toBe(1);
  expect(await over.receive()).toBeUndefined();
});

test("a server-streaming method is given its request, and its bodies cross unread", async () => {
  const large = body(3000);
  const method: Method = {
    kind: "server_streaming",
    path: "/test.T/Stream",
    handle: (call, request) => {
      call.send(request);
      call.sendBody(large);
      call.end();
    },
  };
  const call = startStream(method, bytes(9));
  const messages: LocalMessage[] = [];
  for (let message = await call.receive(); message !== undefined; message = await call.receive()) {
    messages.push(message);
  }
  expect(messages[0]).toEqual(bytes(9));
  expect(messages[1]).toBe(large);
  expect(wholeMessage(messages[1])).toHaveLength(3000);
  expect(large.closed).toBe(1);
});
