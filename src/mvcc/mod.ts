/**
 * The MVCC store: every revision of every key since the last compaction, in memory, each record once and in the bytes in
 * which it is served.
 *
 * It knows nothing of leases (an id in a record is just a number), watchers, users, the log, files or time. It is
 * synchronous; long work is a job that is stepped with a budget (a unit is about 0.2 us), and between two steps anything
 * else may happen to the store.
 *
 * Invariants
 * 1. A record is never changed. It moves between slabs only inside CompactionJob.step, and its row keeps its id.
 * 2. Rows are in revision order: (main, sub) ascends with the row id. main <= R < ends says that a row is current at R.
 * 3. A read at R never sees a row with main > R, so a half applied transaction is invisible below its commit.
 * 4. Revisions from compactRevision to revision can be read; physical removal lags behind, and waits for pins.
 * 5. An index entry is its key's newest row, negative when that is a tombstone; the tombstone's key stays until
 *    compaction removes the row. Subtree counts of live keys and entries are exact after every call.
 * 6. KeyValue bytes and (main, sub) are what etcd would store for the same requests: HashKV is equal.
 * 7. No view of a slab outlives the turn it was taken in.
 *
 * Numbers: revisions, versions and row ids are safe integers; a client's int64 arrives clamped. Lease ids are exact
 * bigints, 0n for none.
 *
 * Read: types, record, slab, history, key_index, state, write_transaction, range_job (row_sort, page_counts), compaction
 * (revision_key, revision_hash), hash_job, revision_cursor, pin, store.
 */
export * from "./types.ts";
export { type CompactOptions, Store } from "./store.ts";
export { SlabPool } from "./slab.ts";
export { RecordView } from "./record.ts";
export { DeleteJob, WriteTransaction } from "./write_transaction.ts";
export { isFromKey, RangeJob, type RangeState } from "./range_job.ts";
export { CompactionJob, type CompactionState } from "./compaction.ts";
export { HashJob, type HashState } from "./hash_job.ts";
export { Pin } from "./pin.ts";
export { RevisionCursor } from "./revision_cursor.ts";
export {
  isRevisionKey,
  mainOfKey,
  REVISION_KEY_SIZE,
  revisionKey,
  SEPARATOR,
  subOfKey,
  TOMBSTONE_KEY_SIZE,
  TOMBSTONE_MARK,
} from "./revision_key.ts";
