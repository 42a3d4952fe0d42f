/** What one call holds of the bytes that a server may buffer. */

/** The server-wide bound (`Budget` of rpc/http2). */
export interface ByteBudget {
  readonly limit: number;
  tryReserve(size: number): boolean;
  release(size: number): void;
}

export class Reservation {
  readonly #budget: ByteBudget;
  #held = 0;
  #isOver = false;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** False, and nothing is held, where the server may not buffer so much more. */
  tryHold(size: number): boolean {
    if (this.#isOver || !this.#budget.tryReserve(size)) return false;
    this.#held += size;
    return true;
  }

  give(size: number): void {
    if (this.#isOver) return;
    this.#held -= size;
    this.#budget.release(size);
  }

  /** Gives all back; later calls do nothing. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#budget.release(this.#held);
  }
}
