import { expect, test } from "bun:test";
import { msFromTimestamp, timestampOf } from "../../src/peer/timestamp.ts";

test("times are written as the platform writes them, through leap years and before 1970", () => {
  for (let ms = -5e12; ms < 2e13; ms += 86_399_123_457) {
    expect(timestampOf(ms)).toBe(new Date(ms).toISOString());
    expect(msFromTimestamp(timestampOf(ms))).toBe(ms);
  }
});

test.each([
  ["2026-11-23T01:02:03Z"],
  ["2024-02-29T23:59:59.123456789Z"],
  ["2026-11-23T01:02:03.5+05:30"],
  ["2000-03-01T00:00:00.000000001-08:00"],
])("%s is read as Go writes it", (text) => {
  expect(Math.floor(msFromTimestamp(text)!)).toBe(Date.parse(text.replace(/(\.\d{3})\d+/, "$1")));
});

test.each(["", "now", "2026-13-01T00:00:00Z", "2026-11-23 01:02:03Z", "2026-11-23T01:02:03"])(
  "%j is no time",
  (text) => {
    expect(msFromTimestamp(text)).toBeUndefined();
  },
);
