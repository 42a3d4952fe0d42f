import { BUDGET_SMALL_FACTOR, BUDGET_SMALL_SIZE, RPC_BUFFERED_BYTES_MAX } from "../../base/limits.ts";
import type { MemoryBudget } from "../../io/rpc.ts";

/** Bytes buffered by all connections of a server, against one bound. */
export class Budget implements MemoryBudget {
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

  /** Counts what is held already and cannot be refused, such as an output buffer that the socket did not take. */
  reserve(size: number): void {
    this.#used += size;
    if (this.#used > this.#peak) this.#peak = this.#used;
  }

  release(size: number): void {
    this.#used -= size;
  }
}

/**
 * What one party takes of a budget: at most what it leaves to the others, and a few times of that in small amounts, which
 * every call needs before it can be told that there is no room for more. So one party that takes all it can never takes
 * everything, nor do many, and there is always room for one that has little: a client that opens streams, or sends
 * requests without their end, until it is refused does not have everybody else refused as well.
 */
export class BudgetShare implements MemoryBudget {
  readonly #budget: Budget;
  #used = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  tryReserve(size: number): boolean {
    const budget = this.#budget;
    const left = budget.limit - budget.used;
    const usedMax = size <= BUDGET_SMALL_SIZE ? left * BUDGET_SMALL_FACTOR : left;
    if (size > left || this.#used + size > usedMax) return false;
    this.reserve(size);
    return true;
  }

  /** As the budget's own. */
  reserve(size: number): void {
    this.#used += size;
    this.#budget.reserve(size);
  }

  release(size: number): void {
    this.#used -= size;
    this.#budget.release(size);
  }
}
