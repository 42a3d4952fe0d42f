/**
 * Runs in the browser: the etcd services a page can call, over each protocol a page can speak. Its result goes back to the
 * server it came from; the etcd API is on another origin.
 */

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Event_EventType } from "../../src/gen/mvccpb/kv_pb.ts";
import { Lease as BrowserLease } from "../../src/gen/keelson/v1/lease_pb.ts";
import { Watch as BrowserWatch } from "../../src/gen/keelson/v1/watch_pb.ts";

const parameters = new URLSearchParams(location.search);
const baseUrl = parameters.get("api")!;

/** Enough for a heartbeat, of which one comes in 15 s. */
const HEARTBEAT_LIMIT_MS = 15_000;

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function putsAndRanges(transport: Transport, prefix: string): Promise<void> {
  const kv = createClient(KV, transport);
  const value = new Uint8Array(256).map((_, index) => index);
  const put = await kv.put({ key: bytes(`${prefix}/kv/a`), value });
  const { kvs, count } = await kv.range({ key: bytes(`${prefix}/kv/a`) });
  check(count === 1n && kvs.length === 1, `range found ${count} keys`);
  check(kvs[0].value.every((byte, index) => byte === index), "the value came back changed");
  check(kvs[0].modRevision === put.header!.revision, "the key has another revision than its put");

  await kv.put({ key: bytes(`${prefix}/kv/b`), value: bytes("2") });
  const page = await kv.range({ key: bytes(`${prefix}/kv/`), rangeEnd: bytes(`${prefix}/kv0`), limit: 1n });
  check(page.count === 2n && page.more && page.kvs.length === 1, "a page is not what was asked for");
}

async function failsAsEtcd(transport: Transport): Promise<void> {
  const error = await createClient(KV, transport).range({}).then(() => undefined, ConnectError.from);
  check(error?.code === Code.InvalidArgument, `an empty key gave ${error?.code}`);
  check(error.rawMessage === "etcdserver: key is not provided", `an empty key gave "${error.rawMessage}"`);
}

async function watches(transport: Transport, prefix: string): Promise<void> {
  const kv = createClient(KV, transport);
  const stop = new AbortController();
  const responses = createClient(BrowserWatch, transport).watch({
    creates: [
      { key: bytes(`${prefix}/watched`), watchId: 1n },
      { key: bytes(`${prefix}/other`), watchId: 2n, prevKv: true },
    ],
  }, { signal: stop.signal });
  let created = 0;
  const seen: string[] = [];
  try {
    for await (const { message } of responses) {
      if (message.case !== "response") continue;
      if (message.value.created && ++created === 2) {
        await kv.put({ key: bytes(`${prefix}/watched`), value: bytes("first") });
        await kv.put({ key: bytes(`${prefix}/other`), value: bytes("second") });
        await kv.deleteRange({ key: bytes(`${prefix}/other`) });
      }
      for (const event of message.value.events) {
        const name = text(event.kv!.key).slice(prefix.length + 1);
        seen.push(
          event.type === Event_EventType.DELETE
            ? `${message.value.watchId}: delete ${name}, was ${text(event.prevKv!.value)}`
            : `${message.value.watchId}: put ${name} ${text(event.kv!.value)}`,
        );
      }
      if (seen.length === 3) stop.abort();
    }
  } catch (reason) {
    if (!stop.signal.aborted) throw reason;
  }
  const expected = ["1: put watched first", "2: put other second", "2: delete other, was second"];
  check(seen.sort().join("; ") === expected.sort().join("; "), `watched ${seen.join("; ")}`);
}

async function endsWithItsWatchers(transport: Transport, prefix: string): Promise<void> {
  const responses = createClient(BrowserWatch, transport).watch({
    creates: [{ key: bytes(prefix), startRevision: -1n }],
  });
  const reasons: string[] = [];
  for await (const { message } of responses) {
    if (message.case === "response") reasons.push(message.value.cancelReason);
  }
  check(reasons.join() === "etcdserver: mvcc: required revision has been compacted", `canceled: ${reasons.join()}`);
}

