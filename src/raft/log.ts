import { assert, AssertionError } from "../base/assert.ts";
import { entrySize } from "./entry.ts";
import { type Entry, NO_ENTRIES } from "./types.ts";

/**
 * The part of the log held in memory: the entries after `offset`, and the term at `offset` itself. How far they are
 * durable, committed and applied is known to others.
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
    if (index < this.#offset || index > this.lastIndex) throw new AssertionError(`term of index ${index} is in memory`);
    return index === this.#offset ? this.#offsetTerm : this.#entries[this.#head + index - this.#offset - 1].term;
  }

  /** The term at `index`, or -1 where it is not known: no longer held, or not there yet. */
  termOrNone(index: number): number {
    return index < this.#offset || index > this.lastIndex ? -1 : this.term(index);
  }

  /** True if the entry at `index` is here and has this term: then all entries before it are equal too. */
  matches(index: number, term: number): boolean {
    return this.termOrNone(index) === term;
  }

  /** True if a log that ends so holds everything that may be committed, as far as this log can tell (Raft, 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** The entry at `index`, which must lie in (offset, lastIndex]. */
  entry(index: number): Entry {
    if (index <= this.#offset || index > this.lastIndex) throw new AssertionError(`entry ${index} is in memory`);
    return this.#entries[this.#head + index - this.#offset - 1];
  }

  append(entry: Entry): void {
    // The text of an assertion on the way of every entry is made only when it fails: it would cost a fifth of that way.
    if (entry.index !== this.lastIndex + 1) {
      throw new AssertionError(`entry ${entry.index} follows ${this.lastIndex}`);
    }
    this.#entries.push(entry);
    this.#size += entry.data.length;
  }

  /** How many of `entries`, from the first one on, are here already. */
  countMatching(entries: readonly Entry[]): number {
    let count = 0;
    while (count < entries.length && this.matches(entries[count].index, entries[count].term)) count++;
    return count;
  }

  /**
   * The largest position up to `index` whose term is at most `term`: no later one can be equal in a log that has `term`
   * at `index`. 0 if there is none; a position that is not held any more ends the search.
   */
  lastIndexWithTermUpTo(index: number, term: number): number {
    while (index > 0 && this.termOrNone(index) > term) index--;
    return index;
  }

  /** Entries in (after, through]. */
  slice(after: number, through: number): Entry[] {
    assert(after >= this.#offset, "entries after the offset are in memory");
    const start = this.#head - this.#offset;
    return this.#entries.slice(start + after, start + through);
  }

  /** As many entries in (after, through] as fit into `sizeMax` bytes, and at least one. */
  sliceUpToSize(after: number, through: number, sizeMax: number): readonly Entry[] {
    assert(after >= this.#offset, "entries after the offset are in memory");
    if (after >= through) return NO_ENTRIES;
    if (sizeMax === Infinity) return this.slice(after, through);
    const start = this.#head - this.#offset;
    let size = entrySize(this.#entries[start + after]);
    let end = after + 1;
    while (end < through) {
      size += entrySize(this.#entries[start + end]);
      if (size > sizeMax) break;
      end++;
    }
    return this.#entries.slice(start + after, start + end);
  }

  /** Takes back the entries after `index`, which another leader has overwritten. */
  truncate(index: number): void {
    assert(index >= this.#offset && index <= this.lastIndex, `entries after ${index} are in memory`);
    const length = this.#head + index - this.#offset;
    for (let i = length; i < this.#entries.length; i++) this.#size -= this.#entries[i].data.length;
    this.#entries.length = length;
  }

  /** Starts anew behind a snapshot. */
  restore(index: number, term: number): void {
    this.#entries = [];
    this.#head = 0;
    this.#offset = index;
    this.#offsetTerm = term;
    this.#size = 0;
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
