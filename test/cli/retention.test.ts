import { expect, test } from "bun:test";
import { parseRetention } from "../../src/cli/retention.ts";

test("a number is one of hours or of revisions, zero and nothing turn compaction off", () => {
  expect(parseRetention("periodic", "2")).toEqual({ mode: "periodic", periodMs: 7_200_000 });
  expect(parseRetention("revision", "1000")).toEqual({ mode: "revision", revisions: 1000 });
  expect(parseRetention("revision", "+0010")).toEqual({ mode: "revision", revisions: 10 });
  for (const text of ["", "0", "00", "0s", "-0s"]) expect(parseRetention("periodic", text)).toBeUndefined();
  expect(parseRetention("revision", "0")).toBeUndefined();
});

test("a duration is a period, or as many revisions as it has nanoseconds", () => {
  expect(parseRetention("periodic", "1h30m")).toEqual({ mode: "periodic", periodMs: 5_400_000 });
  expect(parseRetention("revision", "5us")).toEqual({ mode: "revision", revisions: 5000 });
});

test("what is neither is refused in etcd's words", () => {
  const cases: [string, string][] = [
    ["x", 'error parsing CompactionRetention: time: invalid duration "x"'],
    ["1.5", 'error parsing CompactionRetention: time: missing unit in duration "1.5"'],
    ["-5", 'error parsing CompactionRetention: time: missing unit in duration "-5"'],
    ["1d", 'error parsing CompactionRetention: time: unknown unit "d" in duration "1d"'],
    [
      "9223372036854775808",
      'error parsing CompactionRetention: time: missing unit in duration "9223372036854775808"',
    ],
  ];
  for (const [text, message] of cases) expect(() => parseRetention("revision", text)).toThrow(message);
});

test("a period that etcd would spin on is refused", () => {
  expect(() => parseRetention("periodic", "-5m")).toThrow("must not be negative (set to -5m)");
  expect(() => parseRetention("periodic", "5ms")).toThrow("must be at least 10ms (set to 5ms)");
});