async function beats(transport: Transport, prefix: string): Promise<void> {
  const stop = new AbortController();
  const startMs = performance.now();
  const timer = setTimeout(() => stop.abort(), HEARTBEAT_LIMIT_MS);
  const responses = createClient(BrowserWatch, transport).watch(
    { creates: [{ key: bytes(`${prefix}/silent`) }] },
    { signal: stop.signal },
  );
  for await (const { message } of responses) {
    if (message.case !== "heartbeat") continue;
    check(message.value.revision > 1n, `a heartbeat at revision ${message.value.revision}`);
    check(performance.now() - startMs < HEARTBEAT_LIMIT_MS, "a late heartbeat");
    break;
  }
  clearTimeout(timer);
  // Leaving the loop alone would leave the connection open.
  stop.abort();
}

async function keepsALeaseAlive(transport: Transport, prefix: string): Promise<void> {
  const kv = createClient(KV, transport);
  const { ID, TTL } = await createClient(Lease, transport).leaseGrant({ TTL: 2n });
  const key = bytes(`${prefix}/leased`);
  await kv.put({ key, value: bytes("x"), lease: ID });
  const lifetimeMs = Number(TTL) * 1000;
  const untilMs = performance.now() + 2.5 * lifetimeMs;
  while (performance.now() < untilMs) {
    const renewed = await createClient(BrowserLease, transport).keepAlive({ ID });
    check(renewed.ID === ID && renewed.TTL === TTL, `renewed to ${renewed.TTL} s`);
    check((await kv.range({ key })).count === 1n, "the key of a renewed lease is gone");
    await pause(lifetimeMs / 4);
  }
  const goneMs = performance.now() + 4 * lifetimeMs;
  while ((await kv.range({ key })).count === 1n) {
    check(performance.now() < goneMs, "the key outlives its lease");
    await pause(250);
  }
  const late = await createClient(BrowserLease, transport).keepAlive({ ID });
  check(late.TTL === 0n, "a lease that has expired was renewed");
}

const PROTOCOLS: Readonly<Record<string, Transport>> = {
  "Connect, JSON": createConnectTransport({ baseUrl }),
  "Connect, protobuf": createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "gRPC-Web": createGrpcWebTransport({ baseUrl }),
};

type Step = readonly [name: string, run: (transport: Transport, prefix: string) => Promise<void>];

/** Sequences that run beside each other: a browser opens six connections to an origin, and an open stream takes one. */
const SEQUENCES: readonly (readonly Step[])[] = [
  [
    ["puts and ranges", putsAndRanges],
    ["fails with etcd's code and text", failsAsEtcd],
    ["watches two keys on one stream", watches],
    ["ends a watch whose watchers are canceled", endsWithItsWatchers],
  ],
  [["gets a heartbeat in silence", beats]],
  [["keeps a lease alive, and lets it expire", keepsALeaseAlive]],
];

async function run(): Promise<string[]> {
  const lines: string[] = [];
  for (const [index, [protocol, transport]] of Object.entries(PROTOCOLS).entries()) {
    await Promise.all(SEQUENCES.map(async (sequence) => {
      for (const [name, step] of sequence) {
        const outcome = await step(transport, `page${index}`).then(() => "ok    ", (reason) => `FAILED ${reason}`);
        lines.push(`${outcome} ${protocol}: ${name}`);
      }
    }));
  }
  return lines;
}

/** A page whose origin is not on the list must learn nothing. */
async function runForeign(): Promise<string[]> {
  const lines: string[] = [];
  for (const [protocol, transport] of Object.entries(PROTOCOLS)) {
    const answer = await createClient(KV, transport).range({ key: bytes("a") }).then(() => true, () => false);
    lines.push(`${answer ? "FAILED" : "ok    "} ${protocol}: a page of a foreign origin is not served`);
  }
  return lines;
}

const lines = await (parameters.has("foreign") ? runForeign() : run())
  .catch((reason) => [`FAILED ${reason}`]);
await fetch("/result", { method: "POST", body: JSON.stringify(lines) });
