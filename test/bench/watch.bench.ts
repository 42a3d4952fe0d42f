/**
 * What a delivered event costs below the transport: 10 streams of 1,000 watchers each on 100 keys, one put at a time,
 * every stream drained after each. Run: bun test/bench/watch.bench.ts
 */

import { EMPTY_BYTES, utf8 } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { Store } from "../../src/mvcc/mod.ts";
import { WatchHub, type WatchStream } from "../../src/watch/mod.ts";

const STREAMS = 10;
const WATCHERS_PER_STREAM = 1000;
const KEYS = 100;
const PUTS = 20_000;
const VALUE = new Uint8Array(256).fill(120);

const key = (i: number) => utf8(`/bench/key-${String(i % KEYS).padStart(6, "0")}`);

let cachedRevision = -1;
let cachedHeader: Uint8Array = EMPTY_BYTES;
function header(revision: number): Uint8Array {
  if (revision !== cachedRevision) {
    const content = new WireWriter(64);
    content.integer64Field(1, 0xcdf818194e3a8c32n);
    content.integer64Field(2, 0x8e9e05c52164694dn);
    content.integerField(3, revision);
    content.integerField(4, 2);
    const writer = new WireWriter(64);
    writer.messageField(1, content.finish());
    cachedHeader = writer.finish();
    cachedRevision = revision;
  }
  return cachedHeader;
}

let messages = 0;
let bytes = 0;
// Stands for the transport's own copy.
const sink = new Uint8Array(1 << 20);
let sinkAt = 0;

class Owner {
  stream!: WatchStream;
  drain(): void {
    for (;;) {
      const message = this.stream.next();
      if (!(message instanceof Uint8Array)) return;
      if (sinkAt + message.length > sink.length) sinkAt = 0;
      sink.set(message, sinkAt);
      sinkAt += message.length;
      messages++;
      bytes += message.length;
    }
  }
}

function memory(): number {
  (globalThis as { Bun?: { gc(force: boolean): void } }).Bun?.gc(true);
  return process.memoryUsage().heapUsed;
}

/** Processor time, since the machine may be shared. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function report(name: string, events: number, cpuMs: number): void {
  console.log(
    `${name}: ${events} events in ${cpuMs.toFixed(0)} ms of CPU, ${(cpuMs * 1e6 / events).toFixed(0)} ns each`,
  );
}

function watch(stream: WatchStream, name: Uint8Array, startRevision: number): void {
  stream.create({
    key: name,
    rangeEnd: EMPTY_BYTES,
    startRevision,
    progressNotify: false,
    noPut: false,
    noDelete: false,
    prevKv: false,
    watchId: 0n,
    fragment: false,
  });
}

const store = new Store();
const hub = new WatchHub(store);

function open(): Owner {
  const owner = new Owner();
  owner.stream = hub.open({ owner, header, responseSizeMax: 2 << 20, progressIntervalMs: 600_000, now: 0 });
  return owner;
}

function put(name: Uint8Array): void {
  const transaction = store.beginWrite();
  transaction.put(name, VALUE, 0n);
  const { firstRow, endRow } = transaction;
  transaction.commit();
  hub.publish(firstRow, endRow);
  hub.flush();
}

const keys = Array.from({ length: KEYS }, (_, i) => key(i));
const before = memory();
const owners = Array.from({ length: STREAMS }, open);
for (const owner of owners) for (let i = 0; i < WATCHERS_PER_STREAM; i++) watch(owner.stream, keys[i % KEYS], 0);
hub.flush();
console.log(`${((memory() - before) / hub.watcherCount).toFixed(0)} bytes for each of ${hub.watcherCount} watchers`);

for (let round = 0; round < 3; round++) {
  messages = 0;
  bytes = 0;
  const started = cpuMs();
  for (let i = 0; i < PUTS; i++) put(keys[i % KEYS]);
  report("live", messages, cpuMs() - started);
}
console.log(`${(bytes / messages).toFixed(0)} bytes a message`);

const single = new Store();
const singleHub = new WatchHub(single);
{
  const started = cpuMs();
  for (let i = 0; i < PUTS * 5; i++) {
    const transaction = single.beginWrite();
    transaction.put(keys[i % KEYS], VALUE, 0n);
    const { firstRow, endRow } = transaction;
    transaction.commit();
    singleHub.publish(firstRow, endRow);
  }
  report("put without watchers", PUTS * 5, cpuMs() - started);
}

for (const owner of owners) owner.stream.close();
for (let round = 0; round < 3; round++) {
  const late = Array.from({ length: STREAMS }, open);
  for (const owner of late) {
    for (let i = 0; i < WATCHERS_PER_STREAM; i++) watch(owner.stream, keys[i % KEYS], store.revision - 5000);
  }
  hub.flush();
  const sentBefore = hub.sentEventCount;
  let stepMsMax = 0;
  const started = cpuMs();
  while (hub.hasWork) {
    const stepStarted = performance.now();
    hub.step(2000);
    stepMsMax = Math.max(stepMsMax, performance.now() - stepStarted);
    hub.flush();
  }
  report("catch-up", hub.sentEventCount - sentBefore, cpuMs() - started);
  console.log(`longest step of 2000 units: ${stepMsMax.toFixed(2)} ms`);
  for (const owner of late) owner.stream.close();
}

const distinct = memory();
const owner = open();
for (let i = 0; i < 100_000; i++) watch(owner.stream, utf8(`/bench/distinct/${i}`), 0);
owner.drain();
console.log(`${((memory() - distinct) / 100_000).toFixed(0)} bytes for each of 100000 watchers of keys of their own`);
