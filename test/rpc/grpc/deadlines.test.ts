import { expect, test } from "bun:test";
import { type DeadlineEntry, Deadlines } from "../../../src/rpc/grpc/deadlines.ts";
import { parseTimeout } from "../../../src/rpc/grpc/timeout.ts";
import { ManualClock } from "../clock.ts";

class Entry implements DeadlineEntry {
  deadlineNext: DeadlineEntry | undefined = undefined;
  deadlinePrevious: DeadlineEntry | undefined = undefined;
  deadlineSlot = -1;
  expiredMs = -1;
  readonly deadlineMs: number;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock, afterMs: number) {
    this.#clock = clock;
    this.deadlineMs = clock.monotonicMs() + afterMs;
  }

  onDeadline(): void {
    this.expiredMs = this.#clock.monotonicMs();
  }
}

test("every entry expires within 32 ms after its deadline, near ones and those many rounds away", async () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const delays = [0.01, 1, 15, 16, 17, 250, 8191, 8192, 8193, 30_000, 100_000];
  const entries: Entry[] = [];
  for (let round = 0; round < 5; round++) {
    for (const delay of delays) {
      const entry = new Entry(clock, delay);
      entries.push(entry);
      deadlines.add(entry, clock.monotonicMs());
    }
    await clock.advance(7);
  }
  await clock.advance(101_000);
  for (const entry of entries) {
    expect(entry.expiredMs).toBeGreaterThanOrEqual(entry.deadlineMs);
    expect(entry.expiredMs).toBeLessThanOrEqual(entry.deadlineMs + 32);
  }
  expect(deadlines.size).toBe(0);
  expect(clock.timerCount).toBe(0);
});

test("entries leave from any place in their slot, and do not expire then", async () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const entries = Array.from({ length: 9 }, () => new Entry(clock, 100));
  for (const entry of entries) deadlines.add(entry, clock.monotonicMs());
  for (const i of [0, 8, 4, 4, 3]) deadlines.remove(entries[i]);
  await clock.advance(200);
  expect(entries.map((entry) => entry.expiredMs >= 0)).toEqual([0, 1, 1, 0, 0, 1, 1, 1, 0].map(Boolean));
});

test.each([["1H", 3_600_000], ["2M", 120_000], ["3S", 3000], ["4m", 4], ["5u", 0.005], ["6n", 0.000006]])(
  "a timeout of %s is %d ms",
  (value, ms) => expect(parseTimeout(value)).toBeCloseTo(ms, 9),
);
