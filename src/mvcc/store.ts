/** The store itself: revisions, reading rows, and the doors to ranges, writes, compaction, hashes and restore. */

import { assert } from "../base/assert.ts";
import { CompactionJob } from "./compaction.ts";
import { HashJob } from "./hash_job.ts";
import { CREATE, HAS_LEASE, TOMBSTONE } from "./history.ts";
import type { Pin } from "./pin.ts";
import { RangeJob } from "./range_job.ts";
import { RevisionCursor } from "./revision_cursor.ts";
import { checkKeyValue, framedSize, RecordView } from "./record.ts";
import { FRESH, SlabPool } from "./slab.ts";
import { StoreState } from "./state.ts";
import {
  type KeyValueHash,
  NO_ROW,
  type OperationCounts,
  type RangeQuery,
  type RecordForm,
  type RevisionError,
  type StoreSizes,
} from "./types.ts";
import { WriteTransaction } from "./write_transaction.ts";
import { writeVarint } from "../base/varint.ts";

export interface CompactOptions {
  /** Does not wait for pins: jobs below the revision end with "compacted". For `physical=true`. Default false. */
  readonly force?: boolean;
  /** Whether to compute and remember the hash for HashKV. False while the log is replayed: etcd forgets them. Default true. */
  readonly cacheHash?: boolean;
}

/**
 * A row in etcd's database costs 17 bytes of key (a tombstone's: 18) and 16 of element header besides its KeyValue, of
 * which a record's own frame, two bytes or a little more, stands for the rest.
 */
const DATABASE_ROW_OVERHEAD = 17 + 16 - 2;

export class Store {
  readonly #state: StoreState;
  readonly #write: WriteTransaction;

  /** Stores may share a pool of slabs. */
  constructor(pool: SlabPool = new SlabPool()) {
    this.#state = new StoreState(pool);
    this.#write = new WriteTransaction(this.#state);
  }

  /** Main revision of the last committed transaction; 1 on a fresh store. */
  get revision(): number {
    return this.#state.revision;
  }

  /** Revisions below it cannot be read; -1 when never compacted. Set as soon as a compaction is scheduled. */
  get compactRevision(): number {
    return this.#state.compactRevision;
  }

  /** The last compaction whose physical part is done; -1 if none. */
  get finishedCompactRevision(): number {
    return this.#state.finishedCompactRevision;
  }

  /** Live keys, those of a half applied transaction included. */
  get keyCount(): number {
    return this.#state.index.live;
  }

  /** Whether a compaction is scheduled and not done; step the job that `compact` returned last. */
  get isCompacting(): boolean {
    return this.#state.compactions.length > 0;
  }

  get operations(): Readonly<OperationCounts> {
    return this.#state.operations;
  }

  /** Bytes that the records held, live and history, need in etcd's database: key, value and element header of each. */
  get storedSize(): number {
    return this.#state.slabs.live + this.#state.history.rowCount * DATABASE_ROW_OVERHEAD;
  }

  sizes(): StoreSizes {
    const { slabs, history, index } = this.#state;
    return {
      slabAllocated: slabs.allocated,
      slabLive: slabs.live,
      slabDead: slabs.dead,
      history: history.size,
      index: index.size,
      rowCount: history.rowCount,
      indexedCount: index.entries,
    };
  }

  // --- reading

  /** Undefined where `revision` can be read; 0 and negative stand for the head. */
  checkRevision(revision: number): RevisionError | undefined {
    return this.#state.checkRevision(revision, this.#state.revision);
  }

  /** The live row of one key at a readable revision (0: the head), or NO_ROW. */
  getRow(key: Uint8Array, revision: number): number {
    return this.#state.liveRow(key, revision <= 0 ? this.#state.revision : revision);
  }

  /** Bytes of a row's record in that form. */
  recordSize(row: number, form: RecordForm): number {
    return this.#state.recordSize(row, form);
  }

  /** Copies a row's record, framed, to target[offset, ...) and returns the offset after it. */
  copyRecord(row: number, form: RecordForm, target: Uint8Array, offset: number): number {
    return this.#state.copyRecord(row, form, target, offset);
  }

