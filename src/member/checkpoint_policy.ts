/**
 * When a checkpoint is due, and whether it appends or rewrites. Together the rules bound what is written, whatever the
 * size of the data: the log once, each revision once more by appending, and a rewrite of what lives only after as much
 * has died, so at most once again; the small buckets, written whole each time, only after the log has grown by as much.
 */

import {
  CHECKPOINT_DEAD_SIZE_MIN,
  CHECKPOINT_FILE_GROWTH_MAX,
  CHECKPOINT_INTERVAL_MS,
  CHECKPOINT_LOG_SIZE_MAX,
} from "../base/limits.ts";

/** What happened since the last checkpoint. */
export interface Growth {
  /** Entries applied. */
  readonly entryCount: number;
  /** Bytes written to the log. */
  readonly logSize: number;
  readonly ageMs: number;
}

export interface DueOptions {
  readonly snapshotCount: number;
  /** Bytes of log that are worth a checkpoint. */
  readonly logSize: number;
  /** Bytes of the buckets that each checkpoint writes whole. */
  readonly wholeSize: number;
}

export function isCheckpointDue({ entryCount, logSize, ageMs }: Growth, options: DueOptions): boolean {
  if (entryCount === 0) return false;
  if (logSize >= Math.max(CHECKPOINT_LOG_SIZE_MAX, options.wholeSize)) return true;
  if (entryCount < options.snapshotCount) return false;
  return logSize >= Math.max(options.logSize, options.wholeSize) || ageMs >= CHECKPOINT_INTERVAL_MS;
}

/** What is known of the size of a database file. */
export interface FileSizes {
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes of it in pages that hold its state; the whole file where that is not known. */
  readonly liveSize: number;
  /** Bytes of the revisions in it, as `Store.storedSize` counts them, those removed since among them. */
  readonly storedSize: number;
}

/** Bytes that a file written anew would take, about, when the store holds `storedSize` bytes of revisions. */
export function freshSize(file: FileSizes, storedSize: number): number {
  // Pages are never quite full; by how much shows in the file itself.
  const overhead = Math.max(0, file.liveSize - file.storedSize);
  return storedSize + (file.storedSize === 0 ? overhead : overhead * Math.min(1, storedSize / file.storedSize));
}

/** Whether a file is to be written anew rather than appended to. */
export function isRewriteDue(file: FileSizes, storedSize: number): boolean {
  const fresh = freshSize(file, storedSize);
  const appended = Math.max(0, storedSize - file.storedSize);
  return file.size + appended > CHECKPOINT_FILE_GROWTH_MAX * fresh + CHECKPOINT_DEAD_SIZE_MIN;
}
