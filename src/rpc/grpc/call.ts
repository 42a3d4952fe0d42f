import { AssertionError } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { GRPC_COMPRESSED_MESSAGE_MAX, GRPC_MESSAGE_BUFFER_FIRST } from "../../base/limits.ts";
import { type Call, Code, type MessageBody, RpcError } from "../../io/rpc.ts";
import { type AbortCause, ErrorCode, type Http2Stream, type StreamHandler } from "../http2/mod.ts";
import type { DeadlineEntry } from "./deadlines.ts";
import { gunzip, gzip } from "./gzip.ts";
import type { GrpcRequest, RequestMetadata } from "./request.ts";
import type { GrpcRouter } from "./router.ts";
import { OK_TRAILERS, statusFields } from "./status.ts";

/** The prefix of a message: one byte of flags, four of size. */
const PREFIX_SIZE = 5;
const IS_COMPRESSED = 1;

/** The prefix being written; streams copy it before they return. */
const prefix = new Uint8Array(PREFIX_SIZE);

function setPrefix(flags: number, size: number): void {
  prefix[0] = flags;
  prefix[1] = size >>> 24;
  prefix[2] = size >>> 16;
  prefix[3] = size >>> 8;
  prefix[4] = size;
}

const NO_BUFFER_SPACE = "server has no buffer space left for this call";

/**
 * What all shapes of calls share: messages are cut out of the request's bytes, and a call ends exactly once, by its
 * handler or by cancellation.
 */
export abstract class GrpcCall implements Call, StreamHandler, DeadlineEntry {
  readonly deadlineMs: number;
  isClosed = false;
  deadlineNext: DeadlineEntry | undefined = undefined;
  deadlinePrevious: DeadlineEntry | undefined = undefined;
  deadlineSlot = -1;

  protected readonly router: GrpcRouter;
  protected readonly stream: Http2Stream;
  protected readonly request: GrpcRequest;
  /** Whatever still arrives is not looked at. */
  protected ignoresMessages = false;
  protected isPaused = false;

  /** The beginning of a message that is not complete. */
  #partial: Uint8Array = EMPTY_BYTES;
  #partialSize = 0;
  /** Bytes left over when the handler paused amid a frame. */
  #backlog: Uint8Array = EMPTY_BYTES;
  #isTaking = false;

  #cancelListener: ((cause: RpcError) => void) | undefined = undefined;
  #moreCancelListeners: ((cause: RpcError) => void)[] | undefined = undefined;
  #cancelCause: RpcError | undefined = undefined;

  constructor(router: GrpcRouter, stream: Http2Stream, request: GrpcRequest, deadlineMs: number) {
    this.router = router;
    this.stream = stream;
    this.request = request;
    this.deadlineMs = deadlineMs;
  }

  get path(): string {
    return this.request.path;
  }

  get metadata(): RequestMetadata {
    return this.request.metadata;
  }

  get peer(): string {
    return this.stream.connection.remoteAddress;
  }