  /** Points `view` at the fields of a row's record, until the store is next changed or a job of it stepped. */
  readRecord(row: number, view: RecordView): void {
    this.#state.history.readRecord(row, view);
  }

  rowMain(row: number): number {
    return this.#state.history.mainOf(row);
  }

  rowSub(row: number): number {
    const history = this.#state.history;
    const position = history.get(row);
    return history.chunk.subAt(position);
  }

  isTombstone(row: number): boolean {
    return (this.#state.history.flagsOf(row) & TOMBSTONE) !== 0;
  }

  /** Whether the put created its key: version 1. */
  isCreate(row: number): boolean {
    return (this.#state.history.flagsOf(row) & CREATE) !== 0;
  }

  hasLease(row: number): boolean {
    return (this.#state.history.flagsOf(row) & HAS_LEASE) !== 0;
  }

  /** The lease id of a row's record, 0n for none. */
  lease(row: number): bigint {
    if (!this.hasLease(row)) return 0n;
    this.#state.history.readRecord(row, this.#state.view);
    return this.#state.view.lease;
  }

  /** A copy of a row's key. */
  key(row: number): Uint8Array {
    const history = this.#state.history;
    history.locateKey(row);
    return history.keyBytes.slice(history.keyStart, history.keyStart + history.keySize);
  }

  /** The row of the same key before this one, a tombstone or not; NO_ROW if there was none or it has been removed. */
  previousRow(row: number): number {
    const history = this.#state.history;
    const position = history.get(row);
    const previous = history.chunk.previousAt(position);
    return previous !== NO_ROW && history.find(previous) >= 0 ? previous : NO_ROW;
  }

  /**
   * What an event's prev_kv is: the row that was live at revision mod_revision-1, unless that is compacted; else NO_ROW.
   * Rows of the same transaction (a key put and then deleted in it) are passed over. A put that creates its key has none,
   * even where the same transaction deleted that key before.
   */
  previousKvRow(row: number): number {
    if (this.isCreate(row)) return NO_ROW;
    const main = this.rowMain(row);
    if (main - 1 < this.#state.compactRevision) return NO_ROW;
    let previous = this.previousRow(row);
    while (previous !== NO_ROW && this.rowMain(previous) === main) previous = this.previousRow(previous);
    return previous === NO_ROW || this.isTombstone(previous) ? NO_ROW : previous;
  }

  // --- ranges

  /** Opens a range; `withCount` false leaves `count` uncounted, which makes pages at old revisions cheaper. */
  openRange(query: RangeQuery, withCount = true): RangeJob | RevisionError {
    const current = this.#state.revision;
    const error = this.#state.checkRevision(query.revision, current);
    if (error !== undefined) return error;
    this.#state.operations.ranges++;
    return new RangeJob(this.#state, query, query.revision <= 0 ? current : query.revision, current, withCount);
  }

  // --- history

  /** Rows of committed transactions have ids below this. */
  get endRow(): number {
    return this.#state.committedEnd;
  }

  /** The first committed row with a main revision of at least `main`, or endRow. */
  rowAtOrAfter(main: number): number {
    return Math.min(this.#state.history.rowAtOrAfter(main), this.#state.committedEnd);
  }

  /** The committed row after `row`, or endRow. */
  nextRow(row: number): number {
    return Math.min(this.#state.history.rowFrom(row + 1), this.#state.committedEnd);
  }

  /**
   * The rows behind `afterRevision` (0: all) and below `endRow` as etcd's database holds them, without those that a
   * compaction at `compactRevision` takes out. The caller pins that revision meanwhile.
   */
  openRevisions(afterRevision: number, endRow: number, compactRevision: number): RevisionCursor {
    return new RevisionCursor(this.#state, afterRevision, endRow, compactRevision);
  }

  // --- writing

  /** Begins a transaction; there is one at a time, and it ends with `commit`. */
  beginWrite(): WriteTransaction {
    this.#write.begin();
    return this.#write;
  }

  // --- compaction, hash, pins

  /**
   * Makes revisions below `revision` unreadable at once and returns the job that removes them. "compacted" where that
   * has been done already, "future" above the head.
   */
  compact(revision: number, options?: CompactOptions): CompactionJob | RevisionError {
    const state = this.#state;
    if (revision <= state.compactRevision) return "compacted";
    if (revision > state.revision) return "future";
    const previousRevision = state.compactRevision;
    // Only a compaction that starts from what the one before has left hashes every revision in between.
    const isHashed = (options?.cacheHash ?? true) && state.compactions.length === 0;
    state.compactRevision = revision;
    if (options?.force === true) state.pins.breakBelow(revision);
    const job = new CompactionJob(state, revision, previousRevision, isHashed);
    state.compactions.push(job);
    return job;
  }

  /**
   * The hash of every revision up to `revision` (0: the head). A revision that is remembered from a compaction is
   * answered without checks, as in etcd.
   */
  hashKv(revision: number): HashJob | RevisionError {
    const state = this.#state;
    for (const hash of state.hashes) if (hash.hashRevision === revision) return new HashJob(state, revision, hash);
    if (revision > 0 && revision < state.compactRevision) return "compacted";
    if (revision > state.revision) return "future";
    return new HashJob(state, revision === 0 ? state.revision : revision, undefined);
  }

  /** The hashes that are remembered from compactions, by ascending revision. */
  get compactionHashes(): readonly KeyValueHash[] {
    return this.#state.hashes;
  }

  /** Keeps what is readable at `revision`, which must be readable now, until the pin is released. */
  pin(revision: number): Pin {
    assert(this.checkRevision(revision) === undefined, "a revision that is pinned can be read");
    return this.#state.pins.add(revision <= 0 ? this.#state.revision : revision);
  }

  // --- restore

  /**
   * Appends a revision from a database, in revision order: `source[start, start + size)` is the KeyValue as etcd's key
   * bucket holds it. Throws WireError where it is not what etcd writes. Then `finishRestore`.
   */
  restoreRow(
    main: number,
    sub: number,
    isTombstone: boolean,
    source: Uint8Array,
    start = 0,
    size: number = source.length,
  ): number {
    const { history, index, slabs, view } = this.#state;
    assert(!this.#write.isOpen && main >= history.lastMain, "revisions are restored in order, outside a transaction");
    checkKeyValue(source, start, start + size);
    slabs.reserve(framedSize(size), FRESH);
    const bytes = slabs.buffers[slabs.slab];
    bytes[slabs.offset] = 0x12;
    bytes.set(source.subarray(start, start + size), writeVarint(bytes, slabs.offset + 1, size));
    view.read(bytes, slabs.offset);
    const flags = isTombstone ? TOMBSTONE : this.#state.putFlags(view.version, view.lease);
    const keySize = view.keyEnd - view.keyStart;
    const entry = index.find(bytes, view.keyStart, keySize);
    const before = entry < 0 ? -entry : entry;
    const row = history.append(main, sub, flags, before, slabs.slab, slabs.offset);
    const newEntry = isTombstone ? -row : row;
    if (before === NO_ROW) {
      index.insertSearched(bytes, view.keyStart, keySize, newEntry);
    } else {
      history.end(before, main);
      index.replaceFound(newEntry);
    }
    return row;
  }

  /** The first row behind `row` that is its key's newest and names a lease; endRow if there is none. */
  nextLeasedRow(row: number): number {
    return Math.min(this.#state.history.nextLeasedRow(row + 1), this.#state.committedEnd);
  }

  /** Ends a restore. `revision` is at least the newest row's; `compactRevision` is that of the last finished compaction. */
  finishRestore(revision: number, compactRevision: number): void {
    const state = this.#state;
    assert(revision >= state.history.lastMain, "the store's revision covers every row");
    state.revision = revision;
    state.compactRevision = compactRevision;
    state.finishedCompactRevision = compactRevision;
    state.committedEnd = state.history.nextRow;
  }

  /** Gives all memory back; the store must not be used afterwards. */
  close(): void {
    this.#state.slabs.releaseAll();
  }
}
