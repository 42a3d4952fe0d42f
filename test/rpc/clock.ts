import type { Clock, Timer } from "../../src/io/clock.ts";

interface Due {
  atMs: number;
  everyMs: number;
  callback: () => void;
}

/** A clock that stands still until `advance`; what is deferred runs in `turn`. */
export class ManualClock implements Clock {
  #nowMs = 1_000_000;
  #due: Due[] = [];
  #deferred: (() => void)[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#schedule(delayMs, 0, callback);
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#schedule(intervalMs, intervalMs, callback);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  get timerCount(): number {
    return this.#due.length;
  }

  /** Lets microtasks and one round of deferred work run. False if nothing was deferred. */
  async turn(): Promise<boolean> {
    await microtasks();
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const callback of deferred) callback();
    await microtasks();
    return deferred.length > 0;
  }

  /** Runs turns until nothing is deferred; returns how many there were. */
  async settle(): Promise<number> {
    let turns = 0;
    while (await this.turn()) turns++;
    return turns;
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    while (true) {
      await this.settle();
      this.#due.sort((a, b) => a.atMs - b.atMs);
      const next = this.#due[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = next.atMs;
      if (next.everyMs > 0) next.atMs += next.everyMs;
      else this.#due.shift();
      next.callback();
    }
    this.#nowMs = endMs;
    await this.settle();
  }

  #schedule(delayMs: number, everyMs: number, callback: () => void): Timer {
    const due: Due = { atMs: this.#nowMs + delayMs, everyMs, callback };
    this.#due.push(due);
    return {
      cancel: () => {
        this.#due = this.#due.filter((other) => other !== due);
      },
    };
  }
}

export async function microtasks(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}
