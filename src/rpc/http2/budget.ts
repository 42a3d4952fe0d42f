import { RPC_BUFFERED_BYTES_MAX } from "../../base/limits.ts";

/** Bytes buffered by all connections of a server, against one bound. */
export class Budget {
  readonly limit: number;
  #used = 0;
  #peak = 0;

  constructor(limit: number = RPC_BUFFERED_BYTES_MAX) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** The most that was ever used at once. */
  get peak(): number {
    return this.#peak;
  }

  /** False, and nothing is taken, where `size` more bytes would exceed the limit. */
  tryReserve(size: number): boolean {
    if (this.#used + size > this.limit) return false;
    this.reserve(size);
    return true;
  }

  /** Counts what is held already and cannot be refused, such as an output buffer that the socket did not take. `size` may be negative. */
  reserve(size: number): void {
    this.#used += size;
    if (this.#used > this.#peak) this.#peak = this.#used;
  }

  release(size: number): void {
    this.#used -= size;
  }
}
