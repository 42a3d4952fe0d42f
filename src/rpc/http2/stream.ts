import { assert } from "../../base/assert.ts";
import { HTTP2_DIRECT_WRITE_MAX, HTTP2_SEND_HIGH_WATER, HTTP2_SEND_LOW_WATER } from "../../base/limits.ts";
import type { HttpField } from "../../io/net.ts";
import type { MessageBody } from "../../io/rpc.ts";
import type { Http2Connection } from "./connection.ts";
import type { HeaderTemplate } from "./encoder.ts";
import type { HeaderList } from "./field.ts";
import { ErrorCode } from "./protocol.ts";

/**
 * Why a stream ended before its handler was done: the client reset it, the connection went away, the server stops, or
 * there is no room left for what the client sends.
 */
export type AbortCause = "reset" | "lost" | "stopping" | "exhausted";

/** What takes a request: one per stream. Calls come one at a time; none comes after `onAbort` or after the handler ended the stream. */
export interface StreamHandler {
  /** Body bytes `source[start, end)`, valid until this returns. */
  onData(source: Uint8Array, start: number, end: number): void;
  /** The request is complete. */
  onEnd(): void;
  /** The queue has fallen below the low-water mark after a write returned false. */
  onDrain(): void;
  /** On "stopping" and "exhausted" the handler may still end the stream with an answer; else nobody is there to hear it. */
  onAbort(cause: AbortCause): void;
}

/** Decides who takes a request. */
export interface Application {
  /** Called for each well-formed header block: sets `stream.handler`, before it answers if it does so at once. */
  accept(stream: Http2Stream): void;
}

/** A part of a stream's queue: copied bytes, or a body read as it is sent. */
class QueueItem {
  readonly bytes: Uint8Array | undefined;
  readonly body: MessageBody | undefined;
  readonly size: number;
  sent = 0;
  next: QueueItem | undefined = undefined;

  constructor(bytes: Uint8Array | undefined, body: MessageBody | undefined, size: number) {
    this.bytes = bytes;
    this.body = body;
    this.size = size;
  }
}

/** One request and its response. Fields without `#` belong to this module: connection and stream are two halves of one machine. */
export class Http2Stream {
  readonly id: number;
  readonly connection: Http2Connection;
  readonly headers: HeaderList;
  handler: StreamHandler | undefined = undefined;
  /** What it takes of the budget by being open. */
  cost = 0;

  /** The client has sent END_STREAM. */
  isRemoteEnded = false;
  /** Nothing more is sent or received. */
  isClosed = false;
  areHeadersSent = false;
  receiveWindow: number;
  sendWindow: number;
  /** Bytes taken by the handler and not yet given back to the client as window. */
  consumedSize = 0;
  /** Body bytes received, to be compared with content-length. */
  receivedSize = 0;

  /** Streams with something to send, in the order of their turns. */
  nextInTurn: Http2Stream | undefined = undefined;
  isInTurn = false;
  /** Since when the queue has been seen at `stalledSize`. */
  stalledSinceMs = 0;
  stalledSize = 0;
  /** A stream of messages may stand still as long as its client likes; an answer may not. */
  mayStall = false;
  /** Its client keeps it open for as long as it can: a drain tells the handler that the server stops, and does not wait. */
  endsAtDrain = false;

  #queueFirst: QueueItem | undefined = undefined;
  #queueLast: QueueItem | undefined = undefined;
  #queuedSize = 0;
  #needsDrain = false;
  #isEnding = false;
  #trailers: HeaderTemplate | readonly HttpField[] | undefined = undefined;

  #isPaused = false;
  /** What arrived meanwhile. */
  #held: Uint8Array[] | undefined = undefined;
  #isEndHeld = false;
  #isDelivering = false;

  constructor(connection: Http2Connection, id: number, headers: HeaderList, receiveWindow: number, sendWindow: number) {
    this.connection = connection;
    this.id = id;
    this.headers = headers;
    this.receiveWindow = receiveWindow;
    this.sendWindow = sendWindow;
  }

  /** Bytes accepted by `write` and `writeBody` and not yet in the connection's output. */
  get queuedSize(): number {
    return this.#queuedSize;
  }

  get hasQueue(): boolean {
    return this.#queueFirst !== undefined || this.#isEnding;
  }

  // Sending.

  /** Response headers, at most once, before anything else. */
  sendHeaders(headers: HeaderTemplate | readonly HttpField[]): void {
    if (this.isClosed) return;
    this.areHeadersSent = true;
    this.connection.emitHeaders(this.id, headers, false);
  }

  /**
   * Sends `head` and `body` as one piece, copied before this returns; `head` may be empty. False: hold back until
   * `onDrain`. Undefined: the server's budget for buffered bytes is used up and nothing was taken.
   */
  write(head: Uint8Array, body: Uint8Array): boolean | undefined {
    if (this.isClosed) return true;
    const connection = this.connection;
    const size = head.length + body.length;
    if (
      this.#queueFirst === undefined && size <= HTTP2_DIRECT_WRITE_MAX && size <= this.sendWindow &&
      connection.hasRoomFor(size)
    ) {
      connection.emitData(this, head, body);
      return true;
    }
    if (!connection.budget.tryReserve(size)) return undefined;
    const copy = new Uint8Array(size);
    copy.set(head);
    copy.set(body, head.length);
    return this.#enqueue(new QueueItem(copy, undefined, size));
  }

