import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code as ConnectCode, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport as createNodeTransport } from "@connectrpc/connect-node";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { KV, PutRequestSchema, RangeResponseSchema } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Watch, WatchRequestSchema, WatchResponseSchema } from "../../../src/gen/etcdserverpb/watch_pb.ts";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import {
  Watch as BrowserWatch,
  WatchResponseSchema as BrowserResponseSchema,
} from "../../../src/gen/keelson/v1/watch_pb.ts";
import { Code, type MessageBody, type Method, RpcError, type StreamCall, type UnaryCall } from "../../../src/io/rpc.ts";
import { Budget } from "../../../src/rpc/http2/mod.ts";
import { RawConnection, startDoors, type TestServer } from "../../http/support.ts";

// What the handlers below do is set by each test.
let onPut: (call: UnaryCall, request: Uint8Array) => void | Promise<void>;
let onRange: (call: UnaryCall) => void;
let onBrowserWatch: (call: StreamCall) => void;

const METHODS: readonly Method[] = [
  { kind: "unary", path: "/etcdserverpb.KV/Put", handle: (call, request) => onPut(call, request) },
  { kind: "unary", path: "/etcdserverpb.KV/Range", handle: (call) => onRange(call) },
  { kind: "server_streaming", path: "/keelson.v1.Watch/Watch", handle: (call) => onBrowserWatch(call) },
  {
    kind: "bidi_streaming",
    path: "/etcdserverpb.Watch/Watch",
    handle: (call) => {
      call.onMessage((message) => {
        const { requestUnion } = fromBinary(WatchRequestSchema, message);
        if (requestUnion.case === "progressRequest") throw new RpcError(Code.ABORTED, "enough");
        const watchId = requestUnion.case === "createRequest" ? requestUnion.value.watchId : -1n;
        call.send(toBinary(WatchResponseSchema, create(WatchResponseSchema, { watchId })));
      });
      call.onHalfClose(() => call.end());
    },
  },
];

const BUDGET = 4 * 1024 * 1024;

let server: TestServer;
let transports: Record<string, Transport>;

beforeAll(async () => {
  server = await startDoors(METHODS, { budget: new Budget(BUDGET) });
  transports = {
    "Connect with JSON": createConnectTransport({ baseUrl: server.url }),
    "Connect with protobuf": createConnectTransport({ baseUrl: server.url, useBinaryFormat: true }),
    "gRPC-Web": createGrpcWebTransport({ baseUrl: server.url }),
    "Connect on HTTP/2": createNodeTransport({ baseUrl: server.url, httpVersion: "2" }),
  };
});
afterAll(() => server.stop());
beforeEach(() => {
  onPut = (call) => call.reply(new Uint8Array(0));
  onRange = (call) => call.reply(new Uint8Array(0));
  onBrowserWatch = (call) => call.end();
});

