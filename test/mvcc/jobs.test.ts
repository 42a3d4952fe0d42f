import { describe, expect, test } from "bun:test";
import { compareBytes, EMPTY_BYTES, utf8, utf8Text } from "../../src/base/bytes.ts";
import { LARGE_RECORD_SIZE, SLAB_SIZE } from "../../src/base/limits.ts";
import {
  type CompactionJob,
  NO_ROW,
  type RangeQuery,
  RECORD_EVENT,
  RECORD_FULL,
  RecordView,
  SlabPool,
  Store,
} from "../../src/mvcc/mod.ts";
import { frameKvs, ModelStore } from "./model.ts";
import { ALL, compact, finish, finishHash, open, put, query, Random, remove } from "./support.ts";

function numbered(i: number): Uint8Array {
  return utf8(`key/${String(i).padStart(6, "0")}`);
}

function filled(count: number, valueSize = 20): Store {
  const store = new Store();
  for (let i = 0; i < count; i++) put(store, numbered(i), new Uint8Array(valueSize).fill(i));
  return store;
}

function scheduled(store: Store, revision: number, options?: { force?: boolean; cacheHash?: boolean }): CompactionJob {
  const job = store.compact(revision, options);
  if (typeof job === "string") throw new Error(job);
  return job;
}

describe("a read in steps", () => {
  test("sees its revision while the keys are overwritten, deleted, created and compacted beside it", () => {
    const store = filled(500);
    const expected = finish(open(store, {}));
    const job = open(store, {});
    expect(job.step(10)).toBe("running");
    for (let i = 0; i < 500; i += 3) put(store, numbered(i), utf8("other"));
    remove(store, numbered(100), numbered(400));
    for (let i = 0; i < 2000; i += 7) put(store, utf8(`key/000${i}/new`), utf8("new"));
    const compaction = scheduled(store, store.revision);
    expect(compaction.step(1000)).toBe("waiting");
    expect(finish(job, () => 13)).toEqual(expected);
    while (compaction.step(50) !== "done");
    expect(compaction.removedCount).toBeGreaterThan(300);
    expect(store.checkRevision(store.revision - 1)).toBe("compacted");
  });

  test("ends with compacted when a forced compaction passes over it, and stops giving bytes", () => {
    const store = filled(300);
    const running = open(store, {});
    expect(running.step(5)).toBe("running");
    const reading = open(store, {});
    expect(reading.step(1e6)).toBe("done");
    expect(reading.read(new Uint8Array(100))).toBe(100);
    const hash = store.hashKv(0);
    if (typeof hash === "string") throw new Error(hash);
    const current = store.pin(0);
    put(store, numbered(0), utf8("again"));
    const compaction = scheduled(store, store.revision, { force: true });
    expect(compaction.step(1e6)).toBe("done");
    expect(running.step(5)).toBe("compacted");
    expect(reading.read(new Uint8Array(100))).toBe(-1);
    expect(hash.step(1e6)).toBe("compacted");
    expect(current.isValid).toBe(false);
    for (const job of [running, reading, hash]) job.close();
    current.release();
  });

  test("does not stop a compaction at or below its own revision", () => {
    const store = filled(50);
    put(store, numbered(1), utf8("again"));
    const pin = store.pin(store.revision);
    const job = open(store, {});
    expect(scheduled(store, store.revision).step(1e6)).toBe("done");
    expect(finish(job).count).toBe(50);
    expect(pin.isValid).toBe(true);
    pin.release();
    pin.release();
  });

  test("pages through one revision with exact counts while the store goes on", () => {
    const random = new Random(7);
    const store = new Store();
    const model = new ModelStore();
    const step = (writes: number) => {
      for (let i = 0; i < writes; i++) {
        const transaction = store.beginWrite();
        model.begin();
        const key = numbered(random.below(400));
        if (random.below(3) === 0) {
          const job = transaction.deleteRange(key, EMPTY_BYTES);
          while (!job.step(10));
          model.deleteRange(key, EMPTY_BYTES);
        } else {
          transaction.put(key, key, 0n);
          model.put(key, key, 0n);
        }
        transaction.commit();
        model.commit();
      }
    };
    step(600);
    const revision = store.revision;
    const end = numbered(350);
    let key: Uint8Array = numbered(20);
    let pages = 0;
    for (let more = true; more; pages++) {
      step(40);
      const q = query({ key, rangeEnd: end, revision, limit: 17 });
      const expected = model.range(q);
      const job = store.openRange(q);
      if (typeof job === "string" || typeof expected === "string") throw new Error("the revision is readable");
      while (job.step(9) === "running");
      const last = store.key(job.row(job.rowCount - 1));
      expect(finish(job)).toEqual({
        bytes: frameKvs(expected.kvs) as Uint8Array<ArrayBuffer>,
        count: expected.count,
        more: expected.more,
        rowCount: expected.kvs.length,
      });
      more = expected.more;
      key = new Uint8Array(last.length + 1);
      key.set(last);
    }
    expect(pages).toBeGreaterThan(5);
  });

  test("pages over the same keys at two revisions and inside a transaction without mixing their counts", () => {
    const store = filled(100);
    const revision = store.revision;
    remove(store, numbered(60), numbered(80));
    put(store, numbered(1), utf8("again"));
    const next = utf8("key/000009\0");
    expect(finish(open(store, { revision, limit: 10 })).count).toBe(100);
    expect(finish(open(store, { revision: store.revision - 1, limit: 10 })).count).toBe(80);
    expect(finish(open(store, { key: next, revision, limit: 10 })).count).toBe(90);
    expect(finish(open(store, { key: next, revision: store.revision - 1, limit: 10 })).count).toBe(70);
    const transaction = store.beginWrite();
    transaction.put(numbered(2), utf8("again"), 0n);
    const inside = (fields: Partial<RangeQuery>) => {
      const job = transaction.openRange(query(fields));
      if (typeof job === "string") throw new Error(job);
      return finish(job).count;
    };
    expect(inside({ limit: 10 })).toBe(80);
    transaction.put(numbered(200), utf8("new"), 0n);
    transaction.commit();
    put(store, numbered(1), utf8("again"));
    expect(finish(open(store, { key: next, revision: store.revision - 1, limit: 10 })).count).toBe(71);
  });

  test("does not need the query's bytes after its first step", () => {
    const store = filled(100);
    const q = query({ key: numbered(10), rangeEnd: numbered(90) });
    const job = store.openRange(q);
    if (typeof job === "string") throw new Error(job);
    expect(job.step(5)).toBe("running");
    q.key.fill(255);
    q.rangeEnd.fill(0);
    expect(finish(job).rowCount).toBe(80);
    const transaction = store.beginWrite();
    const [key, rangeEnd] = [numbered(10), numbered(90)];
    const deletion = transaction.deleteRange(key, rangeEnd);
    expect(deletion.step(5)).toBe(false);
    key.fill(255);
    rangeEnd.fill(0);
    while (!deletion.step(0));
    expect(deletion.deleted).toBe(80);
    transaction.commit();
  });

  test("can leave the count out", () => {
    const store = filled(100);
    put(store, numbered(3), utf8("again"));
    const job = store.openRange(query({ limit: 10, revision: store.revision - 1 }), false);
    if (typeof job === "string") throw new Error(job);
    expect(job.step(1000)).toBe("done");
    expect(job.rowCount).toBe(10);
    expect(job.more).toBe(true);
    job.close();
  });
});

