import { assert } from "../base/assert.ts";
import type { Entry } from "./types.ts";

/**
 * The part of the log held in memory: the entries after `offset`, and the term at `offset` itself.
 *
 *     offset                applied      commit          durable        last
 *       | entries kept for    |  committed,  |  replicated or  | being     |
 *       | slow followers      |  to apply    |  waiting        | written   |
 */
export class RaftLog {
  #entries: Entry[] = [];
  /** Position of #entries[#head]; positions before it have been dropped. */
  #head = 0;
  #offset: number;
  #offsetTerm: number;
  #size = 0;

  constructor(offset = 0, offsetTerm = 0) {
    this.#offset = offset;
    this.#offsetTerm = offsetTerm;
  }

  /** The last position that is no longer held. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes of data of the entries held. */
  get size(): number {
    return this.#size;
  }

  get lastIndex(): number {
    return this.#offset + this.#entries.length - this.#head;
  }

  get lastTerm(): number {
    return this.term(this.lastIndex);
  }

  /** The term at `index`, which must lie in [offset, lastIndex]. */
  term(index: number): number {
    assert(index >= this.#offset && index <= this.lastIndex, `term of index ${index} is in memory`);
    return index === this.#offset ? this.#offsetTerm : this.#entries[this.#head + index - this.#offset - 1].term;
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} follows ${this.lastIndex}`);
    this.#entries.push(entry);
    this.#size += entry.data.length;
  }

  /** Entries in (after, through]. */
  slice(after: number, through: number): Entry[] {
    assert(after >= this.#offset, `entries after ${after} are in memory`);
    const start = this.#head - this.#offset;
    return this.#entries.slice(start + after, start + through);
  }

  /** Forgets the entries up to and including `index`. */
  compact(index: number): void {
    if (index <= this.#offset) return;
    this.#offsetTerm = this.term(index);
    // Dropped references are released at once; the array is shifted only when half of it is dropped, so that the cost
    // per entry is constant.
    const dropped = this.#head + index - this.#offset;
    for (let i = this.#head; i < dropped; i++) this.#size -= this.#entries[i].data.length;
    this.#offset = index;
    if (dropped * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(dropped);
      this.#head = 0;
      return;
    }
    this.#entries.fill(undefined as unknown as Entry, this.#head, dropped);
    this.#head = dropped;
  }
}
