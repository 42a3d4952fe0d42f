/**
 * The checksum under HashKV: CRC-32C over the name of etcd's bucket and then, row by row, the bucket's key (revision_key.ts)
 * and value, the KeyValue.
 */

import { updateCrc32c } from "../base/crc32c.ts";
import { utf8 } from "../base/bytes.ts";
import { type HistoryChunk, TOMBSTONE } from "./history.ts";
import { recordSizeAt } from "./record.ts";
import { TOMBSTONE_KEY_SIZE, writeRevisionKey } from "./revision_key.ts";
import type { Slabs } from "./slab.ts";

const BUCKET_NAME_CRC = updateCrc32c(0, utf8("key"));

export class RevisionHash {
  /** The checksum so far. */
  crc: number = BUCKET_NAME_CRC;
  readonly #slabs: Slabs;
  readonly #key = new Uint8Array(TOMBSTONE_KEY_SIZE);

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  /** Adds a row and returns the size of its record. */
  add(chunk: HistoryChunk, position: number): number {
    const key = this.#key;
    const isTombstone = (chunk.flagsAt(position) & TOMBSTONE) !== 0;
    const keySize = writeRevisionKey(key, 0, chunk.mainAt(position), chunk.subAt(position), isTombstone);
    const crc = updateCrc32c(this.crc, key, 0, keySize);
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