describe("a deletion in steps", () => {
  test("is invisible below its commit, whole after it, and goes on beside a compaction", () => {
    const store = filled(1000);
    for (let i = 0; i < 1000; i += 2) put(store, numbered(i), utf8("two"));
    remove(store, numbered(0), numbered(50));
    const before = finish(open(store, {}));
    const pageBefore = finish(open(store, { key: numbered(200), limit: 10 }));
    const compaction = scheduled(store, store.revision);
    const transaction = store.beginWrite();
    const job = transaction.deleteRange(numbered(10), numbered(900));
    while (!job.step(37)) {
      compaction.step(20);
      const page = finish(open(store, { key: numbered(200), limit: 10 }), () => 5);
      expect(page).toEqual(pageBefore);
    }
    expect(finish(open(store, {}))).toEqual(before);
    expect(job.deleted).toBe(850);
    expect(store.getRow(numbered(60), 0)).not.toBe(NO_ROW);
    expect(transaction.getRow(numbered(60), 0)).toBe(NO_ROW);
    expect(store.nextRow(job.firstRow - 1)).toBe(store.endRow);
    transaction.commit();
    expect(store.getRow(numbered(60), 0)).toBe(NO_ROW);
    expect(store.keyCount).toBe(100);
    expect(store.nextRow(job.firstRow - 1)).toBe(job.firstRow);
    for (let row = job.firstRow, sub = 0; row < job.endRow; row++, sub++) {
      expect(store.rowSub(row)).toBe(sub);
      expect<unknown>(store.key(row)).toEqual(numbered(50 + sub));
    }
  });
});

