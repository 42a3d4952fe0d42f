/**
 * The protobuf wire format by hand, for what is too hot or too exact for generated code: varints, a reader and a writer
 * over byte ranges.
 *
 * Integers: a plain number holds what is only compared or is ours (clamped to the safe integers when read), a bigint
 * holds what must stay exact over all 64 bits. On the wire a negative int64 takes ten bytes.
 */

import { CLAMP_MAX } from "./limits.ts";

/** Input that is not valid protobuf. The text is for logs; what a client is told is decided by the caller. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "WireError";
  }
}

/** Wire types (frozen). */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
const WIRE_START_GROUP = 3;
const WIRE_END_GROUP = 4;
export const WIRE_FIXED32 = 5;

/** A group inside a group and so on, deeper than this, is refused (protobuf's own parsers stop there or earlier). */
const GROUP_DEPTH_MAX = 100;

const TWO_32 = 4294967296;

/** A bigint's 64 bits as two halves: taking it apart with BigInt arithmetic costs ten times as much. */
const halves = new DataView(new ArrayBuffer(8));

/** The tag of a field: `field << 3 | wire type`. Fields up to 15 fit in one byte. */
export function wireTag(field: number, wireType: number): number {
  return ((field << 3) | wireType) >>> 0;
}

/** Bytes `writeVarint` takes for a non-negative safe integer: 1 to 8. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  if (value < 0x800000000) return 5;
  if (value < 0x40000000000) return 6;
  if (value < 0x2000000000000) return 7;
  return 8;
}

/** Writes a non-negative safe integer and returns the offset after it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let rest = value;
  while (rest > 0x7fffffff) {
    const quotient = Math.floor(rest / 128);
    target[offset++] = (rest - quotient * 128) | 0x80;
    rest = quotient;
  }
  let low = rest | 0;
  while (low > 0x7f) {
    target[offset++] = (low & 0x7f) | 0x80;
    low >>>= 7;
  }
  target[offset++] = low;
  return offset;
}

/** Bytes `writeVarint64` takes for the 64 bits of a signed or unsigned bigint: 1 to 10. */
export function varint64Size(value: bigint): number {
  if (value >= 0n && value <= 0x1fffffffffffffn) return varintSize(Number(value));
  let rest = BigInt.asUintN(64, value);
  let size = 1;
  while (rest > 0x7fn) {
    rest >>= 7n;
    size++;
  }
  return size;
}

/** Writes the 64 bits of a signed (two's complement) or unsigned bigint and returns the offset after it. */
export function writeVarint64(target: Uint8Array, offset: number, value: bigint): number {
  halves.setBigUint64(0, value);
  let high = halves.getUint32(0);
  let low = halves.getUint32(4);
  if (high <= 0x1fffff) return writeVarint(target, offset, high * TWO_32 + low);
  for (let i = 0; i < 4; i++) {
    target[offset++] = (low & 0x7f) | 0x80;
    low >>>= 7;
  }
  // The fifth byte has the last four bits of one half and the first three of the other.
  target[offset++] = low | ((high & 0x07) << 4) | 0x80;
  high >>>= 3;
  while (high > 0x7f) {
    target[offset++] = (high & 0x7f) | 0x80;
    high >>>= 7;
  }
  target[offset++] = high;
  return offset;
}

/** An exact int64 as a number, clamped to [-CLAMP_MAX, CLAMP_MAX] as `WireReader.int64` does. */
export function clampInt64(value: bigint): number {
  if (value > BigInt(CLAMP_MAX)) return CLAMP_MAX;
  return value < -BigInt(CLAMP_MAX) ? -CLAMP_MAX : Number(value);
}

/** Writes a safe integer of either sign as int64 and returns the offset after it. */
export function writeInt64(target: Uint8Array, offset: number, value: number): number {
  return value >= 0 ? writeVarint(target, offset, value) : writeVarint64(target, offset, BigInt(value));
}

/**
 * Reads one message: `nextTag` until it returns 0, and for each tag one read that fits its wire type, or `skip`.
 * Every method throws `WireError` on truncated or malformed input. One reader can be used again with `reset`.
 */
