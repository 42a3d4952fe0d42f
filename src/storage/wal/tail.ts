/**
 * What may lie behind the last valid record of the last segment.
 *
 * A crash interrupts at most one physical write, of at most WAL_WRITE_SIZE_MAX bytes, whose sync had not been reported.
 * Of its 512-byte sectors each may or may not have reached the disk, in any order; a sector that did not reads as zeros,
 * because segments are preallocated. What such a write left is a *torn tail*: nothing in it was ever acknowledged, so it
 * is cut. Everything else is damage to data that may have been acknowledged, and is refused. etcd takes any record with
 * a zero sector in it for torn; here the tail must be explained by a lost sector completely:
 *
 * 1. where the length word is lost, the rest of its sector is lost with it;
 * 2. where it is there, the record's own header must agree with it, and a whole sector of the record must be missing
 *    (lost, or beyond the end of the file);
 * 3. nothing lies further behind the lost sector than one write reaches;
 * 4. no later write happened: one would show. A write holds hard states that waited for it, then either entries and at
 *    most one hard state, or a snapshot record; and a hard state never commits an entry of its own write (wal.ts sees to
 *    it). So what does not fit into one write, or commits what was lost, means that the lost bytes had been durable.
 *
 * What cannot be told apart from a torn tail is a whole sector of the very last write that became zeros afterwards, or
 * other damage to a record there that has a sector of zeros of its own.
 * (etcd's followers may commit an entry in the write that brings it. Where the power failed in such a write, this reader
 * refuses what etcd repairs.)
 */

import { updateCrc32c } from "../../base/crc32c.ts";
import { WAL_WRITE_SIZE_MAX } from "../../base/limits.ts";
import type { File } from "../../io/disk.ts";
import { damage } from "./error.ts";
import { FRAME_SIZE, paddingSize, RecordReader, RecordType } from "./record.ts";

/** What a disk writes whole or not at all. */
const SECTOR_SIZE = 512;
const SCAN_BLOCK_SIZE = 1 << 20;

/** Where the valid records ended, and why. */
export interface TailPosition {
  readonly path: string;
  readonly file: File;
  /** End of the last valid record. */
  readonly offset: number;
  /** Size of the file. */
  readonly size: number;
  /** What is wrong at `offset`; undefined for a length word of zero or the end of the file. */
  readonly found: string | undefined;
  /** Index of the entry that would come next. */
  readonly nextIndex: number;
}

/** Returns where the bytes of a torn tail end, or undefined if there are only zeros. Throws WalError for anything else. */
export async function judgeTail(position: TailPosition): Promise<number | undefined> {
  const { path, file, offset, size, found } = position;
  const dataEnd = await findDataEnd(file, offset, size);
  if (dataEnd === offset) return undefined;

  // With some zeros behind, so that a header at the very end can be looked at.
  const tail = new Uint8Array(dataEnd - offset + 3 * FRAME_SIZE);
  await readFully(file, tail.subarray(0, dataEnd - offset), offset);
  const lost = found === undefined ? lostLengthWord(path, tail, offset) : lostSector(path, tail, offset, size, found);
  if (dataEnd - lost > WAL_WRITE_SIZE_MAX) {
    throw damage(path, lost, `zeros where the log goes on until byte ${dataEnd}, too far for one interrupted write`);
  }
  const later = findLaterWrite(tail, dataEnd - offset, position.nextIndex);
  if (later !== undefined) {
    throw damage(
      path,
      offset,
      `${found ?? "zeros"}, and behind it a later write at byte ${offset + later}: this was not an interrupted write`,
    );
  }
  return dataEnd;
}

/** Throws unless everything from `offset` on is zeros: what is behind the end of a segment that is not the last. */
export async function requireZeros(path: string, file: File, offset: number, size: number): Promise<void> {
  const dataEnd = await findDataEnd(file, offset, size);
  if (dataEnd !== offset) throw damage(path, dataEnd - 1, "data behind the end of a segment that has a successor");
}

