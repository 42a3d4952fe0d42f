/** What the store's tests share: a seeded generator, queries, and jobs stepped to their end. */
import { expect } from "bun:test";
import { type HashJob, type KeyValueHash, RangeJob, type RangeQuery, type Store } from "../../src/mvcc/mod.ts";

/** A small generator of our own, so that a failing seed can be run again. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed * 2654435761 >>> 0 || 1;
  }
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** As a key and as a range end: everything. */
export const ALL = Uint8Array.of(0);

export function query(fields: Partial<RangeQuery>): RangeQuery {
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

/** Opens a range that must be readable. */
export function open(store: Store, fields: Partial<RangeQuery>): RangeJob {
  const job = store.openRange(query(fields));
  if (typeof job === "string") throw new Error(job);
  return job;
}

/** Steps a job to its end with a budget that may change, and gives its answer as bytes. */
export function finish(job: RangeJob, budget: () => number = () => 1000) {
  let state = job.step(budget());
  for (let steps = 0; state === "running"; steps++) {
    if (steps > 1_000_000) throw new Error("the job does not end");
    state = job.step(budget());
  }
  expect(state).toBe("done");
  const bytes = new Uint8Array(job.size);
  expect(job.copyAll(bytes, 0)).toBe(job.size);
  const read = new Uint8Array(job.size);
  const part = new Uint8Array(1 + Math.abs(budget()) % 97);
  let at = 0;
  for (let n = job.read(part); n > 0; n = job.read(part)) {
    read.set(part.subarray(0, n), at);
    at += n;
  }
  expect(at).toBe(job.size);
  expect<unknown>(read).toEqual(bytes);
  const result = { bytes, count: job.count, more: job.more, rowCount: job.rowCount };
  job.close();
  return result;
}

export function finishHash(job: HashJob | string, budget = 1000): KeyValueHash {
  if (typeof job === "string") throw new Error(job);
  let state = job.step(budget);
  while (state === "running") state = job.step(budget);
  expect(state).toBe("done");
  return job.result;
}

export function put(store: Store, key: Uint8Array, value: Uint8Array, lease = 0n): number {
  const transaction = store.beginWrite();
  const row = transaction.put(key, value, lease);
  transaction.commit();
  return row;
}

export function remove(store: Store, key: Uint8Array, rangeEnd: Uint8Array = new Uint8Array(0)): number {
  const transaction = store.beginWrite();
  const job = transaction.deleteRange(key, rangeEnd);
  while (!job.step(100));
  transaction.commit();
  return job.deleted;
}

/** Schedules a compaction that must be accepted and does all of it. */
export function compact(store: Store, revision: number): void {
  const job = store.compact(revision);
  if (typeof job === "string") throw new Error(job);
  while (job.step(1000) !== "done") if (job.step(1000) === "waiting") throw new Error("a pin is in the way");
}
