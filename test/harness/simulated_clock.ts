/**
 * Time that passes only when a test says so, and an event loop that turns only while a test waits for something. Nothing
 * depends on the real one.
 */
import type { Clock, Timer } from "../../src/io/clock.ts";

interface Due {
  atMs: number;
  readonly everyMs: number;
  readonly callback: () => void;
}

export interface SimulatedClockOptions {
  /** What each reading of the clock takes: a stand-in for the work done between two readings. Default: 0. */
  readonly readingMs?: number;
}

/** Turns without anything to do after which a promise is taken for stuck. */
const IDLE_TURNS_MAX = 1000;

/** A wall clock's reading at the start: requests are given ids from it. */
const START_MS = 1_700_000_000_000;

export class SimulatedClock implements Clock {
  readonly #readingMs: number;
  #nowMs = 1000;
  #due: Due[] = [];
  #deferred: (() => void)[] = [];

  constructor(options: SimulatedClockOptions = {}) {
    this.#readingMs = options.readingMs ?? 0;
  }

  monotonicMs(): number {
    this.#nowMs += this.#readingMs;
    return this.#nowMs;
  }

  wallMs(): number {
    return START_MS + this.#nowMs;
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

  /** The time, without the cost of reading it. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get timerCount(): number {
    return this.#due.length;
  }

  /** One turn of the event loop: timers that are due, then what was deferred, each followed by its microtasks. */
  async turn(): Promise<boolean> {
    await microtasks();
    const due = this.#takeDue();
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const callback of [...due, ...deferred]) {
      callback();
      await microtasks();
    }
    return due.length + deferred.length > 0;
  }

  /** Turns until `promise` has settled. Fails when nothing is left that could settle it. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const mark = (): void => void (isSettled = true);
    promise.then(mark, mark);
    let idleTurns = 0;
    while (!isSettled) {
      idleTurns = await this.turn() ? 0 : idleTurns + 1;
      if (idleTurns > IDLE_TURNS_MAX) throw new Error("nothing is left to do, and what is waited for has not happened");
    }
    return await promise;
  }

  /** Turns until nothing is left to do at this time. */
  async settle(): Promise<void> {
    for (let idleTurns = 0; idleTurns < 10;) idleTurns = await this.turn() ? 0 : idleTurns + 1;
  }

  /** Lets time pass, from timer to timer, with all that follows from each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.settle();
    for (;;) {
      const next = Math.min(...this.#due.map((due) => due.atMs));
      if (next > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next);
      await this.settle();
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
  }

  /** Late ticks of an interval are coalesced. */
  #takeDue(): (() => void)[] {
    const taken = this.#due.filter((due) => due.atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs);
    for (const due of taken) {
      if (due.everyMs > 0) due.atMs = this.#nowMs + due.everyMs;
      else this.#due.splice(this.#due.indexOf(due), 1);
    }
    return taken.map((due) => () => {
      // One that ran before in this turn may have cancelled it.
      if (due.everyMs === 0 || this.#due.includes(due)) due.callback();
    });
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

async function microtasks(): Promise<void> {
  for (let i = 0; i < 10; i++) await undefined;
}
