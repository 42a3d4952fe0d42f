/**
 * The history: every revision in order, as rows. A row's id is a number that only grows and stays the row's for life,
 * so that the index, jobs and previous-row links can hold it while chunks are packed and records move between slabs.
 *
 * Rows live in chunks of HISTORY_CHUNK_ROWS consecutive ids, in typed arrays. While a chunk is dense a row's
 * position is its id minus the chunk's first; compaction leaves holes, and a chunk with more holes than rows is packed:
 * its surviving rows move together and a sorted array of their ids is searched. A chunk without rows is dropped.
 *
 * A row has: main and sub revision; where its record is; the row of the same key before (0: none; it may be gone by now);
 * `ends`, the main revision in which the next row of the same key was written (Infinity for the newest row), so that a
 * row is what its key says at R exactly when main <= R < ends. With it compaction and HashKV are one pass over rows
 * that never visits the index.
 */

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { HISTORY_CHUNK_ROWS } from "../base/limits.ts";
import { recordSizeAt, type RecordView } from "./record.ts";
import type { Slabs } from "./slab.ts";

export const TOMBSTONE = 1;
export const HAS_LEASE = 2;
/** The put that created the key: version 1. */
export const CREATE = 4;
const REMOVED = 8;

const ROW_SIZE = 3 * 8 + 4 * 4;

export class HistoryChunk {
  /** The smallest id that belongs here. */
  readonly firstRow: number;
  /** Positions in use, removed rows of a dense chunk included. */
  count = 0;
  /** Rows that are there. */
  alive = 0;
  /** Once packed, the id of each position minus `firstRow`, ascending. */
  offsets: Uint16Array | undefined = undefined;
  // Three numbers a row (main, ends, previous) and four words (slab, offset, sub, flags): what is looked at together for
  // one row lies in one cache line each, which a lookup in a million keys feels.
  readonly #numbers: Float64Array;
  readonly #words: Uint32Array;

  constructor(firstRow: number, capacity: number) {
    this.firstRow = firstRow;
    this.#numbers = new Float64Array(capacity * 3);
    this.#words = new Uint32Array(capacity * 4);
  }

  mainAt(position: number): number {
    return this.#numbers[position * 3];
  }

  endsAt(position: number): number {
    return this.#numbers[position * 3 + 1];
  }

  previousAt(position: number): number {
    return this.#numbers[position * 3 + 2];
  }

  slabAt(position: number): number {
    return this.#words[position * 4];
  }

  offsetAt(position: number): number {
    return this.#words[position * 4 + 1];
  }

  subAt(position: number): number {
    return this.#words[position * 4 + 2];
  }

  flagsAt(position: number): number {
    return this.#words[position * 4 + 3];
  }

  setEnds(position: number, main: number): void {
    this.#numbers[position * 3 + 1] = main;
  }

  setFlags(position: number, flags: number): void {
    this.#words[position * 4 + 3] = flags;
  }

  /** Where the record is. */
  setPlace(position: number, slab: number, offset: number): void {
    this.#words[position * 4] = slab;
    this.#words[position * 4 + 1] = offset;
  }

  /** Adds a row at the end. */
  push(main: number, sub: number, flags: number, previous: number, slab: number, offset: number): void {
    const position = this.count++;
    const numbers = this.#numbers;
    const words = this.#words;
    numbers[position * 3] = main;
    numbers[position * 3 + 1] = Infinity;
    numbers[position * 3 + 2] = previous;
    words[position * 4] = slab;
    words[position * 4 + 1] = offset;
    words[position * 4 + 2] = sub;
    words[position * 4 + 3] = flags;
    this.alive++;
  }

  rowAt(position: number): number {
    return this.firstRow + (this.offsets === undefined ? position : this.offsets[position]);
  }

  isRemoved(position: number): boolean {
    return (this.flagsAt(position) & REMOVED) !== 0;
  }

