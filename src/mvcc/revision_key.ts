/**
 * How etcd names a revision in its `key` bucket, which puts revisions in order (frozen: on disk, and hashed by HashKV):
 *
 *     main (8 bytes, big-endian)  '_'  sub (8 bytes, big-endian)  't' for a tombstone
 */

export const SEPARATOR = 0x5f;
export const TOMBSTONE_MARK = 0x74;
const TWO_32 = 4294967296;

export const REVISION_KEY_SIZE = 17;
export const TOMBSTONE_KEY_SIZE = 18;

/** Writes the key of a revision and returns the offset after it. */
export function writeRevisionKey(
  target: Uint8Array,
  offset: number,
  main: number,
  sub: number,
  isTombstone: boolean,
): number {
  writeUint32(target, offset, Math.floor(main / TWO_32));
  writeUint32(target, offset + 4, main % TWO_32);
  target[offset + 8] = SEPARATOR;
  writeUint32(target, offset + 9, 0);
  writeUint32(target, offset + 13, sub);
  if (!isTombstone) return offset + REVISION_KEY_SIZE;
  target[offset + 17] = TOMBSTONE_MARK;
  return offset + TOMBSTONE_KEY_SIZE;
}

/** The key of a whole transaction, as etcd also writes compact revisions. */
export function revisionKey(main: number, sub = 0, isTombstone = false): Uint8Array {
  const key = new Uint8Array(isTombstone ? TOMBSTONE_KEY_SIZE : REVISION_KEY_SIZE);
  writeRevisionKey(key, 0, main, sub, isTombstone);
  return key;
}

/** Whether `bytes[start, start + size)` is the key of a revision that a store can hold. */
export function isRevisionKey(bytes: Uint8Array, start: number, size: number): boolean {
  if (size !== REVISION_KEY_SIZE && !(size === TOMBSTONE_KEY_SIZE && bytes[start + 17] === TOMBSTONE_MARK)) {
    return false;
  }
  // Revisions are below 2^53 and a transaction has fewer than 2^32 changes.
  return bytes[start + 8] === SEPARATOR && bytes[start] === 0 && bytes[start + 1] < 0x20 &&
    readUint32(bytes, start + 9) === 0;
}

export function mainOfKey(bytes: Uint8Array, start: number): number {
  return readUint32(bytes, start) * TWO_32 + readUint32(bytes, start + 4);
}

export function subOfKey(bytes: Uint8Array, start: number): number {
  return readUint32(bytes, start + 13);
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

function readUint32(bytes: Uint8Array, start: number): number {
  return (bytes[start] << 24 | bytes[start + 1] << 16 | bytes[start + 2] << 8 | bytes[start + 3]) >>> 0;
}