describe("compaction", () => {
  test("gives memory back: dead records, rows, index entries and slabs", () => {
    const pool = new SlabPool();
    const store = new Store(pool);
    const value = new Uint8Array(2000);
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 3000; i++) put(store, numbered(i), value);
    }
    remove(store, numbered(1000), ALL);
    const full = store.sizes();
    expect(full.slabAllocated).toBeGreaterThan(60e6);
    compact(store, store.revision);
    put(store, numbered(0), value);
    compact(store, store.revision);
    const left = store.sizes();
    expect(left.slabAllocated).toBeLessThan(4 * SLAB_SIZE);
    expect(left.slabLive).toBeLessThan(2.1e6);
    expect(left.rowCount).toBe(1000);
    expect(left.indexedCount).toBe(1000);
    expect(left.history).toBeLessThanOrEqual(full.history / 2);
    expect(left.index).toBeLessThan(full.index);
    expect(pool.size).toBeGreaterThan(0);
    expect(finish(open(store, {})).count).toBe(1000);
  });

  test("moves the survivors of mostly dead slabs and keeps every record readable", () => {
    const store = new Store();
    const model = new Map<number, number>();
    const random = new Random(3);
    for (let i = 0; i < 30000; i++) {
      const key = i < 2000 ? i : random.below(20);
      put(store, numbered(key), new Uint8Array(1000).fill(i));
      model.set(key, i & 255);
    }
    compact(store, store.revision);
    expect(store.sizes().slabAllocated).toBeLessThan(4 * SLAB_SIZE);
    const view = new RecordView();
    for (const [key, fill] of model) {
      store.readRecord(store.getRow(numbered(key), 0), view);
      expect<unknown>(view.key()).toEqual(numbered(key));
      expect(view.value()[999]).toBe(fill);
    }
  });

  test("frees a large record's own buffer at once", () => {
    const store = new Store();
    put(store, utf8("large"), new Uint8Array(LARGE_RECORD_SIZE * 10));
    put(store, utf8("small"), utf8("x"));
    const large = store.sizes().slabAllocated;
    expect(finish(open(store, {})).count).toBe(2);
    remove(store, utf8("large"));
    put(store, utf8("small"), utf8("y"));
    compact(store, store.revision);
    expect(store.sizes().slabAllocated).toBe(large - Math.ceil((LARGE_RECORD_SIZE * 10 + 20) / 4096) * 4096);
  });

  test("frees the slab being filled once the next one has taken its place", () => {
    const store = new Store();
    const value = new Uint8Array(100_000);
    for (let i = 0; i < 20; i++) put(store, numbered(0), value);
    compact(store, store.revision);
    remove(store, numbered(0));
    put(store, numbered(1), utf8("x"));
    compact(store, store.revision);
    for (let i = 0; i < 200; i++) {
      put(store, numbered(1), value);
      compact(store, store.revision);
    }
    expect(store.sizes().slabAllocated).toBeLessThan(3 * SLAB_SIZE);
  });

  test("runs one after another, and remembers a hash only where the one before had finished", () => {
    const store = filled(100);
    for (let i = 0; i < 100; i++) put(store, numbered(i), utf8("two"));
    const first = scheduled(store, 50);
    const second = scheduled(store, 150);
    expect(store.compactRevision).toBe(150);
    expect(second.step(1e6)).toBe("done");
    expect(first.isDone).toBe(true);
    expect(first.hash).toBeNumber();
    expect(second.hash).toBeUndefined();
    expect(store.finishedCompactRevision).toBe(150);
    expect(finishHash(store.hashKv(50)).compactRevision).toBe(-1);
    expect(finishHash(store.hashKv(150))).toMatchObject({ compactRevision: 150, hashRevision: 150 });
    const third = scheduled(store, 160);
    while (third.step(10) !== "done");
    expect(finishHash(store.hashKv(160))).toEqual({ hash: third.hash!, hashRevision: 160, compactRevision: 150 });
    const replayed = scheduled(store, 170, { cacheHash: false });
    while (replayed.step(10) !== "done");
    expect(finishHash(store.hashKv(170)).compactRevision).toBe(170);
  });

  test("forgets the hashes of the smallest revisions beyond ten", () => {
    const store = filled(30);
    for (let revision = 0; revision <= 11; revision++) compact(store, revision);
    expect(store.hashKv(1)).toBe("compacted");
    expect(finishHash(store.hashKv(2)).compactRevision).toBe(1);
  });

  test("does not change the hash of a revision it leaves readable, half done or done", () => {
    const store = filled(200);
    remove(store, numbered(10), numbered(20));
    for (let i = 0; i < 50; i++) put(store, numbered(i), utf8("two"));
    const compaction = scheduled(store, store.revision - 20, { cacheHash: false });
    const hashes = new Set<number>();
    do {
      const hash = finishHash(store.hashKv(store.revision - 10), 50);
      expect(hash.compactRevision).toBe(store.revision - 20);
      hashes.add(hash.hash);
    } while (compaction.step(15) !== "done");
    hashes.add(finishHash(store.hashKv(store.revision - 10)).hash);
    expect(hashes.size).toBe(1);
  });
});

