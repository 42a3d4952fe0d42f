/**
 * Records as etcd writes them, byte for byte (frozen: on disk).
 *
 *   segment = record* zeros                 every record starts at a multiple of 8, so a length never straddles a sector
 *
 *   record  | length word      | payload                                  | zeros    |
 *           | 8, little-endian | `length` bytes                           | 0 to 7   |
 *
 *   length word   low 56 bits: bytes of payload; top byte: 0x80 | padding, or 0 without padding. 0: the log ends here.
 *   payload       walpb.Record, proto2:  08 type  10 crc  1a size data      (a crc record has no data)
 *
 *   type      data                                             when
 *   1         Metadata{08 member id, 10 cluster id}            second record of every segment, the same in all
 *   2         Entry{08 type, 10 term, 18 index, 22 data}       data is left out when empty
 *   3         HardState{08 term, 10 vote, 18 commit}           after the entries of the same append
 *   4         -                                                first record of every segment: crc at the end of the last
 *   5         Snapshot{08 index, 10 term, 1a ConfState}        a snapshot at that index is durable elsewhere
 *
 * etcd up to 3.6 always writes the type of an entry, 3.7 leaves it out when it is zero. All read both, but for the
 * etcd-dump-logs of 3.7.1, which ends with a nil pointer on entries without a type, its own included: it is written.
 *
 * `crc` is one running CRC-32C over the data of all records (type 4 aside) of all segments, this record's included.
 */

import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import {
  varint64Size,
  varintSize,
  WIRE_VARINT,
  WireReader,
  WireWriter,
  writeVarint,
  writeVarint64,
} from "../../base/varint.ts";
import { CLAMP_MAX } from "../../base/limits.ts";
import type { ConfState, Entry, HardState } from "../../raft/mod.ts";

/** Frozen: on disk. */
export const RecordType = { METADATA: 1, ENTRY: 2, STATE: 3, CRC: 4, SNAPSHOT: 5 } as const;

/** Bytes of the length word (frozen). */
export const FRAME_SIZE = 8;

/** Who wrote the log; the same in every segment. */
export interface WalMetadata {
  readonly memberId: bigint;
  readonly clusterId: bigint;
}

/** A position whose state is durable outside the log. `confState` is absent only at index 0. */
export interface WalSnapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState | undefined;
}

/** Padding that brings a payload of `size` bytes to a multiple of 8. */
export function paddingSize(size: number): number {
  return (8 - (size & 7)) & 7;
}

/** The largest header of a record: length word, type, crc, size of the data; and the padding. */
const RECORD_OVERHEAD_MAX = FRAME_SIZE + 2 + 6 + 6 + 7;
/** The largest Entry without its data. */
const ENTRY_HEADER_MAX = 2 + 9 + 9 + 9;

/** The bits of fields 1, 2 and 3. */
const ALL_STATE_FIELDS = 0b1110;

/** Encodes records one after the other into one buffer that is used again; the bytes of an entry are copied once. */
export class RecordWriter {
  /** `[0, length)` is encoded. Replaced when it grows. */
  bytes: Uint8Array;
  length = 0;
  /** The running CRC-32C. */
  crc: number;
  readonly #entryHeader = new Uint8Array(ENTRY_HEADER_MAX);

  constructor(crc: number, initialSize: number) {
    this.crc = crc;
    this.bytes = new Uint8Array(initialSize);
  }

  /** Forgets what was encoded; a buffer larger than `retainedSize` is let go. */
  reset(retainedSize: number): void {
    this.length = 0;
    if (this.bytes.length > retainedSize) this.bytes = new Uint8Array(retainedSize);
  }

  metadata(metadata: WalMetadata): void {
    const data = encodeMetadata(metadata);
    this.#record(RecordType.METADATA, data, data.length, EMPTY_BYTES);
  }

  entry(entry: Entry): void {
    const header = this.#entryHeader;
    const data = entry.data;
    let size = 0;
    header[size++] = 0x08;
    header[size++] = entry.type;
    header[size++] = 0x10;
    size = writeVarint(header, size, entry.term);
    header[size++] = 0x18;
    size = writeVarint(header, size, entry.index);
    if (data.length > 0) {
      header[size++] = 0x22;
      size = writeVarint(header, size, data.length);
    }
    this.#record(RecordType.ENTRY, header, size, data);
  }

