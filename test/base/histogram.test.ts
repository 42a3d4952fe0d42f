import { expect, test } from "bun:test";
import { exponentialBounds, Histogram } from "../../src/base/histogram.ts";

test("bounds grow by their factor", () => {
  expect(exponentialBounds(1, 2, 5)).toEqual([1, 2, 4, 8, 16]);
});

test("an observation counts in the first bucket that holds it, its bound included", () => {
  const histogram = new Histogram([1, 2, 4]);
  for (const value of [0.5, 1, 1.5, 2, 4, 4.1, 100]) histogram.observe(value);
  expect(histogram.counts).toEqual([2, 2, 1, 2]);
  expect([histogram.count, histogram.sum]).toEqual([7, 113.1]);
});
