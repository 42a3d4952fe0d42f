import { expect, test } from "bun:test";
import { systemClock } from "../../../src/io/system/mod.ts";

test("a timer does not run before its delay", async () => {
  for (const delayMs of [0, 0.5, 3.7]) {
    const startMs = systemClock.monotonicMs();
    await new Promise<void>((resolve) => systemClock.after(delayMs, resolve));
    expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delayMs);
  }
});

test("a delay beyond what the runtime's timers hold does not run at once", async () => {
  let hasRun = false;
  const timer = systemClock.after(9_000_000_000_000, () => hasRun = true);
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  timer.cancel();
  expect(hasRun).toBe(false);
});

test("a cancelled timer does not run", async () => {
  let count = 0;
  systemClock.after(1, () => count++).cancel();
  const interval = systemClock.every(1, () => count++);
  interval.cancel();
  await new Promise<void>((resolve) => systemClock.after(10, resolve));
  expect(count).toBe(0);
});

test("what is deferred runs after the promises that are already settled", async () => {
  const order: string[] = [];
  const deferred = new Promise<void>((resolve) => {
    systemClock.defer(() => {
      order.push("deferred");
      resolve();
    });
  });
  await Promise.resolve().then(() => order.push("promise"));
  await deferred;
  expect(order).toEqual(["promise", "deferred"]);
});
