/**
 * The store alone, a million keys of 32 bytes with 256-byte values: `bun test/bench/mvcc.bench.ts [keys]`. Prints one
 * line per figure: the median and the best of ten parts, since other processes share the machine. Resident memory is the
 * growth of the process.
 */
import { EMPTY_BYTES, utf8 } from "../../src/base/bytes.ts";
import { type RangeQuery, RECORD_FULL, Store } from "../../src/mvcc/mod.ts";

const count = Number(process.argv[2] ?? 1_000_000);
const ALL = Uint8Array.of(0);
const value = new Uint8Array(256).fill(120);
const target = new Uint8Array(1 << 20);
const STEP = 5000;

let seed = 12345;
function random(limit: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % limit;
}

/** Keys of 32 bytes: sequential as etcd's benchmark makes them, or under /registry with a scrambled end. */
function makeKeys(isSequential: boolean): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    if (isSequential) keys.push(utf8(String(i).padStart(32, "0")));
    else {
      const name = ((i * 2654435761) >>> 0).toString(16).padStart(8, "0");
      keys.push(utf8(`/registry/pods/ns-${String(i % 97).padStart(4, "0")}/${name}x`));
    }
  }
  return keys;
}

function query(fields: Partial<RangeQuery>): RangeQuery {
  return {
    key: ALL,
    rangeEnd: ALL,
    revision: 0,
    limit: 0,
    sortOrder: 0,
    sortTarget: 0,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...fields,
  };
}

function put(store: Store, key: Uint8Array): void {
  const transaction = store.beginWrite();
  transaction.put(key, value, 0n);
  transaction.commit();
}

const PARTS = 10;

function measure(name: string, times: number, unit: "us" | "ms", work: (i: number) => void): void {
  const each: number[] = [];
  const size = times / PARTS;
  for (let part = 0; part < PARTS; part++) {
    const start = performance.now();
    for (let i = part * size; i < (part + 1) * size; i++) work(i);
    each.push((performance.now() - start) / size * (unit === "us" ? 1000 : 1));
  }
  each.sort((a, b) => a - b);
  console.log(`${name.padEnd(60)} ${each[PARTS / 2].toFixed(2)} (best ${each[0].toFixed(2)}) ${unit}`);
}

function page(store: Store, key: Uint8Array, revision: number): Uint8Array {
  const job = store.openRange(query({ key, limit: 1000, revision }));
  if (typeof job === "string") throw new Error(job);
  while (job.step(STEP) === "running");
  if (job.size > target.length) throw new Error("page is too large");
  job.copyAll(target, 0);
  const last = job.rowCount === 0 ? EMPTY_BYTES : store.key(job.row(job.rowCount - 1));
  job.close();
  const next = new Uint8Array(last.length + 1);
  next.set(last);
  return next;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

for (const isSequential of [true, false]) {
  console.log(isSequential ? "sequential keys" : "scattered keys");
  const keys = makeKeys(isSequential);
  const residentBefore = process.memoryUsage().rss;
  const store = new Store();
  measure("put of a new key", count, "us", (i) => put(store, keys[i]));
  const sizes = store.sizes();
  console.log(
    `slabs ${megabytes(sizes.slabAllocated)}, history ${megabytes(sizes.history)}, index ${
      megabytes(sizes.index)
    }, resident for the store ${megabytes(process.memoryUsage().rss - residentBefore)}`,
  );
  measure("get: find the row and copy the record, random keys", 300_000, "us", () => {
    const row = store.getRow(keys[random(count)], 0);
    store.copyRecord(row, RECORD_FULL, target, 0);
  });
  measure("range of a single key through a job", 300_000, "us", () => {
    const job = store.openRange(query({ key: keys[random(count)], rangeEnd: EMPTY_BYTES }));
    if (typeof job === "string") throw new Error(job);
    job.step(STEP);
    job.copyAll(target, 0);
    job.close();
  });
  measure("page of 1,000 at the head", 300, "ms", () => page(store, keys[random(count)], 0));
  const old = store.revision;
  measure("put of an existing key, random", 100_000, "us", () => put(store, keys[random(count)]));
  measure("first page of 1,000 at a revision 100,000 overwrites old", 30, "ms", () => page(store, ALL, old));
  let next: Uint8Array = ALL;
  measure("following pages there", 100, "ms", () => next = page(store, next, old));
  for (let i = 0; i < 100_000; i++) put(store, utf8(`${String(random(1e9)).padStart(32, "0")}`));
  measure("page of 1,000 at a revision 100,000 new keys older", 30, "ms", () => page(store, ALL, old + 100_000));
  const before = performance.now();
  const compaction = store.compact(store.revision);
  if (typeof compaction === "string") throw new Error(compaction);
  let longest = 0;
  for (let start = before, state = ""; state !== "done";) {
    state = compaction.step(STEP);
    const now = performance.now();
    longest = Math.max(longest, now - start);
    start = now;
  }
  console.log(`compaction: ${(performance.now() - before).toFixed(0)} ms, longest step ${longest.toFixed(2)} ms`);
  const transaction = store.beginWrite();
  const deletion = transaction.deleteRange(ALL, ALL);
  const startDelete = performance.now();
  longest = 0;
  for (let start = startDelete, isDone = false; !isDone;) {
    isDone = deletion.step(STEP);
    const now = performance.now();
    longest = Math.max(longest, now - start);
    start = now;
  }
  transaction.commit();
  console.log(
    `delete of all ${deletion.deleted}: ${(performance.now() - startDelete).toFixed(0)} ms, longest step ${
      longest.toFixed(2)
    } ms`,
  );
  const last = store.beginWrite();
  last.put(utf8("end"), value, 0n);
  last.commit();
  const removal = store.compact(store.revision);
  if (typeof removal === "string") throw new Error(removal);
  while (removal.step(STEP) !== "done");
  const left = store.sizes();
  // The allocator gives pages back a moment later.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  console.log(
    `after compacting that: slabs ${megabytes(left.slabAllocated)}, history ${megabytes(left.history)}, resident ${
      megabytes(process.memoryUsage().rss - residentBefore)
    } over the start`,
  );
  store.close();
}
