/**
 * One range at one revision, in steps. The index changes between steps, so each step seeks again by key; what the job
 * reads is pinned, and at its revision nothing changes.
 *
 *     collect: walk the index, keep the rows that are live at the revision and pass the filters
 *     count:   only where the limit ended the walk and the revision is not the head (see #beginCount)
 *     sort:    only where the order is not the key's
 *     measure: cut at the limit, add up the record sizes
 */

import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import { CREATE, TOMBSTONE } from "./history.ts";
import type { Leaf } from "./key_index.ts";
import type { Pin } from "./pin.ts";
import { RowSort } from "./row_sort.ts";
import type { StoreState } from "./state.ts";
import {
  NO_ROW,
  type RangeQuery,
  RECORD_FULL,
  RECORD_KEYS_ONLY,
  RECORD_WITHOUT_VALUE,
  type RecordForm,
  SORT_ASCEND,
  SORT_BY_KEY,
  SORT_BY_VALUE,
  SORT_DESCEND,
  SORT_NONE,
} from "./types.ts";

export type RangeState = "running" | "done" | "compacted";

const COLLECT = 0;
const COUNT_INDEX = 1;
const COUNT_HISTORY = 2;
const SORT = 3;
const MEASURE = 4;
const DONE = 5;

const INITIAL_ROWS = 16;
const NO_ROWS = new Float64Array(0);

