/**
 * @connectrpc/connect-node against one server over each of its transports: `main.ts URL [TRANSPORT...]`. Each check prints
 * a line. gRPC can stream in both directions; over gRPC-Web and Connect with HTTP/1.1 the streams are keelson.v1's.
 */
import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { KV, RangeRequest_SortOrder } from "../../../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease as EtcdLease, LeaseKeepAliveRequestSchema } from "../../../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Watch as EtcdWatch, WatchRequestSchema } from "../../../../src/gen/etcdserverpb/watch_pb.ts";
import { Lease as KeelsonLease } from "../../../../src/gen/keelson/v1/lease_pb.ts";
import { Watch as KeelsonWatch } from "../../../../src/gen/keelson/v1/watch_pb.ts";

const [baseUrl, ...chosen] = process.argv.slice(2) as [string, ...string[]];
const text = (value: string) => new TextEncoder().encode(value);
const TIMEOUT_MS = 15_000;

const TRANSPORTS: Record<string, () => Transport> = {
  "grpc": () => createGrpcTransport({ baseUrl }),
  "grpc, compressed": () => createGrpcTransport({ baseUrl, compressMinBytes: 0, sendCompression: compressionGzip }),
  "grpc-web, HTTP/1.1": () => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "grpc-web, HTTP/2": () => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  "connect, HTTP/1.1, JSON": () => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "connect, HTTP/1.1, protobuf": () => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
  "connect, HTTP/2, JSON": () => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  "connect, HTTP/2, protobuf": () => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true }),
};

type Check = (transport: Transport, prefix: string) => Promise<void>;

const UNARY: Record<string, Check> = {
  "put, range, delete, txn": async (transport, prefix) => {
    const kv = createClient(KV, transport);
    for (let i = 0; i < 3; i++) await kv.put({ key: text(`${prefix}${i}`), value: text(`v${i}`) });
    const all = await kv.range({
      key: text(prefix),
      rangeEnd: text(prefix.slice(0, -1) + "0"),
      sortOrder: RangeRequest_SortOrder.DESCEND,
    });
    assert.equal(all.count, 3n);
    assert.deepEqual(all.kvs.map((entry) => new TextDecoder().decode(entry.value)), ["v2", "v1", "v0"]);
    const txn = await kv.txn({
      success: [{ request: { case: "requestDeleteRange", value: { key: text(`${prefix}1`), prevKv: true } } }],
    });
    assert.equal(txn.succeeded, true);
    const response = txn.responses[0]!.response;
    assert.equal(response.case, "responseDeleteRange");
  },
  "errors with etcd's codes and texts": async (transport) => {
    const kv = createClient(KV, transport);
    const empty = await rejection(kv.put({}));
    assert.deepEqual([empty.code, empty.rawMessage], [Code.InvalidArgument, "etcdserver: key is not provided"]);
    const future = await rejection(kv.range({ key: text("a"), revision: 1_000_000n }));
    assert.deepEqual(
      [future.code, future.rawMessage],
      [Code.OutOfRange, "etcdserver: mvcc: required revision is a future revision"],
    );
  },
  "status": async (transport) => {
    const status = await createClient(Maintenance, transport).status({});
    assert.equal(status.version, "3.7.1");
  },
  "a range in a stream": async (transport, prefix) => {
    const kv = createClient(KV, transport);
    const value = new Uint8Array(100_000);
    for (let i = 0; i < 30; i++) await kv.put({ key: text(`${prefix}s${String(i).padStart(2, "0")}`), value });
    let keys = 0, chunks = 0;
    for await (const chunk of kv.rangeStream({ key: text(`${prefix}s`), rangeEnd: text(`${prefix}t`) })) {
      keys += chunk.rangeResponse?.kvs.length ?? 0;
      chunks++;
    }
    assert.equal(keys, 30);
    assert.ok(chunks > 1);
  },
};

