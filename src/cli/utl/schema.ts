/** Names and numbers of etcd's database that the commands look at (frozen: on disk). */

import { utf8, utf8Text } from "../../base/bytes.ts";
import type { BoltDatabase } from "../../storage/bolt/mod.ts";

export const Bucket = {
  KEY: utf8("key"),
  META: utf8("meta"),
  MEMBERS: utf8("members"),
  MEMBERS_REMOVED: utf8("members_removed"),
} as const;

export const MetaKey = {
  CONSISTENT_INDEX: utf8("consistent_index"),
  TERM: utf8("term"),
  STORAGE_VERSION: utf8("storageVersion"),
  SCHEDULED_COMPACT: utf8("scheduledCompactRev"),
  FINISHED_COMPACT: utf8("finishedCompactRev"),
} as const;

/** Bytes of a revision: main, "_", sub; a tombstone's key has one more. */
const REVISION_SIZE = 17;
const TOMBSTONE_MARK = 0x74;

export function revisionKey(main: bigint, sub = 0n): Uint8Array {
  const bytes = new Uint8Array(REVISION_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, main);
  bytes[8] = 0x5f;
  view.setBigInt64(9, sub);
  return bytes;
}

/** Undefined if `key` is none. */
export function mainRevision(bytes: Uint8Array, start: number, size: number): bigint | undefined {
  if (size < REVISION_SIZE || size > REVISION_SIZE + 1 || bytes[start + 8] !== 0x5f) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset + start, 8).getBigInt64(0);
}

export function isTombstoneKey(bytes: Uint8Array, start: number, size: number): boolean {
  return size === REVISION_SIZE + 1 && bytes[start + REVISION_SIZE] === TOMBSTONE_MARK;
}

export function uint64Bytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** 0n where there is none. */
export async function readUint64(database: BoltDatabase, key: Uint8Array): Promise<bigint> {
  const bytes = await database.get(Bucket.META, key);
  return bytes === undefined || bytes.length < 8 ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
}

/** "3.7.0"; empty for a file of a version before 3.6. */
export async function readStorageVersion(database: BoltDatabase): Promise<string> {
  const bytes = await database.get(Bucket.META, MetaKey.STORAGE_VERSION);
  return bytes === undefined ? "" : utf8Text(bytes);
}

/** Where the key of a `KeyValue` lies in its bytes; undefined if it cannot be read, empty if it has none. */
export interface KeyPlace {
  start: number;
  end: number;
}

/** Finds field 1 of the message [start, start + size). False where the message is malformed. */
export function findKey(bytes: Uint8Array, start: number, size: number, place: KeyPlace): boolean {
  const end = start + size;
  place.start = place.end = start;
  // Field 1 comes first in whatever etcd wrote; a value without bytes, left by a restore that bumped revisions, has none.
  if (size === 0 || bytes[start] !== 0x0a) return true;
  let length = 0, shift = 0, at = start + 1;
  for (;; shift += 7) {
    if (at === end || shift > 28) return false;
    const byte = bytes[at++];
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  if (at + length > end) return false;
  place.start = at;
  place.end = at + length;
  return true;
}
