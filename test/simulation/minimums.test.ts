import { expect, test } from "bun:test";
import { checkMinimums } from "./minimums.ts";
import { Coverage } from "./world/coverage.ts";

test("what a hundred seeds never met is told", () => {
  expect(checkMinimums(new Coverage(), 100)).toContain("members that joined: 0, at least 35 in 100 seeds");
});

test("few seeds are not expected to meet everything", () => {
  expect(checkMinimums(new Coverage(), 99)).toEqual([]);
});
