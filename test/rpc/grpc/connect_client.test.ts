/** The engine on real sockets against an independent gRPC client, that of Connect on the runtime's HTTP/2. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code as ConnectCode, ConnectError, createClient } from "@connectrpc/connect";
import { compressionGzip, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, expect, test } from "bun:test";
import { LeaseKeepAliveRequestSchema } from "../../../src/gen/etcdserverpb/lease_pb.ts";
import { Lease } from "../../../src/gen/etcdserverpb/lease_pb.ts";
import { Health, HealthCheckRequestSchema } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { Code, type Method } from "../../../src/io/rpc.ts";
import { systemClock, systemNetwork } from "../../../src/io/system/mod.ts";
import { GrpcRouter } from "../../../src/rpc/grpc/mod.ts";
import { Http2Server } from "../../../src/rpc/http2/mod.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** HealthCheckResponse{status: SERVING}. */
const SERVING = Uint8Array.of(8, 1);
const cancelled: string[] = [];

const methods: Method[] = [
  {
    kind: "unary",
    path: "/grpc.health.v1.Health/Check",
    handle(call, request) {
      const { service } = fromBinary(HealthCheckRequestSchema, request);
      if (service === "slow") return call.onCancel((cause) => cancelled.push(cause.message));
      if (service === "") return call.reply(SERVING);
      call.fail(Code.NOT_FOUND, `no service of ${service.length}: ünknown`);
    },
  },
  {
    kind: "server_streaming",
    path: "/grpc.health.v1.Health/Watch",
    handle(call) {
      call.onCancel((cause) => cancelled.push(cause.message));
      call.send(SERVING);
      call.send(Uint8Array.of(8, 2));
    },
  },
  {
    kind: "bidi_streaming",
    path: "/etcdserverpb.Lease/LeaseKeepAlive",
    handle(call) {
      call.onMessage((content) => {
        const { ID } = fromBinary(LeaseKeepAliveRequestSchema, content);
        const answer = toBinary(LeaseKeepAliveRequestSchema, { $typeName: "etcdserverpb.LeaseKeepAliveRequest", ID });
        // The response has its id in field 2.
        answer[0] = 0x10;
        call.send(answer);
      });
      call.onHalfClose(() => call.end());
    },
  },
];

async function listen(compresses = false) {
  const server = new Http2Server({ application: new GrpcRouter(methods, { clock: systemClock }), clock: systemClock });
  const listener = await systemNetwork.listen({ host: "127.0.0.1", port: 0 }, {
    onStream: (stream) => server.serve(stream),
    onStreamClosed: () => {},
  });
  const transport = createGrpcTransport({
    baseUrl: `http://${listener.address}`,
    ...compresses ? { sendCompression: compressionGzip, compressMinBytes: 1 } : {},
  });
  cleanups.push(() => {
    server.destroy();
    listener.close();
  });
  return { server, health: createClient(Health, transport), lease: createClient(Lease, transport) };
}

async function failure(call: Promise<unknown>): Promise<[ConnectCode, string]> {
  try {
    await call;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return [code, rawMessage];
  }
  throw new Error("the call went well");
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}

test("unary calls are answered, many at once", async () => {
  const { server, health } = await listen();
  const answers = await Promise.all(Array.from({ length: 300 }, () => health.check({})));
  expect(answers.every((answer) => answer.status === 1)).toBe(true);
  expect(await failure(health.check({ service: "x".repeat(100_000) }))).toEqual([
    ConnectCode.NotFound,
    "no service of 100000: ünknown",
  ]);
  expect(await failure(health.check({ service: "x".repeat(5_000_000) }))).toEqual([
    ConnectCode.ResourceExhausted,
    "grpc: received message larger than max (5000005 vs. 4194304)",
  ]);
  expect(server.budget.used).toBe(0);
});

test("compressed calls are answered", async () => {
  const { health } = await listen(true);
  expect((await health.check({})).status).toBe(1);
  expect((await failure(health.check({ service: "x".repeat(100_000) })))[1]).toStartWith("no service of 100000");
});

test("a deadline ends a call at both ends, and so does the client's abort", async () => {
  const { server, health } = await listen();
  cancelled.length = 0;
  const [code] = await failure(health.check({ service: "slow" }, { timeoutMs: 100 }));
  expect(code).toBe(ConnectCode.DeadlineExceeded);
  await until(() => cancelled.length === 1);
  const abort = new AbortController();
  const pending = failure(health.check({ service: "slow" }, { signal: abort.signal }));
  await until(() => server.streamCount === 1);
  abort.abort();
  expect((await pending)[0]).toBe(ConnectCode.Canceled);
  await until(() => cancelled.length === 2);
  expect(cancelled[1]).toBe("context canceled");
});

test("a server stream delivers as it goes, until the client leaves", async () => {
  const { server, health } = await listen();
  cancelled.length = 0;
  const statuses: number[] = [];
  const abort = new AbortController();
  try {
    for await (const answer of health.watch({}, { signal: abort.signal })) {
      statuses.push(answer.status);
      if (statuses.length === 2) abort.abort();
    }
  } catch (error) {
    expect(ConnectError.from(error).code).toBe(ConnectCode.Canceled);
  }
  expect(statuses).toEqual([1, 2]);
  await until(() => cancelled.length === 1 && server.streamCount === 0);
});

test("a bidirectional stream answers in turn", async () => {
  const { lease } = await listen();
  async function* requests() {
    for (let id = 1n; id <= 100n; id++) {
      yield { ID: id };
      if (id % 10n === 0n) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  const ids: bigint[] = [];
  for await (const answer of lease.leaseKeepAlive(requests())) ids.push(answer.ID);
  expect(ids).toEqual(Array.from({ length: 100 }, (_, i) => BigInt(i + 1)));
});
