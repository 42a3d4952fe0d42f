/**
 * raftpb.Message (frozen: on the wire, and etcd's).
 *
 *   Message   { 08 type  10 to  18 from  20 term  28 log term  30 index  3a size Entry ...  40 commit
 *               4a size Snapshot  50 reject  58 reject hint  62 size context }
 *   Entry     { 08 type  10 term  18 index  22 size data }
 *   Snapshot  { 0a size data  12 size SnapshotMetadata{ 0a size ConfState  10 index  18 term } }
 *
 * etcd up to 3.6 writes every number, zero or not, 3.5 an empty snapshot into every message too; 3.7 leaves out
 * what was never set. Neither misses anything, so written here is only what is not zero; but an entry is written as it is on
 * disk, with type, term and index, because followers store what they are sent, and tools of etcd 3.7 trip over what is left
 * out. Fields 13 (vote) and 14 (responses) are for a member's own storage: passed over, as unknown fields are.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { CLAMP_MAX } from "../../base/limits.ts";
import { varintSize, WireError, WireReader, type WireWriter, writeVarint, writeVarint64 } from "../../base/varint.ts";
import {
  ConfStateSchema,
  type Snapshot as ProtoSnapshot,
  SnapshotMetadataSchema,
  SnapshotSchema,
} from "../../gen/raftpb/raft_pb.ts";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type Entry,
  type Message,
  MessageType,
  newMessage,
  NO_MEMBER,
  type Snapshot,
} from "../../raft/mod.ts";
import { CodecError } from "./error.ts";

const TRAVELLING: ReadonlySet<MessageType> = new Set([
  MessageType.PROPOSAL,
  MessageType.APPEND,
  MessageType.APPEND_RESPONSE,
  MessageType.VOTE,
  MessageType.VOTE_RESPONSE,
  MessageType.SNAPSHOT,
  MessageType.HEARTBEAT,
  MessageType.HEARTBEAT_RESPONSE,
  MessageType.TRANSFER_LEADER,
  MessageType.TIMEOUT_NOW,
  MessageType.READ_INDEX,
  MessageType.READ_INDEX_RESPONSE,
  MessageType.PRE_VOTE,
  MessageType.PRE_VOTE_RESPONSE,
]);

/** Those that members send outside of any term. */
const TERMLESS: ReadonlySet<MessageType> = new Set([MessageType.PROPOSAL, MessageType.READ_INDEX]);

/** What comes before the entries takes no more: six numbers of up to ten bytes and their tags. */
const HEAD_SIZE_MAX = 66;

/** Appends the message, without its length. Asserts that it is one that travels. */
export function writeMessage(writer: WireWriter, message: Message): void {
  assert(TRAVELLING.has(message.type), "only messages for other members are written");
  writer.reserve(HEAD_SIZE_MAX);
  const { bytes } = writer;
  let at = writer.position;
  bytes[at++] = 0x08;
  bytes[at++] = message.type;
  at = putId(bytes, at, 0x10, message.to);
  at = putId(bytes, at, 0x18, message.from);
  at = putNumber(bytes, at, 0x20, message.term);
  at = putNumber(bytes, at, 0x28, message.logTerm);
  writer.position = putNumber(bytes, at, 0x30, message.index);
  writeEntries(writer, message.entries);
  writer.integerField(8, message.commit);
  if (message.snapshot !== undefined) writer.messageField(9, encodeSnapshot(message.snapshot));
  writer.boolField(10, message.reject);
  writer.integerField(11, message.rejectHint);
  writer.bytesField(12, message.context);
}

function writeEntries(writer: WireWriter, entries: readonly Entry[]): void {
  for (let i = 0; i < entries.length; i++) {
    const size = encodedEntrySize(entries[i]);
    writer.reserve(1 + varintSize(size) + size);
    writer.bytes[writer.position] = 0x3a;
    writer.position = writeVarint(writer.bytes, writer.position + 1, size);
    writer.position = putEntry(writer.bytes, writer.position, entries[i]);
  }
}

/** Bytes of `entry` as it is written here. */
export function encodedEntrySize(entry: Entry): number {
  const size = entry.data.length;
  return 4 + varintSize(entry.term) + varintSize(entry.index) + (size === 0 ? 0 : 1 + varintSize(size) + size);
}

/** Writes `encodedEntrySize` bytes to `bytes[at...]`, where there is room, and returns the offset after them. */
export function putEntry(bytes: Uint8Array, at: number, entry: Entry): number {
  const { data } = entry;
  bytes[at++] = 0x08;
  bytes[at++] = entry.type;
  bytes[at++] = 0x10;
  at = writeVarint(bytes, at, entry.term);
  bytes[at++] = 0x18;
  at = writeVarint(bytes, at, entry.index);
  if (data.length === 0) return at;
  bytes[at++] = 0x22;
  at = writeVarint(bytes, at, data.length);
  bytes.set(data, at);
  return at + data.length;
}

function putNumber(bytes: Uint8Array, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  bytes[at++] = tag;
  return writeVarint(bytes, at, value);
}

function putId(bytes: Uint8Array, at: number, tag: number, id: bigint): number {
  if (id === NO_MEMBER) return at;
  bytes[at++] = tag;
  return writeVarint64(bytes, at, id);
}

/** Rare, and therefore left to generated code; so is reading it, which takes lists of ids packed and unpacked. */
function encodeSnapshot({ index, term, confState, data }: Snapshot): Uint8Array {
  const metadata = create(SnapshotMetadataSchema, {
    confState: create(ConfStateSchema, {
      voters: [...confState.voters],
      learners: [...confState.learners],
      votersOutgoing: [...confState.votersOutgoing],
      learnersNext: [...confState.learnersNext],
      autoLeave: confState.autoLeave,
    }),
    index: BigInt(index),
    term: BigInt(term),
  });
  const snapshot = create(SnapshotSchema, { metadata });
  if (data.length > 0) snapshot.data = data;
  return toBinary(SnapshotSchema, snapshot);
}

