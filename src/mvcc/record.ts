/**
 * Records: one revision of a key in the form in which it is served.
 *
 *     0x12  varint(size of KeyValue)  KeyValue
 *
 *     KeyValue (mvccpb, frozen: its bytes are stored by etcd and enter HashKV), zero and empty fields left out:
 *     0x0a varint(len) key | 0x10 create_revision | 0x18 mod_revision | 0x20 version | 0x2a varint(len) value | 0x30 lease
 *     a tombstone's KeyValue has the key only
 *
 * Since value and lease come last, a KeyValue without them is a prefix of the stored one: keys_only copies that prefix
 * under a new length. The functions here read bytes that the store wrote or checked, and therefore trust them.
 */

import { varint64Size, varintSize, writeVarint, writeVarint64 } from "../base/varint.ts";
import { WireError, WireReader } from "../base/varint.ts";

const TAG_FRAME = 0x12;
const TAG_KEY = 0x0a;
const TAG_CREATE = 0x10;
const TAG_MOD = 0x18;
const TAG_VERSION = 0x20;
const TAG_VALUE = 0x2a;
const TAG_LEASE = 0x30;
const VARINT_SIZE_MAX = 10;

/** The size of the KeyValue of a put. Revisions and version are above zero. */
export function putSize(
  keySize: number,
  create: number,
  mod: number,
  version: number,
  valueSize: number,
  lease: bigint,
): number {
  let size = 3 + varintSize(create) + varintSize(mod) + varintSize(version);
  if (keySize > 0) size += 1 + varintSize(keySize) + keySize;
  if (valueSize > 0) size += 1 + varintSize(valueSize) + valueSize;
  if (lease !== 0n) size += 1 + varint64Size(lease);
  return size;
}

/** The size of a record around a KeyValue of `size` bytes. */
export function framedSize(size: number): number {
  return 1 + varintSize(size) + size;
}

export function writePut(
  target: Uint8Array,
  offset: number,
  size: number,
  key: Uint8Array,
  create: number,
  mod: number,
  version: number,
  value: Uint8Array,
  lease: bigint,
): void {
  target[offset] = TAG_FRAME;
  let at = writeVarint(target, offset + 1, size);
  if (key.length > 0) {
    target[at] = TAG_KEY;
    at = writeVarint(target, at + 1, key.length);
    target.set(key, at);
    at += key.length;
  }
  target[at] = TAG_CREATE;
  at = writeVarint(target, at + 1, create);
  target[at] = TAG_MOD;
  at = writeVarint(target, at + 1, mod);
  target[at] = TAG_VERSION;
  at = writeVarint(target, at + 1, version);
  if (value.length > 0) {
    target[at] = TAG_VALUE;
    at = writeVarint(target, at + 1, value.length);
    target.set(value, at);
    at += value.length;
  }
  if (lease !== 0n) {
    target[at] = TAG_LEASE;
    writeVarint64(target, at + 1, lease);
  }
}

/** The size of the KeyValue of a tombstone. */
export function tombstoneSize(keySize: number): number {
  return keySize === 0 ? 0 : 1 + varintSize(keySize) + keySize;
}

/** Writes a tombstone's record for the key at `source[start, start + keySize)`. */
export function writeTombstone(
  target: Uint8Array,
  offset: number,
  source: Uint8Array,
  start: number,
  keySize: number,
): void {
  target[offset] = TAG_FRAME;
  let at = writeVarint(target, offset + 1, tombstoneSize(keySize));
  if (keySize === 0) return;
  target[at] = TAG_KEY;
  at = writeVarint(target, at + 1, keySize);
  target.set(source.subarray(start, start + keySize), at);
}

/** Writes the KeyValue of a DELETE event, {key, mod_revision}, framed, and returns the offset after it. */
export function writeDeleteEvent(target: Uint8Array, offset: number, view: RecordView, mod: number): number {
  const tombstone = view.end - view.start;
  target[offset] = TAG_FRAME;
  let at = writeVarint(target, offset + 1, tombstone + 1 + varintSize(mod));
  target.set(view.bytes.subarray(view.start, view.end), at);
  at += tombstone;
  target[at] = TAG_MOD;
  return writeVarint(target, at + 1, mod);
}

/** The size of what `writeDeleteEvent` writes. */
export function deleteEventSize(view: RecordView, mod: number): number {
  return framedSize(view.end - view.start + 1 + varintSize(mod));
}

