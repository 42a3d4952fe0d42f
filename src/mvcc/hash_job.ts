/**
 * HashKV at revision R, in steps: one pass over the history (api.md section 8). It pins the compact revision of its
 * start, so that no later compaction removes rows under it; a compaction at that very revision may be half done, which
 * the pass makes up for by leaving out what it will remove.
 */

import { assert } from "../base/assert.ts";
import { TOMBSTONE } from "./history.ts";
import type { Pin } from "./pin.ts";
import { RevisionHash } from "./revision_hash.ts";
import type { StoreState } from "./state.ts";
import type { KeyValueHash } from "./types.ts";

export type HashState = "running" | "done" | "compacted";

export class HashJob {
  readonly #state: StoreState;
  readonly #revision: number;
  readonly #compactRevision: number;
  readonly #hash: RevisionHash;
  readonly #pin: Pin;
  #result: KeyValueHash | undefined;
  #row = 1;
  // Whether any key is alive at the revision: if none is, etcd's rule for compacted rows is another (see #isHashed).
  #hasLiveKeys = false;
  #isSurveyed = false;

  /** With `result` there is nothing left to do: it was remembered from a compaction. */
  constructor(state: StoreState, revision: number, result: KeyValueHash | undefined) {
    this.#state = state;
    this.#revision = revision;
    this.#compactRevision = state.compactRevision;
    this.#hash = new RevisionHash(state.slabs);
    this.#result = result;
    this.#pin = state.pins.add(state.compactRevision);
  }

  /** The answer, once `step` has returned "done". */
  get result(): KeyValueHash {
    assert(this.#result !== undefined, "a hash is read when it is done");
    return this.#result;
  }

  /** Works for about `budget` units: 256 bytes hashed are one. "compacted": a forced compaction has passed over it. */
  step(budget: number): HashState {
    if (this.#result !== undefined) {
      this.close();
      return "done";
    }
    if (!this.#pin.isValid) return "compacted";
    let left = budget;
    if (!this.#isSurveyed) left = this.#survey(left);
    if (this.#isSurveyed && left >= 0) this.#hashRows(left);
    if (this.#result === undefined) return "running";
    this.close();
    return "done";
  }

  /** Releases the pin; for a job that is given up before it is done. Closing twice is the same as once. */
  close(): void {
    this.#pin.release();
  }

  #survey(budget: number): number {
    const history = this.#state.history;
    let left = budget;
    for (let chunk = history.chunkFrom(this.#row); chunk !== undefined; chunk = history.chunkFrom(this.#row)) {
      for (let position = chunk.seek(Math.max(0, this.#row - chunk.firstRow)); position < chunk.count; position++) {
        if (chunk.isRemoved(position)) continue;
        if (chunk.mainAt(position) > this.#revision) return this.#beginHash(left);
        if (this.#isLive(chunk.endsAt(position), chunk.flagsAt(position))) {
          this.#hasLiveKeys = true;
          return this.#beginHash(left);
        }
        left -= 0.05;
        if (left < 0) {
          this.#row = chunk.rowAt(position) + 1;
          return left;
        }
      }
      this.#row = history.chunkEnd(chunk);
    }
    return this.#beginHash(left);
  }

  #beginHash(left: number): number {
    this.#isSurveyed = true;
    this.#row = 1;
    return left;
  }

  #hashRows(budget: number): void {
    const history = this.#state.history;
    let left = budget;
    for (let chunk = history.chunkFrom(this.#row); chunk !== undefined; chunk = history.chunkFrom(this.#row)) {
      for (let position = chunk.seek(Math.max(0, this.#row - chunk.firstRow)); position < chunk.count; position++) {
        if (chunk.isRemoved(position)) continue;
        const main = chunk.mainAt(position);
        if (main > this.#revision) {
          this.#finish();
          return;
        }
        left -= 0.05;
        if (this.#isHashed(main, chunk.endsAt(position), chunk.flagsAt(position))) {
          left -= 0.2 + this.#hash.add(chunk, position) / 256;
        }
        if (left < 0) {
          this.#row = chunk.rowAt(position) + 1;
          return;
        }
      }
      this.#row = history.chunkEnd(chunk);
    }
    this.#finish();
  }

  #isLive(ends: number, flags: number): boolean {
    return ends > this.#revision && (flags & TOMBSTONE) === 0;
  }

  #isHashed(main: number, ends: number, flags: number): boolean {
    const compactRevision = this.#compactRevision;
    if (main > compactRevision) return true;
    // Of the rows up to the compaction only those that are still current count, or, where nothing is alive at the
    // revision, all that the compaction leaves except tombstones, which older versions of etcd did not leave.
    if (this.#hasLiveKeys) return this.#isLive(ends, flags);
    return ends > compactRevision && (flags & TOMBSTONE) === 0;
  }

  #finish(): void {
    this.#result = {
      hash: this.#hash.crc,
      hashRevision: this.#revision,
      compactRevision: this.#compactRevision,
      hasNoLiveKeys: this.#hasLiveKeys ? undefined : true,
    };
  }
}
