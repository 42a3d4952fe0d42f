import { expect, test } from "bun:test";
import { parseSeedList, readSeedList } from "./seed_list.ts";

test("a list of seeds has ranges, single ones, and remarks; each seed counts once", () => {
  expect(parseSeedList("# remark\n1-3 a range\n\n7 one\n2\n")).toEqual([1, 2, 3, 7]);
});

test("a line that is not a seed is refused", () => {
  expect(() => parseSeedList("seven")).toThrow("not a seed");
});

test("the fixed list has at least 300 seeds", () => {
  expect(readSeedList().length).toBeGreaterThanOrEqual(300);
});
