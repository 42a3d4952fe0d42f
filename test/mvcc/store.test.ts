import { describe, expect, test } from "bun:test";
import { EMPTY_BYTES, utf8 } from "../../src/base/bytes.ts";
import { NO_ROW, RangeJob, type RangeQuery, RECORD_FULL, RecordView, Store } from "../../src/mvcc/mod.ts";
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
          const revision = random.below(model.revision + 3) - 1;
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
