/**
 * What a connection sends. All of one turn of the event loop leaves in one write, and as one chunk where it is chunked:
 *
 *     0000a3f1 CRLF   eight digits, filled in when the chunk is complete
 *     ...             whatever was written meanwhile, each piece copied here and nowhere else
 *     CRLF
 *
 * A segment is one buffer given to the stream; a piece that finds no room begins another one.
 */

import { assert } from "../../base/assert.ts";
import { PEER_HTTP_HIGH_WATER, PEER_HTTP_LOW_WATER, PEER_HTTP_SEGMENT_SIZE } from "../../base/limits.ts";
import type { Clock } from "../../io/clock.ts";
import type { ByteStream, HttpField } from "../../io/net.ts";
import { Watchdog } from "./watchdog.ts";

const CR = 13;
const LF = 10;
const CHUNK_HEAD_SIZE = 10;
const CHUNK_TAIL_SIZE = 2;
const HEX_DIGITS = new TextEncoder().encode("0123456789abcdef");

/** Never called from inside a call to the output. */
export interface OutputListener {
  /** No more than what `awaitDrain` named waits for the stream. */
  onDrained(): void;
  /** Everything was sent, and the stream's end with it. */
  onEnded(): void;
  /** The stream has taken nothing for too long. */
  onStalled(): void;
}

interface Segment {
  readonly bytes: Uint8Array;
  /** Its buffer, if that is ours to use again. */
  readonly buffer: Uint8Array | undefined;
}

export class Output {
  readonly #stream: ByteStream;
  readonly #listener: OutputListener;
  readonly #stall: Watchdog;
  #stallMs: number;

  #buffer: Uint8Array | undefined;
  #size = 0;
  /** Where the open chunk begins; below zero there is none. */
  #chunkStart = -1;
  #spare: Uint8Array | undefined;
  /** Complete, in order; the stream may be at work on the first. */
  readonly #segments: Segment[] = [];
  #queuedSize = 0;

  #isWaiting = false;
  #isFlushScheduled = false;
  #isEnding = false;
  #isClosed = false;
  /** Below zero nobody waits. */
  #drainSize = -1;

  constructor(stream: ByteStream, clock: Clock, stallMs: number, listener: OutputListener) {
    this.#stream = stream;
    this.#listener = listener;
    this.#stallMs = stallMs;
    this.#stall = new Watchdog(clock, () => listener.onStalled());
  }

  set stallMs(ms: number) {
    this.#stallMs = ms;
  }

  /** Bytes that the stream has not taken. */
  get pendingSize(): number {
    return this.#queuedSize + this.#size;
  }

