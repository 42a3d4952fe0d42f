import type { RecordForm, RecordView } from "../mvcc/mod.ts";

/**
 * What watching needs of a store; mvcc's Store is one. Rows are revisions of keys in the order of their revisions, known
 * by numbers that only grow and are never used twice. Rows with a main revision of at least `compactRevision` stay where
 * they are until a later compaction.
 */
export interface History {
  /** Revision of the last committed transaction. */
  readonly revision: number;
  /** -1 when never compacted. */
  readonly compactRevision: number;
  /** Committed rows are below. */
  readonly endRow: number;
  /** The first row with main >= `main`, or endRow. */
  rowAtOrAfter(main: number): number;
  /** The row after `row`, or endRow. */
  nextRow(row: number): number;
  rowMain(row: number): number;
  isTombstone(row: number): boolean;
  /** The row of an event's prev_kv, NO_ROW if there is none or the revision before the event's is compacted. */
  previousKvRow(row: number): number;
  readRecord(row: number, view: RecordView): void;
  recordSize(row: number, form: RecordForm): number;
  /** Returns the offset after the record. */
  copyRecord(row: number, form: RecordForm, target: Uint8Array, offset: number): number;
}
