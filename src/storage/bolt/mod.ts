/**
 * Database files in bbolt's format: what etcd keeps its state in, and what its snapshots are. Reads any valid one; writes
 * whole ones from sorted rows, and appends to those it wrote. It knows nothing of what buckets, keys and values mean.
 *
 * Invariants
 * 1. Whatever bytes a file holds, reading it ends, with rows or with a BoltError; it never reads beyond the file's pages.
 * 2. A page below the high-water mark of a written state never changes: whoever reads that state through the open file
 *    goes on reading it, while newer ones are appended.
 * 3. A power loss at any operation leaves the old state or the new one.
 * 4. What is read of a file that only this module wrote has been compared with its checksum.
 *
 * Absent: changes in place, deletion of single rows, reuse of dead pages (the whole file is written anew instead).
 */

import type { File } from "../../io/disk.ts";

/** What is wrong with a file, in words: path, page and finding are in the message. */
export declare class BoltError extends Error {
  readonly path: string;
  /** Undefined where it is about the file as a whole. */
  readonly page: number | undefined;
}

/** Rows in strictly ascending order of their keys; keys are 1 to 32768 bytes, and synchronously at hand. */
export interface RowCursor {
  /** Goes to the next row, at first to the first one; false behind the last. */
  next(): boolean;
  readonly keySize: number;
  readonly valueSize: number;
  copyKey(target: Uint8Array, offset: number): void;
  /** Copies the bytes [start, end) of the value to `target` at `offset`: a large value is asked for in pieces. */
  copyValue(target: Uint8Array, offset: number, start: number, end: number): void;
}

/** A bucket to be written. `open` is called twice, for sizes and for bytes; both must give the same rows. */
export interface BucketSource {
  readonly name: Uint8Array;
  open(): RowCursor;
}

export interface BoltRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A small bucket from rows in memory, in any order. */
export declare function bucketOfRows(name: Uint8Array, rows: readonly BoltRow[]): BucketSource;

/**
 * One writing of a file. Usage: `while (!writer.plan()) yield; (sizes are known) while (!(await writer.step())) yield;
 * writer.written` is the new state. No step works longer than about 2 ms. A DiskError before the metas are written
 * (`isCommitting` is false) leaves the old state as it was; one after that leaves either, so the caller must stop.
 */
export declare class BoltWriter {
  /** Writes a whole new file; `file` is empty and open for writing. Buckets in any order. The name is the caller's affair. */
  static create(file: File, buckets: readonly BucketSource[]): BoltWriter;
  /**
   * Appends a transaction to a file of ours (`checksums` is "verified", no `damage`), open for writing: `growing` holds
   * only rows behind the last one of its bucket, and may have none; `others` are written whole; buckets named by neither
   * are gone.
   */
  static append(database: BoltDatabase, growing: BucketSource, others: readonly BucketSource[]): Promise<BoltWriter>;

  /** One step of the first pass; true when it is done, and the following are known. */
  plan(): boolean;
  /** Size of the file afterwards, in bytes, checksums included. */
  readonly fileSize: number;
  /** Bytes that are going to be written. */
  readonly writeSize: number;
  /** Pages afterwards that hold the state, and those that hold nothing any more. */
  readonly livePages: number;
  readonly deadPages: number;

  /** One step of the second pass; true when the new state is durable. */
  step(): Promise<boolean>;
  readonly isCommitting: boolean;
  /** The state as written; only once `step` was true. */
  readonly written: BoltDatabase;
}

/** Called for each row; the bytes hold only until it returns. */
export type RowVisitor = (
  bytes: Uint8Array,
  keyStart: number,
  keySize: number,
  valueStart: number,
  valueSize: number,
) => void;

/** The rows of a bucket in the order of their keys. Nested buckets are passed over. */
export interface BoltScan {
  /** Visits some more rows (about 256 KiB of them); false when there are no more. Throws BoltError, and what `visit` throws. */
  step(visit: RowVisitor): Promise<boolean>;
}

export interface BoltBucket {
  /** Bolt's counter; etcd does not use it. */
  readonly sequence: bigint;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  bucket(name: Uint8Array): Promise<BoltBucket | undefined>;
  bucketNames(): Promise<Uint8Array[]>;
  scan(): BoltScan;
}

/** A state as bytes: a complete database file of its own. */
export interface BoltSnapshot {
  readonly size: number;
  /** Fills `target` from `position` on; returns the count, less than asked for only at the end. Throws BoltError. */
  read(target: Uint8Array, position: number): Promise<number>;
}

/** One state (transaction) of a file. It stays readable as long as the file is open, whatever is appended. */
export declare class BoltDatabase {
  /** The newest state. Throws BoltError where there is none. */
  static open(file: File): Promise<BoltDatabase>;

  readonly file: File;
  readonly pageSize: number;
  /** The transaction id. */
  readonly txid: number;
  /** In pages; those from here on are not part of the state. */
  readonly highWater: number;
  /** `highWater` in bytes: what etcd calls the size of the database. */
  readonly size: number;
  /**
   * "verified": written by us, and what is read is compared with checksums. "absent": another program has written it, or
   * written to it since. "damaged": the checksums themselves cannot be relied on; see `damage`; nothing is compared.
   */
  readonly checksums: "verified" | "absent" | "damaged";
  /** What is wrong with a meta page or the checksums although the file can be read: maybe not its newest state. */
  readonly damage: BoltError | undefined;
  /** Known only if "verified". */
  readonly livePages: number | undefined;
  readonly deadPages: number | undefined;

  readonly root: BoltBucket;
  bucketNames(): Promise<Uint8Array[]>;
  bucket(name: Uint8Array): Promise<BoltBucket | undefined>;
  get(bucket: Uint8Array, key: Uint8Array): Promise<Uint8Array | undefined>;
  snapshot(): BoltSnapshot;
  /** Reads the whole file once and compares all checksums. Throws BoltError; returns at once if there are none. */
  verifyAll(): Promise<void>;
  /** bbolt's consistency check: each problem in its words. Empty: the file is consistent. */
  check(): Promise<string[]>;
}
