/**
 * The stream of appends, which etcd calls msgappv2 (frozen: on the wire).
 *
 *   | 0 |                                                      keeps the connection alive
 *   | 1 | count: 8 | { size: 8 | Entry: size } * count | commit: 8 |      an append that follows on the last one
 *   | 2 | size: 8 | Message: size |                            any append
 *
 * Integers are big-endian. Both ends remember a term and an index, at first 0 and 0: after form 2 the message's term and the
 * index of its last entry (its own index, if it has none), and form 1 adds its count. Form 1 stands for an APPEND from the
 * peer to this member whose term and log term are the term, and whose index is the index.
 */

import { assert } from "../../base/assert.ts";
import { CLAMP_MAX, PEER_MESSAGE_SIZE_MAX } from "../../base/limits.ts";
import type { WireReader, WireWriter } from "../../base/varint.ts";
import { type Entry, type Message, MessageType, newMessage } from "../../raft/mod.ts";
import { CodecError } from "./error.ts";
import { FrameBuffer, INTEGER_SIZE, IntegerReader, SizedFrameReader, writeInteger } from "./frame.ts";
import { checkMessage, decoded, decodeMessage, encodedEntrySize, putEntry, readEntry } from "./message.ts";
import { writeFramedMessage } from "./message_stream.ts";

/** The first byte of each item (frozen). */
const Form = { LINK_HEARTBEAT: 0, NEXT_ENTRIES: 1, MESSAGE: 2 } as const;
/** The first byte of an item has not come yet. */
const NO_FORM = -1;

/** What both ends know of the last append. */
class Position {
  term = 0;
  index = 0;

  /** Whether `message` follows on the last append, so that it need not tell its own position. */
  isBefore({ term, logTerm, index }: Message): boolean {
    return index === this.index && logTerm === this.term && term === logTerm;
  }

  moveTo({ term, index, entries }: Message): void {
    this.term = term;
    this.index = entries.length === 0 ? index : entries[entries.length - 1].index;
  }
}

/** One end of one connection: a new connection needs a new one. */
export class AppendStreamEncoder {
  readonly #position = new Position();

  /** Appends an APPEND. Its bytes have to follow those of the last call: none may be left out. */
  write(writer: WireWriter, message: Message): void {
    assert(message.type === MessageType.APPEND, "only appends are written to a stream of appends");
    if (this.#position.isBefore(message)) writeNextEntries(writer, message);
    else {
      writeForm(writer, Form.MESSAGE);
      writeFramedMessage(writer, message);
    }
    this.#position.moveTo(message);
  }

  /** Appends what keeps an idle stream alive. */
  writeLinkHeartbeat(writer: WireWriter): void {
    writeForm(writer, Form.LINK_HEARTBEAT);
  }
}

function writeForm(writer: WireWriter, form: number): void {
  writer.reserve(1);
  writer.bytes[writer.position++] = form;
}

function writeNextEntries(writer: WireWriter, { entries, commit }: Message): void {
  writeForm(writer, Form.NEXT_ENTRIES);
  writeInteger(writer, entries.length);
  for (let i = 0; i < entries.length; i++) {
    const size = encodedEntrySize(entries[i]);
    writer.reserve(INTEGER_SIZE + size);
    writeInteger(writer, size);
    writer.position = putEntry(writer.bytes, writer.position, entries[i]);
  }
  writeInteger(writer, commit);
}

/** Takes such a stream apart, however it was cut into chunks. The other end of an `AppendStreamEncoder`. */
export class AppendStreamDecoder {
  readonly #local: bigint;
  readonly #remote: bigint;
  readonly #receive: (message: Message) => void;
  readonly #position = new Position();
  readonly #messages = new SizedFrameReader(PEER_MESSAGE_SIZE_MAX);
  readonly #nextEntries = new NextEntriesReader();
  #form: number = NO_FORM;

  /**
   * `local` is this member, `remote` the peer at the other end. `receive` is called from inside of `push`, once for each
   * message; link heartbeats are left out.
   */
  constructor(local: bigint, remote: bigint, receive: (message: Message) => void) {
    this.#local = local;
    this.#remote = remote;
    this.#receive = receive;
  }

  /** True: the stream may end here. Else what came of the next message is lost. */
  get isAtBoundary(): boolean {
    return this.#form === NO_FORM;
  }

