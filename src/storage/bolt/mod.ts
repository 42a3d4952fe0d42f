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
 * Absent: changes in place, deletion of single rows, reuse of dead pages (the whole file is written anew instead), locks.
 *
 * Read: format (the file), checksums (what we add to it); to read it: node, pages, bucket, database, snapshot, check; to
 * write it: rows, branches, tree, output, spine, writer.
 */
export { BoltBucket, type BoltScan, type RowVisitor } from "./bucket.ts";
export { BoltDatabase, type ChecksumState } from "./database.ts";
export { BoltError } from "./error.ts";
export { PAGE_SIZE } from "./format.ts";
export { type BoltRow, bucketOfRows, type BucketSource, type RowCursor } from "./rows.ts";
export { BoltSnapshot } from "./snapshot.ts";
export { BoltWriter } from "./writer.ts";
