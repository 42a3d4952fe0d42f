/** What one call holds of the bytes that a server may buffer. */

import type { MemoryBudget } from "../../io/rpc.ts";

export class Reservation {
  readonly #budget: MemoryBudget;
  #held = 0;
  #isOver = false;

  constructor(budget: MemoryBudget) {
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