/**
 * The message in `frame`, which belongs to it from now on: data and context are views. It may be any message that travels
 * by itself, which SNAPSHOT does not. Throws CodecError.
 */
export function decodeMessage(frame: Uint8Array): Message {
  const message = decoded(frame, readMessage);
  if (message.type === MessageType.SNAPSHOT) throw new CodecError("a snapshot came without its database");
  checkMessage(message);
  return message;
}

/** The message ahead of a database, as `decodeMessage`: always SNAPSHOT, and `snapshot` is there. */
export function decodeSnapshotMessage(frame: Uint8Array): Message {
  const message = decoded(frame, readMessage);
  if (message.snapshot === undefined) {
    throw new CodecError(`a database came with a message of type ${message.type}, which has no snapshot`);
  }
  checkMessage(message);
  return message;
}

/** Runs `read` over `frame`, with CodecErrors in place of others. */
export function decoded<T>(frame: Uint8Array, read: (reader: WireReader) => T): T {
  try {
    return read(new WireReader(frame));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new CodecError(`a message of ${frame.length} bytes is malformed: ${error.message}`, error);
  }
}

function readMessage(reader: WireReader): Message {
  const message = newMessage(MessageType.HUP, NO_MEMBER);
  let type = 0;
  let entries: Entry[] | undefined;
  let snapshot = EMPTY_BYTES;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x08) type = reader.uint64();
    else if (tag === 0x10) message.to = reader.exactUint64();
    else if (tag === 0x18) message.from = reader.exactUint64();
    else if (tag === 0x20) message.term = position(reader.uint64(), "term");
    else if (tag === 0x28) message.logTerm = position(reader.uint64(), "log term");
    else if (tag === 0x30) message.index = position(reader.uint64(), "index");
    else if (tag === 0x3a) (entries ??= []).push(readEntry(reader, reader.length()));
    else if (tag === 0x40) message.commit = position(reader.uint64(), "commit index");
    else if (tag === 0x4a) snapshot = reader.view();
    else if (tag === 0x50) message.reject = reader.bool();
    else if (tag === 0x58) message.rejectHint = position(reader.uint64(), "reject hint");
    else if (tag === 0x62) message.context = reader.view();
    else reader.skip(tag);
  }
  if (!TRAVELLING.has(type as MessageType)) throw new CodecError(`messages of type ${type} do not travel`);
  message.type = type as MessageType;
  if (entries !== undefined) message.entries = entries;
  if (type === MessageType.SNAPSHOT) message.snapshot = decodeSnapshot(snapshot);
  return message;
}

/** The entry in the reader's next `size` bytes, which the caller knows to be there. */
export function readEntry(reader: WireReader, size: number): Entry {
  const end = reader.end;
  reader.end = reader.position + size;
  let type = 0;
  let term = 0;
  let index = 0;
  let data = EMPTY_BYTES;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x08) type = reader.uint64();
    else if (tag === 0x10) term = position(reader.uint64(), "term of an entry");
    else if (tag === 0x18) index = position(reader.uint64(), "index of an entry");
    else if (tag === 0x22) data = reader.view();
    else reader.skip(tag);
  }
  reader.end = end;
  if (type !== 0 && type !== 1 && type !== 2) throw new CodecError(`there are no entries of type ${type}`);
  return { term, index, type, data };
}

function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const { data, metadata } = parseSnapshot(bytes);
  const confState = metadata?.confState;
  const index = position(Number(metadata?.index ?? 0n), "index of a snapshot");
  const term = position(Number(metadata?.term ?? 0n), "term of a snapshot");
  if (index === 0 || term === 0 || confState === undefined) throw new CodecError("a snapshot of nothing");
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = confState;
  return { index, term, confState: { voters, learners, votersOutgoing, learnersNext, autoLeave }, data };
}

function parseSnapshot(bytes: Uint8Array): ProtoSnapshot {
  try {
    return fromBinary(SnapshotSchema, bytes);
  } catch (error) {
    throw new CodecError(`a snapshot's metadata is malformed: ${(error as Error).message}`, error);
  }
}

/** Terms and indexes are counted up from zero: no log reaches 2^53. */
function position(value: number, what: string): number {
  if (value >= CLAMP_MAX) throw new CodecError(`impossible ${what}`);
  return value;
}

/** Throws CodecError where raft would take a message for something that no member sends. */
export function checkMessage(message: Message): void {
  const { type, from, term } = message;
  // To raft these are this member's own.
  if (from === APPEND_THREAD || from === APPLY_THREAD) throw new CodecError("a message of a member's own storage");
  if (term === 0 && !TERMLESS.has(type) && !isLinkHeartbeat(message)) {
    throw new CodecError(`a message of type ${type} without a term`);
  }
  if (type === MessageType.APPEND) checkEntries(message);
}

/** Entries are a piece of the log of the leader of `term`. */
function checkEntries({ index, logTerm, term, entries }: Message): void {
  let lastTerm = logTerm;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (entry.index !== index + 1 + i) throw new CodecError(`entry ${entry.index} follows on entry ${index + i}`);
    if (entry.term < lastTerm || entry.term > term) {
      throw new CodecError(
        `entry ${entry.index} of term ${entry.term} follows on term ${lastTerm}, sent in term ${term}`,
      );
    }
    lastTerm = entry.term;
  }
}

/** What keeps an idle stream of messages alive, and means nothing else. */
export function isLinkHeartbeat({ type, to, from }: Message): boolean {
  return type === MessageType.HEARTBEAT && to === NO_MEMBER && from === NO_MEMBER;
}