  /** Sends ASCII or Latin-1 text; characters beyond become "?". */
  text(text: string): void {
    this.#closeChunk();
    this.#reserve(text.length);
    const buffer = this.#buffer!;
    let at = this.#size;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      buffer[at++] = code > 0xff ? 63 : code;
    }
    this.#size = at;
    this.#scheduleFlush();
  }

  /** Sends a copy. */
  bytes(bytes: Uint8Array): void {
    this.#closeChunk();
    this.#reserve(bytes.length);
    this.#append(bytes);
  }

  /** Sends a copy, as a chunk or a part of one. */
  chunk(bytes: Uint8Array): void {
    const size = bytes.length + CHUNK_TAIL_SIZE;
    if (this.#chunkStart < 0 || this.#size + size > this.#buffer!.length) {
      this.#closeChunk();
      this.#reserve(CHUNK_HEAD_SIZE + size);
      this.#chunkStart = this.#size;
      this.#size += CHUNK_HEAD_SIZE;
    }
    this.#append(bytes);
  }

  /** The chunk of size zero. */
  lastChunk(trailers: readonly HttpField[]): void {
    this.text(`0\r\n${fieldLines(trailers)}\r\n`);
  }

  /** Sends these very bytes: they must not change until they are no longer pending. */
  give(bytes: Uint8Array): void {
    this.#closeSegment();
    this.#segments.push({ bytes, buffer: undefined });
    this.#queuedSize += bytes.length;
    this.#scheduleFlush();
  }

  /** `onDrained` follows once no more than so many bytes are pending. */
  awaitDrain(size: number): void {
    this.#drainSize = size;
    this.#scheduleFlush();
  }

  /** What a writer is told: false if it should hold back until `onDrained`, which then follows. */
  get mayWriteOn(): boolean {
    if (this.pendingSize <= PEER_HTTP_HIGH_WATER) return true;
    this.#drainSize = PEER_HTTP_LOW_WATER;
    return false;
  }

  /** Ends the stream after what is pending; nothing may follow. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#scheduleFlush();
  }

  /** The stream has taken the write that it held on to. */
  drained(): void {
    this.#isWaiting = false;
    this.#stall.stop();
    this.#release(this.#segments.shift()!);
    this.#flush();
  }

  /** The stream is gone. */
  close(): void {
    this.#isClosed = true;
    this.#stall.stop();
    this.#segments.length = 0;
    this.#buffer = undefined;
    this.#spare = undefined;
  }

  #append(bytes: Uint8Array): void {
    this.#buffer!.set(bytes, this.#size);
    this.#size += bytes.length;
    this.#scheduleFlush();
  }

  /** Makes room in the segment at hand, or in a new one. */
  #reserve(size: number): void {
    assert(!this.#isEnding, "nothing is sent after the end");
    if (this.#buffer !== undefined && this.#size + size <= this.#buffer.length) return;
    this.#closeSegment();
    if (size > PEER_HTTP_SEGMENT_SIZE) {
      this.#buffer = new Uint8Array(size);
    } else {
      this.#buffer = this.#spare ?? new Uint8Array(PEER_HTTP_SEGMENT_SIZE);
      this.#spare = undefined;
    }
  }

  #closeChunk(): void {
    const start = this.#chunkStart;
    if (start < 0) return;
    const buffer = this.#buffer!;
    let rest = this.#size - start - CHUNK_HEAD_SIZE;
    for (let i = start + CHUNK_HEAD_SIZE - 3; i >= start; i--) {
      buffer[i] = HEX_DIGITS[rest & 15];
      rest >>>= 4;
    }
    buffer[start + CHUNK_HEAD_SIZE - 2] = CR;
    buffer[start + CHUNK_HEAD_SIZE - 1] = LF;
    buffer[this.#size++] = CR;
    buffer[this.#size++] = LF;
    this.#chunkStart = -1;
  }

  #closeSegment(): void {
    this.#closeChunk();
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    if (this.#size > 0) this.#segments.push({ bytes: buffer.subarray(0, this.#size), buffer });
    this.#queuedSize += this.#size;
    this.#size = 0;
    this.#buffer = undefined;
  }

  #release(segment: Segment): void {
    this.#queuedSize -= segment.bytes.length;
    if (segment.buffer?.length === PEER_HTTP_SEGMENT_SIZE) this.#spare = segment.buffer;
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled || this.#isWaiting) return;
    this.#isFlushScheduled = true;
    queueMicrotask(() => {
      this.#isFlushScheduled = false;
      if (!this.#isClosed && !this.#isWaiting) this.#flush();
    });
  }

  #flush(): void {
    this.#closeSegment();
    const segments = this.#segments;
    while (segments.length > 0) {
      if (!this.#stream.write(segments[0].bytes)) {
        this.#isWaiting = true;
        this.#stall.start(this.#stallMs);
        break;
      }
      this.#release(segments.shift()!);
    }
    if (this.#isEnding && segments.length === 0) {
      this.#stream.end();
      this.#listener.onEnded();
    }
    if (this.#drainSize < this.#queuedSize) return;
    this.#drainSize = -1;
    this.#listener.onDrained();
  }
}

/** Field lines; what would end a line early becomes a space. */
export function fieldLines(fields: readonly HttpField[]): string {
  let text = "";
  for (const [name, value] of fields) text += `${name}: ${value.replace(/[\0\r\n]/g, " ")}\r\n`;
  return text;
}