describe("the history", () => {
  test("gives the events from a revision on, with what they replaced", () => {
    const store = new Store();
    const a = utf8("a");
    const b = utf8("b");
    put(store, a, utf8("1"));
    const transaction = store.beginWrite();
    transaction.put(a, utf8("2"), 5n);
    transaction.put(b, utf8("3"), 0n);
    expect([transaction.firstRow, transaction.endRow]).toEqual([2, 4]);
    transaction.commit();
    remove(store, a);
    put(store, a, utf8("4"));
    const seen: string[] = [];
    const event = new Uint8Array(100);
    for (let row = store.rowAtOrAfter(3); row < store.endRow; row = store.nextRow(row)) {
      const before = store.previousKvRow(row);
      const end = store.copyRecord(row, RECORD_EVENT, event, 0);
      expect(end).toBe(store.recordSize(row, RECORD_EVENT));
      seen.push(
        `${store.rowMain(row)}.${store.rowSub(row)} ${utf8Text(store.key(row))} ${store.isTombstone(row) ? "t" : "p"}${
          store.isCreate(row) ? "c" : ""
        } lease ${store.lease(row)} before ${before === NO_ROW ? "-" : store.rowMain(before)}`,
      );
      if (store.isTombstone(row)) {
        expect([...event.subarray(0, end)]).toEqual([0x12, 5, 0x0a, 1, 97, 0x18, 4]);
      }
    }
    expect(seen).toEqual([
      "3.0 a p lease 5 before 2",
      "3.1 b pc lease 0 before -",
      "4.0 a t lease 0 before 3",
      "5.0 a pc lease 0 before -",
    ]);
    expect(store.rowAtOrAfter(6)).toBe(store.endRow);
    expect(store.rowAtOrAfter(-1)).toBe(1);
    compact(store, 4);
    expect(store.previousKvRow(store.rowAtOrAfter(4))).toBe(NO_ROW);
    expect(store.previousRow(store.rowAtOrAfter(5))).toBe(store.rowAtOrAfter(4));
    compact(store, 5);
    expect(store.previousRow(store.rowAtOrAfter(5))).toBe(NO_ROW);
    expect(store.rowMain(store.rowAtOrAfter(1))).toBe(3);
  });

  test("is walked in order across packed and dropped chunks", () => {
    const store = new Store();
    const value = utf8("v");
    for (let i = 0; i < 60000; i++) put(store, numbered(i % 30000 < 20000 ? i % 10 : i), value);
    const full = store.sizes().history;
    compact(store, store.revision);
    const mains: number[] = [];
    for (let row = store.rowAtOrAfter(0); row < store.endRow; row = store.nextRow(row)) mains.push(store.rowMain(row));
    expect(mains.length).toBe(20010);
    for (let i = 1; i < mains.length; i++) expect(mains[i] > mains[i - 1]).toBe(true);
    for (const main of [0, mains[0], mains[5000] + 1, mains[9999], mains[20009]]) {
      expect(store.rowMain(store.rowAtOrAfter(main))).toBe(mains.find((m) => m >= main)!);
    }
    expect(store.sizes().history).toBeLessThan(full);
  });
});