  /** The first position with an id of at least firstRow + offset; `count` if there is none. */
  seek(offset: number): number {
    const offsets = this.offsets;
    if (offsets === undefined) return offset < this.count ? offset : this.count;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (offsets[middle] < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A copy with the removed rows squeezed out. */
  packed(): HistoryChunk {
    const copy = new HistoryChunk(this.firstRow, this.alive);
    const offsets = new Uint16Array(this.alive);
    let to = 0;
    for (let from = 0; from < this.count; from++) {
      if (this.isRemoved(from)) continue;
      offsets[to] = this.offsets === undefined ? from : this.offsets[from];
      for (let i = 0; i < 3; i++) copy.#numbers[to * 3 + i] = this.#numbers[from * 3 + i];
      for (let i = 0; i < 4; i++) copy.#words[to * 4 + i] = this.#words[from * 4 + i];
      to++;
    }
    copy.offsets = offsets;
    copy.count = to;
    copy.alive = to;
    return copy;
  }

  get size(): number {
    return (this.#words.length / 4) * (ROW_SIZE + (this.offsets === undefined ? 0 : 2));
  }
}

export class History {
  readonly slabs: Slabs;
  /** The id the next row gets. */
  nextRow = 1;
  /** The main revision of the newest row, 0 before the first. */
  lastMain = 0;
  rowCount = 0;
  /** Where the last successful `find` found its row. */
  chunk: HistoryChunk;
  /** Where the last `locateKey` found its key. */
  keyBytes: Uint8Array;
  keyStart = 0;
  keySize = 0;

  // Chunk number n holds the ids [n * HISTORY_CHUNK_ROWS, (n + 1) * HISTORY_CHUNK_ROWS). The first #dropped are gone.
  readonly #chunks: (HistoryChunk | undefined)[] = [];
  #dropped = 0;
  #tail: HistoryChunk;

  constructor(slabs: Slabs) {
    this.slabs = slabs;
    this.#tail = new HistoryChunk(0, HISTORY_CHUNK_ROWS);
    // Id 0 is no row: its place is taken by a removed one.
    this.#tail.push(0, 0, REMOVED, 0, 0, 0);
    this.#tail.alive = 0;
    this.#chunks.push(this.#tail);
    this.chunk = this.#tail;
    this.keyBytes = EMPTY_BYTES;
  }

  append(main: number, sub: number, flags: number, previous: number, slab: number, offset: number): number {
    let tail = this.#tail;
    if (tail.count === HISTORY_CHUNK_ROWS) {
      const sealed = tail;
      tail = new HistoryChunk(sealed.firstRow + HISTORY_CHUNK_ROWS, HISTORY_CHUNK_ROWS);
      this.#chunks.push(tail);
      this.#tail = tail;
      // It may have lost its rows while it was still the newest.
      this.tidy(sealed);
    }
    tail.push(main, sub, flags, previous, slab, offset);
    this.rowCount++;
    this.lastMain = main;
    return this.nextRow++;
  }

  /** The position of a row, with `chunk` set to its chunk; -1 if it is no longer (or not yet) there. */
  find(row: number): number {
    const number = (row / HISTORY_CHUNK_ROWS) | 0;
    const chunk = this.#chunks[number - this.#dropped];
    if (chunk === undefined) return -1;
    const offset = row - number * HISTORY_CHUNK_ROWS;
    if (chunk.offsets === undefined) {
      if (offset >= chunk.count || (chunk.flagsAt(offset) & REMOVED) !== 0) return -1;
      this.chunk = chunk;
      return offset;
    }
    const position = chunk.seek(offset);
    if (position === chunk.count || chunk.offsets[position] !== offset) return -1;
    if ((chunk.flagsAt(position) & REMOVED) !== 0) return -1;
    this.chunk = chunk;
    return position;
  }

  /** As `find`, for a row that must be there. */
  get(row: number): number {
    const position = this.find(row);
    assert(position >= 0, "a row that is referred to is in the history");
    return position;
  }

  mainOf(row: number): number {
    const position = this.get(row);
    return this.chunk.mainAt(position);
  }

  flagsOf(row: number): number {
    const position = this.get(row);
    return this.chunk.flagsAt(position);
  }

  /** Says that the key of `row` was written again in `main`. */
  end(row: number, main: number): void {
    const position = this.get(row);
    this.chunk.setEnds(position, main);
  }

  /**
   * The row that says what the key is at `revision`, starting from its newest row: the first with main <= revision;
   * 0 if there is none. `steps` counts the links followed.
   */
  rowAtRevision(newest: number, revision: number): number {
    let row = newest;
    while (row !== 0) {
      const position = this.find(row);
      if (position < 0) return 0;
      if (this.chunk.mainAt(position) <= revision) return row;
      this.steps++;
      row = this.chunk.previousAt(position);
    }
    return 0;
  }
  /** Links followed by `rowAtRevision` since the caller last set it to 0. */
  steps = 0;

  /** Finds a row's key in its slab: leaves it in keyBytes, keyStart and keySize until the next call. */
  locateKey(row: number): void {
    const position = this.get(row);
    const chunk = this.chunk;
    const bytes = this.slabs.buffers[chunk.slabAt(position)];
    let at = chunk.offsetAt(position) + 1;
    while (bytes[at] >= 0x80) at++;
    at++;
    this.keyBytes = bytes;
    if (bytes[at] !== 0x0a) {
      this.keyStart = at;
      this.keySize = 0;
      return;
    }
    let byte = bytes[++at];
    let size = byte & 0x7f;
    let scale = 128;
    while (byte >= 0x80) {
      byte = bytes[++at];
      size += (byte & 0x7f) * scale;
      scale *= 128;
    }
    this.keyStart = at + 1;
    this.keySize = size;
  }

  /** Reads a row's record. */
  readRecord(row: number, view: RecordView): void {
    const position = this.get(row);
    view.read(this.slabs.buffers[this.chunk.slabAt(position)], this.chunk.offsetAt(position));
  }

  /** Takes a row out and counts its record as dead. The caller has taken it out of the index. */
  remove(chunk: HistoryChunk, position: number): void {
    const slab = chunk.slabAt(position);
    this.slabs.markDead(slab, recordSizeAt(this.slabs.buffers[slab], chunk.offsetAt(position)));
    chunk.setFlags(position, chunk.flagsAt(position) | REMOVED);
    chunk.alive--;
    this.rowCount--;
  }

  /** The chunk that holds ids from `row` on, or the next one that exists; undefined past the end. */
  chunkFrom(row: number): HistoryChunk | undefined {
    let index = ((row / HISTORY_CHUNK_ROWS) | 0) - this.#dropped;
    if (index < 0) index = 0;
    for (; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index];
      if (chunk !== undefined) return chunk;
    }
    return undefined;
  }

  /** The first row id past the ids of a chunk. */
  chunkEnd(chunk: HistoryChunk): number {
    return chunk.firstRow + HISTORY_CHUNK_ROWS;
  }

  /** The first existing row with an id of at least `row`, or nextRow. */
  rowFrom(row: number): number {
    let from = row;
    for (let chunk = this.chunkFrom(from); chunk !== undefined; chunk = this.chunkFrom(from)) {
      let position = chunk.seek(Math.max(0, from - chunk.firstRow));
      while (position < chunk.count && chunk.isRemoved(position)) position++;
      if (position < chunk.count) return chunk.rowAt(position);
      from = this.chunkEnd(chunk);
    }
    return this.nextRow;
  }

  /** The first row with an id of at least `row` that is its key's newest and has a lease, or nextRow. */
  nextLeasedRow(row: number): number {
    let from = row;
    for (let chunk = this.chunkFrom(from); chunk !== undefined; chunk = this.chunkFrom(from)) {
      for (let position = chunk.seek(Math.max(0, from - chunk.firstRow)); position < chunk.count; position++) {
        const isLeased = (chunk.flagsAt(position) & (HAS_LEASE | REMOVED)) === HAS_LEASE;
        if (isLeased && chunk.endsAt(position) === Infinity) return chunk.rowAt(position);
      }
      from = this.chunkEnd(chunk);
    }
    return this.nextRow;
  }

  /** The first existing row with main >= `main`, or nextRow. */
  rowAtOrAfter(main: number): number {
    // Chunks ascend, and so do the mains inside one; removed rows keep theirs.
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      let probe = middle;
      while (probe < high && this.#chunks[probe] === undefined) probe++;
      if (probe === high) high = middle;
      else {
        const chunk = this.#chunks[probe]!;
        if (chunk.count > 0 && chunk.mainAt(chunk.count - 1) < main) low = probe + 1;
        else high = middle;
      }
    }
    const chunk = this.chunkFrom((low + this.#dropped) * HISTORY_CHUNK_ROWS);
    if (chunk === undefined) return this.nextRow;
    let from = 0;
    let to = chunk.count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (chunk.mainAt(middle) < main) from = middle + 1;
      else to = middle;
    }
    return from === chunk.count ? this.rowFrom(this.chunkEnd(chunk)) : this.rowFrom(chunk.rowAt(from));
  }

  /** Packs or drops a chunk that compaction has left with more holes than rows. The newest chunk stays as it is. */
  tidy(chunk: HistoryChunk): void {
    if (chunk === this.#tail || chunk.alive * 2 > chunk.count) return;
    this.#replace(chunk, chunk.alive === 0 ? undefined : chunk.packed());
  }

  get size(): number {
    let size = this.#chunks.length * 8;
    for (const chunk of this.#chunks) if (chunk !== undefined) size += chunk.size;
    return size;
  }

  #replace(chunk: HistoryChunk, by: HistoryChunk | undefined): void {
    const index = chunk.firstRow / HISTORY_CHUNK_ROWS - this.#dropped;
    assert(this.#chunks[index] === chunk, "a chunk is where its ids say");
    this.#chunks[index] = by;
    if (index > 0 || by !== undefined) return;
    let empty = 0;
    while (empty < this.#chunks.length && this.#chunks[empty] === undefined) empty++;
    this.#chunks.splice(0, empty);
    this.#dropped += empty;
  }
}
