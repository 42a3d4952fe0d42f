import { expect, test } from "bun:test";
import fc from "fast-check";
import { MergeSort } from "../../src/base/merge_sort.ts";

function sorted(items: readonly number[], budget: number): number[] {
  const sort = new MergeSort(Int32Array.from(items), (a, b) => a - b);
  while (!sort.step(budget)) expect(sort.isDone).toBe(false);
  return [...sort.sorted];
}

test("it sorts anything, however small the steps", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 })), fc.integer({ min: 1, max: 20 }), (items, budget) => {
      expect(sorted(items, budget)).toEqual([...items].sort((a, b) => a - b));
    }),
  );
});

test("equal elements keep their order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 })), (keys) => {
      const sort = new MergeSort(Int32Array.from(keys.keys()), (a, b) => keys[a] - keys[b]);
      sort.step(Infinity);
      expect([...sort.sorted]).toEqual([...keys.keys()].sort((a, b) => keys[a] - keys[b] || a - b));
    }),
  );
});

test("what is in order already costs one comparison per element", () => {
  let comparisons = 0;
  const sort = new MergeSort(Int32Array.from({ length: 1000 }, (_, i) => i), (a, b) => {
    comparisons++;
    return a - b;
  });
  expect(sort.step(Infinity)).toBe(true);
  expect(comparisons).toBe(999);
});

test("a step makes no more comparisons than its budget", () => {
  let comparisons = 0;
  const items = Int32Array.from({ length: 500 }, (_, i) => (i * 7919) % 500);
  const sort = new MergeSort(items, (a, b) => {
    comparisons++;
    return a - b;
  });
  while (!sort.step(10)) {
    expect(comparisons).toBeLessThanOrEqual(10);
    comparisons = 0;
  }
  expect([...sort.sorted]).toEqual([...items.keys()]);
});