export class WireReader {
  bytes: Uint8Array;
  /** Where the next read happens. */
  position: number;
  /** Where the message ends. */
  end: number;
  // The last varint's 64 bits.
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  /** The next field's tag (`field << 3 | wire type`), or 0 at the end of the message. */
  nextTag(): number {
    const position = this.position;
    if (position >= this.end) return 0;
    const first = this.bytes[position];
    if (first < 0x80) {
      this.position = position + 1;
      if (first < 8) throw new WireError("illegal tag 0");
      return first;
    }
    this.#readVarint();
    if (this.#high !== 0 || this.#low < 8) throw new WireError("illegal tag");
    return this.#low;
  }

  /** uint64 as a number, at most CLAMP_MAX. */
  uint64(): number {
    const first = this.position < this.end ? this.bytes[this.position] : 0x80;
    if (first < 0x80) {
      this.position++;
      return first;
    }
    this.#readVarint();
    return this.#high > 0x1fffff ? CLAMP_MAX : this.#high * TWO_32 + this.#low;
  }

  /** int64 as a number, clamped to [-CLAMP_MAX, CLAMP_MAX]. */
  int64(): number {
    const first = this.position < this.end ? this.bytes[this.position] : 0x80;
    if (first < 0x80) {
      this.position++;
      return first;
    }
    this.#readVarint();
    const high = this.#high | 0;
    if (high > 0x1fffff) return CLAMP_MAX;
    if (high < -0x200000 || (high === -0x200000 && this.#low === 0)) return -CLAMP_MAX;
    return high * TWO_32 + this.#low;
  }

  /** uint64, exact. */
  exactUint64(): bigint {
    this.#readVarint();
    if (this.#high === 0) return BigInt(this.#low);
    halves.setUint32(0, this.#high);
    halves.setUint32(4, this.#low);
    return halves.getBigUint64(0);
  }

  /** int64, exact. */
  exactInt64(): bigint {
    this.#readVarint();
    if (this.#high === 0) return BigInt(this.#low);
    halves.setUint32(0, this.#high);
    halves.setUint32(4, this.#low);
    return halves.getBigInt64(0);
  }

  /** uint32, and enums that are only compared: the low 32 bits, as every protobuf parser takes them. */
  uint32(): number {
    this.#readVarint();
    return this.#low;
  }

  /** int32 and enums: the low 32 bits, signed. */
  int32(): number {
    this.#readVarint();
    return this.#low | 0;
  }

  bool(): boolean {
    this.#readVarint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** The length of a bytes, string or message field; its contents start at `position`, which the caller moves on. */
  length(): number {
    const length = this.uint64();
    if (length > this.end - this.position) throw new WireError("unexpected end of message");
    return length;
  }

  /** A bytes field as a view of the input, valid as long as the input is. */
  view(): Uint8Array {
    const length = this.length();
    const start = this.position;
    this.position = start + length;
    return this.bytes.subarray(start, start + length);
  }

  /** A bytes field as a copy. */
  copy(): Uint8Array {
    const length = this.length();
    const start = this.position;
    this.position = start + length;
    return this.bytes.slice(start, start + length);
  }

  /** Passes over the value of the field that `tag` announced. */
  skip(tag: number): void {
    this.#skip(tag, 0);
  }

  #skip(tag: number, depth: number): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.#readVarint();
        return;
      case WIRE_FIXED64:
        this.#advance(8);
        return;
      case WIRE_BYTES:
        this.#advance(this.length());
        return;
      case WIRE_FIXED32:
        this.#advance(4);
        return;
      case WIRE_START_GROUP: {
        if (depth === GROUP_DEPTH_MAX) throw new WireError("groups nested too deeply");
        const endTag = tag - WIRE_START_GROUP + WIRE_END_GROUP;
        for (;;) {
          const inner = this.nextTag();
          if (inner === 0) throw new WireError("unexpected end of group");
          if (inner === endTag) return;
          this.#skip(inner, depth + 1);
        }
      }
      default:
        throw new WireError(`illegal wire type ${tag & 7}`);
    }
  }

  #advance(size: number): void {
    if (size > this.end - this.position) throw new WireError("unexpected end of message");
    this.position += size;
  }

  /** Leaves the 64 bits in `#low` and `#high` (both unsigned). */
  #readVarint(): void {
    const bytes = this.bytes;
    const end = this.end;
    let position = this.position;
    let low = 0;
    let high = 0;
    // Bits beyond the 64th are refused, as in Go; an overlong zero padding within ten bytes is accepted.
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= end) throw new WireError("unexpected end of message");
      const byte = bytes[position++];
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else {
        if (byte > 1) throw new WireError("varint overflows 64 bits");
        high |= bits << 31;
      }
      if (byte < 0x80) {
        this.position = position;
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new WireError("varint overflows 64 bits");
  }
}

/**
 * Writes messages into one growing buffer. Methods named `...Field` write tag and value, and leave out a zero or empty
 * value as proto3 does; to write one that is empty but present use `tag` and then the value.
 */
export class WireWriter {
  /** The buffer: `[0, position)` is what was written. It is replaced when it grows. */
  bytes: Uint8Array;
  position = 0;

  constructor(initialSize = 256) {
    this.bytes = new Uint8Array(initialSize);
  }

  /** Forgets what was written and keeps the buffer. */
  reset(): void {
    this.position = 0;
  }

  /** What was written, as a view: valid until the next write or reset. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }

  /** What was written, as a copy. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.position);
  }

  /** Makes room for `size` more bytes at `position`. */
  reserve(size: number): void {
    const needed = this.position + size;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.position));
    this.bytes = grown;
  }

  tag(field: number, wireType: number): void {
    this.varint(wireTag(field, wireType));
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    this.reserve(10);
    this.position = writeVarint(this.bytes, this.position, value);
  }

  /** 64 exact bits of either sign. */
  varint64(value: bigint): void {
    this.reserve(10);
    this.position = writeVarint64(this.bytes, this.position, value);
  }

  /** Bytes as they are, without tag or length. */
  raw(data: Uint8Array): void {
    this.reserve(data.length);
    this.bytes.set(data, this.position);
    this.position += data.length;
  }

  /** Length and contents, without a tag. */
  lengthDelimited(data: Uint8Array): void {
    this.varint(data.length);
    this.raw(data);
  }

  /** uint64, int64, uint32 or enum as a safe integer of either sign. */
  integerField(field: number, value: number): void {
    if (value === 0) return;
    this.reserve(20);
    this.position = writeVarint(this.bytes, this.position, wireTag(field, WIRE_VARINT));
    this.position = writeInt64(this.bytes, this.position, value);
  }

  /** int64 or uint64, exact. */
  integer64Field(field: number, value: bigint): void {
    if (value === 0n) return;
    this.tag(field, WIRE_VARINT);
    this.varint64(value);
  }

  boolField(field: number, value: boolean): void {
    if (value) this.integerField(field, 1);
  }

  bytesField(field: number, value: Uint8Array): void {
    if (value.length === 0) return;
    this.tag(field, WIRE_BYTES);
    this.lengthDelimited(value);
  }

  /** A message field, present even when empty. */
  messageField(field: number, message: Uint8Array): void {
    this.tag(field, WIRE_BYTES);
    this.lengthDelimited(message);
  }
}