async function errorOf(promise: Promise<unknown>): Promise<ConnectError> {
  return await promise.then(() => Promise.reject(new Error("no error")), ConnectError.from);
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error("it does not happen");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function bodyOf(message: Uint8Array): MessageBody & { closed: number } {
  let offset = 0;
  return {
    size: message.length,
    closed: 0,
    read(target) {
      const part = message.subarray(offset, offset + Math.min(target.length, 70_000));
      target.set(part);
      offset += part.length;
      return part.length;
    },
    close() {
      this.closed++;
    },
  };
}

/** `count` keys with revisions from 0 on. */
function rangeResponse(count: number, valueSize: number): Uint8Array {
  const value = new Uint8Array(valueSize);
  const kvs = Array.from({ length: count }, (_, i) => ({ value, modRevision: BigInt(i) }));
  return toBinary(RangeResponseSchema, create(RangeResponseSchema, { kvs, count: BigInt(count) }));
}

for (const protocol of ["Connect with JSON", "Connect with protobuf", "gRPC-Web", "Connect on HTTP/2"]) {
  describe(protocol, () => {
    const kv = () => createClient(KV, transports[protocol]);

    test("a call reaches its method with metadata and peer, and the answer comes back", async () => {
      let seen: unknown;
      onPut = (call, request) => {
        const { key, lease } = fromBinary(PutRequestSchema, request);
        seen = [new TextDecoder().decode(key), lease, call.metadata.get("token"), call.peer.replace(/\d+$/, "port")];
        call.reply(request.subarray(0, 0));
      };
      const answer = await kv().put(
        { key: new TextEncoder().encode("k"), lease: -9223372036854775808n },
        { headers: { token: "secret" } },
      );
      expect(answer.header).toBeUndefined();
      expect(seen).toEqual(["k", -9223372036854775808n, "secret", "127.0.0.1:port"]);
    });

    test("an error keeps its code, its text and its details", async () => {
      const detail = { typeUrl: "type.googleapis.com/etcdserverpb.WatchResponse", value: Uint8Array.of(0x10, 5) };
      const details = toBinary(StatusSchema, create(StatusSchema, { details: [detail] }));
      onPut = () => {
        throw new RpcError(Code.OUT_OF_RANGE, "etcdserver: ünusual 100%", details);
      };
      const error = await errorOf(kv().put({}));
      expect([error.code, error.rawMessage]).toEqual([ConnectCode.OutOfRange, "etcdserver: ünusual 100%"]);
      expect(error.findDetails(WatchResponseSchema).map(({ watchId }) => watchId)).toEqual([5n]);
      onPut = () => Promise.reject(new Error("odd"));
      const odd = await errorOf(kv().put({}));
      expect([odd.code, odd.rawMessage]).toEqual([ConnectCode.Unknown, "odd"]);
    });

    test("a deadline reaches the handler, and ends the call for both", async () => {
      let cause: RpcError | undefined;
      let leftMs = Infinity;
      onPut = (call) => {
        leftMs = call.deadlineMs - performance.now();
        call.onCancel((reason) => cause = reason);
      };
      const error = await errorOf(kv().put({}, { timeoutMs: 150 }));
      expect(error.code).toBe(ConnectCode.DeadlineExceeded);
      await until(() => cause !== undefined);
      expect(leftMs).toBeLessThanOrEqual(150);
      // Whose clock was faster decides what the handler hears: that the time is over, or that the client has left.
      expect([Code.DEADLINE_EXCEEDED, Code.CANCELED] as Code[]).toContain(cause!.code);
    });

    test("a client that gives up cancels the handler", async () => {
      let call: UnaryCall | undefined;
      let cause: RpcError | undefined;
      onPut = (given) => {
        call = given;
        given.onCancel((reason) => cause = reason);
      };
      const stop = new AbortController();
      const error = errorOf(kv().put({}, { signal: stop.signal }));
      await until(() => call !== undefined);
      stop.abort();
      expect((await error).code).toBe(ConnectCode.Canceled);
      await until(() => cause !== undefined);
      expect([cause!.code, cause!.message, call!.isClosed]).toEqual([Code.CANCELED, "context canceled", true]);
    });

    test("a stream is sent as the client reads, and the handler is held back meanwhile", async () => {
      const message = toBinary(
        BrowserResponseSchema,
        create(BrowserResponseSchema, {
          message: { case: "response", value: { cancelReason: "x".repeat(100_000) } },
        }),
      );
      let sent = 0;
      let call!: StreamCall;
      onBrowserWatch = (given) => {
        call = given;
        const fill = () => {
          while (!given.isClosed && sent < 500) {
            sent++;
            if (!given.send(message)) return;
          }
          given.end();
        };
        given.onDrain(fill);
        fill();
      };
      let received = 0;
      for await (const { message: union } of createClient(BrowserWatch, transports[protocol]).watch({})) {
        expect(union.case).toBe("response");
        if (++received === 1) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          // What the sockets and the client's own windows took, up to 20 MB.
          expect(sent).toBeLessThan(400);
        }
      }
      expect([received, sent, call.queuedSize]).toEqual([500, 500, 0]);
      expect(server.budget.used).toBeLessThan(100_000);
    });

    test("leaving a stream cancels its handler, though nothing is sent", async () => {
      let cause: RpcError | undefined;
      onBrowserWatch = (call) => {
        call.send(new Uint8Array(0));
        call.onCancel((reason) => cause = reason);
      };
      const stop = new AbortController();
      const responses = createClient(BrowserWatch, transports[protocol]).watch({}, { signal: stop.signal });
      const read = errorOf((async () => {
        for await (const response of responses) {
          expect(response.message.case).toBeUndefined();
          stop.abort();
        }
      })());
      await read;
      await until(() => cause !== undefined);
      expect(cause!.code).toBe(Code.CANCELED);
    });

    test("an answer larger than all that may be buffered is sent as it is read, and closed", async () => {
      const count = 60_000;
      const body = bodyOf(rangeResponse(count, 256));
      expect(body.size).toBeGreaterThan(3 * BUDGET);
      onRange = (call) => call.replyBody(body);
      const response = await kv().range({});
      expect([response.count, response.kvs.length]).toEqual([BigInt(count), count]);
      expect(response.kvs.every(({ modRevision, value }, i) => modRevision === BigInt(i) && value.length === 256)).toBe(
        true,
      );
      await until(() => server.budget.used === 0 && body.closed > 0);
      expect(body.closed).toBe(1);
      expect(server.budget.peak).toBeLessThan(BUDGET);
    });

    test("a large answer is refused where too much is buffered already", async () => {
      server.budget.reserve(BUDGET - 10_000);
      try {
        const body = bodyOf(rangeResponse(1, 1_000_000));
        onRange = (call) => call.replyBody(body);
        const error = await errorOf(kv().range({}));
        expect([error.code, body.closed]).toEqual([ConnectCode.ResourceExhausted, 1]);
      } finally {
        server.budget.release(BUDGET - 10_000);
      }
    });

    test("a request is refused where too much is buffered already", async () => {
      server.budget.reserve(BUDGET - 10_000);
      try {
        const error = await errorOf(kv().put({ value: new Uint8Array(200_000) }));
        // On HTTP/2 the engine is the first to refuse, by resetting the stream.
        const expected = protocol === "Connect on HTTP/2" ? ConnectCode.Internal : ConnectCode.ResourceExhausted;
        expect(error.code).toBe(expected);
      } finally {
        server.budget.release(BUDGET - 10_000);
      }
    });

    test("a request that is too large is refused", async () => {
      const error = await errorOf(kv().put({ value: new Uint8Array(2_200_000) }));
      expect(error.code).toBe(ConnectCode.ResourceExhausted);
    });
  });
}

