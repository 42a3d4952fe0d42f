/** The real clock, on the runtime's timers. */

import { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "node:timers";
import type { Clock, Timer } from "../clock.ts";

/** setTimeout takes longer delays for 1 ms; a longer wait is made of several. */
const TIMEOUT_MS_MAX = 0x7fffffff;

class SystemTimer implements Timer {
  readonly #dueMs: number;
  readonly #callback: () => void;
  #timeout: ReturnType<typeof setTimeout> | undefined;

  constructor(delayMs: number, callback: () => void) {
    this.#dueMs = performance.now() + delayMs;
    this.#callback = callback;
    this.#wait(delayMs);
  }

  #wait(delayMs: number): void {
    this.#timeout = setTimeout(() => {
      // Timers round to milliseconds and may run a little early; "not before" is the promise.
      const restMs = this.#dueMs - performance.now();
      if (restMs > 0) this.#wait(restMs);
      else this.#callback();
    }, Math.min(Math.ceil(delayMs), TIMEOUT_MS_MAX));
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, callback) => new SystemTimer(delayMs, callback),
  every(intervalMs, callback) {
    // A late interval runs once, not once per tick missed.
    const interval = setInterval(callback, intervalMs);
    return { cancel: () => clearInterval(interval) };
  },
  defer(callback) {
    setImmediate(callback);
  },
};