/** Whether range_end stands for "no end": exactly one zero byte. */
export function isFromKey(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

export class RangeJob {
  /** The store's revision when the job was opened: what the response header says. */
  readonly headerRevision: number;
  /** The revision that is read. */
  readonly revision: number;
  readonly form: RecordForm;
  /** Keys in the range at the revision, whatever limit and filters. Only when done. */
  count = 0;
  /** Whether the limit cut the result. Only when done. */
  more = false;
  /** Records in the result. Only when done. */
  rowCount = 0;
  /** Bytes of the framed records together. Only when done. */
  size = 0;

  readonly #state: StoreState;
  readonly #query: RangeQuery;
  readonly #withCount: boolean;
  readonly #hasFilters: boolean;
  // Rows after which the walk may end: one more than the limit, where neither sort nor filter needs them all.
  readonly #rowsWanted: number;
  readonly #pin: Pin;
  #phase = COLLECT;
  #rows: Float64Array = NO_ROWS;
  #collected = 0;
  // The range: copied from the query once the job outlives its first step.
  #key: Uint8Array;
  #rangeEnd: Uint8Array;
  // The key after which the walk goes on, once it has been interrupted.
  #after: Uint8Array | undefined = undefined;
  #isCountKnown = false;
  // Counting in the history: the next row and the end of the rows to visit.
  #countRow = 0;
  #countEnd = 0;
  #sort: RowSort | undefined = undefined;
  #measured = 0;
  // Reading: the next record and how much of it has been read.
  #readPosition = 0;
  #readOffset = 0;
  #isClosed = false;

  constructor(state: StoreState, query: RangeQuery, revision: number, headerRevision: number, withCount: boolean) {
    this.#state = state;
    this.#query = query;
    this.#key = query.key;
    this.#rangeEnd = query.rangeEnd;
    this.revision = revision;
    this.headerRevision = headerRevision;
    this.#withCount = withCount || query.countOnly;
    this.#hasFilters = query.minModRevision !== 0 || query.maxModRevision !== 0 || query.minCreateRevision !== 0 ||
      query.maxCreateRevision !== 0;
    // As in etcd, an order of NONE counts as the index's own even with another target: the limit is then taken before
    // the sort.
    const isIndexOrder = query.sortOrder === SORT_NONE ||
      (query.sortTarget === SORT_BY_KEY && query.sortOrder === SORT_ASCEND);
    if (query.countOnly) this.#rowsWanted = 0;
    else if (query.limit > 0 && isIndexOrder && !this.#hasFilters) this.#rowsWanted = query.limit + 1;
    else this.#rowsWanted = Infinity;
    this.form = !query.keysOnly
      ? RECORD_FULL
      : query.sortTarget === SORT_BY_VALUE
      ? RECORD_WITHOUT_VALUE
      : RECORD_KEYS_ONLY;
    this.#pin = state.pins.add(revision);
  }

  /** Bytes of memory this job holds for its list of rows. */
  get heldSize(): number {
    return this.#rows.byteLength;
  }

  /**
   * Goes on for about `budget` units: an index entry, a row or a comparison is one. A single key is done in the first
   * step whatever the budget. "compacted": a forced compaction has passed over the job.
   */
  step(budget: number): RangeState {
    if (!this.#pin.isValid) return "compacted";
    let left = budget;
    while (this.#phase !== DONE) {
      if (left < 0) {
        this.#ownRange();
        return "running";
      }
      switch (this.#phase) {
        case COLLECT:
          left = this.#collect(left);
          break;
        case COUNT_INDEX:
          left = this.#countInIndex(left);
          break;
        case COUNT_HISTORY:
          left = this.#countInHistory(left);
          break;
        case SORT:
          left = this.#sortRows(left);
          break;
        case MEASURE:
          left = this.#measure(left);
          break;
      }
    }
    return "done";
  }

  /** The row at a position of the result. */
  row(position: number): number {
    assert(position < this.rowCount, "a position lies inside the result");
    return this.#rows[position];
  }

  /** A copy of the key at a position of the result, whatever has become of the store that others read. */
  key(position: number): Uint8Array {
    const { history } = this.#state;
    history.locateKey(this.row(position));
    return history.keyBytes.slice(history.keyStart, history.keyStart + history.keySize);
  }

  /** Copies all records and returns the offset after them: `size` bytes. Only in the turn in which the job was done. */
  copyAll(target: Uint8Array, offset: number): number {
    let at = offset;
    for (let i = 0; i < this.rowCount; i++) at = this.#state.copyRecord(this.#rows[i], this.form, target, at);
    return at;
  }

  /** Copies the next bytes of the records and returns how many: 0 at the end, -1 if a forced compaction took them. */
  read(target: Uint8Array): number {
    if (!this.#pin.isValid) return -1;
    const state = this.#state;
    let at = 0;
    while (this.#readPosition < this.rowCount) {
      const row = this.#rows[this.#readPosition];
      const size = state.recordSize(row, this.form);
      if (this.#readOffset === 0 && size <= target.length - at) {
        at = state.copyRecord(row, this.form, target, at);
        this.#readPosition++;
        continue;
      }
      const part = Math.min(size - this.#readOffset, target.length - at);
      if (part === 0) break;
      this.#copyPart(row, size, this.#readOffset, part, target, at);
      at += part;
      this.#readOffset += part;
      if (this.#readOffset === size) {
        this.#readPosition++;
        this.#readOffset = 0;
      }
    }
    return at;
  }

  /** Releases the pin. Every job is closed, however it ended; closing twice is the same as once. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pin.release();
    this.#rows = NO_ROWS;
    this.rowCount = 0;
  }

  // A record that does not fit whole: the stored form is copied in place, the others are short and made whole first.
  #copyPart(row: number, size: number, from: number, part: number, target: Uint8Array, at: number): void {
    const state = this.#state;
    if (this.form === RECORD_FULL) {
      const position = state.history.get(row);
      const chunk = state.history.chunk;
      const start = chunk.offsetAt(position) + from;
      target.set(state.slabs.buffers[chunk.slabAt(position)].subarray(start, start + part), at);
      return;
    }
    const record = new Uint8Array(size);
    state.copyRecord(row, this.form, record, 0);
    target.set(record.subarray(from, from + part), at);
  }

  // The query's bytes belong to a request that is gone after the turn.
  #ownRange(): void {
    if (this.#key !== this.#query.key) return;
    this.#key = this.#key.slice();
    this.#rangeEnd = this.#rangeEnd.slice();
  }

  get #isAtHead(): boolean {
    return this.revision >= this.#state.history.lastMain;
  }

  // --- collect

  #collect(budget: number): number {
    const rangeEnd = this.#rangeEnd;
    if (rangeEnd.length === 0) {
      const row = this.#state.liveRow(this.#key, this.revision);
      if (row !== NO_ROW) this.#take(row);
      this.#endCollect(true);
      return budget;
    }
    const isFrom = isFromKey(rangeEnd);
    if (!isFrom && compareBytes(this.#key, rangeEnd) >= 0) {
      this.#endCollect(true);
      return budget;
    }
    const index = this.#state.index;
    const isAtHead = this.#isAtHead;
    if (this.#after === undefined && isAtHead && this.#withCount) this.count = this.#headCount();
    if (this.#after === undefined && isAtHead) this.#isCountKnown = true;
    if (this.#rowsWanted === 0) {
      this.#endCollect(false);
      return budget;
    }
    let endLeaf: Leaf | undefined = undefined;
    let endSlot = 0;
    if (!isFrom) {
      index.seek(rangeEnd);
      endLeaf = index.leaf;
      endSlot = index.slot;
    }
    this.#seekNext();
    let leaf = index.leaf;
    let slot = index.slot;
    let left = budget;
    for (;;) {
      const stop = leaf === endLeaf ? endSlot : leaf.count;
      while (slot < stop) {
        const entry = leaf.rows[slot++];
        left--;
        const row = isAtHead ? entry > 0 ? entry : NO_ROW : this.#liveAt(entry);
        if (row !== NO_ROW) this.#take(row);
        left -= this.#state.history.steps;
        this.#state.history.steps = 0;
        const isFull = this.#collected >= this.#rowsWanted;
        if (isFull || left < 0) {
          if (!isFull || (this.#withCount && !this.#isCountKnown)) this.#rememberPlace(entry);
          if (isFull) this.#endCollect(false);
          return left;
        }
      }
      if (leaf === endLeaf || leaf.next === undefined) {
        this.#endCollect(true);
        return left;
      }
      leaf = leaf.next;
      slot = 0;
    }
  }

  #liveAt(entry: number): number {
    return this.#state.liveAt(entry, this.revision);
  }

  #rememberPlace(entry: number): void {
    const history = this.#state.history;
    history.locateKey(entry < 0 ? -entry : entry);
    this.#after = history.keyBytes.slice(history.keyStart, history.keyStart + history.keySize);
  }

  /** Leaves the index at the first entry not yet visited. */
  #seekNext(): void {
    const index = this.#state.index;
    if (this.#after === undefined) {
      index.seek(this.#key);
      return;
    }
    index.seek(this.#after);
    if (index.found) index.slot++;
  }

  /** A live row of the range: counts, and joins the result if it passes the filters. */
  #take(row: number): void {
    if (!this.#isCountKnown) this.count++;
    if (this.#query.countOnly || (this.#hasFilters && !this.#passesFilters(row))) return;
    if (this.#collected === this.#rows.length) {
      const grown = new Float64Array(Math.max(INITIAL_ROWS, this.#rows.length * 2));
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows[this.#collected++] = row;
  }

  #passesFilters(row: number): boolean {
    const query = this.#query;
    const mod = this.#state.history.mainOf(row);
    if (query.maxModRevision !== 0 && mod > query.maxModRevision) return false;
    if (query.minModRevision !== 0 && mod < query.minModRevision) return false;
    if (query.maxCreateRevision === 0 && query.minCreateRevision === 0) return true;
    this.#state.history.readRecord(row, this.#state.view);
    const create = this.#state.view.createRevision;
    if (query.maxCreateRevision !== 0 && create > query.maxCreateRevision) return false;
    return query.minCreateRevision === 0 || create >= query.minCreateRevision;
  }

  #endCollect(isComplete: boolean): void {
    if (isComplete || this.#isCountKnown || !this.#withCount) this.#afterCount();
    else this.#beginCount();
  }

  // --- count

  /** Live keys of the range in the index as it is now. */
  #headCount(): number {
    const index = this.#state.index;
    let before = index.live;
    if (!isFromKey(this.#rangeEnd)) {
      index.seek(this.#rangeEnd);
      before = index.liveRank();
    }
    index.seek(this.#key);
    return before - index.liveRank();
  }

  /**
   * The limit ended the walk below the head's revision. Unless the page before this one has told, either the walk goes on
   * and only counts, or the head's count is corrected by what the rows after the revision created and deleted in the
   * range, whichever has less to visit.
   */
  #beginCount(): void {
    const remembered = this.#state.pageCounts.find(this.revision, this.#key, this.#rangeEnd);
    if (remembered >= 0) {
      this.count = remembered;
      this.#afterCount();
      return;
    }
    const index = this.#state.index;
    const history = this.#state.history;
    let entries = index.entries;
    if (!isFromKey(this.#rangeEnd)) {
      index.seek(this.#rangeEnd);
      entries = index.entryRank();
    }
    this.#seekNext();
    entries -= index.entryRank();
    this.#countRow = history.rowAtOrAfter(this.revision + 1);
    this.#countEnd = history.nextRow;
    if (entries <= this.#countEnd - this.#countRow) {
      this.#phase = COUNT_INDEX;
      return;
    }
    this.count = this.#headCount();
    this.#phase = COUNT_HISTORY;
  }

  #countInIndex(budget: number): number {
    const index = this.#state.index;
    let endLeaf: Leaf | undefined = undefined;
    let endSlot = 0;
    if (!isFromKey(this.#rangeEnd)) {
      index.seek(this.#rangeEnd);
      endLeaf = index.leaf;
      endSlot = index.slot;
    }
    this.#seekNext();
    let leaf = index.leaf;
    let slot = index.slot;
    let left = budget;
    for (;;) {
      const stop = leaf === endLeaf ? endSlot : leaf.count;
      while (slot < stop) {
        const entry = leaf.rows[slot++];
        if (this.#liveAt(entry) !== NO_ROW) this.count++;
        left -= 1 + this.#state.history.steps;
        this.#state.history.steps = 0;
        if (left < 0) {
          this.#rememberPlace(entry);
          return left;
        }
      }
      if (leaf === endLeaf || leaf.next === undefined) {
        this.#afterCount();
        return left;
      }
      leaf = leaf.next;
      slot = 0;
    }
  }

  #countInHistory(budget: number): number {
    const history = this.#state.history;
    const end = this.#countEnd;
    let left = budget;
    for (let chunk = history.chunkFrom(this.#countRow); chunk !== undefined;) {
      let position = chunk.seek(Math.max(0, this.#countRow - chunk.firstRow));
      for (; position < chunk.count; position++) {
        const row = chunk.rowAt(position);
        if (row >= end) break;
        const flags = chunk.flagsAt(position);
        if ((flags & (CREATE | TOMBSTONE)) !== 0) {
          left--;
          if (this.#isInRange(row)) this.count += (flags & TOMBSTONE) !== 0 ? 1 : -1;
        }
        left -= 0.05;
        if (left < 0) {
          this.#countRow = row + 1;
          return left;
        }
      }
      this.#countRow = history.chunkEnd(chunk);
      if (this.#countRow >= end) break;
      chunk = history.chunkFrom(this.#countRow);
    }
    this.#afterCount();
    return left;
  }

  #isInRange(row: number): boolean {
    const index = this.#state.index;
    if (index.compareRow(row, this.#key) < 0) return false;
    return isFromKey(this.#rangeEnd) || index.compareRow(row, this.#rangeEnd) < 0;
  }

  #afterCount(): void {
    const query = this.#query;
    const isSorted = query.sortTarget === SORT_BY_KEY && query.sortOrder !== SORT_DESCEND;
    this.#phase = isSorted || this.#collected < 2 ? MEASURE : SORT;
  }

  // --- sort and measure

  #sortRows(budget: number): number {
    const query = this.#query;
    if (query.sortTarget === SORT_BY_KEY) {
      this.#rows.subarray(0, this.#collected).reverse();
      this.#phase = MEASURE;
      return budget - this.#collected / 100;
    }
    if (this.#sort === undefined) {
      const rows = this.#rows.subarray(0, this.#collected);
      this.#sort = new RowSort(this.#state, rows, query.sortTarget, query.sortOrder === SORT_DESCEND);
    }
    if (!this.#sort.step(budget)) return -1;
    this.#rows = this.#sort.sortedRows();
    this.#sort = undefined;
    this.#phase = MEASURE;
    return 0;
  }

  // Not for an order of NONE by another target, whose rows are no page of keys, nor for what is not committed yet.
  #rememberNextPage(): void {
    if (this.#query.sortTarget !== SORT_BY_KEY || this.revision > this.#state.revision) return;
    const history = this.#state.history;
    history.locateKey(this.#rows[this.rowCount - 1]);
    const lastKey = history.keyBytes.slice(history.keyStart, history.keyStart + history.keySize);
    this.#state.pageCounts.remember(this.revision, lastKey, this.#rangeEnd, this.count - this.rowCount);
  }

  #measure(budget: number): number {
    const limit = this.#query.limit;
    let wanted = this.#collected;
    if (limit > 0 && wanted > limit) {
      wanted = limit;
      this.more = true;
    }
    let left = budget;
    while (this.#measured < wanted) {
      this.size += this.#state.recordSize(this.#rows[this.#measured++], this.form);
      left--;
      if (left < 0 && this.#measured < wanted) return left;
    }
    this.rowCount = wanted;
    this.#phase = DONE;
    if (this.more && this.#withCount && this.#rowsWanted !== Infinity) this.#rememberNextPage();
    return left;
  }
}
