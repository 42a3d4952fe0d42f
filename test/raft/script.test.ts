import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseScript, runScript, unknown } from "../interop/raft/script.ts";

function run(text: string, outputs: string[]): number {
  const directory = mkdtempSync(join(tmpdir(), "keelson-script-"));
  try {
    const path = join(directory, "example.txt");
    writeFileSync(path, text);
    return runScript(path, () => outputs.shift()!);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("directives are read with their arguments, input and output", () => {
  const text = [
    "# A comment.",
    "first a=1 list=(x, (y, z), 3) flag empty= \\",
    "  more=2",
    "input 1",
    "",
    "input 2",
    "----",
    "one",
    "",
    "second",
    "----",
    "----",
    "",
    "two",
    "----",
    "----",
    "",
    "third",
    "----",
  ].join("\n");
  const directives = parseScript(text, "name");
  expect(directives.map(({ place, command, input, expected }) => [place, command, input, expected])).toEqual([
    ["name:2", "first", "input 1\n\ninput 2", "one"],
    ["name:10", "second", "", "\ntwo"],
    ["name:18", "third", "", ""],
  ]);
  expect(directives[0].args).toEqual([
    { key: "a", values: ["1"] },
    { key: "list", values: ["x", "(y, z)", "3"] },
    { key: "flag", values: [] },
    { key: "empty", values: [""] },
    { key: "more", values: ["2"] },
  ]);
});

test("an output must be as written, byte for byte", () => {
  expect(run("a\n----\none\ntwo\n\nb\n----\nthree\n", ["one\ntwo\n", "three"])).toBe(2);
  expect(() => run("a\n----\none\n", ["one "])).toThrow("example.txt:1: a\n- one\n+ one ");
  expect(() => run("a\n----\none\ntwo\nthree\n", ["one\n2\nthree\n"])).toThrow("example.txt:1: a\n  one\n- two\n+ 2");
  expect(() => run("a\n----\none\n", ["one\none"])).toThrow();
  expect(() => run("a\n----\none\n", [""])).toThrow();
});

test("lines of the log do not count, on either side, and nothing but them is ok", () => {
  expect(run("a\n----\nINFO started\n  DEBUG more\none\n", ["one\nWARN other"])).toBe(1);
  expect(run("a\n----\nok\n\nb\n----\nERROR x\n", ["INFO 1 became leader", "ok"])).toBe(2);
  expect(() => run("a\n----\nINFORMED\n", [""])).toThrow();
});

test("what a runner does not know is an error with its place", () => {
  const [directive] = parseScript("\nnonsense\n----\n", "name");
  expect(unknown("command", directive).message).toBe('name:2: unknown command in "nonsense"');
});
