import type { Clock, Timer } from "../../io/clock.ts";

const SLOT_MS = 16;
const SLOT_COUNT = 512;

/** Something that expires. The links belong to the wheel. */
export interface DeadlineEntry {
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  deadlineNext: DeadlineEntry | undefined;
  deadlinePrevious: DeadlineEntry | undefined;
  /** Index of the entry's slot; -1 while it is in none. */
  deadlineSlot: number;
  onDeadline(): void;
}

/**
 * The deadlines of all calls in one wheel with one timer. Nearly all calls end long before their deadline, so entering
 * and leaving must cost next to nothing: no timer, no allocation. An entry expires up to SLOT_MS after its deadline;
 * entries farther away than one round stay in their slot for the next.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #slots: (DeadlineEntry | undefined)[] = new Array(SLOT_COUNT).fill(undefined);
  readonly #tick: () => void;
  #count = 0;
  /** The next slot to be looked at, counted from the clock's origin. */
  #nextSlot = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#tick = () => this.#expire();
  }

  get size(): number {
    return this.#count;
  }

  /** The deadline must not have passed long ago: slots that were looked at are not looked at again this round. */
  add(entry: DeadlineEntry, nowMs: number): void {
    if (this.#count++ === 0) this.#nextSlot = Math.floor(nowMs / SLOT_MS);
    this.#timer ??= this.#clock.after(SLOT_MS, this.#tick);
    const index = Math.max(this.#nextSlot, Math.floor(entry.deadlineMs / SLOT_MS)) % SLOT_COUNT;
    const first = this.#slots[index];
    entry.deadlineSlot = index;
    entry.deadlinePrevious = undefined;
    entry.deadlineNext = first;
    if (first !== undefined) first.deadlinePrevious = entry;
    this.#slots[index] = entry;
  }

  remove(entry: DeadlineEntry): void {
    if (entry.deadlineSlot < 0) return;
    this.#count--;
    const previous = entry.deadlinePrevious;
    const next = entry.deadlineNext;
    entry.deadlinePrevious = entry.deadlineNext = undefined;
    if (next !== undefined) next.deadlinePrevious = previous;
    if (previous !== undefined) previous.deadlineNext = next;
    else this.#slots[entry.deadlineSlot] = next;
    entry.deadlineSlot = -1;
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    const nowSlot = Math.floor(nowMs / SLOT_MS);
    const from = Math.max(this.#nextSlot, nowSlot - SLOT_COUNT);
    const expired: DeadlineEntry[] = [];
    for (let slot = from; slot < nowSlot; slot++) {
      for (let entry = this.#slots[slot % SLOT_COUNT]; entry !== undefined; entry = entry.deadlineNext) {
        if (entry.deadlineMs <= nowMs) expired.push(entry);
      }
    }
    this.#nextSlot = nowSlot;
    for (const entry of expired) {
      // One that expires may have taken others with it.
      if (entry.deadlineSlot < 0) continue;
      this.remove(entry);
      entry.onDeadline();
    }
    if (this.#count > 0) this.#timer ??= this.#clock.after(SLOT_MS, this.#tick);
  }
}
