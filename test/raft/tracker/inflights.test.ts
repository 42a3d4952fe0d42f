import { expect, test } from "bun:test";
import fc from "fast-check";
import { Inflights } from "../../../src/raft/tracker/mod.ts";

test("any sequence of additions and acknowledgements agrees with a plain list", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("add" as const), gap: fc.nat(3), bytes: fc.nat(50) }) },
    fc.record({ kind: fc.constant("free" as const), back: fc.integer({ min: -2, max: 20 }) }),
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reset" as const), chance: fc.nat(9) }) },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(0, 1, 100, 400),
      fc.array(step, { maxLength: 300, size: "max" }),
      (countMax, bytesMax, steps) => {
        const inflights = new Inflights(countMax, bytesMax);
        let model: { index: number; bytes: number }[] = [];
        let last = 0;
        for (const step of steps) {
          if (step.kind === "add" && !inflights.isFull) {
            last += step.gap;
            inflights.add(last, step.bytes);
            model.push({ index: last, bytes: step.bytes });
          } else if (step.kind === "free") {
            inflights.freeThrough(last - step.back);
            model = model.filter(({ index }) => index > last - step.back);
          } else if (step.kind === "reset" && step.chance === 0) {
            inflights.reset();
            model = [];
          }
          const bytes = model.reduce((sum, message) => sum + message.bytes, 0);
          expect([inflights.count, inflights.bytes]).toEqual([model.length, bytes]);
          expect(inflights.isFull).toBe(model.length === countMax || (bytesMax > 0 && bytes >= bytesMax));
        }
      },
    ),
  );
});

test("the bound on bytes is soft: the message that reaches it is taken, the next one is not", () => {
  const inflights = new Inflights(10, 100);
  inflights.add(1, 99);
  expect(inflights.isFull).toBe(false);
  inflights.add(2, 1000);
  expect(inflights.isFull).toBe(true);
  expect(() => inflights.add(3, 1)).toThrow("room for one more");
});

test("the bound on the count may be without end", () => {
  const inflights = new Inflights(Number.MAX_SAFE_INTEGER, 0);
  for (let index = 1; index <= 1000; index++) inflights.add(index, 1);
  inflights.freeThrough(999);
  expect(inflights.count).toBe(1);
});
