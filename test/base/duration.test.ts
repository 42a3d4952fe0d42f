import { expect, test } from "bun:test";
import { durationProblem, formatDuration, parseDuration } from "../../src/base/duration.ts";

test("a duration is written as Go writes it", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [0.000001, "1ns"],
    [0.0011, "1.1\u00b5s"],
    [2.2, "2.2ms"],
    [100, "100ms"],
    [1000, "1s"],
    [3300, "3.3s"],
    [-1500, "-1.5s"],
    [60_000, "1m0s"],
    [5 * 60_000 + 5001, "5m5.001s"],
    [7_200_000, "2h0m0s"],
    [123.456789, "123.456789ms"],
  ];
  for (const [milliseconds, text] of cases) expect(formatDuration(milliseconds)).toBe(text);
});

test("a duration is read as Go reads it", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["+0", 0],
    ["5s", 5000],
    ["-1.5h", -5_400_000],
    ["1h2m3.5s", 3_723_500],
    ["100ms", 100],
    ["10us", 0.01],
    ["10\u00b5s", 0.01],
    [".5s", 500],
    ["1.s", 1000],
    ["7ns", 0.000007],
  ];
  for (const [text, milliseconds] of cases) expect(parseDuration(text)).toBe(milliseconds);
});

test("what Go refuses is refused", () => {
  for (const text of ["", "5", "s", "1.5", "1d", "1 s", "--1s", ".s", "1e3s", "3000000h"]) {
    expect(parseDuration(text)).toBeUndefined();
  }
});

test("what Go refuses is explained in its words", () => {
  const cases: [string, string][] = [
    ["", 'time: invalid duration ""'],
    ["x", 'time: invalid duration "x"'],
    ["-", 'time: invalid duration "-"'],
    ["5", 'time: missing unit in duration "5"'],
    ["-5", 'time: missing unit in duration "-5"'],
    ["1h5", 'time: missing unit in duration "1h5"'],
    ["1d", 'time: unknown unit "d" in duration "1d"'],
    ["1h 2m", 'time: unknown unit "h " in duration "1h 2m"'],
    ["3000000h", 'time: invalid duration "3000000h"'],
  ];
  for (const [text, problem] of cases) expect(durationProblem(text)).toBe(problem);
});