  /** Sends `head` and then `body`, which is read as the client's window opens. False: hold back until `onDrain`. */
  writeBody(head: Uint8Array, body: MessageBody): boolean {
    if (this.isClosed) {
      body.close();
      return true;
    }
    this.connection.budget.reserve(head.length);
    this.#enqueue(new QueueItem(head.slice(), undefined, head.length));
    if (body.size === 0) {
      body.close();
      return !this.#needsDrain;
    }
    return this.#enqueue(new QueueItem(undefined, body, body.size));
  }

  /** Completes the response after what is queued, with trailers or without. Nothing may be written after it. */
  end(trailers: HeaderTemplate | readonly HttpField[] | undefined): void {
    if (this.isClosed || this.#isEnding) return;
    this.#trailers = trailers;
    if (this.#queueFirst === undefined) this.#finish();
    else this.#isEnding = true;
  }

  /** Ends the stream with an error. The handler hears nothing. */
  reset(code: ErrorCode): void {
    if (this.isClosed) return;
    this.connection.emitReset(this.id, code);
    this.connection.closeStream(this, !this.isRemoteEnded);
  }

  #enqueue(item: QueueItem): boolean {
    if (this.#queueLast === undefined) this.#queueFirst = item;
    else this.#queueLast.next = item;
    this.#queueLast = item;
    this.#queuedSize += item.size;
    this.connection.scheduleStream(this);
    if (this.#queuedSize >= HTTP2_SEND_HIGH_WATER) this.#needsDrain = true;
    return !this.#needsDrain;
  }

  #finish(): void {
    const trailers = this.#trailers;
    if (trailers === undefined) this.connection.emitEndOfData(this.id);
    else this.connection.emitHeaders(this.id, trailers, true);
    // RFC 9113, section 8.1: an answer may come before the request is complete; NO_ERROR asks the client to stop sending.
    const isAhead = !this.isRemoteEnded;
    if (isAhead) this.connection.emitReset(this.id, ErrorCode.NO_ERROR);
    this.connection.closeStream(this, isAhead);
  }

  /** Fills `target[offset, offset + sizeMax)` from the queue; returns the size, at least 1. For the connection's turns. */
  fill(target: Uint8Array, offset: number, sizeMax: number): number {
    let size = 0;
    while (size < sizeMax && this.#queueFirst !== undefined) {
      const item = this.#queueFirst;
      const wanted = Math.min(sizeMax - size, item.size - item.sent);
      let taken = wanted;
      if (item.bytes !== undefined) {
        target.set(
          item.sent === 0 && wanted === item.size ? item.bytes : item.bytes.subarray(item.sent, item.sent + wanted),
          offset + size,
        );
      } else {
        taken = item.body!.read(target.subarray(offset + size, offset + size + wanted));
        assert(taken > 0 && taken <= wanted, "a body must produce what is left of it");
      }
      item.sent += taken;
      size += taken;
      if (item.sent === item.size) this.#shift();
    }
    this.#queuedSize -= size;
    return size;
  }

  /** After a turn: completes the stream, or tells the handler that there is room again. */
  afterTurn(): void {
    if (this.#queueFirst === undefined && this.#isEnding) {
      this.#finish();
    } else if (this.#needsDrain && this.#queuedSize <= HTTP2_SEND_LOW_WATER) {
      this.#needsDrain = false;
      this.handler!.onDrain();
    }
  }

  #shift(): void {
    const item = this.#queueFirst!;
    this.#queueFirst = item.next;
    if (item.next === undefined) this.#queueLast = undefined;
    if (item.bytes !== undefined) this.connection.budget.release(item.size);
    else item.body!.close();
  }

  // Receiving.

  /** Stops and restarts the delivery of data; what still arrives within the window is held. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (!this.#isDelivering) this.#deliverHeld();
  }

  /** For the connection: body bytes arrived, `windowSize` counts their padding too. */
  deliver(source: Uint8Array, start: number, end: number, windowSize: number): void {
    if (this.#isPaused || this.#held !== undefined) {
      const size = end - start;
      if (!this.connection.budget.tryReserve(size)) {
        this.handler!.onAbort("exhausted");
        this.reset(ErrorCode.ENHANCE_YOUR_CALM);
        return;
      }
      (this.#held ??= []).push(source.slice(start, end));
      this.connection.consume(this, windowSize - size);
      return;
    }
    this.connection.consume(this, windowSize);
    this.#isDelivering = true;
    this.handler!.onData(source, start, end);
    this.#isDelivering = false;
  }

  /** For the connection: END_STREAM arrived. */
  deliverEnd(): void {
    if (this.#isPaused || this.#held !== undefined) this.#isEndHeld = true;
    else this.handler!.onEnd();
  }

  #deliverHeld(): void {
    this.#isDelivering = true;
    while (this.#held !== undefined && !this.#isPaused && !this.isClosed) {
      const chunk = this.#held.shift()!;
      if (this.#held.length === 0) this.#held = undefined;
      this.connection.budget.release(chunk.length);
      this.connection.consume(this, chunk.length);
      this.handler!.onData(chunk, 0, chunk.length);
    }
    this.#isDelivering = false;
    if (this.#isEndHeld && this.#held === undefined && !this.#isPaused && !this.isClosed) {
      this.#isEndHeld = false;
      this.handler!.onEnd();
    }
  }

  #releaseHeld(held: readonly Uint8Array[]): void {
    for (const chunk of held) this.connection.budget.release(chunk.length);
    this.#held = undefined;
  }

  /** For the connection, once: gives back what the stream holds. */
  release(): void {
    if (this.#held !== undefined) this.#releaseHeld(this.#held);
    while (this.#queueFirst !== undefined) this.#shift();
    this.#queuedSize = 0;
    this.#isEnding = false;
  }
}
