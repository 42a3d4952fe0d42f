import {
  HTTP2_CLOSED_STREAMS_KEPT,
  HTTP2_CONNECTION_WINDOW_SIZE,
  HTTP2_CONTINUATION_FRAMES_MAX,
  HTTP2_CONTROL_COST_HIGH,
  HTTP2_CONTROL_CREDIT_MAX,
  HTTP2_CONTROL_CREDIT_PER_CALL,
  HTTP2_CONTROL_CREDIT_PER_SECOND,
  HTTP2_DRAIN_PING_TIMEOUT_MS,
  HTTP2_HEADER_BLOCK_SIZE_MAX,
  HTTP2_LINGER_MS,
  HTTP2_OUTPUT_BACKLOG_MAX,
  HTTP2_OUTPUT_BUFFER_SIZE,
  HTTP2_PREFACE_TIMEOUT_MS,
  HTTP2_REPLY_STALL_MS,
  HTTP2_RESET_CREDIT_MAX,
  HTTP2_RESET_CREDIT_PER_SECOND,
  HTTP2_SLICE_SIZE,
  HTTP2_STREAM_COST,
  HTTP2_STREAM_WINDOW_SIZE,
  HTTP2_TURN_READ_MS,
  HTTP2_TURN_WRITE_MAX,
  HTTP2_WINDOW_UPDATE_FREE_MIN,
  HTTP2_WRITE_STALL_MS,
} from "../../base/limits.ts";
import { AssertionError } from "../../base/assert.ts";
import { EMPTY_BYTES, utf8 } from "../../base/bytes.ts";
import type { ByteStream, ByteStreamListener, HttpField } from "../../io/net.ts";
import { BudgetShare } from "./budget.ts";
import { CreditBucket } from "./credit.ts";
import { HeaderTemplate, HpackEncoder } from "./encoder.ts";
import type { HeaderList } from "./field.ts";
import { HpackDecoder, HpackError } from "./hpack.ts";
import {
  CLIENT_PREFACE,
  DEFAULT_FRAME_SIZE,
  DEFAULT_HEADER_TABLE_SIZE,
  DEFAULT_WINDOW_SIZE,
  ErrorCode,
  Flag,
  FRAME_HEADER_SIZE,
  FrameType,
  MAX_FRAME_SIZE,
  MAX_STREAM_ID,
  MAX_WINDOW_SIZE,
  Setting,
} from "./protocol.ts";
import type { Http2Server } from "./server.ts";
import { type AbortCause, Http2Stream } from "./stream.ts";

/** A connection error (RFC 9113, section 5.4.1): unwinds to the reader, which sends GOAWAY and ends the connection. */
class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The ping between the two GOAWAYs of a drain; its answer tells that the client has seen the first. */
const DRAIN_PING = Uint8Array.of(0x64, 0x72, 0x61, 0x69, 0x6e, 0x69, 0x6e, 0x67);
const KEEPALIVE_PING = new Uint8Array(8);
/**
 * The ping that grpc-go sends behind the first data of a round trip, to find out how large its windows should be (frozen:
 * grpc-go's). Answered at once it would double the writes of a watch, so the answer goes with the next data; until it has
 * come the client sends no other probe. Every other ping is answered at once.
 */
const BANDWIDTH_PROBE = Uint8Array.of(2, 4, 16, 16, 9, 14, 7, 7);

/** grpc-go forgives two pings that come too soon and ends the connection at the third. */
const PING_STRIKES_MAX = 2;
/** Between pings of a client without calls, whatever the operator allows others. */
const IDLE_PING_INTERVAL_MS = 2 * 60 * 60 * 1000;

/** How far a connection is on its way out. */
const OPEN = 0;
/** First GOAWAY sent: the client has been told to go elsewhere, and what it has already sent is served. */
const DRAINING = 1;
/** Last GOAWAY sent: streams up to #lastStreamId are served, later ones ignored. */
const FINISHING = 2;
/** Nothing is read any more; the last output is on its way. */
const ENDED = 3;

export class Http2Connection implements ByteStreamListener {
  readonly server: Http2Server;
  readonly budget: BudgetShare;
  readonly remoteAddress: string;
  readonly #socket: ByteStream;
  readonly #streams = new Map<number, Http2Stream>();
  readonly #decoder: HpackDecoder;
  readonly #encoder = new HpackEncoder();
  #state = OPEN;
  #stateSinceMs: number;
  /** False once the socket has gone. */
  #isConnected = true;

  // Input.
  #prefaceSize = 0;
  #hasSettings = false;
  /** Input not yet processed: a part of a frame, or what a turn left over. */
  #rest: Uint8Array = EMPTY_BYTES;
  #restSize = 0;
  #isReading = false;
  /** The rest of the input waits for a later turn. */
  #isReadDeferred = false;
  #isEndDeferred = false;
  #isBacklogged = false;
  #hasRead = false;
  #lastReadMs: number;
  #lastStreamId = 0;
  /** A header block whose CONTINUATION frames are still to come: no other frame may come between. */
  #blockStreamId = 0;
  #blockFlags = 0;
  #blockDependsOn = 0;
  #block: Uint8Array = EMPTY_BYTES;
  #blockSize = 0;
  #blockFrames = 0;
  #receiveWindow = DEFAULT_WINDOW_SIZE;
  #consumedSize = 0;
  /** Ids of closed streams, negative where the client may not have known yet that it is closed. */
  readonly #closedIds = new Int32Array(HTTP2_CLOSED_STREAMS_KEPT);
  #closedNext = 0;

