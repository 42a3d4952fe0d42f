import { describe, expect, test } from "bun:test";
import { EMPTY_BYTES, utf8 } from "../../src/base/bytes.ts";
import {
  type CompactionJob,
  type HashJob,
  NO_ROW,
  RangeJob,
  type RangeQuery,
  RECORD_FULL,
  RecordView,
  Store,
} from "../../src/mvcc/mod.ts";
import { frameKvs, ModelStore } from "./model.ts";
import { ALL, finish, finishHash, query, Random } from "./support.ts";

function randomQuery(random: Random, keys: readonly Uint8Array[], revision: number): RangeQuery {
  const filter = () => random.below(8) === 0 ? random.below(revision + 3) - 1 : 0;
  const end = random.below(10);
  return query({
    key: random.below(6) === 0 ? ALL : random.pick(keys),
    rangeEnd: end < 3 ? EMPTY_BYTES : end < 6 ? ALL : random.pick(keys),
    revision: random.below(3) === 0 ? 0 : random.below(revision + 2) - 1,
    limit: random.below(2) === 0 ? 0 : random.below(8) - 1,
    sortOrder: random.below(3),
    sortTarget: random.below(5),
    keysOnly: random.below(4) === 0,
    countOnly: random.below(8) === 0,
    minModRevision: filter(),
    maxModRevision: filter(),
    minCreateRevision: filter(),
    maxCreateRevision: filter(),
  });
}

function randomKeys(random: Random, count: number): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const size = 1 + random.below(12);
    const key = new Uint8Array(size);
    // Few distinct bytes, zero and 255 among them: long shared prefixes, keys that are prefixes of others.
    for (let at = 0; at < size; at++) key[at] = random.pick([0, 1, 97, 97, 97, 97, 98, 255]);
    keys.push(key);
  }
  return keys;
}

describe("a store and a naive model of it agree", () => {
  for (let seed = 1; seed <= 12; seed++) {
    test(`on every read after random operations, seed ${seed}`, () => {
      const random = new Random(seed);
      const store = new Store();
      const model = new ModelStore();
      const keys = randomKeys(random, seed % 3 === 0 ? 400 : 25);
      const budget = () => seed % 2 === 0 ? 1e9 : random.below(40);
      const view = new RecordView();
      for (let round = 0; round < 350; round++) {
        const kind = random.below(20);
        if (kind < 12) {
          writeRandomly(random, store, model, keys, budget, view);
        } else if (kind === 12) {
          const revision = random.below(model.revision + 3) - 1;
          const outcome = store.compact(revision);
          expect<unknown>(typeof outcome === "string" ? outcome : undefined).toBe(model.compact(revision));
          if (typeof outcome !== "string") { while (outcome.step(budget()) !== "done"); }
        } else if (kind === 13) {
          const revision = model.hashes.length > 0 && random.below(2) === 0
            ? random.pick(model.hashes).hashRevision
            : random.below(model.revision + 3) - 1;
          const job = store.hashKv(revision);
          expect<unknown>(typeof job === "string" ? job : finishHash(job, budget())).toEqual(model.hashKv(revision));
        } else {
          const q = randomQuery(random, keys, model.revision);
          const job = store.openRange(q);
          const expected = model.range(q);
          if (typeof job === "string" || typeof expected === "string") {
            expect<unknown>(job).toBe(expected);
            continue;
          }
          expect(job.headerRevision).toBe(model.revision);
          expect<unknown>(finish(job, budget)).toEqual({
            bytes: frameKvs(expected.kvs),
            count: expected.count,
            more: expected.more,
            rowCount: expected.kvs.length,
          });
        }
        expect(store.revision).toBe(model.revision);
        expect(store.compactRevision).toBe(model.compactRevision);
        expect(store.keyCount).toBe(model.live(ALL, ALL, model.revision).length);
      }
      expect(store.sizes().rowCount).toBe(model.revisions.length);
    });
  }
});

