/** What the commands read of etcd's database, whichever program wrote it. */

import { utf8, utf8Text } from "../../base/bytes.ts";
import { Bucket, MetaKey } from "../../member/mod.ts";
import {
  REVISION_KEY_SIZE,
  revisionKey as storeRevisionKey,
  SEPARATOR,
  TOMBSTONE_KEY_SIZE,
  TOMBSTONE_MARK,
} from "../../mvcc/mod.ts";
import type { BoltDatabase } from "../../storage/bolt/mod.ts";

/** The key of a whole transaction at any int64, also where no store could hold it: a restore may raise revisions so far. */
export function revisionKey(main: bigint): Uint8Array {
  const key = storeRevisionKey(0);
  new DataView(key.buffer).setBigInt64(0, main);
  return key;
}

/** Undefined if `bytes[start, start + size)` is no revision's key. */
export function mainRevision(bytes: Uint8Array, start: number, size: number): bigint | undefined {
  if (size < REVISION_KEY_SIZE || size > TOMBSTONE_KEY_SIZE || bytes[start + 8] !== SEPARATOR) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset + start, 8).getBigInt64(0);
}

export function isTombstoneKey(bytes: Uint8Array, start: number, size: number): boolean {
  return size === TOMBSTONE_KEY_SIZE && bytes[start + REVISION_KEY_SIZE] === TOMBSTONE_MARK;
}

export function uint64Bytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** 0n where there is none. */
export async function readUint64(database: BoltDatabase, key: string): Promise<bigint> {
  const bytes = await database.get(utf8(Bucket.META), utf8(key));
  return bytes === undefined || bytes.length < 8 ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
}

/** "3.7.0"; empty for a file of a version before 3.6. */
export async function readStorageVersion(database: BoltDatabase): Promise<string> {
  const bytes = await database.get(utf8(Bucket.META), utf8(MetaKey.STORAGE_VERSION));
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
