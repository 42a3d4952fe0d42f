/** Time and timers. The real one is in io/system; the simulation's stands still until it is told otherwise. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds, with a fraction; the origin is arbitrary. */
  monotonicMs(): number;
  /** Wall-clock milliseconds since the Unix epoch. */
  wallMs(): number;
  /** Runs `callback` once, not before `delayMs`. */
  after(delayMs: number, callback: () => void): Timer;
  /** Runs `callback` every `intervalMs`; late ticks are coalesced. */
  every(intervalMs: number, callback: () => void): Timer;
  /** Runs `callback` in a later turn of the event loop, after pending input has been read. Not cancellable. */
  defer(callback: () => void): void;
}
