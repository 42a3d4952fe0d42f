import { describe, expect, test } from "bun:test";
import { freshSize, isCheckpointDue, isRewriteDue } from "../../src/member/checkpoint_policy.ts";

const MIB = 1 << 20;

describe("a checkpoint is due", () => {
  const options = { snapshotCount: 10_000, logSize: 16 * MIB, wholeSize: 0 };
  test.each([
    ["never without an entry", 0, 1000 * MIB, 1e6, false],
    ["not with few entries, however old", 9999, 127 * MIB, 1e6, false],
    ["with enough entries and log", 10_000, 16 * MIB, 0, true],
    ["not with enough small entries that are young", 10_000, 15 * MIB, 29_999, false],
    ["with enough small entries after a while", 10_000, 1, 30_000, true],
    ["with few entries of very much log", 200, 128 * MIB, 0, true],
  ])("%s", (_name, entryCount, logSize, ageMs, isDue) => {
    expect(isCheckpointDue({ entryCount, logSize, ageMs }, options)).toBe(isDue);
  });

  test("later where much is written whole each time", () => {
    const growth = { entryCount: 10_000, logSize: 39 * MIB, ageMs: 0 };
    expect(isCheckpointDue(growth, { ...options, wholeSize: 40 * MIB })).toBe(false);
    expect(isCheckpointDue({ ...growth, logSize: 40 * MIB }, { ...options, wholeSize: 40 * MIB })).toBe(true);
  });
});

describe("a file", () => {
  test("would keep its share of unused space when it is written anew", () => {
    const file = { size: 120 * MIB, liveSize: 110 * MIB, storedSize: 100 * MIB };
    expect(freshSize(file, 100 * MIB)).toBe(110 * MIB);
    expect(freshSize(file, 50 * MIB)).toBe(55 * MIB);
    expect(freshSize(file, 200 * MIB)).toBe(210 * MIB);
  });

  test("is written anew when more than half of it is dead, and not before", () => {
    const file = { size: 100 * MIB, liveSize: 100 * MIB, storedSize: 100 * MIB };
    expect(isRewriteDue(file, 100 * MIB)).toBe(false);
    expect(isRewriteDue(file, 50 * MIB)).toBe(false);
    expect(isRewriteDue(file, 49 * MIB)).toBe(true);
  });

  test("is not written anew for growing, whatever its pages waste", () => {
    for (const waste of [1, 1.3, 1.95]) {
      let storedSize = 10 * MIB;
      for (let round = 0; round < 50; round++) {
        const size = storedSize * waste;
        expect(isRewriteDue({ size, liveSize: size, storedSize }, storedSize + 16 * MIB)).toBe(false);
        storedSize += 16 * MIB;
      }
    }
  });

  test("that is small is left alone", () => {
    expect(isRewriteDue({ size: MIB, liveSize: 8192, storedSize: 0 }, 0)).toBe(false);
  });
});