  state(state: HardState): void {
    const data = new Uint8Array(3 + varintSize(state.term) + varint64Size(state.vote) + varintSize(state.commit));
    data[0] = 0x08;
    let size = writeVarint(data, 1, state.term);
    data[size++] = 0x10;
    size = writeVarint64(data, size, state.vote);
    data[size++] = 0x18;
    size = writeVarint(data, size, state.commit);
    this.#record(RecordType.STATE, data, size, EMPTY_BYTES);
  }

  /** The head of a segment: carries the chain on from the previous one. */
  chain(): void {
    this.#record(RecordType.CRC, EMPTY_BYTES, 0, EMPTY_BYTES);
  }

  snapshot(snapshot: WalSnapshot): void {
    const data = encodeSnapshot(snapshot);
    this.#record(RecordType.SNAPSHOT, data, data.length, EMPTY_BYTES);
  }

  /** One record whose data is `head[0, headSize)` followed by `tail`. */
  #record(type: number, head: Uint8Array, headSize: number, tail: Uint8Array): void {
    const crc = updateCrc32c(updateCrc32c(this.crc, head, 0, headSize), tail);
    this.crc = crc;
    const dataSize = headSize + tail.length;
    const payloadSize = 3 + varintSize(crc) + (type === RecordType.CRC ? 0 : 1 + varintSize(dataSize) + dataSize);
    assert(payloadSize < 0x80000000, "a record is smaller than 2 GiB");
    this.#reserve(RECORD_OVERHEAD_MAX + dataSize);
    const bytes = this.bytes;
    const padding = paddingSize(payloadSize);
    let at = this.length;
    bytes[at++] = payloadSize;
    bytes[at++] = payloadSize >>> 8;
    bytes[at++] = payloadSize >>> 16;
    bytes[at++] = payloadSize >>> 24;
    bytes[at++] = 0;
    bytes[at++] = 0;
    bytes[at++] = 0;
    bytes[at++] = padding === 0 ? 0 : 0x80 | padding;
    bytes[at++] = 0x08;
    bytes[at++] = type;
    bytes[at++] = 0x10;
    at = writeVarint(bytes, at, crc);
    if (type !== RecordType.CRC) {
      bytes[at++] = 0x1a;
      at = writeVarint(bytes, at, dataSize);
      for (let i = 0; i < headSize; i++) bytes[at + i] = head[i];
      at += headSize;
      bytes.set(tail, at);
      at += tail.length;
    }
    // The buffer is used again, so what is padding now may have been data.
    for (const end = at + padding; at < end; at++) bytes[at] = 0;
    this.length = at;
  }

  #reserve(size: number): void {
    const needed = this.length + size;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

function encodeMetadata(metadata: WalMetadata): Uint8Array {
  const data = new Uint8Array(2 + varint64Size(metadata.memberId) + varint64Size(metadata.clusterId));
  data[0] = 0x08;
  const size = writeVarint64(data, 1, metadata.memberId);
  data[size] = 0x10;
  writeVarint64(data, size + 1, metadata.clusterId);
  return data;
}

/** `auto_leave` is written even when false, as etcd does. */
function encodeSnapshot(snapshot: WalSnapshot): Uint8Array {
  const writer = new WireWriter();
  writer.tag(1, WIRE_VARINT);
  writer.varint(snapshot.index);
  writer.tag(2, WIRE_VARINT);
  writer.varint(snapshot.term);
  const { confState } = snapshot;
  if (confState === undefined) return writer.finish();
  const inner = new WireWriter();
  const lists = [confState.voters, confState.learners, confState.votersOutgoing, confState.learnersNext];
  for (const [position, ids] of lists.entries()) {
    for (const id of ids) {
      inner.tag(position + 1, WIRE_VARINT);
      inner.varint64(id);
    }
  }
  inner.tag(5, WIRE_VARINT);
  inner.varint(confState.autoLeave ? 1 : 0);
  writer.messageField(3, inner.view());
  return writer.finish();
}

/** Input that passed its checksum and still is not what etcd writes. The caller adds file and offset. */
export class RecordError extends Error {}

