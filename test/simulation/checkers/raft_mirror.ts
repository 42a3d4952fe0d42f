/** One member's log as its raft records describe it. */

import type { LogEntry, RaftRecord } from "../observations.ts";

export class RaftMirror {
  /** The last position before the first entry, and its term. */
  offset = 0;
  offsetTerm = 0;
  readonly #entries: LogEntry[] = [];

  get lastIndex(): number {
    return this.offset + this.#entries.length;
  }

  /** The entry at an index behind the offset, or undefined past the end. */
  entry(index: number): LogEntry | undefined {
    return this.#entries[index - this.offset - 1];
  }

  /** The term at an index, which must not lie before the offset; undefined past the end. */
  term(index: number): number | undefined {
    return index === this.offset ? this.offsetTerm : this.entry(index)?.term;
  }

  /** Takes in a record; `visit` sees each entry when it is at its place. Returns what is wrong with the record. */
  apply({ isStart, offset, entries }: RaftRecord, visit: (entry: LogEntry) => void): string | undefined {
    if (isStart) {
      this.#entries.length = 0;
      this.offset = this.offsetTerm = 0;
    }
    if (offset !== undefined) this.#moveOffset(offset);
    for (const entry of entries) {
      if (entry.index <= this.offset || entry.index > this.lastIndex + 1) {
        return `entry ${entry.index} has no place in a log from ${this.offset + 1} to ${this.lastIndex}`;
      }
      this.#entries.length = entry.index - this.offset - 1;
      this.#entries.push(entry);
      visit(entry);
    }
    return undefined;
  }

  /** A compaction keeps what follows; a snapshot, which the log does not contain, takes the place of all. */
  #moveOffset({ index, term }: { readonly index: number; readonly term: number }): void {
    const isContained = index >= this.offset && this.term(index) === term;
    if (isContained) this.#entries.splice(0, index - this.offset);
    else this.#entries.length = 0;
    this.offset = index;
    this.offsetTerm = term;
  }
}