describe("rows that are gone", () => {
  test("are not found in packed chunks, nor where whole chunks were dropped", () => {
    const store = new Store();
    const first = put(store, utf8("first"), utf8("v"));
    const rows: number[] = [];
    for (let i = 0; i < 40000; i++) {
      rows.push(put(store, numbered(i % 5000), utf8("v")));
      // Keys written once keep their chunks, packed.
      if (i % 1000 === 500 && i < 34000) put(store, utf8(`once/${i}`), utf8("v"));
    }
    const last = put(store, numbered(7), utf8("last"));
    compact(store, store.revision - 1);
    expect(store.previousRow(last)).toBe(rows[35007]);
    expect(store.getRow(utf8("first"), 0)).toBe(first);
    for (let i = 0; i < 5000; i++) if (i !== 7) expect(store.previousRow(rows[35000 + i])).toBe(NO_ROW);
    // The chunks before go after one behind them has gone.
    for (let i = 16500; i < 34000; i += 1000) put(store, utf8(`once/${i}`), utf8("w"));
    compact(store, store.revision);
    for (let i = 500; i < 34000; i += 1000) put(store, utf8(`once/${i}`), utf8("w"));
    put(store, utf8("first"), utf8("w"));
    compact(store, store.revision);
    const oldest = rows[35000];
    expect(store.rowAtOrAfter(0)).toBe(oldest);
    expect(store.nextRow(first)).toBe(oldest);
    // Here every transaction wrote one row, the first one revision 2.
    for (let i = 0; i < 5000; i++) if (i !== 7) expect(store.rowMain(rows[35000 + i])).toBe(rows[35000 + i] + 1);
    expect(store.getRow(numbered(7), 0)).toBe(last);
  });
});

