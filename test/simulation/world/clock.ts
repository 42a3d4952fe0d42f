/**
 * A machine's clocks, and the turns of a process on it. The monotonic clock runs a little too fast or too slow, the wall
 * clock jumps besides. A process that is paused (a stopped virtual machine, a long collection of garbage) does nothing and
 * then everything at once; one that has ended does nothing any more.
 */

import type { Clock, Timer } from "../../../src/io/clock.ts";
import type { Scheduler } from "./scheduler.ts";

/** A wall clock's reading when the world begins. */
const EPOCH_MS = 1_700_000_000_000;

export class MachineTime {
  readonly #scheduler: Scheduler;
  #rate: number;
  // The monotonic clock at a moment of the world's.
  #sinceMs = 0;
  #readingMs: number;
  /** How far the wall clock is off. */
  wallOffsetMs = 0;

  constructor(scheduler: Scheduler, rate: number, readingMs: number) {
    this.#scheduler = scheduler;
    this.#rate = rate;
    this.#readingMs = readingMs;
  }

  /** Milliseconds of this clock per millisecond of the world. */
  get rate(): number {
    return this.#rate;
  }

  monotonicMs(): number {
    return this.#readingMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate;
  }

  wallMs(): number {
    return Math.floor(EPOCH_MS + this.monotonicMs() + this.wallOffsetMs);
  }

  /** From now on the clock runs this fast. */
  setRate(rate: number): void {
    this.#readingMs = this.monotonicMs();
    this.#sinceMs = this.#scheduler.nowMs;
    this.#rate = rate;
  }
}

/** One process: whatever happens in it happens through here, until it ends. */
export class ProcessTime implements Clock {
  readonly #scheduler: Scheduler;
  readonly #machine: MachineTime;
  /** What each reading of the clock costs: a stand-in for the work between two readings. */
  readonly #readingCostMs: number;
  /** Called around everything that runs in this process. */
  readonly #enter: () => void;
  #isEnded = false;
  #busyUntilMs = 0;
  #spentMs = 0;
  #lastMs = 0;

  constructor(scheduler: Scheduler, machine: MachineTime, readingCostMs: number, enter: () => void) {
    this.#scheduler = scheduler;
    this.#machine = machine;
    this.#readingCostMs = readingCostMs;
    this.#enter = enter;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isPaused(): boolean {
    return this.#busyUntilMs > this.#scheduler.nowMs;
  }

  monotonicMs(): number {
    this.#spentMs += this.#readingCostMs;
    this.#lastMs = Math.max(this.#lastMs, this.#machine.monotonicMs() + this.#spentMs * this.#machine.rate);
    return this.#lastMs;
  }

  wallMs(): number {
    return this.#machine.wallMs();
  }

  after(delayMs: number, callback: () => void): Timer {
    const dueMs = this.#machine.monotonicMs() + delayMs;
    let scheduled = this.run(
      delayMs / this.#machine.rate,
      function fire(this: ProcessTime): void {
        const leftMs = dueMs - this.#machine.monotonicMs();
        // The clock may have been slowed down meanwhile.
        if (leftMs > 0.001) scheduled = this.run(leftMs / this.#machine.rate, fire.bind(this));
        else callback();
      }.bind(this),
    );
    return { cancel: () => scheduled.cancel() };
  }

  every(intervalMs: number, callback: () => void): Timer {
    let timer: Timer;
    const arm = (): void => {
      timer = this.after(intervalMs, () => {
        arm();
        callback();
      });
    };
    arm();
    return { cancel: () => timer.cancel() };
  }

  defer(callback: () => void): void {
    this.run(0, callback);
  }

  /** Runs something in this process, after that time, when it is not paused. */
  run(delayMs: number, callback: () => void): Timer {
    const attempt = (): void => {
      if (this.#isEnded) return;
      if (this.isPaused) scheduled = this.#scheduler.at(this.#busyUntilMs, attempt);
      else this.#run(callback);
    };
    let scheduled = this.#scheduler.after(delayMs, attempt);
    return { cancel: () => scheduled.cancel() };
  }

  /** Runs something in this process in the event at hand, or when it is not paused any more. */
  runNow(callback: () => void): void {
    if (this.isPaused) this.run(0, callback);
    else if (!this.#isEnded) this.#run(callback);
  }

  #run(callback: () => void): void {
    this.#enter();
    this.#spentMs = 0;
    callback();
    if (this.#spentMs === 0) return;
    this.#busyUntilMs = this.#scheduler.nowMs + this.#spentMs;
    this.#spentMs = 0;
  }

  pauseUntil(ms: number): void {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, ms);
  }

  resume(): void {
    this.#busyUntilMs = 0;
  }

  end(): void {
    this.#isEnded = true;
  }
}