/** Only where a client can stream to the server: gRPC over HTTP/2. */
const BIDIRECTIONAL: Record<string, Check> = {
  "a watch": async (transport, prefix) => {
    const kv = createClient(KV, transport);
    const requests = new Requests<MessageInitShape<typeof WatchRequestSchema>>();
    const abort = new AbortController();
    const responses = createClient(EtcdWatch, transport).watch(requests, { signal: abort.signal });
    requests.send({ requestUnion: { case: "createRequest", value: { key: text(`${prefix}w`) } } });
    const seen: string[] = [];
    for await (const response of responses) {
      if (response.created) await kv.put({ key: text(`${prefix}w`), value: text("seen") });
      for (const event of response.events) seen.push(new TextDecoder().decode(event.kv!.value));
      if (seen.length > 0) break;
    }
    requests.end();
    abort.abort();
    assert.deepEqual(seen, ["seen"]);
  },
  "a lease kept alive": async (transport) => {
    const lease = createClient(EtcdLease, transport);
    const { ID } = await lease.leaseGrant({ TTL: 60n });
    const requests = new Requests<MessageInitShape<typeof LeaseKeepAliveRequestSchema>>();
    for (const id of [ID, ID, 5n]) requests.send({ ID: id });
    requests.end();
    const renewals: bigint[] = [];
    for await (const renewal of lease.leaseKeepAlive(requests)) renewals.push(renewal.TTL);
    assert.deepEqual(renewals, [60n, 60n, 0n]);
    await lease.leaseRevoke({ ID });
  },
};

/** keelson.v1, for clients that cannot. */
const KEELSON: Record<string, Check> = {
  "keelson.v1: a watch": async (transport, prefix) => {
    const kv = createClient(KV, transport);
    const abort = new AbortController();
    const seen: string[] = [];
    let created = 0;
    const stream = createClient(KeelsonWatch, transport).watch({
      creates: [{ key: text(`${prefix}k1`) }, { key: text(`${prefix}k2`), prevKv: true }],
    }, { signal: abort.signal });
    for await (const { message } of stream) {
      if (message.case !== "response") continue;
      if (message.value.created && ++created === 2) {
        await kv.put({ key: text(`${prefix}k1`), value: text("one") });
        await kv.put({ key: text(`${prefix}k2`), value: text("two") });
      }
      for (const event of message.value.events) {
        seen.push(`${message.value.watchId} ${new TextDecoder().decode(event.kv!.value)}`);
      }
      if (seen.length === 2) break;
    }
    abort.abort();
    assert.deepEqual(seen, ["0 one", "1 two"]);
  },
  "keelson.v1: a lease kept alive": async (transport) => {
    const { ID } = await createClient(EtcdLease, transport).leaseGrant({ TTL: 60n });
    const renewed = await createClient(KeelsonLease, transport).keepAlive({ ID });
    assert.deepEqual([renewed.ID, renewed.TTL], [ID, 60n]);
  },
};

/** Requests of a stream, sent one at a time. */
class Requests<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  send(request: T): void {
    this.#waiting.push(request);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    while (true) {
      while (this.#waiting.length > 0) yield this.#waiting.shift()!;
      if (this.#ended) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

async function rejection(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call succeeded, and should have failed");
}

async function run(name: string, check: Check, transport: Transport, prefix: string): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took more than ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
  });
  try {
    await Promise.race([check(transport, prefix), late]);
    console.log(`ok   ${name}`);
  } catch (error) {
    console.log(`FAIL ${name}: ${error instanceof Error ? error.message.replaceAll("\n", " ") : error}`);
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
  }
}

let number = 0;
for (const [label, make] of Object.entries(TRANSPORTS)) {
  if (chosen.length > 0 && !chosen.includes(label)) continue;
  const transport = make();
  const checks = { ...UNARY, ...(label.startsWith("grpc,") || label === "grpc" ? BIDIRECTIONAL : KEELSON) };
  for (const [name, check] of Object.entries(checks)) await run(`${label}: ${name}`, check, transport, `c${number++}/`);
}
process.exit();