function writeRandomly(
  random: Random,
  store: Store,
  model: ModelStore,
  keys: readonly Uint8Array[],
  budget: () => number,
  view: RecordView,
): void {
  const transaction = store.beginWrite();
  model.begin();
  for (let ops = random.below(4); ops >= 0; ops--) {
    const key = random.pick(keys);
    if (random.below(5) === 0) {
      const end = random.below(4);
      const rangeEnd = end === 0 && random.below(5) === 0 ? ALL : end < 2 ? random.pick(keys) : EMPTY_BYTES;
      const job = transaction.deleteRange(key, rangeEnd);
      while (!job.step(budget()));
      const deleted = model.deleteRange(key, rangeEnd);
      expect(job.deleted).toBe(deleted.length);
      expect(job.endRow - job.firstRow).toBe(deleted.length);
      expect(job.leasedCount).toBe(deleted.filter((kv) => kv.lease !== 0n).length);
      for (let row = job.firstRow; row < job.endRow; row++) {
        const record = new Uint8Array(store.recordSize(store.previousRow(row), RECORD_FULL));
        store.copyRecord(store.previousRow(row), RECORD_FULL, record, 0);
        expect<unknown>(record).toEqual(frameKvs([deleted[row - job.firstRow]]));
        expect(store.isTombstone(row)).toBe(true);
      }
    } else {
      const value = utf8("v".repeat(random.below(4)) + random.below(100));
      const lease = random.below(3) === 0 ? random.pick([1n, -1n, 77777777777777777n, -(2n ** 63n)]) : 0n;
      const before = model.at(key, model.revision + 1);
      const row = transaction.put(key, value, lease);
      model.put(key, value, lease);
      expect(transaction.previousRow === NO_ROW).toBe(before === undefined);
      if (before !== undefined) {
        expect(store.lease(transaction.previousRow)).toBe(before.lease);
        store.readRecord(transaction.previousRow, view);
        expect<unknown>(view.value()).toEqual(before.value);
        expect<unknown>(view.key()).toEqual(key);
      }
      expect(store.isCreate(row)).toBe(before === undefined);
      expect(store.lease(row)).toBe(lease);
      expect(store.rowMain(row)).toBe(transaction.main);
    }
    // The transaction reads its own writes; the store's revision does not.
    const inside = transaction.openRange(query({ revision: 0 })) as RangeJob;
    expect<unknown>(finish(inside, budget).bytes).toEqual(frameKvs(model.live(ALL, ALL, model.revision + 1)));
    const outside = store.openRange(query({ limit: 3 })) as RangeJob;
    const expected = model.range(query({ limit: 3 })) as { kvs: []; count: number; more: boolean };
    expect<unknown>(finish(outside, budget)).toEqual({
      bytes: frameKvs(expected.kvs),
      count: expected.count,
      more: expected.more,
      rowCount: expected.kvs.length,
    });
  }
  const wrote = transaction.endRow > transaction.firstRow;
  expect(transaction.revision).toBe(wrote ? store.revision + 1 : store.revision);
  expect(transaction.commit()).toBe(wrote);
  model.commit();
}

