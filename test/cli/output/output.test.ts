import { expect, test } from "bun:test";
import { progressText, tableText } from "../../../src/cli/output/mod.ts";

test("a table is as wide as what is in it, with the odd space behind a title", () => {
  expect(tableText(["a", "long title"], [["1234", "x"], ["5", "longer than it"]])).toBe(
    "┌──────┬────────────────┐\n" +
      "│  A   │   LONG TITLE   │\n" +
      "├──────┼────────────────┤\n" +
      "│ 1234 │              x │\n" +
      "│    5 │ longer than it │\n" +
      "└──────┴────────────────┘\n",
  );
});

test("progress tells share, rate and the time left", () => {
  expect(progressText("saving", 100e6, 400e6, 1000)).toBe(
    "saving [========>                     ] 25% 100 MB of 400 MB, 100 MB/s, 3s left",
  );
  expect(progressText("saving", 0, 400e6, 0)).toContain("0% 0 B of 400 MB, 0 B/s");
  expect(progressText("saving", 0, 0, 0)).toContain("[==============================] 100%");
});
