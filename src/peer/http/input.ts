import type { ByteStream } from "../../io/net.ts";

/** Who reads a connection. */
export interface InputReader {
  /** Whether it takes input now. */
  readonly isReading: boolean;
  /** Takes input from `at` on, and returns the position reached: before the end if it stopped reading. */
  take(bytes: Uint8Array, at: number): number;
}

/** What arrives on a connection whose reader may stop in the middle of it: the stream is paused, and the rest held. */
export class Input {
  readonly #stream: ByteStream;
  readonly #reader: InputReader;
  #rest: Uint8Array | undefined;
  #isScheduled = false;

  constructor(stream: ByteStream, reader: InputReader) {
    this.#stream = stream;
    this.#reader = reader;
  }

  /** From `ByteStreamListener.onData`. */
  receive(bytes: Uint8Array): void {
    const end = this.#reader.isReading ? this.#reader.take(bytes, 0) : 0;
    if (end < bytes.length) this.#rest = bytes.slice(end);
    if (this.#rest !== undefined) this.#stream.pause();
  }

  /** The reader takes no more for now. */
  pause(): void {
    this.#stream.pause();
  }

  /** The reader may take input again: it is given what there is, but not from inside this call. */
  resume(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#proceed();
    });
  }

  #proceed(): void {
    const rest = this.#rest;
    if (rest !== undefined) {
      const end = this.#reader.take(rest, 0);
      this.#rest = end < rest.length ? rest.subarray(end) : undefined;
      if (this.#rest !== undefined) return;
    }
    // It may have stopped again meanwhile, or just behind the rest.
    if (this.#reader.isReading) this.#stream.resume();
  }
}
