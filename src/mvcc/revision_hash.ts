/**
 * The checksum under HashKV: CRC-32C over the name of etcd's bucket and then, row by row, the bucket's key and value.
 *
 *     bucket key: main (8 bytes, big-endian) '_' sub (8 bytes, big-endian) and, for a tombstone, 't'     (frozen)
 *     value:      the KeyValue
 */

import { updateCrc32c } from "../base/crc32c.ts";
import { utf8 } from "../base/bytes.ts";
import { type HistoryChunk, TOMBSTONE } from "./history.ts";
import { recordSizeAt } from "./record.ts";
import type { Slabs } from "./slab.ts";

const BUCKET_NAME_CRC = updateCrc32c(0, utf8("key"));
const TWO_32 = 4294967296;

export class RevisionHash {
  /** The checksum so far. */
  crc: number = BUCKET_NAME_CRC;
  readonly #slabs: Slabs;
  readonly #key = new Uint8Array(18);

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
    this.#key[8] = 0x5f;
    this.#key[17] = 0x74;
  }

  /** Adds a row and returns the size of its record. */
  add(chunk: HistoryChunk, position: number): number {
    const key = this.#key;
    const main = chunk.mainAt(position);
    writeUint32(key, 0, Math.floor(main / TWO_32));
    writeUint32(key, 4, main % TWO_32);
    writeUint32(key, 13, chunk.subAt(position));
    const isTombstone = (chunk.flagsAt(position) & TOMBSTONE) !== 0;
    const crc = updateCrc32c(this.crc, key, 0, isTombstone ? 18 : 17);
    const bytes = this.#slabs.buffers[chunk.slabAt(position)];
    const offset = chunk.offsetAt(position);
    const size = recordSizeAt(bytes, offset);
    // The KeyValue follows the frame's tag and length.
    let start = offset + 1;
    while (bytes[start] >= 0x80) start++;
    this.crc = updateCrc32c(crc, bytes, start + 1, offset + size);
    return size;
  }
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}