describe("restore", () => {
  test("from the rows of a store gives the same store", () => {
    const random = new Random(11);
    const store = new Store();
    for (let i = 0; i < 3000; i++) {
      if (random.below(5) === 0) remove(store, numbered(random.below(200)), numbered(random.below(200)));
      else put(store, numbered(random.below(200)), utf8(`v${i}`), random.below(3) === 0 ? -5n : 0n);
      if (i === 2000) compact(store, store.revision - 300);
    }
    const copy = new Store();
    const record = new Uint8Array(1000);
    for (let row = store.rowAtOrAfter(0); row < store.endRow; row = store.nextRow(row)) {
      const size = store.copyRecord(row, RECORD_FULL, record, 0);
      copy.restoreRow(store.rowMain(row), store.rowSub(row), store.isTombstone(row), record.slice(2, size));
    }
    copy.finishRestore(store.revision, store.compactRevision);
    expect(copy.keyCount).toBe(store.keyCount);
    for (let i = 0; i < 40; i++) {
      const revision = store.compactRevision + random.below(store.revision - store.compactRevision + 1);
      expect(finish(open(copy, { revision, limit: 50 }))).toEqual(finish(open(store, { revision, limit: 50 })));
      if (revision !== store.compactRevision) {
        expect(finishHash(copy.hashKv(revision))).toEqual(finishHash(store.hashKv(revision)));
      }
    }
    put(copy, numbered(1), utf8("after"));
    put(store, numbered(1), utf8("after"));
    expect(finishHash(copy.hashKv(0))).toEqual(finishHash(store.hashKv(0)));
  });

  test("refuses what etcd would not have written", () => {
    const store = new Store();
    expect(() => store.restoreRow(2, 0, false, Uint8Array.of(0x10, 2, 0x0a, 1, 97))).toThrow("out of order");
    expect(() => store.restoreRow(2, 0, false, Uint8Array.of(0x0a, 5, 97))).toThrow("unexpected end");
    expect(() => store.restoreRow(2, 0, false, Uint8Array.of(0x0a, 1, 97, 0x42, 0))).toThrow("unknown field");
    store.restoreRow(7, 0, false, EMPTY_BYTES);
    store.finishRestore(7, -1);
    expect(finish(open(store, {})).count).toBe(0);
  });
});

describe("the index", () => {
  for (const order of ["ascending", "descending", "scattered"] as const) {
    test(`counts every range of many keys inserted in ${order} order, and shrinks`, () => {
      const random = new Random(5);
      const store = new Store();
      const total = 20000;
      const live: Uint8Array[] = [];
      for (let i = 0; i < total; i++) {
        const n = order === "ascending" ? i : order === "descending" ? total - i : (i * 7919) % 65537;
        const key = n % 5 === 0 ? utf8(`/a/${n}`) : utf8(`/registry/${n % 7}/${String(n).padStart(8, "0")}`);
        put(store, key, EMPTY_BYTES);
        live.push(key);
      }
      const check = () => {
        live.sort(compareBytes);
        expect(store.keyCount).toBe(live.length);
        for (let i = 0; i < 200; i++) {
          const [a, b] = [random.below(live.length), random.below(live.length)];
          const [from, to] = a < b ? [a, b] : [b, a];
          const job = open(store, { key: live[from], rangeEnd: live[to], limit: 3 });
          expect(job.step(100)).toBe("done");
          expect(job.count).toBe(to - from);
          if (from < to) expect<unknown>(store.key(job.row(0))).toEqual(live[from]);
          job.close();
          expect(store.getRow(live[from], 0)).not.toBe(NO_ROW);
        }
      };
      check();
      const indexed = store.sizes().index;
      // Keys in order, here under several prefixes at once, leave full leaves behind them.
      if (order !== "scattered") expect(indexed / total).toBeLessThan(24);
      for (let round = 0; round < 4; round++) {
        for (let i = live.length >> 1; i > 0; i--) {
          const at = random.below(live.length);
          expect(remove(store, live[at])).toBe(1);
          live[at] = live[live.length - 1];
          live.pop();
        }
        check();
        // A tombstone at the compacted revision itself stays until the next time.
        put(store, live[0], EMPTY_BYTES);
        compact(store, store.revision);
        expect(store.sizes().indexedCount).toBe(live.length);
        check();
      }
      expect(store.sizes().index).toBeLessThan(indexed / 3);
    });
  }
});
