import { expect, test } from "bun:test";
import { RingBuffer } from "../../src/base/ring_buffer.ts";

test("items leave in the order they came, across growth and wrapping", () => {
  const ring = new RingBuffer<number>();
  let pushed = 0;
  let shifted = 0;
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < round % 13; i++) ring.push(pushed++);
    for (let i = 0; i < round % 11 && ring.size > 0; i++) {
      expect(ring.peek()).toBe(shifted);
      expect(ring.shift()).toBe(shifted++);
    }
    expect(ring.size).toBe(pushed - shifted);
  }
});

test("an empty buffer has nothing to give", () => {
  const ring = new RingBuffer<string>();
  expect(ring.peek()).toBeUndefined();
  expect(ring.shift()).toBeUndefined();
  ring.push("a");
  ring.clear();
  expect(ring.size).toBe(0);
  expect(ring.shift()).toBeUndefined();
});

test("it can be used again after a burst was drained", () => {
  const ring = new RingBuffer<number>();
  for (let i = 0; i < 1000; i++) ring.push(i);
  for (let i = 0; i < 1000; i++) expect(ring.shift()).toBe(i);
  ring.push(7);
  expect(ring.shift()).toBe(7);
});
