/**
 * DRAFT of the door; the classes follow under these names.
 */
import type { KeyValueHash, RangeQuery, RecordForm, RevisionError, StoreSizes } from "./types.ts";
export * from "./types.ts";

/** One record's fields, read in place: valid until the store is next changed. Make one and use it again. */
export interface RecordView {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  readonly lease: bigint;
  key(): Uint8Array; // a copy
  value(): Uint8Array; // a view
}

export interface Store {
  /** Revision of the last committed transaction, 1 on a fresh store. */
  readonly revision: number;
  /** -1 when never compacted. Set at once by `compact`. */
  readonly compactRevision: number;
  /** Compactions whose physical deletion is finished up to here. */
  readonly finishedCompactRevision: number;
  /** Live keys at the head. */
  readonly keyCount: number;
  sizes(): StoreSizes;

  // --- reading a row; rows are found by getRow, a RangeJob, or the history
  /** undefined: readable. 0 and negative are the head. */
  checkRevision(revision: number): RevisionError | undefined;
  /** The live row of one key at a readable revision (0: head), or NO_ROW. */
  getRow(key: Uint8Array, revision: number): number;
  recordSize(row: number, form: RecordForm): number;
  /** Copies the framed record to target[offset, ...) and returns the offset after it. */
  copyRecord(row: number, form: RecordForm, target: Uint8Array, offset: number): number;
  readRecord(row: number, view: RecordView): void;
  rowMain(row: number): number;
  rowSub(row: number): number;
  isTombstone(row: number): boolean;
  /** This put created the key (version 1). */
  isCreate(row: number): boolean;
  hasLease(row: number): boolean;
  lease(row: number): bigint;
  /** The row of the same key before this one if it is still there, tombstones included; else NO_ROW. */
  previousRow(row: number): number;
  /** prev_kv of an event: the previous live row unless mod_revision-1 is compacted; else NO_ROW. */
  previousKvRow(row: number): number;
  key(row: number): Uint8Array; // a copy

  // --- ranges
  openRange(query: RangeQuery): RangeJob | RevisionError;

  // --- history, for watch
  /** First row id that no committed transaction has used yet: committed rows are below. */
  readonly endRow: number;
  /** First existing row with main >= `main`, or endRow. */
  rowAtOrAfter(main: number): number;
  /** Next existing row after `row`, or endRow. */
  nextRow(row: number): number;

  // --- writing: one transaction at a time
  beginWrite(): WriteTransaction;

  // --- compaction, hash, pins
  compact(revision: number, options?: { force?: boolean; cacheHash?: boolean }): CompactionJob | RevisionError;
  hashKv(revision: number): HashJob | RevisionError;
  /** Rows readable at `revision` stay until released. The revision must be readable. */
  pin(revision: number): Pin;
}

export interface Pin {
  readonly revision: number;
  /** False once a forced compaction has passed over it. */
  readonly isValid: boolean;
  release(): void;
}

/** Budgets are in units of about 0.2 us of work (an index entry or row visited, 256 bytes hashed or copied). */
export interface RangeJob {
  /** Store revision when the job was opened: header.revision. */
  readonly headerRevision: number;
  /** The revision read. */
  readonly revision: number;
  step(budget: number): "running" | "done" | "compacted";
  // when done:
  readonly count: number;
  readonly more: boolean;
  readonly rowCount: number;
  row(position: number): number;
  /** Exact size of the framed records, i.e. of the `kvs` part of the response. */
  readonly size: number;
  /** Copies the next bytes of the framed records; 0 at the end, -1 if a forced compaction took them away. */
  read(target: Uint8Array): number;
  /** Copies all records (size bytes) and returns the offset after them. */
  copyAll(target: Uint8Array, offset: number): number;
  close(): void;
}

export interface WriteTransaction {
  /** main revision its rows carry: store.revision + 1. */
  readonly main: number;
  /** header.revision of a response now: main if anything changed, else store.revision. */
  readonly revision: number;
  /** Its rows so far are [firstRow, endRow). */
  readonly firstRow: number;
  readonly endRow: number;
  /** Returns the new row. `previousRow` then is the replaced live row or NO_ROW (see store.hasLease, copyRecord). */
  put(key: Uint8Array, value: Uint8Array, lease: bigint): number;
  readonly previousRow: number;
  deleteRange(key: Uint8Array, rangeEnd: Uint8Array): DeleteJob;
  /** Sees the transaction's own writes (revision 0). */
  openRange(query: RangeQuery): RangeJob | RevisionError;
  getRow(key: Uint8Array, revision: number): number;
  /** Publishes; returns whether anything changed. */
  commit(): boolean;
}

export interface DeleteJob {
  step(budget: number): boolean; // done
  readonly deleted: number;
  /** Tombstone rows it wrote are [firstRow, endRow); previousRow(tombstone) is the deleted record. */
  readonly firstRow: number;
  readonly endRow: number;
  /** How many of the deleted records had a lease. */
  readonly leasedCount: number;
}

export interface CompactionJob {
  readonly revision: number;
  step(budget: number): "running" | "waiting" | "done";
  readonly removedCount: number;
}

export interface HashJob {
  step(budget: number): "running" | "done" | "compacted";
  readonly result: KeyValueHash;
}