/** The size of the whole record at `offset`. */
export function recordSizeAt(bytes: Uint8Array, offset: number): number {
  let at = offset + 1;
  let byte = bytes[at++];
  if (byte < 0x80) return 2 + byte;
  let size = byte & 0x7f;
  let scale = 128;
  do {
    byte = bytes[at++];
    size += (byte & 0x7f) * scale;
    scale *= 128;
  } while (byte >= 0x80);
  return at - offset + size;
}

/**
 * The fields of one record, read in place. Make one and use it again; what it says holds until the store is next
 * changed or stepped, since slabs move.
 */
export class RecordView {
  bytes: Uint8Array;
  /** The KeyValue is bytes[start, end). */
  start = 0;
  end = 0;
  keyStart = 0;
  keyEnd = 0;
  createRevision = 0;
  modRevision = 0;
  version = 0;
  /** Where the fields before value and lease end. */
  headEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  // The lease field with its tag, or nothing.
  leaseStart = 0;
  #position = 0;

  constructor() {
    this.bytes = new Uint8Array(0);
  }

  /** Reads the record at `offset`. A tombstone has zero revisions and version. */
  read(bytes: Uint8Array, offset: number): void {
    this.bytes = bytes;
    this.#position = offset + 1;
    const size = this.#varint();
    let at = this.#position;
    const end = at + size;
    this.start = at;
    this.end = end;
    this.keyStart = at;
    this.keyEnd = at;
    this.createRevision = 0;
    this.modRevision = 0;
    this.version = 0;
    if (at < end && bytes[at] === TAG_KEY) {
      this.#position = at + 1;
      const keySize = this.#varint();
      this.keyStart = this.#position;
      at = this.keyStart + keySize;
      this.keyEnd = at;
    }
    if (at < end && bytes[at] === TAG_CREATE) {
      this.#position = at + 1;
      this.createRevision = this.#varint();
      at = this.#position;
    }
    if (at < end && bytes[at] === TAG_MOD) {
      this.#position = at + 1;
      this.modRevision = this.#varint();
      at = this.#position;
    }
    if (at < end && bytes[at] === TAG_VERSION) {
      this.#position = at + 1;
      this.version = this.#varint();
      at = this.#position;
    }
    this.headEnd = at;
    this.valueStart = at;
    this.valueEnd = at;
    if (at < end && bytes[at] === TAG_VALUE) {
      this.#position = at + 1;
      const valueSize = this.#varint();
      this.valueStart = this.#position;
      at = this.valueStart + valueSize;
      this.valueEnd = at;
    }
    this.leaseStart = at;
  }

  /** A copy of the key. */
  key(): Uint8Array {
    return this.bytes.slice(this.keyStart, this.keyEnd);
  }

  /** A view of the value. */
  value(): Uint8Array {
    return this.bytes.subarray(this.valueStart, this.valueEnd);
  }

  /** 0n when there is none. */
  get lease(): bigint {
    if (this.leaseStart === this.end) return 0n;
    return new WireReader(this.bytes, this.leaseStart + 1, this.end).exactInt64();
  }

  #varint(): number {
    const bytes = this.bytes;
    let at = this.#position;
    let byte = bytes[at++];
    if (byte < 0x80) {
      this.#position = at;
      return byte;
    }
    let value = byte & 0x7f;
    let scale = 128;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    this.#position = at;
    return value;
  }
}

/**
 * Checks the KeyValue bytes[start, end) from outside (a database file): throws WireError unless its fields are what etcd
 * writes, in order.
 */
export function checkKeyValue(bytes: Uint8Array, start: number, end: number): void {
  let previous = 0;
  let at = start;
  while (at < end) {
    const tag = bytes[at++];
    if (tag <= previous) throw new WireError("fields of a KeyValue are out of order");
    previous = tag;
    const isBytes = tag === TAG_KEY || tag === TAG_VALUE;
    if (!isBytes && tag !== TAG_CREATE && tag !== TAG_MOD && tag !== TAG_VERSION && tag !== TAG_LEASE) {
      throw new WireError(`a KeyValue has an unknown field: tag ${tag}`);
    }
    let value = 0;
    let scale = 1;
    let byte = 0x80;
    for (const last = at + VARINT_SIZE_MAX; byte >= 0x80; scale *= 128) {
      if (at === end) throw new WireError("unexpected end of a KeyValue");
      if (at === last) throw new WireError("a number in a KeyValue is too long");
      byte = bytes[at++];
      value += (byte & 0x7f) * scale;
    }
    if (!isBytes) continue;
    at += value;
    if (at > end) throw new WireError("unexpected end of a KeyValue");
  }
}
