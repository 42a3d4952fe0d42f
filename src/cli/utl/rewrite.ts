/** A database file written anew from another: complete and durable under its name, or not there at all. */

import { equalBytes, utf8, utf8Text } from "../../base/bytes.ts";
import { type BoltDatabase, BoltWriter, bucketOfRows } from "../../storage/bolt/mod.ts";
import { systemDisk } from "../../io/system/mod.ts";
import { PackedRows } from "./packed_rows.ts";

/** The buckets of a database in memory, by name, to be changed before they are written. */
export type Buckets = Map<string, PackedRows>;

/** `onRead` is told how many bytes were taken, again and again. Throws BoltError. */
export async function readBuckets(database: BoltDatabase, onRead: (size: number) => void = () => {}): Promise<Buckets> {
  const buckets: Buckets = new Map();
  for (const name of await database.bucketNames()) {
    const bucket = await database.bucket(name);
    if (bucket !== undefined) buckets.set(utf8Text(name), await PackedRows.read(name, bucket, onRead));
  }
  return buckets;
}

/** A value for a key, or undefined to remove it. */
export type RowChange = readonly [key: string, value: Uint8Array | undefined];

/** Changes rows of a small bucket; the bucket is made if it is missing. */
export function changeRows(buckets: Buckets, name: string, changes: readonly RowChange[]): void {
  const bytes = utf8(name);
  const isChanged = (key: Uint8Array) => changes.some(([changed]) => equalBytes(utf8(changed), key));
  const rows = (buckets.get(name)?.rows() ?? []).filter((row) => !isChanged(row.key));
  for (const [key, value] of changes) if (value !== undefined) rows.push({ key: utf8(key), value });
  buckets.set(name, PackedRows.of(bucketOfRows(bytes, rows)));
}

/** Writes a new file at `path`, where nothing is. Durable once this resolves, its name apart. Rejects with DiskError. */
export async function writeBuckets(path: string, buckets: Buckets): Promise<{ size: number }> {
  const file = await systemDisk.open(path, { write: true, create: true, exclusive: true });
  try {
    const writer = BoltWriter.create(file, [...buckets.values()]);
    while (!writer.plan());
    while (!await writer.step());
    return { size: writer.written.size };
  } finally {
    await file.close();
  }
}

/** Leaves a bucket without rows, and returns it. */
export function emptyBucket(buckets: Buckets, name: string): PackedRows {
  const rows = new PackedRows(utf8(name));
  buckets.set(name, rows);
  return rows;
}
