import { PEER_SNAPSHOT_HELD_HIGH, PEER_SNAPSHOT_HELD_LOW } from "../base/limits.ts";
import type { HttpExchange } from "../io/net.ts";

/** The database at the end of a request's body, piece by piece, no faster than it is taken. To be iterated once. */
export class SnapshotPieces implements AsyncIterable<Uint8Array> {
  readonly #exchange: HttpExchange;
  readonly #pieces: Uint8Array[] = [];
  #heldSize = 0;
  #isPaused = false;
  #isEnded = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  /** Bytes that came. */
  size = 0;

  constructor(exchange: HttpExchange) {
    this.#exchange = exchange;
  }

  /** Keeps a copy. */
  push(piece: Uint8Array): void {
    if (piece.length === 0 || this.#isEnded) return;
    this.#pieces.push(piece.slice());
    this.size += piece.length;
    this.#heldSize += piece.length;
    if (this.#heldSize >= PEER_SNAPSHOT_HELD_HIGH && !this.#isPaused) {
      this.#isPaused = true;
      this.#exchange.pause();
    }
    this.#wake?.();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#isEnded = true;
    this.#failure ??= error;
    this.#pieces.length = 0;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#took(piece.length);
        yield piece;
        continue;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isEnded) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  #took(size: number): void {
    this.#heldSize -= size;
    if (!this.#isPaused || this.#heldSize > PEER_SNAPSHOT_HELD_LOW) return;
    this.#isPaused = false;
    this.#exchange.resume();
  }
}