  // Output.
  #out: Uint8Array | undefined = undefined;
  #outSize = 0;
  /** The buffer that the socket has not taken in full yet. */
  #inFlight: Uint8Array | undefined = undefined;
  #inFlightSinceMs = 0;
  /** What the budget holds for #inFlight, and for #out where it has to wait behind that. */
  #outputCost = 0;
  #sendWindow = DEFAULT_WINDOW_SIZE;
  #peerStreamWindow = DEFAULT_WINDOW_SIZE;
  #peerFrameSize = DEFAULT_FRAME_SIZE;
  #turnFirst: Http2Stream | undefined = undefined;
  #turnLast: Http2Stream | undefined = undefined;
  #isFlushScheduled = false;
  #isFlushDeferred = false;
  readonly #deferredFlush: () => void;
  readonly #deferredRead: () => void;

  // What it may cost, and whether it lives.
  readonly #controlCredit: CreditBucket;
  readonly #resetCredit: CreditBucket;
  #lastPingMs = -Infinity;
  #pingStrikes = 0;
  #isPingForgiven = false;
  /** A bandwidth probe waits for its answer, for so many ticks by now. */
  #isProbeHeld = false;
  #probeTicks = 0;
  /** The server's ticks concern this connection. */
  #isTicking = false;
  #keepaliveSentMs = -1;

