/**
 * Rows of a bucket, packed into a few large buffers:
 *
 *     | key size u32 | value size u32 | key ... | value ... |
 *
 * A file is written anew from these: they take what the member that starts on it will need anyway.
 */

import { ROW_CHUNK_SIZE } from "../../base/limits.ts";
import type { BoltBucket, BoltRow, BucketSource, RowCursor } from "../../storage/bolt/mod.ts";

const HEAD_SIZE = 8;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  used: number;
}

export class PackedRows implements BucketSource {
  readonly name: Uint8Array;
  readonly #chunks: Chunk[] = [];

  constructor(name: Uint8Array) {
    this.name = name;
  }

  /** All rows of a bucket. `onRead` is told how many bytes were taken. Throws BoltError. */
  static async read(name: Uint8Array, bucket: BoltBucket, onRead: (size: number) => void): Promise<PackedRows> {
    const rows = new PackedRows(name);
    const scan = bucket.scan();
    let size = 0;
    const add = (bytes: Uint8Array, keyStart: number, keySize: number, valueStart: number, valueSize: number) => {
      rows.#add(bytes, keyStart, keySize, valueStart, valueSize);
      size += keySize + valueSize;
    };
    while (await scan.step(add)) {
      onRead(size);
      size = 0;
    }
    onRead(size);
    return rows;
  }

  /** The rows of a small bucket. */
  static of(source: BucketSource): PackedRows {
    const rows = new PackedRows(source.name);
    const cursor = source.open();
    while (cursor.next()) {
      const { bytes, at } = rows.#reserve(cursor.keySize, cursor.valueSize);
      cursor.copyKey(bytes, at);
      cursor.copyValue(bytes, at + cursor.keySize, 0, cursor.valueSize);
    }
    return rows;
  }

  /** Adds a row whose key is behind that of every other. */
  append({ key, value }: BoltRow): void {
    const { bytes, at } = this.#reserve(key.length, value.length);
    bytes.set(key, at);
    bytes.set(value, at + key.length);
  }

  /** The key of the last row; undefined if there is none. */
  lastKey(): Uint8Array | undefined {
    return this.#read(this.#chunks.slice(-1)).at(-1)?.key;
  }

  /** Copies of all rows: for small buckets. */
  rows(): BoltRow[] {
    return this.#read(this.#chunks);
  }

  #read(chunks: readonly Chunk[]): BoltRow[] {
    const cursor = new PackedCursor(chunks);
    const rows: BoltRow[] = [];
    while (cursor.next()) {
      const key = new Uint8Array(cursor.keySize);
      const value = new Uint8Array(cursor.valueSize);
      cursor.copyKey(key, 0);
      cursor.copyValue(value, 0, 0, value.length);
      rows.push({ key, value });
    }
    return rows;
  }

  open(): RowCursor {
    return new PackedCursor(this.#chunks);
  }

  #add(source: Uint8Array, keyStart: number, keySize: number, valueStart: number, valueSize: number): void {
    const { bytes, at } = this.#reserve(keySize, valueSize);
    bytes.set(source.subarray(keyStart, keyStart + keySize), at);
    bytes.set(source.subarray(valueStart, valueStart + valueSize), at + keySize);
  }

  #reserve(keySize: number, valueSize: number): { bytes: Uint8Array; at: number } {
    const size = HEAD_SIZE + keySize + valueSize;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.used + size > chunk.bytes.length) {
      const bytes = new Uint8Array(Math.max(ROW_CHUNK_SIZE, size));
      chunk = { bytes, view: new DataView(bytes.buffer), used: 0 };
      this.#chunks.push(chunk);
    }
    chunk.view.setUint32(chunk.used, keySize);
    chunk.view.setUint32(chunk.used + 4, valueSize);
    const at = chunk.used + HEAD_SIZE;
    chunk.used += size;
    return { bytes: chunk.bytes, at };
  }
}

class PackedCursor implements RowCursor {
  keySize = 0;
  valueSize = 0;
  readonly #chunks: readonly Chunk[];
  #index = 0;
  /** Of the row after the current one. */
  #next = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #keyStart = 0;

  constructor(chunks: readonly Chunk[]) {
    this.#chunks = chunks;
  }

  next(): boolean {
    let chunk = this.#chunks[this.#index];
    if (chunk !== undefined && this.#next === chunk.used) {
      chunk = this.#chunks[++this.#index];
      this.#next = 0;
    }
    if (chunk === undefined) return false;
    this.#bytes = chunk.bytes;
    this.keySize = chunk.view.getUint32(this.#next);
    this.valueSize = chunk.view.getUint32(this.#next + 4);
    this.#keyStart = this.#next + HEAD_SIZE;
    this.#next = this.#keyStart + this.keySize + this.valueSize;
    return true;
  }

  copyKey(target: Uint8Array, offset: number): void {
    target.set(this.#bytes.subarray(this.#keyStart, this.#keyStart + this.keySize), offset);
  }

  copyValue(target: Uint8Array, offset: number, start: number, end: number): void {
    const from = this.#keyStart + this.keySize;
    target.set(this.#bytes.subarray(from + start, from + end), offset);
  }
}
