/**
 * Writing. All changes of a transaction carry one main revision and sub revisions in order; they are in the index at
 * once, and become readable at the head with `commit`. Until then reads at the store's revision stay as they were,
 * because a read at R passes over rows with a later main revision.
 */

import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import { HAS_LEASE, TOMBSTONE } from "./history.ts";
import type { Leaf } from "./key_index.ts";
import { isFromKey, RangeJob } from "./range_job.ts";
import { framedSize, putSize, tombstoneSize, writePut, writeTombstone } from "./record.ts";
import { FRESH } from "./slab.ts";
import type { StoreState } from "./state.ts";
import { NO_ROW, type RangeQuery, type RevisionError } from "./types.ts";

/** There is one per store, begun again for each transaction. */
export class WriteTransaction {
  /** After a put: the live row it replaced, or NO_ROW. */
  previousRow = NO_ROW;
  /** The transaction's rows are [firstRow, endRow): its events in order. */
  firstRow = 1;

  readonly #state: StoreState;
  #isOpen = false;
  #main = 0;
  #operationCount = 0;

  constructor(state: StoreState) {
    this.#state = state;
  }

  /** For Store only. */
  begin(): void {
    assert(!this.#isOpen, "one write transaction at a time");
    this.#isOpen = true;
    this.#main = this.#state.revision + 1;
    this.firstRow = this.#state.history.nextRow;
    this.previousRow = NO_ROW;
    this.#operationCount = 0;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The main revision of its rows. */
  get main(): number {
    return this.#main;
  }

  get endRow(): number {
    return this.#state.history.nextRow;
  }

  /** What a response's header says now: the transaction's revision once it has changed something. */
  get revision(): number {
    return this.endRow > this.firstRow ? this.#main : this.#main - 1;
  }

  /**
   * Writes a revision of a key and returns its row. Key and value are copied; the value may be a view of a slab.
   * `previousRow` then tells what was replaced.
   */
  put(key: Uint8Array, value: Uint8Array, lease: bigint): number {
    assert(this.#isOpen, "a transaction is open when it writes");
    const state = this.#state;
    const index = state.index;
    const history = state.history;
    const slabs = state.slabs;
    const main = this.#main;
    this.#operationCount++;
    state.operations.puts++;
    state.operations.putSize += key.length + value.length;
    const entry = index.find(key, 0, key.length);
    let create = main;
    let version = 1;
    if (entry > 0) {
      const view = state.view;
      history.readRecord(entry, view);
      create = view.createRevision;
      version = view.version + 1;
    }
    const size = putSize(key.length, create, main, version, value.length, lease);
    slabs.reserve(framedSize(size), FRESH);
    writePut(slabs.buffers[slabs.slab], slabs.offset, size, key, create, main, version, value, lease);
    const before = entry < 0 ? -entry : entry;
    const sub = history.nextRow - this.firstRow;
    const row = history.append(main, sub, state.putFlags(version, lease), before, slabs.slab, slabs.offset);
    if (before === 0) {
      index.insertSearched(key, 0, key.length, row);
    } else {
      history.end(before, main);
      index.replaceFound(row);
    }
    this.previousRow = entry > 0 ? entry : NO_ROW;
    return row;
  }

  /** Deletes the live keys of a range in order. `rangeEnd` as in a RangeQuery. The job belongs to this transaction. */
  deleteRange(key: Uint8Array, rangeEnd: Uint8Array): DeleteJob {
    assert(this.#isOpen, "a transaction is open when it writes");
    this.#operationCount++;
    this.#state.operations.deletes++;
    return new DeleteJob(this.#state, key, rangeEnd, this.#main, this.firstRow);
  }

  /** As Store.checkRevision, the transaction's own writes counting as the newest revision. */
  checkRevision(revision: number): RevisionError | undefined {
    return this.#state.checkRevision(revision, this.revision);
  }

  /** As Store.getRow; revision 0 sees the transaction's own writes. */
  getRow(key: Uint8Array, revision: number): number {
    return this.#state.liveRow(key, revision <= 0 ? this.revision : revision);
  }

  /** As Store.openRange; revision 0 sees the transaction's own writes. */
  openRange(query: RangeQuery): RangeJob | RevisionError {
    const error = this.checkRevision(query.revision);
    if (error !== undefined) return error;
    const revision = this.revision;
    this.#operationCount++;
    this.#state.operations.ranges++;
    return new RangeJob(this.#state, query, query.revision <= 0 ? revision : query.revision, revision, true);
  }

  /** Ends the transaction and publishes its changes; false if there were none. */
  commit(): boolean {
    assert(this.#isOpen, "a transaction is committed once");
    this.#isOpen = false;
    const state = this.#state;
    if (this.#operationCount > 1) state.operations.txns++;
    if (state.history.nextRow === this.firstRow) return false;
    state.revision = this.#main;
    state.committedEnd = state.history.nextRow;
    return true;
  }
}

/** The deletion of a range, in steps. */
export class DeleteJob {
  /** Keys deleted so far. */
  deleted = 0;
  /** How many of the deleted records had a lease. */
  leasedCount = 0;
  /** The tombstones written are [firstRow, endRow); the deleted record is the row before each. */
  readonly firstRow: number;
  endRow: number;

  readonly #state: StoreState;
  readonly #main: number;
  readonly #transactionRow: number;
  #rangeEnd: Uint8Array;
  // Where the walk goes on: at this key, or after it.
  #key: Uint8Array;
  #isAfter = false;
  #isDone = false;

  constructor(state: StoreState, key: Uint8Array, rangeEnd: Uint8Array, main: number, transactionRow: number) {
    this.#state = state;
    this.#key = key;
    this.#rangeEnd = rangeEnd;
    this.#main = main;
    this.#transactionRow = transactionRow;
    this.firstRow = state.history.nextRow;
    this.endRow = this.firstRow;
  }

  /** Goes on for about `budget` units: an entry visited is one, a tombstone written two more. True when done. */
  step(budget: number): boolean {
    if (this.#isDone) return true;
    assert(this.#state.history.nextRow === this.endRow, "nothing else is written while a range is deleted");
    this.#isDone = this.#rangeEnd.length === 0 ? this.#deleteOne() : this.#deleteRange(budget);
    this.endRow = this.#state.history.nextRow;
    return this.#isDone;
  }

  #deleteOne(): boolean {
    const index = this.#state.index;
    const entry = index.find(this.#key, 0, this.#key.length);
    if (entry > 0) index.replaceFound(-this.#writeTombstone(entry));
    return true;
  }

  #deleteRange(budget: number): boolean {
    const index = this.#state.index;
    let endLeaf: Leaf | undefined = undefined;
    let endSlot = 0;
    if (!isFromKey(this.#rangeEnd)) {
      if (compareBytes(this.#key, this.#rangeEnd) >= 0) return true;
      index.seek(this.#rangeEnd);
      endLeaf = index.leaf;
      endSlot = index.slot;
    }
    index.seek(this.#key);
    let slot = index.slot;
    if (this.#isAfter && index.found) slot++;
    let left = budget;
    let visited = 0;
    for (;;) {
      const leaf = index.leaf;
      const stop = leaf === endLeaf ? endSlot : leaf.count;
      let deleted = 0;
      // A step visits at least one entry, after which the next one can go on.
      for (; slot < stop && (left >= 0 || visited === 0); slot++) {
        left--;
        visited = leaf.rows[slot];
        if (visited < 0) continue;
        leaf.rows[slot] = -this.#writeTombstone(visited);
        deleted++;
        left -= 2;
      }
      if (deleted > 0) index.addLive(-deleted);
      if (slot === stop && leaf === endLeaf) return true;
      if (slot < stop || (left < 0 && visited !== 0)) {
        this.#goOnAfter(visited);
        return false;
      }
      if (!index.nextLeaf()) return true;
      slot = 0;
    }
  }

  // The request's bytes may be gone by the next step, and the index may have changed.
  #goOnAfter(entry: number): void {
    const history = this.#state.history;
    if (!this.#isAfter) this.#rangeEnd = this.#rangeEnd.slice();
    history.locateKey(entry < 0 ? -entry : entry);
    this.#key = history.keyBytes.slice(history.keyStart, history.keyStart + history.keySize);
    this.#isAfter = true;
  }

  #writeTombstone(entry: number): number {
    const { history, slabs } = this.#state;
    const position = history.get(entry);
    if ((history.chunk.flagsAt(position) & HAS_LEASE) !== 0) this.leasedCount++;
    history.chunk.setEnds(position, this.#main);
    history.locateKey(entry);
    const bytes = history.keyBytes;
    const start = history.keyStart;
    const keySize = history.keySize;
    slabs.reserve(framedSize(tombstoneSize(keySize)), FRESH);
    writeTombstone(slabs.buffers[slabs.slab], slabs.offset, bytes, start, keySize);
    this.deleted++;
    const sub = history.nextRow - this.#transactionRow;
    return history.append(this.#main, sub, TOMBSTONE, entry, slabs.slab, slabs.offset);
  }
}
