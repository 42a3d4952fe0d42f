/**
 * The write-ahead log, in etcd's format byte for byte, so that etcd and its tools read ours and we read theirs. It knows
 * nothing of what entries mean, of members or of networks; the file system is the `Disk` it is given.
 *
 * Invariants
 * 1. What an append with `mustSync` carried is durable before the append resolves.
 * 2. After a failed write or sync nothing is ever written again: what is on the disk is unknown.
 * 3. Reading hands out an entry once, in order, and only when a hard state behind it commits it.
 * 4. Only a torn tail is repaired, and its bytes are kept. Any other damage stops the start, with file and offset.
 * 5. Every name and size that a later step relies on is durable before that step.
 *
 * 6. A segment is removed only when it was released: a snapshot whose record is durable covers what it holds.
 *
 * Absent: a second copy of the log in memory (the raft log holds what followers may need).
 *
 * Read: record (the format), segment, wal (append, cut, open), reader, tail (what counts as torn), scan, purge, error.
 */
export { WalError } from "./error.ts";
export { type PurgeOptions, purgeSegments } from "./purge.ts";
export { findSnapshot } from "./scan.ts";
export type { WalPosition, WalVisitor } from "./reader.ts";
export type { WalMetadata, WalSnapshot } from "./record.ts";
export { SEGMENT_SIZE } from "./segment.ts";
export {
  type OpenedWal,
  Wal,
  type WalCreateOptions,
  type WalObserver,
  type WalOpenOptions,
  type WalOptions,
} from "./wal.ts";