/** Rule 1. Returns the offset of the lost sector. */
function lostLengthWord(path: string, tail: Uint8Array, offset: number): number {
  const sectorEnd = SECTOR_SIZE - offset % SECTOR_SIZE;
  const data = firstNonZero(tail, 0, Math.min(sectorEnd, tail.length));
  if (data !== -1) throw damage(path, offset + data, "data behind the end of the log");
  return offset;
}

/** Rule 2. Returns the offset of the first lost sector. */
function lostSector(path: string, tail: Uint8Array, offset: number, size: number, found: string): number {
  const available = size - offset;
  if (available < FRAME_SIZE) return size;
  const total = frameSize(tail, 0);
  // The first sector boundary behind the length word splits the record's bytes as the disk does.
  let start = FRAME_SIZE;
  let lost = -1;
  while (start < total && start < available && lost === -1) {
    const boundary = start + SECTOR_SIZE - (offset + start) % SECTOR_SIZE;
    const end = Math.min(boundary, total, available);
    if (firstNonZero(tail, Math.min(start, tail.length), Math.min(end, tail.length)) === -1) lost = start;
    start = end;
  }
  if (lost === -1 && total > available) lost = available;
  if (lost === -1) throw damage(path, offset, found);
  // What is there of the header must agree with the length; it may itself reach into the lost sector.
  const header = parseHeader(tail, 0);
  if (typeof header === "number" && header < lost) throw damage(path, offset, found);
  return offset + lost;
}

/** Length word, payload and padding as the length word at `at` says; NaN where no writer writes such a word. */
function frameSize(tail: Uint8Array, at: number): number {
  if (at + 3 * FRAME_SIZE > tail.length) return NaN;
  const payload = tail[at] + tail[at + 1] * 0x100 + tail[at + 2] * 0x10000 + tail[at + 3] * 0x1000000;
  const padding = paddingSize(payload);
  const isPossible = payload > 0 && payload < 0x80000000 && tail[at + 4] === 0 && tail[at + 5] === 0 &&
    tail[at + 6] === 0 && tail[at + 7] === (padding === 0 ? 0 : 0x80 | padding);
  return isPossible ? FRAME_SIZE + payload + padding : NaN;
}

interface Header {
  readonly type: number;
  readonly crc: number;
  readonly dataStart: number;
  readonly dataEnd: number;
  /** Frame, payload and padding. */
  readonly total: number;
}

/** The record header at `at`, or the position of the first byte that cannot be in one. The data may lie beyond the tail. */
function parseHeader(tail: Uint8Array, at: number): Header | number {
  const total = frameSize(tail, at);
  if (Number.isNaN(total)) return at;
  let next = at + FRAME_SIZE;
  if (tail[next] !== 0x08) return next;
  const type = tail[++next];
  if (type < RecordType.METADATA || type > RecordType.SNAPSHOT) return next;
  if (tail[++next] !== 0x10) return next;
  next++;
  let crc = 0;
  let scale = 1;
  let byte = 0x80;
  for (let i = 0; i < 5 && byte >= 0x80; i++, scale *= 128) {
    byte = tail[next++];
    crc += (byte & 0x7f) * scale;
  }
  let dataSize = 0;
  if (type !== RecordType.CRC) {
    if (tail[next] !== 0x1a) return next;
    next++;
    scale = 1;
    byte = 0x80;
    for (let i = 0; i < 5 && byte >= 0x80; i++, scale *= 128) {
      byte = tail[next++];
      dataSize += (byte & 0x7f) * scale;
    }
  }
  const payload = next + dataSize - at - FRAME_SIZE;
  if (FRAME_SIZE + payload + paddingSize(payload) !== total) return next - 1;
  return { type, crc, dataStart: next, dataEnd: next + dataSize, total };
}