test("a client that leaves in the middle of a large answer lets go of it", async () => {
  const body = bodyOf(rangeResponse(200_000, 256));
  onRange = (call) => call.replyBody(body);
  const connection = new RawConnection(server.port);
  connection.send("POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  await connection.until((text) => text.length > 0);
  connection.socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(body.closed).toBe(0);
  connection.socket.destroy();
  await until(() => body.closed === 1);
});

test("fields that no definition names survive in both directions", async () => {
  // Field 1 (key) "k", and field 1000, a varint of 7.
  const message = Uint8Array.of(0x0a, 1, 0x6b, 0xc0, 0x3e, 7);
  let request: Uint8Array | undefined;
  onPut = (call, bytes) => {
    request = bytes.slice();
    call.reply(Uint8Array.of(0xc0, 0x3e, 8));
  };
  const answer = await fetch(`${server.url}/etcdserverpb.KV/Put`, {
    method: "POST",
    headers: { "content-type": "application/proto" },
    body: message,
  });
  expect(request).toEqual(message);
  expect(new Uint8Array(await answer.arrayBuffer())).toEqual(Uint8Array.of(0xc0, 0x3e, 8));
});

test("a bidirectional stream works on HTTP/2, ends with its last request, and fails with its handler", async () => {
  const watch = createClient(Watch, transports["Connect on HTTP/2"]);
  async function* requests(ids: bigint[]) {
    for (const watchId of ids) yield { requestUnion: { case: "createRequest" as const, value: { watchId } } };
  }
  const ids: bigint[] = [];
  for await (const { watchId } of watch.watch(requests([1n, 2n, 3n]))) ids.push(watchId);
  expect(ids).toEqual([1n, 2n, 3n]);
  async function* failing() {
    yield* requests([4n]);
    yield { requestUnion: { case: "progressRequest" as const, value: {} } };
  }
  const error = await errorOf((async () => {
    for await (const { watchId } of watch.watch(failing())) ids.push(watchId);
  })());
  expect([error.code, error.rawMessage]).toEqual([ConnectCode.Aborted, "enough"]);
});

test("a bidirectional stream is refused on HTTP/1.1, and native gRPC has another door", async () => {
  const connection = new RawConnection(server.port);
  const head = "POST /etcdserverpb.Watch/Watch HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n";
  connection.send(`${head}Content-Type: application/connect+proto\r\n\r\n`);
  expect(await connection.until((text) => text.includes("\r\n\r\n"))).toStartWith("HTTP/1.1 505");
  const grpc = await fetch(`${server.url}/etcdserverpb.KV/Put`, {
    method: "POST",
    headers: { "content-type": "application/grpc" },
    body: new Uint8Array(5),
  });
  expect(grpc.status).toBe(415);
});

test("a method that is defined but not served is not found", async () => {
  const error = await errorOf(createClient(KV, transports["Connect with JSON"]).compact({}));
  expect(error.code).toBe(ConnectCode.Unimplemented);
});

test("when the server stops, open streams end with what the stop says", async () => {
  const doors = await startDoors(METHODS);
  let isOpen = false;
  onBrowserWatch = (call) => {
    call.send(new Uint8Array(0));
    isOpen = true;
  };
  const read = errorOf((async () => {
    const transport = createConnectTransport({ baseUrl: doors.url });
    for await (const { message } of createClient(BrowserWatch, transport).watch({})) {
      expect(message.case).toBeUndefined();
    }
  })());
  await until(() => isOpen);
  await doors.server.stop(2000);
  const error = await read;
  expect([error.code, error.rawMessage]).toEqual([ConnectCode.Unavailable, "etcdserver: server stopped"]);
});