describe("jobs that run beside one another", () => {
  for (let seed = 1; seed <= 6; seed++) {
    test(`answer as if each had run alone, seed ${seed}`, () => {
      const random = new Random(seed + 1000);
      const store = new Store();
      const model = new ModelStore();
      const keys = randomKeys(random, 150);
      const budget = () => random.below(30);
      const ranges: { job: RangeJob; expected: unknown }[] = [];
      const hashes: { job: HashJob; expected: unknown }[] = [];
      const compactions: CompactionJob[] = [];
      let waited = 0;
      for (let round = 0; round < 4000; round++) {
        const kind = random.below(20);
        if (kind < 8) {
          writeInSteps(random, store, model, keys, () => {
            if (compactions.length > 0) compactions[compactions.length - 1].step(budget());
            const running = ranges[random.below(ranges.length + 1)];
            if (running !== undefined) running.job.step(budget());
          });
        } else if (kind === 8 && ranges.length < 10) {
          const q = randomQuery(random, keys, model.revision);
          const job = store.openRange(q);
          const expected = model.range(q);
          if (typeof job === "string" || typeof expected === "string") expect<unknown>(job).toBe(expected);
          else ranges.push({ job, expected: { ...expected, kvs: undefined, bytes: frameKvs(expected.kvs) } });
        } else if (kind === 9 && hashes.length < 3) {
          const job = store.hashKv(0);
          if (typeof job !== "string") hashes.push({ job, expected: model.hashKv(0) });
        } else if (kind === 10 && random.below(4) === 0) {
          // The model's hashes of compactions are those of compactions that never wait: they are not compared here.
          const revision = model.revision - random.below(10);
          const job = store.compact(revision, { cacheHash: false });
          expect<unknown>(typeof job === "string" ? job : undefined).toBe(model.compact(revision));
          if (typeof job !== "string") compactions.push(job);
          model.hashes = [];
        } else if (kind < 14) {
          const at = random.below(ranges.length + 1);
          const running = ranges[at];
          if (running === undefined || running.job.step(budget()) === "running") continue;
          const { rowCount: _, ...answer } = finish(running.job, budget);
          expect<unknown>({ ...answer, kvs: undefined }).toEqual(running.expected);
          ranges.splice(at, 1);
        } else if (kind < 16 && hashes.length > 0) {
          if (hashes[0].job.step(budget()) === "running") continue;
          expect<unknown>(hashes[0].job.result).toEqual(hashes[0].expected);
          hashes.shift();
        } else if (compactions.length > 0) {
          if (compactions[0].step(budget()) === "waiting") waited++;
          if (compactions[0].isDone) compactions.shift();
        }
      }
      for (const { job } of ranges) job.close();
      for (const { job } of hashes) job.close();
      for (const job of compactions) while (job.step(budget()) !== "done");
      expect(waited).toBeGreaterThan(0);
      expect(store.sizes().rowCount).toBe(model.revisions.length);
      expect<unknown>(finish(store.openRange(query({})) as RangeJob).bytes).toEqual(
        frameKvs(model.live(ALL, ALL, model.revision)),
      );
    });
  }
});

/** One transaction of a few puts or one deletion, with something else between its steps. */
function writeInSteps(
  random: Random,
  store: Store,
  model: ModelStore,
  keys: readonly Uint8Array[],
  between: () => void,
): void {
  const transaction = store.beginWrite();
  model.begin();
  if (random.below(4) === 0) {
    const [key, rangeEnd] = [random.pick(keys), random.below(8) === 0 ? ALL : random.pick(keys)];
    const job = transaction.deleteRange(key, rangeEnd);
    while (!job.step(random.below(20))) between();
    expect(job.deleted).toBe(model.deleteRange(key, rangeEnd).length);
  } else {
    for (let puts = 1 + random.below(4); puts > 0; puts--) {
      const [key, value] = [random.pick(keys), random.pick(keys)];
      transaction.put(key, value, BigInt(random.below(2)));
      model.put(key, value, store.lease(transaction.endRow - 1));
      between();
    }
  }
  transaction.commit();
  model.commit();
}

test("operations are counted as etcd counts them: deletions by request, transactions only where they hold several", () => {
  const store = new Store();
  const one = store.beginWrite();
  one.put(utf8("a"), utf8("value"), 0n);
  one.commit();
  const several = store.beginWrite();
  several.put(utf8("b"), utf8("v"), 0n);
  several.deleteRange(ALL, ALL).step(100);
  several.commit();
  const range = store.openRange(query({ key: ALL, rangeEnd: ALL }));
  if (typeof range !== "string") range.close();
  expect(store.operations).toEqual({ ranges: 1, puts: 2, deletes: 1, txns: 1, putSize: 8 });
});
