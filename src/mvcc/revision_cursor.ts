/**
 * The rows of a database's `key` bucket, in order: every revision after a given one that a compaction at another leaves,
 * however much of it has been carried out. Between two calls anything may happen to the store, as long as a pin keeps those
 * rows; so two cursors opened alike give the same rows.
 */

import type { HistoryChunk } from "./history.ts";
import { TOMBSTONE } from "./history.ts";
import { recordSizeAt } from "./record.ts";
import { REVISION_KEY_SIZE, TOMBSTONE_KEY_SIZE, writeRevisionKey } from "./revision_key.ts";
import type { StoreState } from "./state.ts";

/** What a page says about each of its rows. */
const ELEMENT_SIZE = 16;

export class RevisionCursor {
  readonly #state: StoreState;
  readonly #endRow: number;
  readonly #compactRevision: number;
  #row: number;
  #chunk: HistoryChunk | undefined;
  #position = -1;
  keySize = 0;
  /** Bytes of the KeyValue. */
  valueSize = 0;
  /** Bytes of the rows passed so far in a database: key, value, and what the file spends on each. */
  passedSize = 0;

  constructor(state: StoreState, afterRevision: number, endRow: number, compactRevision: number) {
    this.#state = state;
    this.#row = state.history.rowAtOrAfter(afterRevision + 1) - 1;
    this.#endRow = endRow;
    this.#compactRevision = compactRevision;
  }

  /** Goes to the next row, at first to the first one; false behind the last. */
  next(): boolean {
    const { history, slabs } = this.#state;
    let from = this.#row + 1;
    for (let chunk = history.chunkFrom(from); chunk !== undefined; chunk = history.chunkFrom(from)) {
      // A chunk that was packed meanwhile is another one.
      let position = chunk === this.#chunk && from === this.#row + 1
        ? this.#position + 1
        : chunk.seek(Math.max(0, from - chunk.firstRow));
      for (; position < chunk.count; position++) {
        if (chunk.isRemoved(position) || !this.#survives(chunk, position)) continue;
        const row = chunk.rowAt(position);
        if (row >= this.#endRow) return false;
        this.#row = row;
        this.#chunk = chunk;
        this.#position = position;
        const bytes = slabs.buffers[chunk.slabAt(position)];
        const offset = chunk.offsetAt(position);
        this.keySize = (chunk.flagsAt(position) & TOMBSTONE) === 0 ? REVISION_KEY_SIZE : TOMBSTONE_KEY_SIZE;
        this.valueSize = offset + recordSizeAt(bytes, offset) - keyValueStart(bytes, offset);
        this.passedSize += ELEMENT_SIZE + this.keySize + this.valueSize;
        return true;
      }
      from = history.chunkEnd(chunk);
      if (from >= this.#endRow) return false;
    }
    return false;
  }

  /** Copies the row's key in the bucket. */
  copyKey(target: Uint8Array, offset: number): void {
    const { history } = this.#state;
    const position = history.get(this.#row);
    const chunk = history.chunk;
    const isTombstone = (chunk.flagsAt(position) & TOMBSTONE) !== 0;
    writeRevisionKey(target, offset, chunk.mainAt(position), chunk.subAt(position), isTombstone);
  }

  /** Copies the bytes [start, end) of the row's KeyValue. */
  copyValue(target: Uint8Array, offset: number, start: number, end: number): void {
    const { history, slabs } = this.#state;
    const position = history.get(this.#row);
    const chunk = history.chunk;
    const bytes = slabs.buffers[chunk.slabAt(position)];
    const first = keyValueStart(bytes, chunk.offsetAt(position));
    target.set(bytes.subarray(first + start, first + end), offset);
  }

  #survives(chunk: HistoryChunk, position: number): boolean {
    const main = chunk.mainAt(position);
    const compactRevision = this.#compactRevision;
    if (main > compactRevision) return true;
    // As the compaction itself decides. A row that was the newest when the cursor was opened ends later than that.
    return chunk.endsAt(position) > compactRevision &&
      (main === compactRevision || (chunk.flagsAt(position) & TOMBSTONE) === 0);
  }
}

/** A KeyValue follows its record's tag and length. */
function keyValueStart(bytes: Uint8Array, offset: number): number {
  let at = offset + 1;
  while (bytes[at] >= 0x80) at++;
  return at + 1;
}