  /** The next bytes, not used after this returns. Throws CodecError; what came before the fault has been received. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#form === NO_FORM) this.#begin(chunk[at++]);
      else if (this.#form === Form.NEXT_ENTRIES) at = this.#readNextEntries(chunk, at);
      else at = this.#readMessage(chunk, at);
    }
  }

  #begin(form: number): void {
    if (form === Form.LINK_HEARTBEAT) return;
    if (form !== Form.NEXT_ENTRIES && form !== Form.MESSAGE) {
      throw new CodecError(`failed to parse type ${form} in msgappv2 stream`);
    }
    this.#form = form;
  }

  #readMessage(chunk: Uint8Array, at: number): number {
    const end = this.#messages.read(chunk, at);
    const { frame } = this.#messages;
    if (frame !== undefined) this.#finish(decodeMessage(frame));
    return end;
  }

  #readNextEntries(chunk: Uint8Array, at: number): number {
    const end = this.#nextEntries.read(chunk, at);
    const { frame } = this.#nextEntries;
    if (frame !== undefined) this.#finish(this.#nextAppend(decoded(frame, readEntries), this.#nextEntries.commit));
    return end;
  }

  #nextAppend(entries: readonly Entry[], commit: number): Message {
    const { term, index } = this.#position;
    const message = newMessage(MessageType.APPEND, this.#local);
    message.from = this.#remote;
    message.term = term;
    message.logTerm = term;
    message.index = index;
    message.commit = commit;
    message.entries = entries;
    checkMessage(message);
    return message;
  }

  #finish(message: Message): void {
    if (message.type !== MessageType.APPEND) {
      throw new CodecError(`a message of type ${message.type} among the appends`);
    }
    this.#position.moveTo(message);
    this.#form = NO_FORM;
    this.#receive(message);
  }
}

/**
 * Finds the end of form 1, which only its parts tell, and gathers it. Chunks are measured first and then copied in one
 * piece, as entry by entry costs more than the copy.
 */
class NextEntriesReader {
  readonly #integer = new IntegerReader();
  readonly #buffer = new FrameBuffer();
  /** Integers still to come: sizes, then the commit index; -1 while the count is. */
  #integersLeft = -1;
  /** Bytes still to come of the entry whose size came last. */
  #entryLeft = 0;
  /** Of the form after its first byte, as far as it is known. */
  #size = 0;
  /** `| count: 8 | { size: 8 | Entry } * count | commit: 8 |`, complete, and the caller's. Gone with the next `read`. */
  frame: Uint8Array | undefined = undefined;
  /** Of `frame`. */
  commit = 0;

  /** Reads `chunk` from `at` on, up to the end of the form; returns the offset after what it read. Throws CodecError. */
  read(chunk: Uint8Array, at: number): number {
    this.frame = undefined;
    const end = this.#measure(chunk, at);
    if (this.#integersLeft !== 0) this.#buffer.add(chunk, at, end, PEER_MESSAGE_SIZE_MAX);
    else {
      this.frame = this.#buffer.take(chunk, at, end);
      this.#integersLeft = -1;
    }
    return end;
  }

  #measure(chunk: Uint8Array, start: number): number {
    let at = start;
    while (at < chunk.length) {
      if (this.#entryLeft > 0) {
        const size = Math.min(this.#entryLeft, chunk.length - at);
        this.#entryLeft -= size;
        at += size;
        continue;
      }
      const integer = this.#integer.push(chunk[at++]);
      if (integer !== -1) this.#onInteger(integer);
      if (this.#integersLeft === 0) return at;
    }
    return at;
  }

  #onInteger(integer: number): void {
    if (this.#integersLeft === -1) {
      this.#integersLeft = integer + 1;
      this.#size = INTEGER_SIZE * (integer + 2);
      this.#checkSize();
      return;
    }
    this.#integersLeft--;
    if (this.#integersLeft === 0) {
      if (integer >= CLAMP_MAX) throw new CodecError("impossible commit index");
      this.commit = integer;
      return;
    }
    this.#entryLeft = integer;
    this.#size += integer;
    this.#checkSize();
  }

  #checkSize(): void {
    if (this.#size > PEER_MESSAGE_SIZE_MAX) {
      throw new CodecError(`an append of ${this.#size} bytes or more is too large: at most ${PEER_MESSAGE_SIZE_MAX}`);
    }
  }
}

/** Only the lower half of each integer is looked at: NextEntriesReader knows that it is all. */
function readEntries(reader: WireReader): Entry[] {
  const { bytes } = reader;
  const entries: Entry[] = [];
  const last = bytes.length - INTEGER_SIZE;
  for (let at = INTEGER_SIZE; at < last; at = reader.position) {
    const size = (bytes[at + 4] << 24) | (bytes[at + 5] << 16) | (bytes[at + 6] << 8) | bytes[at + 7];
    reader.position = at + INTEGER_SIZE;
    entries.push(readEntry(reader, size));
  }
  return entries;
}
