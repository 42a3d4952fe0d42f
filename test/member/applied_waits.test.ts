import { expect, test } from "bun:test";
import { APPLIED_WAITS_MAX } from "../../src/base/limits.ts";
import { AppliedWaits } from "../../src/member/applied_waits.ts";

test("whoever waits is told once the entry is applied, or after a second that it is not", () => {
  const waits = new AppliedWaits();
  const told: string[] = [];
  const add = (name: string, index: number) => waits.add(index, 5, 0, (isApplied) => told.push(`${name} ${isApplied}`));
  add("there", 5);
  expect(told).toEqual(["there true"]);
  add("six", 6);
  add("seven", 7);
  waits.release(6);
  waits.expire(999);
  expect(told).toEqual(["there true", "six true"]);
  waits.expire(1000);
  waits.release(7);
  expect(told).toEqual(["there true", "six true", "seven false"]);
  add("never", 8);
  waits.stop();
  expect(told.at(-1)).toBe("never false");
});

test("no more than a certain number can wait", () => {
  const waits = new AppliedWaits();
  const told: boolean[] = [];
  for (let i = 0; i <= APPLIED_WAITS_MAX; i++) waits.add(1, 0, 0, (isApplied) => told.push(isApplied));
  expect(told).toEqual([false]);
  waits.release(1);
  expect(told.filter((isApplied) => isApplied)).toHaveLength(APPLIED_WAITS_MAX);
});