/**
 * Rule 4: the position in `tail` of the record that shows that a later write happened, or undefined. While the lengths
 * lead from record to record, each is taken for one; behind a lost length, two in a row whose checksums link, or a hard
 * state that ends the data.
 */
function findLaterWrite(tail: Uint8Array, dataEnd: number, nextIndex: number): number | undefined {
  const reader = new RecordReader();
  const shape = new WriteShape();
  let isInStep = true;
  let at = 0;
  while (at < dataEnd) {
    const header = parseHeader(tail, at);
    if (typeof header === "number" || !(isInStep || isLinked(tail, at, header) || isLastState(dataEnd, at, header))) {
      // The length of the record at 0 may be there even though its header is lost.
      const total = at === 0 ? frameSize(tail, at) : NaN;
      isInStep = !Number.isNaN(total);
      at += isInStep ? total : FRAME_SIZE;
      continue;
    }
    isInStep = true;
    if (!shape.add(header.type)) return at;
    if (header.type === RecordType.STATE && commitOf(reader, tail, header) >= nextIndex) return at;
    at += header.total;
  }
  return undefined;
}

/** What one write can hold: hard states, then entries and at most one hard state, or a snapshot. */
class WriteShape {
  #last: "states" | "entries" | "end" = "states";

  /** False if a record of this type cannot follow in the same write. */
  add(type: number): boolean {
    if (type === RecordType.STATE) {
      if (this.#last === "entries") this.#last = "end";
      else return this.#last === "states";
    } else if (type === RecordType.ENTRY) {
      if (this.#last === "end") return false;
      this.#last = "entries";
    } else {
      if (this.#last !== "states") return false;
      this.#last = "end";
    }
    return true;
  }
}

/** Whether the record behind the one at `at` continues its checksum. */
function isLinked(tail: Uint8Array, at: number, header: Header): boolean {
  const follower = parseHeader(tail, at + header.total);
  if (typeof follower === "number" || follower.dataEnd > tail.length) return false;
  return updateCrc32c(header.crc, tail, follower.dataStart, follower.dataEnd) === follower.crc;
}

function isLastState(dataEnd: number, at: number, header: Header): boolean {
  return header.type === RecordType.STATE && at + header.total >= dataEnd;
}

function commitOf(reader: RecordReader, tail: Uint8Array, header: Header): number {
  try {
    return reader.state(tail, header.dataStart, header.dataEnd).commit;
  } catch {
    // Not a hard state after all: the bytes of some value.
    return -1;
  }
}

/** The end of the last byte that is not zero in `[offset, size)`; `offset` if there is none. */
async function findDataEnd(file: File, offset: number, size: number): Promise<number> {
  const block = new Uint8Array(Math.min(SCAN_BLOCK_SIZE, size - offset));
  let dataEnd = offset;
  for (let position = offset; position < size; position += block.length) {
    const part = block.subarray(0, Math.min(block.length, size - position));
    await readFully(file, part, position);
    const last = lastNonZero(part);
    if (last !== -1) dataEnd = position + last + 1;
  }
  return dataEnd;
}

export async function readFully(file: File, target: Uint8Array, position: number): Promise<void> {
  let count = 0;
  while (count < target.length) {
    const read = await file.read(target.subarray(count), position + count);
    if (read === 0) throw damage(file.path, position + count, "the file ends while it is read");
    count += read;
  }
}

function firstNonZero(bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return i;
  return -1;
}

function lastNonZero(bytes: Uint8Array): number {
  // Four bytes at a time: a whole preallocated segment is looked at on every start.
  const words = new Int32Array(bytes.buffer, 0, bytes.length >>> 2);
  for (let i = bytes.length - 1; i >= words.length * 4; i--) if (bytes[i] !== 0) return i;
  let word = words.length - 1;
  while (word >= 0 && words[word] === 0) word--;
  if (word < 0) return -1;
  let last = word * 4 + 3;
  while (bytes[last] === 0) last--;
  return last;
}