  constructor(server: Http2Server, socket: ByteStream) {
    this.server = server;
    this.budget = new BudgetShare(server.budget);
    this.remoteAddress = socket.remoteAddress;
    this.#socket = socket;
    this.#controlCredit = new CreditBucket(HTTP2_CONTROL_CREDIT_MAX, HTTP2_CONTROL_CREDIT_PER_SECOND, server.clock);
    this.#resetCredit = new CreditBucket(HTTP2_RESET_CREDIT_MAX, HTTP2_RESET_CREDIT_PER_SECOND, server.clock);
    this.#decoder = new HpackDecoder(DEFAULT_HEADER_TABLE_SIZE, server.headerListSizeMax);
    this.#stateSinceMs = this.#lastReadMs = server.clock.monotonicMs();
    this.#deferredFlush = () => {
      this.#isFlushDeferred = false;
      this.flush();
    };
    this.#deferredRead = () => this.#readDeferred();
  }

  start(initialBytes: Uint8Array): void {
    this.#emitSettings();
    this.#socket.listen(this);
    if (initialBytes.length > 0) this.onData(initialBytes);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  // --- From the socket.

  onData(bytes: Uint8Array): void {
    if (this.#state === ENDED) return;
    this.#hasRead = true;
    if (this.#isReadDeferred) {
      this.#keepRest(bytes, 0);
      return;
    }
    this.#read(bytes);
  }

  onEnd(): void {
    if (this.#isReadDeferred) {
      this.#isEndDeferred = true;
      return;
    }
    // A client that has half-closed its socket cannot grant window or reset anything, so it is taken as gone.
    this.#drop("lost");
  }

  onDrain(): void {
    const inFlight = this.#inFlight;
    if (inFlight === undefined) return;
    this.#inFlight = undefined;
    this.#chargeOutput(0);
    this.server.buffers.give(inFlight);
    this.flush();
    if (this.#state === ENDED && this.#inFlight === undefined) this.#socket.end();
  }

  onClose(): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#state = ENDED;
    this.#abortStreams("lost");
    this.#inFlight = undefined;
    this.#out = undefined;
    this.#chargeOutput(0);
    this.#rest = EMPTY_BYTES;
    this.#releaseBlock();
    this.server.forget(this);
  }

  // --- Reading.

  #read(bytes: Uint8Array): void {
    this.#isReading = true;
    try {
      let position = 0;
      if (this.#prefaceSize < CLIENT_PREFACE.length) position = this.#readPreface(bytes);
      if (this.#restSize > 0) position = this.#completeRest(bytes, position);
      if (position < bytes.length) {
        position = this.#readFrames(bytes, position, bytes.length);
        if (position < bytes.length && this.#state !== ENDED) this.#keepRest(bytes, position);
      }
    } catch (error) {
      if (error instanceof ConnectionError) this.#fail(error.code, error.message);
      else if (error instanceof HpackError) this.#fail(ErrorCode.COMPRESSION_ERROR, error.message);
      else throw error;
    } finally {
      this.#isReading = false;
    }
    // The buffer of a frame is given up again: the connection may now be idle for long.
    if (this.#restSize === 0) this.#rest = EMPTY_BYTES;
    this.flush();
  }

  #readDeferred(): void {
    if (this.#state === ENDED) return;
    this.#isReadDeferred = false;
    const rest = this.#rest.subarray(0, this.#restSize);
    this.#rest = EMPTY_BYTES;
    this.#restSize = 0;
    this.#read(rest);
    if (this.#isReadDeferred) return;
    if (this.#isEndDeferred) this.onEnd();
    else if (!this.#isBacklogged) this.#socket.resume();
  }

  #readPreface(bytes: Uint8Array): number {
    const size = Math.min(bytes.length, CLIENT_PREFACE.length - this.#prefaceSize);
    for (let i = 0; i < size; i++) {
      if (bytes[i] !== CLIENT_PREFACE[this.#prefaceSize++]) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "bogus greeting");
      }
    }
    return size;
  }

  /** Adds to the kept part of a frame until it is whole, processes it, and returns where `bytes` goes on. */
  #completeRest(bytes: Uint8Array, position: number): number {
    while (true) {
      let wanted = FRAME_HEADER_SIZE;
      if (this.#restSize >= FRAME_HEADER_SIZE) wanted += this.#frameLength(this.#rest, 0);
      if (this.#restSize === wanted) break;
      if (position === bytes.length) return position;
      const size = Math.min(wanted - this.#restSize, bytes.length - position);
      this.#reserveRest(wanted);
      this.#rest.set(bytes.subarray(position, position + size), this.#restSize);
      this.#restSize += size;
      position += size;
    }
    const size = this.#restSize;
    this.#restSize = 0;
    this.#readFrames(this.#rest, 0, size);
    return position;
  }

  #keepRest(bytes: Uint8Array, position: number): void {
    const size = bytes.length - position;
    this.#reserveRest(this.#restSize + size);
    this.#rest.set(position === 0 ? bytes : bytes.subarray(position), this.#restSize);
    this.#restSize += size;
  }

  #reserveRest(size: number): void {
    if (this.#rest.length >= size) return;
    const grown = new Uint8Array(size);
    grown.set(this.#rest.subarray(0, this.#restSize));
    this.#rest = grown;
  }

  #frameLength(bytes: Uint8Array, position: number): number {
    const length = bytes[position] << 16 | bytes[position + 1] << 8 | bytes[position + 2];
    if (length > DEFAULT_FRAME_SIZE) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "frame too large");
    return length;
  }

  /** Processes whole frames; returns the position behind the last. */
  #readFrames(bytes: Uint8Array, position: number, end: number): number {
    const startMs = this.server.clock.monotonicMs();
    while (end - position >= FRAME_HEADER_SIZE && this.#state !== ENDED) {
      const length = this.#frameLength(bytes, position);
      const next = position + FRAME_HEADER_SIZE + length;
      if (next > end) break;
      const type = bytes[position + 3];
      this.#readFrame(
        bytes,
        position + FRAME_HEADER_SIZE,
        length,
        type,
        bytes[position + 4],
        readId(bytes, position + 5),
      );
      position = next;
      if (
        type <= FrameType.HEADERS && position < end &&
        this.server.clock.monotonicMs() - startMs > HTTP2_TURN_READ_MS
      ) {
        this.#isReadDeferred = true;
        this.#socket.pause();
        this.server.clock.defer(this.#deferredRead);
        break;
      }
    }
    return position;
  }

  #readFrame(bytes: Uint8Array, start: number, length: number, type: number, flags: number, id: number): void {
    if (!this.#hasSettings) {
      if (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
      }
      this.#hasSettings = true;
    }
    if (this.#blockStreamId !== 0 && (type !== FrameType.CONTINUATION || id !== this.#blockStreamId)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block is not complete");
    }
    switch (type) {
      case FrameType.DATA:
        return this.#readData(bytes, start, length, flags, id);
      case FrameType.HEADERS:
        return this.#readHeaders(bytes, start, length, flags, id);
      case FrameType.PRIORITY:
        return this.#readPriority(bytes, start, length, id);
      case FrameType.RST_STREAM:
        return this.#readReset(length, id);
      case FrameType.SETTINGS:
        return this.#readSettings(bytes, start, length, flags, id);
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client");
      case FrameType.PING:
        return this.#readPing(bytes, start, length, flags, id);
      case FrameType.GOAWAY:
        if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream");
        if (length < 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short");
        return this.#spend(1);
      case FrameType.WINDOW_UPDATE:
        return this.#readWindowUpdate(bytes, start, length, id);
      case FrameType.CONTINUATION:
        return this.#readContinuation(bytes, start, length, flags);
      default:
        // Section 4.1: unknown types are ignored.
        return this.#spend(1);
    }
  }

  #readData(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0");
    let end = start + length;
    let dataStart = start;
    if (flags & Flag.PADDED) {
      if (length === 0 || bytes[start] >= length) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding too long");
      }
      end -= bytes[start];
      dataStart++;
    }
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "connection window exceeded");
    // The connection's window is given back at once, as grpc-go does, so that a stream that stands still does not hold
    // up the others: what it may send is bounded by its own window, and what is buffered by the budget.
    this.#consumedSize += length;
    if (this.#consumedSize >= HTTP2_CONNECTION_WINDOW_SIZE / 4) {
      this.#emitWindowUpdate(0, this.#consumedSize);
      this.#receiveWindow += this.#consumedSize;
      this.#consumedSize = 0;
    }

    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#readOnClosed(id, "DATA");
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    const size = end - dataStart;
    if (stream.isRemoteEnded) return this.#failStream(stream, ErrorCode.STREAM_CLOSED);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return this.#failStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    stream.receivedSize += size;
    const contentLength = stream.headers.contentLength;
    if (contentLength >= 0 && (stream.receivedSize > contentLength || (isEnd && stream.receivedSize < contentLength))) {
      return this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
    }
    if (size > 0) this.#controlCredit.regain(1);
    else if (!isEnd) this.#spend(1);
    if (isEnd) stream.isRemoteEnded = true;
    if (size > 0) stream.deliver(bytes, dataStart, end, length);
    else this.consume(stream, length);
    if (isEnd && !stream.isClosed) stream.deliverEnd();
  }

  #readHeaders(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id === 0 || (id & 1) === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on an invalid stream");
    let end = start + length;
    let dependsOn = 0;
    if (flags & Flag.PADDED) {
      if (length === 0 || bytes[start] >= length) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding too long");
      }
      end -= bytes[start];
      start++;
    }
    if (flags & Flag.PRIORITY) {
      if (end - start < 5) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short");
      dependsOn = readId(bytes, start);
      start += 5;
    }
    if (flags & Flag.END_HEADERS) {
      this.#readBlock(bytes, start, end, flags, id, dependsOn);
      return;
    }
    this.#blockStreamId = id;
    this.#blockFlags = flags;
    this.#blockDependsOn = dependsOn;
    this.#blockFrames = 0;
    this.#blockSize = 0;
    this.#keepBlock(bytes, start, end);
  }

  #readContinuation(bytes: Uint8Array, start: number, length: number, flags: number): void {
    const id = this.#blockStreamId;
    if (id === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    if (++this.#blockFrames > HTTP2_CONTINUATION_FRAMES_MAX) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames");
    }
    this.#keepBlock(bytes, start, start + length);
    if ((flags & Flag.END_HEADERS) === 0) return;
    const block = this.#block;
    this.#blockStreamId = 0;
    this.#releaseBlock();
    this.#readBlock(block, 0, this.#blockSize, this.#blockFlags, id, this.#blockDependsOn);
  }

  #keepBlock(bytes: Uint8Array, start: number, end: number): void {
    const size = this.#blockSize + end - start;
    if (size > HTTP2_HEADER_BLOCK_SIZE_MAX) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "header block too large");
    }
    if (this.#block.length < size) {
      const grown = new Uint8Array(Math.max(size, this.#block.length * 2));
      if (!this.budget.tryReserve(grown.length - this.#block.length)) {
        throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "no buffer space left for a header block");
      }
      grown.set(this.#block.subarray(0, this.#blockSize));
      this.#block = grown;
    }
    this.#block.set(bytes.subarray(start, end), this.#blockSize);
    this.#blockSize = size;
  }

  #releaseBlock(): void {
    this.budget.release(this.#block.length);
    this.#block = EMPTY_BYTES;
  }

  #readBlock(bytes: Uint8Array, start: number, end: number, flags: number, id: number, dependsOn: number): void {
    // Whatever becomes of the stream, the block must be decoded: the header table belongs to the connection.
    const headers = this.#decoder.decode(bytes, start, end);
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if (id <= this.#lastStreamId) {
      const stream = this.#streams.get(id);
      if (stream === undefined) this.#readOnClosed(id, "HEADERS");
      else this.#readTrailers(stream, headers, isEnd);
      return;
    }
    if (this.#state >= FINISHING) return;
    this.#lastStreamId = id;
    if (dependsOn === id || headers.requestFlaw() !== "") return this.#refuse(id, isEnd, ErrorCode.PROTOCOL_ERROR);
    if (headers.isTooLarge) return this.#refuse(id, isEnd, ErrorCode.FRAME_SIZE_ERROR);
    if (isEnd && headers.contentLength > 0) return this.#refuse(id, isEnd, ErrorCode.PROTOCOL_ERROR);
    // Most header lists are small and shared; one that is not must not come for free.
    const cost = Math.max(HTTP2_STREAM_COST, headers.size);
    if (this.#streams.size >= this.server.concurrentStreamsMax || !this.budget.tryReserve(cost)) {
      return this.#refuse(id, isEnd, ErrorCode.REFUSED_STREAM);
    }
    this.#controlCredit.regain(HTTP2_CONTROL_CREDIT_PER_CALL);
    const stream = new Http2Stream(this, id, headers, HTTP2_STREAM_WINDOW_SIZE, this.#peerStreamWindow);
    stream.cost = cost;
    stream.isRemoteEnded = isEnd;
    this.#streams.set(id, stream);
    this.server.application.accept(stream);
    if (isEnd && !stream.isClosed) stream.deliverEnd();
  }

  #readTrailers(stream: Http2Stream, headers: HeaderList, isEnd: boolean): void {
    if (stream.isRemoteEnded) return this.#failStream(stream, ErrorCode.STREAM_CLOSED);
    if (!isEnd || headers.trailersFlaw() !== "") return this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
    if (headers.isTooLarge) return this.#failStream(stream, ErrorCode.FRAME_SIZE_ERROR);
    if (stream.headers.contentLength >= 0 && stream.receivedSize !== stream.headers.contentLength) {
      return this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
    }
    stream.isRemoteEnded = true;
    stream.deliverEnd();
  }

  /** A frame for a stream that is not open: late if we ended the stream, invalid if the client itself had, or never opened it. */
  #readOnClosed(id: number, frame: string): void {
    if (id > this.#lastStreamId) {
      // Streams that a drain ignores are never opened here.
      if (this.#state >= FINISHING && (id & 1) === 1) return;
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${frame} on an idle stream`);
    }
    for (let i = 0; i < this.#closedIds.length; i++) {
      if (this.#closedIds[i] === -id) return this.#spend(1);
      if (this.#closedIds[i] === id) throw new ConnectionError(ErrorCode.STREAM_CLOSED, `${frame} on a closed stream`);
    }
    if (frame === "HEADERS") throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "stream id not increasing");
    this.#spend(1);
  }

  #readPriority(bytes: Uint8Array, start: number, length: number, id: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0");
    this.#spend(1);
    // Priorities are not used (deprecated by RFC 9113), only checked.
    const code = length !== 5
      ? ErrorCode.FRAME_SIZE_ERROR
      : readId(bytes, start) === id
      ? ErrorCode.PROTOCOL_ERROR
      : ErrorCode.NO_ERROR;
    if (code === ErrorCode.NO_ERROR) return;
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#failStream(stream, code);
    else {
      this.#spend(HTTP2_CONTROL_COST_HIGH);
      this.emitReset(id, code);
    }
  }

  #readReset(length: number, id: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on stream 0");
    if (length !== 4) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of wrong size");
    if (id > this.#lastStreamId && this.#state < FINISHING) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream");
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#spend(1);
    if (!stream.areHeadersSent && !this.#resetCredit.spend(1)) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many resets");
    }
    this.closeStream(stream, false);
    stream.handler!.onAbort("reset");
  }

  #readSettings(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream");
    if (flags & Flag.ACK) {
      if (length !== 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with content");
      return this.#spend(1);
    }
    if (length % 6 !== 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of wrong size");
    this.#spend(HTTP2_CONTROL_COST_HIGH + this.#streams.size / 100);
    for (let position = start; position < start + length; position += 6) {
      this.#applySetting(bytes[position] << 8 | bytes[position + 1], readUint32(bytes, position + 2));
    }
    this.#emitFrame(FrameType.SETTINGS, Flag.ACK, 0, EMPTY_BYTES);
  }

  #applySetting(setting: number, value: number): void {
    switch (setting) {
      case Setting.HEADER_TABLE_SIZE:
        this.#encoder.limitTable(value);
        break;
      case Setting.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "invalid ENABLE_PUSH");
        break;
      case Setting.INITIAL_WINDOW_SIZE: {
        if (value > MAX_WINDOW_SIZE) {
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "invalid INITIAL_WINDOW_SIZE");
        }
        // Section 6.9.2: open streams move by the difference, below zero if need be.
        const difference = value - this.#peerStreamWindow;
        this.#peerStreamWindow = value;
        for (const stream of this.#streams.values()) {
          stream.sendWindow += difference;
          if (stream.sendWindow > MAX_WINDOW_SIZE) {
            throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "stream window too large");
          }
          if (stream.hasQueue) this.scheduleStream(stream);
        }
        break;
      }
      case Setting.MAX_FRAME_SIZE:
        if (value < DEFAULT_FRAME_SIZE || value > MAX_FRAME_SIZE) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "invalid MAX_FRAME_SIZE");
        }
        this.#peerFrameSize = value;
        break;
    }
  }

  /** Answers, and judges as grpc-go does: pings are forgiven where something was sent since the last one. */
  #readPing(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING on a stream");
    if (length !== 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING of wrong size");
    this.#spend(1);
    if (flags & Flag.ACK) {
      if (this.#state === DRAINING && bytes[start] === DRAIN_PING[0]) this.#finishDrain();
      return;
    }
    if (this.#isProbeHeld || !isBandwidthProbe(bytes, start)) {
      this.#emitFrame(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, start + 8));
    } else {
      this.#isProbeHeld = true;
      this.#probeTicks = 0;
      if (!this.#isTicking) this.server.holdProbe(this);
      this.#isTicking = true;
    }

    const nowMs = this.server.clock.monotonicMs();
    const sinceMs = nowMs - this.#lastPingMs;
    this.#lastPingMs = nowMs;
    if (this.#isPingForgiven) {
      this.#isPingForgiven = false;
      this.#pingStrikes = 0;
      return;
    }
    const mayPing = this.#streams.size > 0 || this.server.permitsPingWithoutStream;
    if (sinceMs < (mayPing ? this.server.pingIntervalMinMs : IDLE_PING_INTERVAL_MS)) this.#pingStrikes++;
    if (this.#pingStrikes > PING_STRIKES_MAX) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings");
    }
  }

  #readWindowUpdate(bytes: Uint8Array, start: number, length: number, id: number): void {
    if (length !== 4) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of wrong size");
    const increment = readId(bytes, start);
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0");
      this.#sendWindow += increment;
      if (this.#sendWindow > MAX_WINDOW_SIZE) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "connection window too large");
      }
      if (increment < HTTP2_WINDOW_UPDATE_FREE_MIN) this.#spend(1);
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (id > this.#lastStreamId && this.#state < FINISHING) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
      }
      return this.#spend(1);
    }
    if (increment === 0) return this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW_SIZE) return this.#failStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    if (increment < HTTP2_WINDOW_UPDATE_FREE_MIN) this.#spend(1);
    if (stream.hasQueue) this.scheduleStream(stream);
  }

  #spend(cost: number): void {
    if (!this.#controlCredit.spend(cost)) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that serve no call");
    }
  }

  // --- For streams: input.

  /** The handler has taken `size` bytes of a stream: gives them back to the client as window, a quarter at a time. */
  consume(stream: Http2Stream, size: number): void {
    if (stream.isRemoteEnded || stream.isClosed) return;
    stream.consumedSize += size;
    if (stream.consumedSize < HTTP2_STREAM_WINDOW_SIZE / 4) return;
    this.#emitWindowUpdate(stream.id, stream.consumedSize);
    stream.receiveWindow += stream.consumedSize;
    stream.consumedSize = 0;
  }

  /** Forgets a stream. `isAhead`: the client may still send on it, not knowing. */
  closeStream(stream: Http2Stream, isAhead: boolean): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    stream.release();
    this.#streams.delete(stream.id);
    this.budget.release(stream.cost);
    this.#rememberClosed(stream.id, isAhead);
    if (this.#streams.size === 0 && this.#state === FINISHING) this.#scheduleFlush();
  }

  #rememberClosed(id: number, isAhead: boolean): void {
    this.#closedIds[this.#closedNext] = isAhead ? -id : id;
    this.#closedNext = (this.#closedNext + 1) % this.#closedIds.length;
  }

  /** A stream error on a stream that has a handler. */
  #failStream(stream: Http2Stream, code: ErrorCode): void {
    this.emitReset(stream.id, code);
    this.closeStream(stream, !stream.isRemoteEnded);
    stream.handler!.onAbort("reset");
    this.#spend(HTTP2_CONTROL_COST_HIGH);
  }

  /** A stream error on a stream that has none. */
  #refuse(id: number, isEnd: boolean, code: ErrorCode): void {
    this.emitReset(id, code);
    this.#rememberClosed(id, !isEnd);
    this.#spend(code === ErrorCode.REFUSED_STREAM ? 1 : HTTP2_CONTROL_COST_HIGH);
  }

  // --- For streams: output.

  /** Whether a message of `size` may go to the output ahead of the streams that wait for their turn. */
  hasRoomFor(size: number): boolean {
    if (size > this.#sendWindow) return false;
    if (this.#inFlight !== undefined && this.#outSize + size > HTTP2_OUTPUT_BUFFER_SIZE) return false;
    // While others wait and window is scarce, everybody waits for a turn: nobody starves.
    return this.#turnFirst === undefined || this.#sendWindow - size >= HTTP2_OUTPUT_BUFFER_SIZE;
  }

  emitHeaders(id: number, headers: HeaderTemplate | readonly HttpField[], isEnd: boolean): void {
    const block = headers instanceof HeaderTemplate
      ? this.#encoder.encodeTemplate(headers)
      : this.#encoder.encode(headers);
    this.#isPingForgiven = true;
    const flags = isEnd ? Flag.END_STREAM : 0;
    if (block.length <= this.#peerFrameSize) {
      this.#emitFrame(FrameType.HEADERS, flags | Flag.END_HEADERS, id, block);
      return;
    }
    for (let start = 0; start < block.length; start += this.#peerFrameSize) {
      const end = Math.min(start + this.#peerFrameSize, block.length);
      this.#emitFrame(
        start === 0 ? FrameType.HEADERS : FrameType.CONTINUATION,
        (start === 0 ? flags : 0) | (end === block.length ? Flag.END_HEADERS : 0),
        id,
        block.subarray(start, end),
      );
    }
  }

  /** Only after `hasRoomFor`: DATA frames of `head` and `body`. */
  emitData(stream: Http2Stream, head: Uint8Array, body: Uint8Array): void {
    const size = head.length + body.length;
    this.#sendWindow -= size;
    stream.sendWindow -= size;
    this.#isPingForgiven = true;
    this.#controlCredit.regain(1);
    if (size <= DEFAULT_FRAME_SIZE) {
      const out = this.#reserve(FRAME_HEADER_SIZE + size);
      let position = this.#writeFrameHeader(out, size, FrameType.DATA, 0, stream.id);
      for (let i = 0; i < head.length; i++) out[position++] = head[i];
      out.set(body, position);
      this.#outSize = position + body.length;
      return;
    }
    let sent = -head.length;
    while (sent < body.length) {
      const first = sent < 0 ? head : EMPTY_BYTES;
      const start = sent < 0 ? 0 : sent;
      const end = Math.min(body.length, start + DEFAULT_FRAME_SIZE - first.length);
      const out = this.#reserve(FRAME_HEADER_SIZE + DEFAULT_FRAME_SIZE);
      const position = this.#writeFrameHeader(out, first.length + end - start, FrameType.DATA, 0, stream.id);
      out.set(first, position);
      out.set(body.subarray(start, end), position + first.length);
      this.#outSize = position + first.length + end - start;
      sent = end;
    }
  }

  emitEndOfData(id: number): void {
    this.#isPingForgiven = true;
    this.#emitFrame(FrameType.DATA, Flag.END_STREAM, id, EMPTY_BYTES);
  }

  emitReset(id: number, code: ErrorCode): void {
    const out = this.#reserve(FRAME_HEADER_SIZE + 4);
    this.#outSize = writeUint32(out, this.#writeFrameHeader(out, 4, FrameType.RST_STREAM, 0, id), code);
  }

  /** Gives a stream with a queue its place among those that wait for a turn. */
  scheduleStream(stream: Http2Stream): void {
    if (stream.isInTurn || stream.sendWindow <= 0) return;
    stream.isInTurn = true;
    stream.nextInTurn = undefined;
    if (this.#turnLast === undefined) this.#turnFirst = stream;
    else this.#turnLast.nextInTurn = stream;
    this.#turnLast = stream;
    this.#scheduleFlush();
  }

  #emitSettings(): void {
    const settings: number[][] = [
      [Setting.INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_SIZE],
      [Setting.MAX_HEADER_LIST_SIZE, this.server.headerListSizeMax],
    ];
    if (this.server.concurrentStreamsMax < 0xffff_ffff) {
      settings.push([Setting.MAX_CONCURRENT_STREAMS, this.server.concurrentStreamsMax]);
    }
    const payload = new Uint8Array(settings.length * 6);
    let position = 0;
    for (const [setting, value] of settings) {
      payload[position + 1] = setting;
      position = writeUint32(payload, position + 2, value);
    }
    this.#emitFrame(FrameType.SETTINGS, 0, 0, payload);
    this.#emitWindowUpdate(0, HTTP2_CONNECTION_WINDOW_SIZE - DEFAULT_WINDOW_SIZE);
    this.#receiveWindow = HTTP2_CONNECTION_WINDOW_SIZE;
  }

  #emitWindowUpdate(id: number, increment: number): void {
    const out = this.#reserve(FRAME_HEADER_SIZE + 4);
    this.#outSize = writeUint32(out, this.#writeFrameHeader(out, 4, FrameType.WINDOW_UPDATE, 0, id), increment);
  }

  #emitGoaway(lastStreamId: number, code: ErrorCode, text: string): void {
    const debug = utf8(text);
    const payload = new Uint8Array(8 + debug.length);
    payload.set(debug, writeUint32(payload, writeUint32(payload, 0, lastStreamId), code));
    this.#emitFrame(FrameType.GOAWAY, 0, 0, payload);
  }

  #emitFrame(type: number, flags: number, id: number, payload: Uint8Array): void {
    const out = this.#reserve(FRAME_HEADER_SIZE + payload.length);
    let position = this.#writeFrameHeader(out, payload.length, type, flags, id);
    // Most payloads are a few bytes, for which a loop is faster than set().
    for (let i = 0; i < payload.length; i++) out[position++] = payload[i];
    this.#outSize = position;
  }

  #writeFrameHeader(out: Uint8Array, length: number, type: number, flags: number, id: number): number {
    const position = this.#outSize;
    out[position] = length >> 16;
    out[position + 1] = length >> 8;
    out[position + 2] = length;
    out[position + 3] = type;
    out[position + 4] = flags;
    out[position + 5] = id >> 24;
    out[position + 6] = id >> 16;
    out[position + 7] = id >> 8;
    out[position + 8] = id;
    return position + FRAME_HEADER_SIZE;
  }

  /** The output buffer, with room for `size` more bytes at #outSize. */
  #reserve(size: number): Uint8Array {
    let out = this.#out;
    if (out !== undefined && this.#outSize + size <= out.length) return out;
    if (out !== undefined && this.#inFlight === undefined) {
      this.#writeOut();
      out = this.#out;
    }
    if (out === undefined) {
      out = this.server.buffers.take(size);
      this.#outSize = 0;
    } else if (this.#outSize + size > out.length) {
      const grown = new Uint8Array(Math.max(out.length * 2, this.#outSize + size));
      grown.set(out.subarray(0, this.#outSize));
      out = grown;
    }
    this.#out = out;
    if (this.#inFlight !== undefined) this.#chargeOutput(this.#inFlight.length + out.length);
    this.#scheduleFlush();
    return out;
  }

  /** Sees to it that what is written in this turn is flushed at its end. */
  #scheduleFlush(): void {
    if (this.#isReading || this.#isFlushScheduled || !this.#isConnected) return;
    this.#isFlushScheduled = true;
    this.server.scheduleFlush(this);
  }

  /** For the server: the flush that was scheduled. */
  flushScheduled(): void {
    this.#isFlushScheduled = false;
    this.flush();
  }

  #answerProbe(): void {
    this.#isProbeHeld = false;
    this.#emitFrame(FrameType.PING, Flag.ACK, 0, BANDWIDTH_PROBE);
  }

  /** For the server, every tick while it returns true: nothing else may have been sent since the probe came. */
  tickProbe(): boolean {
    if (this.#isProbeHeld && this.#state !== ENDED) {
      // The first tick may come at once.
      if (this.#probeTicks++ === 0) return true;
      this.#answerProbe();
    }
    this.#isTicking = false;
    return false;
  }

  /** Sends what is ready, as far as windows, the socket and this turn's share allow. */
  flush(): void {
    if (!this.#isConnected) return;
    if (this.#turnFirst !== undefined) this.#takeTurns();
    if (this.#outSize > 0) {
      if (this.#isProbeHeld) this.#answerProbe();
      this.#writeOut();
    }
    if (this.#inFlight !== undefined) {
      if (this.#outSize > HTTP2_OUTPUT_BACKLOG_MAX && !this.#isBacklogged) {
        this.#isBacklogged = true;
        this.#socket.pause();
      }
      return;
    }
    if (this.#isBacklogged) {
      this.#isBacklogged = false;
      if (!this.#isReadDeferred) this.#socket.resume();
    }
    if (this.#state === FINISHING && this.#streams.size === 0) this.#endOutput();
  }

  #writeOut(): void {
    if (this.#inFlight !== undefined || this.#out === undefined || this.#outSize === 0) return;
    const out = this.#out;
    const size = this.#outSize;
    this.#out = undefined;
    this.#outSize = 0;
    if (this.#socket.write(out.subarray(0, size))) {
      this.server.buffers.give(out);
    } else {
      this.#inFlight = out;
      this.#inFlightSinceMs = this.server.clock.monotonicMs();
      this.#chargeOutput(out.length);
    }
  }

  #chargeOutput(cost: number): void {
    this.budget.reserve(cost - this.#outputCost);
    this.#outputCost = cost;
  }

  /** Round robin: each stream in turn puts one slice into the output. */
  #takeTurns(): void {
    let left = HTTP2_TURN_WRITE_MAX;
    const wasReading = this.#isReading;
    this.#isReading = true;
    while (this.#turnFirst !== undefined && this.#sendWindow > 0 && this.#inFlight === undefined && left > 0) {
      const stream: Http2Stream = this.#turnFirst;
      this.#turnFirst = stream.nextInTurn;
      if (this.#turnFirst === undefined) this.#turnLast = undefined;
      stream.isInTurn = false;
      stream.nextInTurn = undefined;
      if (stream.isClosed || !stream.hasQueue || stream.sendWindow <= 0) continue;

      const sizeMax = Math.min(HTTP2_SLICE_SIZE, this.#peerFrameSize, this.#sendWindow, stream.sendWindow);
      const out = this.#reserve(FRAME_HEADER_SIZE + sizeMax);
      let size: number;
      try {
        size = stream.fill(out, this.#outSize + FRAME_HEADER_SIZE, sizeMax);
      } catch (error) {
        // A body that fails amid its message leaves nothing but to reset the stream.
        if (error instanceof AssertionError) throw error;
        stream.reset(ErrorCode.INTERNAL_ERROR);
        stream.handler!.onAbort("reset");
        continue;
      }
      this.#outSize = this.#writeFrameHeader(out, size, FrameType.DATA, 0, stream.id) + size;
      this.#isPingForgiven = true;
      this.#controlCredit.regain(1);
      this.#sendWindow -= size;
      stream.sendWindow -= size;
      left -= size;
      if (stream.queuedSize > 0) this.scheduleStream(stream);
      stream.afterTurn();
      if (this.#outSize >= HTTP2_OUTPUT_BUFFER_SIZE - FRAME_HEADER_SIZE - HTTP2_SLICE_SIZE) this.#writeOut();
    }
    this.#isReading = wasReading;
    if (
      this.#turnFirst !== undefined && this.#sendWindow > 0 && this.#inFlight === undefined && !this.#isFlushDeferred
    ) {
      this.#isFlushDeferred = true;
      this.server.clock.defer(this.#deferredFlush);
    }
  }

  // --- Life and death.

  /** Once a second. */
  tick(nowMs: number, sweepsStalls: boolean): void {
    if (this.#hasRead) {
      this.#hasRead = false;
      this.#lastReadMs = nowMs;
      this.#keepaliveSentMs = -1;
    }
    const inStateMs = nowMs - this.#stateSinceMs;
    if (this.#state === ENDED) {
      if (inStateMs >= HTTP2_LINGER_MS) this.#socket.destroy();
      return;
    }
    if (!this.#hasSettings) {
      if (inStateMs >= HTTP2_PREFACE_TIMEOUT_MS) this.#drop("lost");
      return;
    }
    if (this.#state === DRAINING && inStateMs >= HTTP2_DRAIN_PING_TIMEOUT_MS) this.#finishDrain();
    if (this.#inFlight !== undefined && nowMs - this.#inFlightSinceMs >= HTTP2_WRITE_STALL_MS) {
      this.#drop("lost");
      return;
    }
    this.#keepAlive(nowMs);
    if (sweepsStalls) this.#sweepStalls(nowMs);
  }

  #keepAlive(nowMs: number): void {
    if (this.server.keepaliveIntervalMs <= 0) return;
    if (this.#keepaliveSentMs >= 0) {
      if (this.server.keepaliveTimeoutMs > 0 && nowMs - this.#keepaliveSentMs >= this.server.keepaliveTimeoutMs) {
        this.#drop("lost");
      }
    } else if (nowMs - this.#lastReadMs >= this.server.keepaliveIntervalMs) {
      this.#keepaliveSentMs = nowMs;
      this.#emitFrame(FrameType.PING, 0, 0, KEEPALIVE_PING);
    }
  }

  #sweepStalls(nowMs: number): void {
    for (const stream of this.#streams.values()) {
      if (!stream.hasQueue || stream.mayStall) continue;
      if (stream.queuedSize !== stream.stalledSize) {
        stream.stalledSize = stream.queuedSize;
        stream.stalledSinceMs = nowMs;
      } else if (nowMs - stream.stalledSinceMs >= HTTP2_REPLY_STALL_MS) {
        stream.reset(ErrorCode.CANCEL);
        stream.handler!.onAbort("reset");
      }
    }
  }

  /** Starts a graceful end: tells the client, serves what it has sent, then ends. */
  drain(): void {
    if (this.#state !== OPEN) return;
    this.#enter(DRAINING);
    this.#emitGoaway(MAX_STREAM_ID, ErrorCode.NO_ERROR, "");
    this.#emitFrame(FrameType.PING, 0, 0, DRAIN_PING);
    this.#endOpenEnded();
  }

  #finishDrain(): void {
    this.#enter(FINISHING);
    this.#emitGoaway(this.#lastStreamId, ErrorCode.NO_ERROR, "");
    // Those that came before the client knew.
    this.#endOpenEnded();
    this.#scheduleFlush();
  }

  /** A watch that nobody ends would make every drain last until its deadline. */
  #endOpenEnded(): void {
    for (const stream of [...this.#streams.values()]) {
      if (stream.endsAtDrain) stream.handler!.onAbort("stopping");
    }
  }

  /** Ends at once: calls are answered that the server stops, and the socket is closed behind these answers. */
  stop(): void {
    if (this.#state === ENDED) return;
    this.#abortStreams("stopping");
    this.#emitGoaway(this.#lastStreamId, ErrorCode.NO_ERROR, "");
    this.#endOutput();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #enter(state: number): void {
    this.#state = state;
    if (state === ENDED) this.#releaseBlock();
    this.#stateSinceMs = this.server.clock.monotonicMs();
  }

  /** A connection error. */
  #fail(code: ErrorCode, text: string): void {
    if (this.#state === ENDED) return;
    this.#emitGoaway(this.#lastStreamId, code, text);
    this.#abortStreams("lost");
    this.#endOutput();
  }

  /** Sends what is left and half-closes: closing at once could make the client's system discard our last words. */
  #endOutput(): void {
    this.#enter(ENDED);
    this.#writeOut();
    if (this.#inFlight === undefined) this.#socket.end();
  }

  #drop(cause: AbortCause): void {
    if (this.#state !== ENDED) {
      this.#enter(ENDED);
      this.#abortStreams(cause);
    }
    this.#socket.destroy();
  }

  #abortStreams(cause: AbortCause): void {
    for (const stream of [...this.#streams.values()]) {
      if (cause === "stopping") {
        stream.handler!.onAbort(cause);
        stream.reset(ErrorCode.CANCEL);
      } else {
        this.closeStream(stream, false);
        stream.handler!.onAbort(cause);
      }
    }
    this.#turnFirst = this.#turnLast = undefined;
  }
}

function isBandwidthProbe(bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < BANDWIDTH_PROBE.length; i++) if (bytes[start + i] !== BANDWIDTH_PROBE[i]) return false;
  return true;
}

function readUint32(bytes: Uint8Array, position: number): number {
  return (bytes[position] << 24 | bytes[position + 1] << 16 | bytes[position + 2] << 8 | bytes[position + 3]) >>> 0;
}

/** 31 bits; the highest is reserved and ignored. */
function readId(bytes: Uint8Array, position: number): number {
  return (bytes[position] & 0x7f) << 24 | bytes[position + 1] << 16 | bytes[position + 2] << 8 | bytes[position + 3];
}

function writeUint32(bytes: Uint8Array, position: number, value: number): number {
  bytes[position] = value >>> 24;
  bytes[position + 1] = value >>> 16;
  bytes[position + 2] = value >>> 8;
  bytes[position + 3] = value;
  return position + 4;
}
