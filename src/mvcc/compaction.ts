/**
 * The physical part of a compaction at revision C, in steps: what is not readable at C or later is taken out of history,
 * index and slabs. A row stays exactly if it is the newest of its key up to C and not a tombstone before C (etcd keeps a
 * tombstone at C itself until a later compaction).
 *
 *     sweep:  every row up to C in order: into the hash, then out if it does not stay
 *     move:   the live records of mostly dead slabs are copied together, so that those slabs can be freed
 *
 * Compactions run one after another in the order they were scheduled, and wait for pins below their revision.
 */

import { assert } from "../base/assert.ts";
import { TOMBSTONE } from "./history.ts";
import { RevisionHash } from "./revision_hash.ts";
import { recordSizeAt } from "./record.ts";
import { MOVED } from "./slab.ts";
import type { StoreState } from "./state.ts";

export type CompactionState = "running" | "waiting" | "done";

const SWEEP = 0;
const MOVE = 1;
const DONE = 2;

export class CompactionJob {
  readonly revision: number;
  /** Rows taken out so far. */
  removedCount = 0;
  /** The hash that was stored for HashKV, once done, if one was. */
  hash: number | undefined = undefined;

  readonly #state: StoreState;
  /** The compact revision before this one. */
  readonly #previousRevision: number;
  readonly #hash: RevisionHash | undefined;
  #hasLiveKeys = false;
  #phase = SWEEP;
  // The next row to visit.
  #row = 1;
  // Slabs to empty, by number.
  #victims: Uint8Array = new Uint8Array(0);

  constructor(state: StoreState, revision: number, previousRevision: number, isHashed: boolean) {
    this.#state = state;
    this.revision = revision;
    this.#previousRevision = previousRevision;
    this.#hash = isHashed ? new RevisionHash(state.slabs) : undefined;
  }

  /**
   * Works for about `budget` units, on older compactions first where there are any. "waiting": a pin is in the way, try
   * again later.
   */
  step(budget: number): CompactionState {
    const state = this.#state;
    let left = budget;
    while (this.#phase !== DONE) {
      const job = state.compactions[0];
      if (state.pins.isBlocked(job.revision)) return "waiting";
      if (left < 0) return "running";
      left = job.#phase === SWEEP ? job.#sweep(left) : job.#move(left);
      if (job.#phase === DONE) state.compactions.shift();
    }
    return "done";
  }

  get isDone(): boolean {
    return this.#phase === DONE;
  }

  #survives(main: number, ends: number, flags: number): boolean {
    return ends > this.revision && ((flags & TOMBSTONE) === 0 || main === this.revision);
  }

  #sweep(budget: number): number {
    const history = this.#state.history;
    let left = budget;
    for (let chunk = history.chunkFrom(this.#row); chunk !== undefined; chunk = history.chunkFrom(this.#row)) {
      let position = chunk.seek(Math.max(0, this.#row - chunk.firstRow));
      for (; position < chunk.count; position++) {
        if (chunk.isRemoved(position)) continue;
        const main = chunk.mainAt(position);
        if (main > this.revision) {
          history.tidy(chunk);
          return this.#beginMove(left);
        }
        const ends = chunk.endsAt(position);
        const flags = chunk.flagsAt(position);
        const survives = this.#survives(main, ends, flags);
        if (survives && (flags & TOMBSTONE) === 0) this.#hasLiveKeys = true;
        if (this.#hash !== undefined && (main > this.#previousRevision || survives)) {
          left -= 0.2 + this.#hash.add(chunk, position) / 256;
        }
        if (!survives) {
          const row = chunk.rowAt(position);
          if (ends === Infinity) {
            this.#removeKey(row);
            left -= 5;
          }
          history.remove(chunk, position);
          this.removedCount++;
          left -= 0.5;
        }
        left -= 0.05;
        if (left < 0) {
          this.#row = chunk.rowAt(position) + 1;
          if (position + 1 === chunk.count) history.tidy(chunk);
          return left;
        }
      }
      this.#row = history.chunkEnd(chunk);
      history.tidy(chunk);
      // Packing copies the chunk's columns.
      left -= 100;
      if (left < 0) return left;
    }
    return this.#beginMove(left);
  }

  // The algorithm's keep set (api.md section 8) are the survivors. Its exceptions, for an empty set and for tombstones at
  // the previous compaction, cannot occur: a row of the compacted revision itself always survives.
  /** Drops a key whose newest row is a tombstone that goes. */
  #removeKey(row: number): void {
    const { history, index } = this.#state;
    history.locateKey(row);
    const entry = index.find(history.keyBytes, history.keyStart, history.keySize);
    assert(entry === -row, "a tombstone without a later row is its key's entry");
    index.removeFound();
  }

  #beginMove(left: number): number {
    const slabs = this.#state.slabs;
    this.#victims = new Uint8Array(slabs.count);
    let hasVictims = false;
    for (let number = 0; number < slabs.count; number++) {
      if (!slabs.isMostlyDead(number)) continue;
      this.#victims[number] = 1;
      hasVictims = true;
    }
    this.#row = 1;
    this.#phase = MOVE;
    if (!hasVictims) this.#finish();
    return left;
  }

  #move(budget: number): number {
    const { history, slabs } = this.#state;
    const victims = this.#victims;
    let left = budget;
    for (let chunk = history.chunkFrom(this.#row); chunk !== undefined; chunk = history.chunkFrom(this.#row)) {
      let position = chunk.seek(Math.max(0, this.#row - chunk.firstRow));
      for (; position < chunk.count; position++) {
        left -= 0.02;
        const from = chunk.slabAt(position);
        if (from < victims.length && victims[from] === 1 && !chunk.isRemoved(position)) {
          const bytes = slabs.buffers[from];
          const start = chunk.offsetAt(position);
          const size = recordSizeAt(bytes, start);
          slabs.reserve(size, MOVED);
          slabs.buffers[slabs.slab].set(bytes.subarray(start, start + size), slabs.offset);
          chunk.setPlace(position, slabs.slab, slabs.offset);
          slabs.markDead(from, size);
          // The number of a freed slab may be given to a new one.
          if (slabs.buffers[from].length === 0) victims[from] = 0;
          left -= 1 + size / 256;
        }
        if (left < 0) {
          this.#row = chunk.rowAt(position) + 1;
          return left;
        }
      }
      this.#row = history.chunkEnd(chunk);
    }
    this.#finish();
    return left;
  }

  #finish(): void {
    this.#phase = DONE;
    const state = this.#state;
    state.finishedCompactRevision = this.revision;
    if (this.#hash === undefined) return;
    this.hash = this.#hash.crc;
    state.rememberHash({
      hash: this.hash,
      hashRevision: this.revision,
      compactRevision: this.#previousRevision,
      hasNoLiveKeys: this.#hasLiveKeys ? undefined : true,
    });
  }
}
