import { APPLIED_WAITS_MAX } from "../base/limits.ts";

interface Wait {
  readonly index: number;
  readonly untilMs: number;
  readonly settle: (isApplied: boolean) => void;
}

/** How long somebody waits for the state to hold what is committed already (etcd's figure). */
const TIMEOUT_MS = 1000;

/** Those that wait until the state holds a certain entry, but not for long. */
export class AppliedWaits {
  #waits: Wait[] = [];

  /** Settles once `index` is applied: at once where it is, with false where it was not in time. */
  add(index: number, appliedIndex: number, nowMs: number, settle: (isApplied: boolean) => void): void {
    if (index <= appliedIndex) settle(true);
    else if (this.#waits.length >= APPLIED_WAITS_MAX) settle(false);
    else this.#waits.push({ index, untilMs: nowMs + TIMEOUT_MS, settle });
  }

  release(appliedIndex: number): void {
    this.#settle(true, ({ index }) => index <= appliedIndex);
  }

  expire(nowMs: number): void {
    this.#settle(false, ({ untilMs }) => untilMs <= nowMs);
  }

  stop(): void {
    this.#settle(false, () => true);
  }

  #settle(isApplied: boolean, isDue: (wait: Wait) => boolean): void {
    if (this.#waits.length === 0) return;
    const waits = this.#waits;
    this.#waits = waits.filter((wait) => !isDue(wait));
    for (const wait of waits) if (isDue(wait)) wait.settle(isApplied);
  }
}