  onCancel(listener: (cause: RpcError) => void): void {
    if (this.#cancelCause !== undefined) listener(this.#cancelCause);
    else if (this.#cancelListener === undefined) this.#cancelListener = listener;
    else (this.#moreCancelListeners ??= []).push(listener);
  }

  /** A whole message, valid until this returns. */
  protected abstract takeMessage(message: Uint8Array): void;
  /** The client has sent its last message. `isPartial`: the last one is not whole. */
  protected abstract takeEnd(isPartial: boolean): void;

  // --- From the stream.

  onData(source: Uint8Array, start: number, end: number): void {
    if (this.isClosed || this.ignoresMessages) return;
    this.#isTaking = true;
    this.#takeBytes(source, start, end);
    this.#isTaking = false;
    // The handler may have paused and resumed meanwhile.
    if (!this.isPaused) this.stream.resume();
  }

  onEnd(): void {
    // As Go reads it: an end inside the prefix is an end, one inside the message is unexpected.
    if (!this.isClosed) this.takeEnd(this.#partialSize >= PREFIX_SIZE);
  }

  onDrain(): void {}

  onAbort(cause: AbortCause): void {
    if (this.isClosed) return;
    if (cause === "stopping") this.cancel(new RpcError(Code.UNAVAILABLE, this.router.stopMessage), true);
    else if (cause === "exhausted") this.cancel(new RpcError(Code.RESOURCE_EXHAUSTED, NO_BUFFER_SPACE), true);
    else this.cancel(new RpcError(Code.CANCELED, "context canceled"), false);
  }

  onDeadline(): void {
    this.cancel(new RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded"), true);
  }

  // --- Receiving.

  #takeBytes(source: Uint8Array, start: number, end: number): void {
    if (this.#partialSize > 0) {
      start = this.#completePartial(source, start, end);
      if (this.#partialSize > 0) return;
    }
    while (start < end) {
      if (this.isClosed || this.ignoresMessages) return;
      if (this.isPaused) {
        this.#backlog = source.slice(start, end);
        return;
      }
      const left = end - start;
      if (left < PREFIX_SIZE) break;
      const size = this.#messageSize(source, start);
      if (size < 0) return;
      if (left < PREFIX_SIZE + size) break;
      const messageStart = start + PREFIX_SIZE;
      start = messageStart + size;
      this.#takeFramed(source[messageStart - PREFIX_SIZE], source.subarray(messageStart, start));
    }
    if (start < end && !this.isClosed && !this.ignoresMessages) this.#completePartial(source, start, end);
  }

  /** -1 where it is too large: the call has then ended, before anything of the message was kept. */
  #messageSize(source: Uint8Array, start: number): number {
    const size = (source[start + 1] << 24 | source[start + 2] << 16 | source[start + 3] << 8 | source[start + 4]) >>> 0;
    const sizeMax = this.router.receiveMessageSizeMax;
    if (size <= sizeMax) return size;
    this.refuse(Code.RESOURCE_EXHAUSTED, `grpc: received message larger than max (${size} vs. ${sizeMax})`);
    return -1;
  }

  /** Adds to the partial message, and takes it if that makes it whole. Returns the position of the first byte not used. */
  #completePartial(source: Uint8Array, start: number, end: number): number {
    while (true) {
      let wanted = PREFIX_SIZE;
      if (this.#partialSize >= PREFIX_SIZE) {
        const size = this.#messageSize(this.#partial, 0);
        if (size < 0) return end;
        wanted += size;
      }
      if (this.#partialSize >= PREFIX_SIZE && this.#partialSize === wanted) break;
      if (start === end) return start;
      const taken = Math.min(wanted - this.#partialSize, end - start);
      if (!this.#reservePartial(this.#partialSize + taken, wanted)) return end;
      this.#partial.set(source.subarray(start, start + taken), this.#partialSize);
      this.#partialSize += taken;
      start += taken;
    }
    const message = this.#partial.subarray(PREFIX_SIZE, this.#partialSize);
    const flags = this.#partial[0];
    // Given back before it is used: the handler may end the call, and nothing else is received meanwhile.
    this.#releasePartial();
    this.#takeFramed(flags, message);
    return start;
  }

  #reservePartial(size: number, sizeMax: number): boolean {
    const capacity = this.#partial.length;
    if (capacity >= size) return true;
    const grown = Math.max(size, Math.min(sizeMax, Math.max(GRPC_MESSAGE_BUFFER_FIRST, capacity * 4)));
    if (!this.stream.connection.budget.tryReserve(grown - capacity)) {
      this.refuse(Code.RESOURCE_EXHAUSTED, NO_BUFFER_SPACE);
      return false;
    }
    const buffer = new Uint8Array(grown);
    buffer.set(this.#partial.subarray(0, this.#partialSize));
    this.#partial = buffer;
    return true;
  }

  #releasePartial(): void {
    this.stream.connection.budget.release(this.#partial.length);
    this.#partial = EMPTY_BYTES;
    this.#partialSize = 0;
  }

  #takeFramed(flags: number, message: Uint8Array): void {
    if (flags === 0) {
      this.takeMessage(message);
    } else if (flags !== IS_COMPRESSED) {
      this.refuse(Code.INTERNAL, `grpc: received unexpected payload format ${flags}`);
    } else if (!this.request.isGzip) {
      this.refuse(Code.INTERNAL, "grpc: compressed flag set with identity or empty encoding");
    } else {
      let plain: Uint8Array;
      try {
        plain = gunzip(message, this.router.receiveMessageSizeMax);
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        this.refuse(error.code, error.message);
        return;
      }
      this.takeMessage(plain);
    }
  }

  protected pauseMessages(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.stream.pause();
  }

  protected resumeMessages(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    // Inside a listener the loop that called it goes on by itself.
    if (this.#isTaking) return;
    this.#isTaking = true;
    while (this.#backlog.length > 0 && !this.isPaused && !this.isClosed) {
      const backlog = this.#backlog;
      this.#backlog = EMPTY_BYTES;
      this.#takeBytes(backlog, 0, backlog.length);
    }
    this.#isTaking = false;
    // The stream was paused with the call, so what it holds, the end included, comes after the backlog.
    if (!this.isPaused && !this.isClosed) this.stream.resume();
  }

  // --- Answering.

  protected sendMessage(message: Uint8Array): boolean | undefined {
    if (this.request.compressesReplies && message.length > 0 && message.length <= GRPC_COMPRESSED_MESSAGE_MAX) {
      const packed = gzip(message);
      setPrefix(IS_COMPRESSED, packed.length);
      return this.stream.write(prefix, packed);
    }
    setPrefix(0, message.length);
    return this.stream.write(prefix, message);
  }

  protected sendMessageBody(body: MessageBody): boolean {
    setPrefix(0, body.size);
    return this.stream.writeBody(prefix, body);
  }

  protected endOk(): void {
    this.#close();
    this.stream.mayStall = false;
    this.stream.end(OK_TRAILERS);
  }

  fail(code: Code, message: string, details?: Uint8Array): void {
    if (this.isClosed) return;
    this.#close();
    this.stream.mayStall = false;
    const fields = statusFields(code, message, details);
    if (this.stream.areHeadersSent) this.stream.end(fields);
    else this.stream.end([...this.request.responseHeaders.fields.slice(0, 2), ...fields]);
  }

  /** The transport itself ends the call with an error; the handler, if there is one already, hears of it. */
  protected refuse(code: Code, message: string): void {
    this.cancel(new RpcError(code, message), true);
  }

  abort(cause: RpcError): void {
    if (this.isClosed) return;
    this.fail(cause.code, cause.message);
    this.#tellCancelled(cause);
  }

  protected cancel(cause: RpcError, isHeard: boolean): void {
    if (this.isClosed) return;
    if (isHeard && this.stream.queuedSize === 0) {
      this.fail(cause.code, cause.message);
    } else {
      // Trailers would have to wait behind the queue, or cut a message in two.
      this.#close();
      this.stream.reset(ErrorCode.CANCEL);
    }
    this.#tellCancelled(cause);
  }

  #tellCancelled(cause: RpcError): void {
    this.#cancelCause = cause;
    if (this.#cancelListener !== undefined) notify(this.#cancelListener, cause);
    if (this.#moreCancelListeners !== undefined) {
      for (const listener of this.#moreCancelListeners) notify(listener, cause);
    }
  }

  /** What a handler threw. */
  protected threw(error: unknown): void {
    if (error instanceof AssertionError) throw error;
    if (error instanceof RpcError) this.fail(error.code, error.message, error.details);
    else this.fail(Code.UNKNOWN, error instanceof Error ? error.message : String(error));
  }

  #close(): void {
    this.isClosed = true;
    if (this.deadlineSlot >= 0) this.router.deadlines.remove(this);
    if (this.#partial.length > 0) this.#releasePartial();
    this.#backlog = EMPTY_BYTES;
  }

  protected static isPromise(value: void | Promise<void>): value is Promise<void> {
    return value !== undefined && typeof value.then === "function";
  }
}

/** A listener's fault is reported where nobody catches it, and does not keep the engine from its work. */
function notify(listener: (cause: RpcError) => void, cause: RpcError): void {
  try {
    listener(cause);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
