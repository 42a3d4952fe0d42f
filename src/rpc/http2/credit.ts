import type { Clock } from "../../io/clock.ts";

/** A token bucket. The clock is asked only when the credit runs out, so spending it costs a subtraction. */
export class CreditBucket {
  readonly #max: number;
  readonly #perSecond: number;
  readonly #clock: Clock;
  #credit: number;
  #refilledMs: number;

  constructor(max: number, perSecond: number, clock: Clock) {
    this.#max = this.#credit = max;
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#refilledMs = clock.monotonicMs();
  }

  /** False where there is not enough left. */
  spend(cost: number): boolean {
    if (this.#credit < cost) {
      const nowMs = this.#clock.monotonicMs();
      this.regain((nowMs - this.#refilledMs) / 1000 * this.#perSecond);
      this.#refilledMs = nowMs;
      if (this.#credit < cost) return false;
    }
    this.#credit -= cost;
    return true;
  }

  regain(credit: number): void {
    this.#credit = Math.min(this.#max, this.#credit + credit);
  }
}
