/** What all streams are made of: big-endian integers of 8 bytes, and runs of bytes whose size such an integer tells. */

import { EMPTY_BYTES } from "../../base/bytes.ts";
import type { WireWriter } from "../../base/varint.ts";
import { CodecError } from "./error.ts";

/** Bytes of an integer (frozen). */
export const INTEGER_SIZE = 8;

/** First allocation for a frame that spans chunks, if that is more than has arrived of it; it doubles as bytes come. */
const GATHERED_SIZE_MIN = 1024;

const TWO_32 = 4294967296;

/** Appends a non-negative safe integer in 8 bytes. */
export function writeInteger(writer: WireWriter, value: number): void {
  writer.reserve(INTEGER_SIZE);
  putInteger(writer.bytes, writer.position, value);
  writer.position += INTEGER_SIZE;
}

/** Writes a non-negative safe integer to `bytes[at, at + 8)`. */
export function putInteger(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  bytes[at] = high >>> 24;
  bytes[at + 1] = high >>> 16;
  bytes[at + 2] = high >>> 8;
  bytes[at + 3] = high;
  bytes[at + 4] = value >>> 24;
  bytes[at + 5] = value >>> 16;
  bytes[at + 6] = value >>> 8;
  bytes[at + 7] = value;
}

/** An integer that may come byte by byte. */
export class IntegerReader {
  #value = 0;
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** The next byte; returns the integer with its eighth (beyond 2^53 only about as large as it was), before that -1. */
  push(byte: number): number {
    this.#value = this.#value * 256 + byte;
    if (++this.#count < INTEGER_SIZE) return -1;
    const value = this.#value;
    this.#value = 0;
    this.#count = 0;
    return value;
  }
}

/** Gathers frames that come in pieces. What it takes is what arrived, at most doubled: never what a peer only claims. */
export class FrameBuffer {
  #bytes = EMPTY_BYTES;
  #length = 0;

  /** `chunk[start, end)` are the next bytes of a frame of at most `sizeMax`; there are more to come. */
  add(chunk: Uint8Array, start: number, end: number, sizeMax: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(sizeMax, Math.max(GATHERED_SIZE_MIN, length * 2)));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(chunk.subarray(start, end), this.#length);
    this.#length = length;
  }

  /** `chunk[start, end)` are its last bytes. Returns the frame, which belongs to the caller. */
  take(chunk: Uint8Array, start: number, end: number): Uint8Array {
    const length = this.#length + end - start;
    if (this.#length > 0) this.add(chunk, start, end, length);
    else {
      // Not by slice(): that of a Buffer does not copy.
      this.#bytes = new Uint8Array(length);
      this.#bytes.set(chunk.subarray(start, end));
    }
    // Entries may stay in memory for long: there they count with their own bytes, not with room that was never used.
    const frame = this.#bytes.length === length ? this.#bytes : this.#bytes.slice(0, length);
    this.#bytes = EMPTY_BYTES;
    this.#length = 0;
    return frame;
  }
}

/** Reads `| size: 8 | bytes: size |`, one after the other. */
export class SizedFrameReader {
  readonly #sizeMax: number;
  readonly #integer = new IntegerReader();
  readonly #buffer = new FrameBuffer();
  /** Of the frame being read; -1 while its size is. */
  #size = -1;
  #missing = 0;
  /** Complete, and the caller's. Gone with the next `read`. */
  frame: Uint8Array | undefined = undefined;

  /** A frame of more than `sizeMax` bytes is an error. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** Nothing of the next frame has been read. */
  get isEmpty(): boolean {
    return this.#size === -1 && this.#integer.isEmpty;
  }

  /** Reads `chunk` from `at` on, up to the end of a frame; returns the offset after what it read. Throws CodecError. */
  read(chunk: Uint8Array, at: number): number {
    this.frame = undefined;
    while (this.#size === -1) {
      if (at === chunk.length) return at;
      const size = this.#integer.push(chunk[at++]);
      if (size !== -1) this.#begin(size);
    }
    const end = Math.min(chunk.length, at + this.#missing);
    if (end - at === this.#missing) {
      this.frame = this.#buffer.take(chunk, at, end);
      this.#size = -1;
      return end;
    }
    if (end > at) this.#buffer.add(chunk, at, end, this.#size);
    this.#missing -= end - at;
    return end;
  }

  #begin(size: number): void {
    if (size > this.#sizeMax) throw new CodecError(`a message of ${size} bytes is too large: at most ${this.#sizeMax}`);
    this.#size = size;
    this.#missing = size;
  }
}