/**
 * Reads the data of records. Stricter than protobuf: an unknown field, a field twice or a number that no log reaches is
 * refused (RecordError or WireError), because a log with a field that this version does not know must not be served
 * by it.
 */
export class RecordReader {
  readonly #reader = new WireReader(EMPTY_BYTES);

  /**
   * The entry at `bytes[start, end)`. Its data is a copy: a view would keep a whole block of the log alive, and small
   * copies cost no more than views do (both about 0.45 us per entry, 300 bytes each, on Bun).
   */
  entry(bytes: Uint8Array, start: number, end: number): Entry {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    let type = 0;
    let term = 0;
    let index = 0;
    let data = EMPTY_BYTES;
    let seen = 0;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      seen = once(seen, tag);
      if (tag === 0x08) type = reader.uint64();
      else if (tag === 0x10) term = reader.uint64();
      else if (tag === 0x18) index = reader.uint64();
      else if (tag === 0x22) data = reader.copy();
      else throw unknownField(tag);
    }
    if (type !== 0 && type !== 1 && type !== 2) throw new RecordError(`unknown entry type ${type}`);
    if (term === 0 || index === 0) throw new RecordError("an entry without term or index");
    return { term: position(term, "term"), index: position(index, "index"), type, data };
  }

  state(bytes: Uint8Array, start: number, end: number): HardState {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    let term = 0;
    let vote = 0n;
    let commit = 0;
    let seen = 0;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      seen = once(seen, tag);
      if (tag === 0x08) term = reader.uint64();
      else if (tag === 0x10) vote = reader.exactUint64();
      else if (tag === 0x18) commit = reader.uint64();
      else throw unknownField(tag);
    }
    // A crc does not cover the type of its record. All three fields are always written, which tells this one from others.
    if (seen !== ALL_STATE_FIELDS || term === 0) {
      throw new RecordError("a hard state without term, vote or commit index");
    }
    return { term: position(term, "term"), vote, commit: position(commit, "commit index") };
  }

  metadata(bytes: Uint8Array, start: number, end: number): WalMetadata {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    let memberId = 0n;
    let clusterId = 0n;
    let seen = 0;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      seen = once(seen, tag);
      if (tag === 0x08) memberId = reader.exactUint64();
      else if (tag === 0x10) clusterId = reader.exactUint64();
      else throw unknownField(tag);
    }
    return { memberId, clusterId };
  }

  snapshot(bytes: Uint8Array, start: number, end: number): WalSnapshot {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    let index = 0;
    let term = 0;
    let confState: Uint8Array | undefined;
    let seen = 0;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      seen = once(seen, tag);
      if (tag === 0x08) index = reader.uint64();
      else if (tag === 0x10) term = reader.uint64();
      else if (tag === 0x1a) confState = reader.view();
      else throw unknownField(tag);
    }
    return {
      index: position(index, "index"),
      term: position(term, "term"),
      confState: confState === undefined ? undefined : decodeConfState(confState),
    };
  }
}

function decodeConfState(bytes: Uint8Array): ConfState {
  const lists: [bigint[], bigint[], bigint[], bigint[]] = [[], [], [], []];
  let autoLeave = false;
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const field = tag >>> 3;
    if ((tag & 7) !== WIRE_VARINT || field > 5) throw unknownField(tag);
    if (field === 5) autoLeave = reader.bool();
    else lists[field - 1].push(reader.exactUint64());
  }
  const [voters, learners, votersOutgoing, learnersNext] = lists;
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}

function unknownField(tag: number): RecordError {
  return new RecordError(`unknown field ${tag >>> 3} (wire type ${tag & 7})`);
}

/** Marks a field as seen in a bit set. */
function once(seen: number, tag: number): number {
  const bit = tag < 0x28 ? 1 << (tag >>> 3) : 0;
  if ((seen & bit) !== 0) throw new RecordError(`field ${tag >>> 3} appears twice`);
  return seen | bit;
}

/** Terms and indexes are counted up from zero: no log reaches 2^53, so a larger one is damage. */
function position(value: number, what: string): number {
  if (value >= CLAMP_MAX) throw new RecordError(`impossible ${what}`);
  return value;
}
