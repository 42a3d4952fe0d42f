/**
 * The world's time: events in the order in which they are due, those due at once in the order in which they were asked
 * for. After each event all promises that it settled have run, so that nothing is ever half done between two events.
 */

import { drainMicrotasks } from "bun:jsc";

export interface Scheduled {
  cancel(): void;
}

class Event implements Scheduled {
  readonly ms: number;
  readonly sequence: number;
  run: (() => void) | undefined;

  constructor(ms: number, sequence: number, run: () => void) {
    this.ms = ms;
    this.sequence = sequence;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }
}

export class Scheduler {
  #nowMs = 0;
  #sequence = 0;
  #eventCount = 0;
  /** A binary heap by time, then sequence. */
  readonly #events: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events run so far. */
  get eventCount(): number {
    return this.#eventCount;
  }

  after(delayMs: number, run: () => void): Scheduled {
    return this.at(this.#nowMs + delayMs, run);
  }

  at(ms: number, run: () => void): Scheduled {
    const event = new Event(Math.max(ms, this.#nowMs), this.#sequence++, run);
    this.#push(event);
    return event;
  }

  /** Runs everything that is due up to then. */
  runUntil(endMs: number): void {
    drainMicrotasks();
    for (let event = this.#events[0]; event !== undefined && event.ms <= endMs; event = this.#events[0]) {
      this.#pop();
      const { run } = event;
      if (run === undefined) continue;
      this.#nowMs = event.ms;
      this.#eventCount++;
      run();
      drainMicrotasks();
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
  }

  /** Runs until `isDone`, which is looked at every so many milliseconds; false if it is not by then. */
  runUntilDone(isDone: () => boolean, deadlineMs: number, stepMs: number): boolean {
    while (!isDone()) {
      if (this.#nowMs >= deadlineMs) return false;
      this.runUntil(Math.min(deadlineMs, this.#nowMs + stepMs));
    }
    return true;
  }

  #push(event: Event): void {
    const events = this.#events;
    let position = events.length;
    events.push(event);
    while (position > 0) {
      const above = (position - 1) >> 1;
      if (isBefore(events[above], event)) break;
      events[position] = events[above];
      position = above;
    }
    events[position] = event;
  }

  #pop(): void {
    const events = this.#events;
    const last = events.pop()!;
    if (events.length === 0) return;
    let position = 0;
    for (;;) {
      let child = 2 * position + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(events[child + 1], events[child])) child++;
      if (isBefore(last, events[child])) break;
      events[position] = events[child];
      position = child;
    }
    events[position] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.ms < b.ms || (a.ms === b.ms && a.sequence < b.sequence);
}
