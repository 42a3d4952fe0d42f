import { assert } from "../base/assert.ts";
import { entrySize } from "./entry.ts";
import type { RaftLog } from "./log.ts";
import { type Entry, NO_ENTRIES } from "./types.ts";

/** How far the state machine is, and how much it was given: committed entries go out in pages. */
export class ApplyProgress {
  readonly #sizeMax: number;
  /** The last entry executed. */
  applied: number;
  /** The last entry handed out to be executed. */
  #handedOut: number;
  /** Bytes handed out and not yet executed. */
  #size = 0;
  /** No page goes out before more of the last one is executed. */
  #isPaused = false;

  constructor(applied: number, sizeMax: number) {
    this.applied = applied;
    this.#handedOut = applied;
    this.#sizeMax = sizeMax;
  }

  /** `limit` is the last entry that may be executed now. */
  hasPage(limit: number): boolean {
    return !this.#isPaused && limit > this.#handedOut;
  }

  takePage(log: RaftLog, limit: number): readonly Entry[] {
    if (!this.hasPage(limit)) return NO_ENTRIES;
    const room = this.#sizeMax - this.#size;
    assert(room > 0, "the limit of what is handed out has room");
    const entries = log.sliceUpToSize(this.#handedOut, limit, room);
    for (let i = 0; i < entries.length; i++) this.#size += entrySize(entries[i]);
    this.#handedOut += entries.length;
    // What did not fit would not fit any better into what is left of the room.
    this.#isPaused = this.#size >= this.#sizeMax || this.#handedOut < limit;
    return entries;
  }

  /** Takes note that the entries up to `index` were executed; returns their bytes of data. */
  advance(log: RaftLog, index: number): number {
    assert(index <= this.#handedOut, "what is applied was handed out");
    let dataSize = 0;
    // Entries that a snapshot has replaced meanwhile no longer count.
    for (let i = Math.max(this.applied, log.offset) + 1; i <= index; i++) {
      const entry = log.entry(i);
      this.#size -= entrySize(entry);
      dataSize += entry.data.length;
    }
    if (index > this.applied) this.applied = index;
    this.#isPaused = this.#size >= this.#sizeMax;
    return dataSize;
  }

  /** A snapshot took the place of the log: no entry behind what was handed out will come. */
  forgetPages(): void {
    this.#size = 0;
    this.#isPaused = false;
  }

  /** The snapshot at `index` is installed. */
  restore(index: number): void {
    if (this.applied < index) this.applied = index;
    if (this.#handedOut < index) this.#handedOut = index;
  }
}
