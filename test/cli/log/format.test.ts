import { expect, test } from "bun:test";
import { encodeValue } from "../../../src/cli/log/encode.ts";
import { formatConsole, formatJson, type LogRecord, terminalFormat, timestamp } from "../../../src/cli/log/format.ts";
import { callerOf } from "../../../src/cli/log/logger.ts";

const record: LogRecord = {
  level: "warn",
  wallMs: Date.UTC(2026, 10, 22, 18, 34, 57, 675) + 0.978,
  logger: "raft",
  caller: "raft/core.ts:7",
  message: "slow",
  fields: { took: "7s", id: 2n ** 63n, error: new Error("no room"), left: undefined, urls: ["a", "b"] },
};

test("a JSON line has etcd's keys in etcd's order", () => {
  expect(formatJson(record)).toBe(
    `{"level":"warn","ts":"${timestamp(record.wallMs)}","logger":"raft","caller":"raft/core.ts:7","msg":"slow",` +
      `"took":"7s","id":9223372036854775808,"error":"no room","urls":["a","b"]}`,
  );
});

test("the server's own lines have no logger, and an unknown caller is left out", () => {
  const keys = Object.keys(JSON.parse(formatJson({ ...record, logger: "", caller: "", fields: undefined })));
  expect(keys).toEqual(["level", "ts", "msg"]);
});

test("the time has microseconds and a zone", () => {
  expect(timestamp(record.wallMs)).toMatch(/^2026-11-2\dT\d\d:\d\d:57\.675978(Z|[+-]\d{4})$/);
  expect(timestamp(Date.UTC(2026, 0, 1))).toMatch(/\.000000/);
});

test("the console form has columns between tabs and the fields at the end", () => {
  expect(formatConsole(record).split("\t").slice(1)).toEqual([
    "warn",
    "raft",
    "raft/core.ts:7",
    "slow",
    '{"took": "7s", "id": 9223372036854775808, "error": "no room", "urls": ["a", "b"]}',
  ]);
});

test("a terminal's line is readable, and coloured only if asked", () => {
  const plain = terminalFormat(false)(record);
  expect(plain).toMatch(
    /^\d\d:\d\d:57\.675 WARN {2}raft: slow +took=7s id=9223372036854775808 error="no room" urls=\["a","b"\]$/,
  );
  expect(terminalFormat(true)(record)).toContain("\x1b[33mWARN");
});

test("what comes from outside cannot act on the terminal", () => {
  const hostile: LogRecord = { ...record, message: "\x1b[2Ja\nb", fields: { "k\x1b": "\x1b]0;x\x07", v: "\x9b1m" } };
  expect(/\p{Cc}/u.test(terminalFormat(false)(hostile))).toBe(false);
});

test("every value has a JSON form", () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const cases: [unknown, string][] = [
    [1.5, "1.5"],
    [Number.NaN, '"NaN"'],
    [-Infinity, '"-Inf"'],
    [12345678901234567890n, "12345678901234567890"],
    [null, "null"],
    [undefined, "null"],
    [new Uint8Array([1, 2, 255]), '"AQL/"'],
    [{ a: { b: 1 }, c: undefined }, '{"a":{"b":1}}'],
    ["\ud800\n", JSON.stringify("\ud800\n")],
    [Symbol("s"), '"Symbol(s)"'],
  ];
  for (const [value, text] of cases) expect(encodeValue(value)).toBe(text);
  expect(() => JSON.parse(encodeValue(circular))).not.toThrow();
});

test("the caller is folder, file and line", () => {
  const stackWith = (frame: string) => `Error\n    at a\n    at b\n${frame}\n    at c`;
  expect(callerOf(stackWith("    at serve (file:///x/src/cli/serve.ts:42:7)"))).toBe("cli/serve.ts:42");
  expect(callerOf(stackWith("    at /x/src/cli/serve.ts:42:7"))).toBe("cli/serve.ts:42");
  expect(callerOf(stackWith("    at main.ts:42:7"))).toBe("main.ts:42");
  expect(callerOf(stackWith("    at native"))).toBe("");
  expect(callerOf(undefined)).toBe("");
});
