/**
 * Checksums of a file of ours: one CRC-32C for each 64 KiB of it, on a fixed grid. Frozen.
 *
 *   file           | metas | pages ... | high-water mark of transaction N | checksum area of N | pages of N+1 ... | area of N+1
 *   checksum area  u32 checksum of each chunk, in order | zeros to the end of the page
 *
 * A chunk's checksum covers the bytes of it that lie behind the two metas and before the high-water mark, so the last one
 * is that of a beginning, and the next transaction carries it on. The area of an earlier transaction is ordinary (dead)
 * bytes to the later ones. The meta page's mark holds the CRC of the area.
 *
 * Another program may write to dead pages and behind the high-water mark as soon as it has opened the file, and the mark goes
 * only with its first transaction. If it dies before that, the file counts as damaged although nothing of the state is: let
 * that program open it once more.
 *
 * Each append writes the checksums of the whole file: 4 bytes for 64 KiB, 25 KB for 400 MB, half a MiB for 8 GiB.
 */

import { assert } from "../../base/assert.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { FIRST_PAGE, viewOf } from "./format.ts";

export const CHUNK_SIZE = 64 * 1024;

/** Bytes of the checksum area behind a high-water mark of `size` bytes. */
export function areaSizeOf(size: number, pageSize: number): number {
  return Math.ceil(Math.ceil(size / CHUNK_SIZE) * 4 / pageSize) * pageSize;
}

export class Checksums {
  /** Where the bytes covered begin and end. */
  readonly start: number;
  readonly end: number;
  readonly #table: Uint32Array;

  constructor(pageSize: number, end: number, table: Uint32Array) {
    this.start = FIRST_PAGE * pageSize;
    this.end = end;
    this.#table = table;
  }

  /** Reads the area of a state that ends at `end`. */
  static decode(area: Uint8Array, pageSize: number, end: number): Checksums {
    const view = viewOf(area);
    const table = new Uint32Array(Math.ceil(end / CHUNK_SIZE));
    for (let i = 0; i < table.length; i++) table[i] = view.getUint32(i * 4, true);
    return new Checksums(pageSize, end, table);
  }

  encode(pageSize: number): Uint8Array {
    const area = new Uint8Array(areaSizeOf(this.end, pageSize));
    const view = viewOf(area);
    for (let i = 0; i < this.#table.length; i++) view.setUint32(i * 4, this.#table[i], true);
    return area;
  }

  of(chunk: number): number {
    return this.#table[chunk];
  }

  /** Whether `bytes[offset...]`, which starts with chunk `chunk` and holds as much of it as the file has, is unchanged. */
  matches(chunk: number, bytes: Uint8Array, offset: number): boolean {
    const position = chunk * CHUNK_SIZE;
    const start = Math.max(position, this.start);
    const end = Math.max(start, Math.min(position + CHUNK_SIZE, this.end));
    return updateCrc32c(0, bytes, offset + start - position, offset + end - position) === this.#table[chunk];
  }
}

/** Makes the checksums of a file while its bytes are written, in order. */
export class ChecksumBuilder {
  readonly #pageSize: number;
  #table: Uint32Array;
  #position: number;

  /** Goes on behind the bytes that `previous` covers; from the start of a file's pages if there are none. */
  constructor(pageSize: number, previous?: Checksums) {
    this.#pageSize = pageSize;
    this.#position = previous === undefined ? FIRST_PAGE * pageSize : previous.end;
    this.#table = new Uint32Array(Math.max(16, 2 * Math.ceil(this.#position / CHUNK_SIZE)));
    if (previous !== undefined) {
      for (let chunk = 0; chunk * CHUNK_SIZE < previous.end; chunk++) this.#table[chunk] = previous.of(chunk);
    }
  }

  /** The next bytes of the file. */
  add(bytes: Uint8Array, start: number, end: number): void {
    while (start < end) {
      const chunk = Math.floor(this.#position / CHUNK_SIZE);
      if (chunk >= this.#table.length) {
        const grown = new Uint32Array(2 * this.#table.length);
        grown.set(this.#table);
        this.#table = grown;
      }
      const part = Math.min(end, start + (chunk + 1) * CHUNK_SIZE - this.#position);
      this.#table[chunk] = updateCrc32c(this.#table[chunk], bytes, start, part);
      this.#position += part - start;
      start = part;
    }
  }

  finish(end: number): Checksums {
    assert(this.#position === end, "the checksums cover the file up to its high-water mark");
    return new Checksums(this.#pageSize, end, this.#table.slice(0, Math.ceil(end / CHUNK_SIZE)));
  }
}
