/**
 * Finds where to start reading a log: the newest snapshot that it commits. A snapshot record is written long after the
 * segment was begun that reading starts in, so this looks for it first, from the last segment back, and over the entries
 * without looking at them. Nothing is verified here: whatever it finds lies in what is read and verified afterwards.
 */

import { WAL_READ_BLOCK_SIZE } from "../../base/limits.ts";
import { WireError } from "../../base/varint.ts";
import type { Disk, File } from "../../io/disk.ts";
import { FRAME_SIZE, paddingSize, RecordError, RecordReader, RecordType, type WalSnapshot } from "./record.ts";
import { parseSegmentName } from "./segment.ts";

/** A record's header up to its data, at most. */
const HEADER_SIZE_MAX = FRAME_SIZE + 2 + 6 + 6;

/** Undefined where no record says so: the log is read from its beginning. Rejects with DiskError. */
export async function findSnapshot(disk: Disk, directory: string): Promise<WalSnapshot | undefined> {
  const names = (await disk.list(directory)).filter((name) => parseSegmentName(name) !== undefined);
  let commit = 0;
  for (const name of names.reverse()) {
    const file = await disk.open(`${directory}/${name}`);
    try {
      const scan = await new SegmentScan(file).run();
      // A segment begins with what was committed in the one before.
      commit = Math.max(commit, scan.commit);
      const found = scan.snapshots.findLast((snapshot) => snapshot.index > 0 && snapshot.index <= commit);
      if (found !== undefined) return found;
    } finally {
      await file.close();
    }
  }
  return undefined;
}

/** One segment's commit index and snapshots, as far as its records can be followed. */
class SegmentScan {
  /** The largest: a commit index never goes back, but a torn one may look as if it had. */
  commit = 0;
  readonly snapshots: WalSnapshot[] = [];
  readonly #file: File;
  readonly #records = new RecordReader();
  #block = new Uint8Array(0);
  /** The block is [#start, #end) of the file. */
  #start = 0;
  #end = 0;

  constructor(file: File) {
    this.#file = file;
  }

  async run(): Promise<this> {
    const size = await this.#file.size();
    this.#block = new Uint8Array(Math.min(WAL_READ_BLOCK_SIZE, size));
    for (let position = 0; position + FRAME_SIZE <= size;) {
      const header = Math.min(HEADER_SIZE_MAX, size - position);
      if (position + header > this.#end) await this.#read(position);
      const payload = this.#payloadSize(position);
      if (payload === 0) break;
      const next = position + FRAME_SIZE + payload + paddingSize(payload);
      if (next > size) break;
      const type = this.#block[position - this.#start + FRAME_SIZE + 1];
      if (type === RecordType.STATE || type === RecordType.SNAPSHOT) {
        if (next > this.#end) await this.#read(position, next - position);
        if (!this.#take(type, position, payload)) break;
      }
      position = next;
    }
    return this;
  }

  async #read(position: number, needed = 0): Promise<void> {
    if (needed > this.#block.length) this.#block = new Uint8Array(needed);
    const count = await this.#file.read(this.#block, position);
    this.#start = position;
    this.#end = position + count;
  }

  /** 0: there is no record. */
  #payloadSize(position: number): number {
    const at = position - this.#start;
    const block = this.#block;
    const high = block[at + 4] | block[at + 5] | block[at + 6];
    if (high !== 0) return 0;
    return (block[at] | block[at + 1] << 8 | block[at + 2] << 16 | block[at + 3] << 24) >>> 0;
  }

  /** False for a record that cannot be read: it is the torn tail, or the reader will say what is wrong with it. */
  #take(type: number, position: number, payload: number): boolean {
    const block = this.#block;
    const end = position - this.#start + FRAME_SIZE + payload;
    let at = position - this.#start + FRAME_SIZE + 3;
    while (at < end && block[at] >= 0x80) at++;
    // Behind the crc: tag and size of the data.
    at += 2;
    while (at < end && block[at] >= 0x80) at++;
    at++;
    if (at > end) return false;
    try {
      if (type === RecordType.STATE) this.commit = Math.max(this.commit, this.#records.state(block, at, end).commit);
      else this.snapshots.push(this.#records.snapshot(block, at, end));
      return true;
    } catch (error) {
      if (error instanceof RecordError || error instanceof WireError) return false;
      throw error;
    }
  }
}
