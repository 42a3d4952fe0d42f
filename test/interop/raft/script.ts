/**
 * The text scripts of the Go module go.etcd.io/raft/v3, read where Go keeps it: a directive (command, arguments, lines of
 * input), `----`, and the output it must have.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { executeOrThrow } from "../process.ts";
import { INTEROP_DIRECTORY } from "../tools.ts";

export interface Argument {
  readonly key: string;
  /** `key=a` has one, `key=(a, b)` two, `key` none. */
  readonly values: readonly string[];
}

export interface Directive {
  /** File and line, for people. */
  readonly place: string;
  readonly command: string;
  readonly args: readonly Argument[];
  /** The lines between the directive and `----`. */
  readonly input: string;
  readonly expected: string;
  /** Where that is: from this line on, up to another. Both counted from 0. */
  readonly expectedFrom: number;
  readonly expectedTo: number;
}

/** The module's directory; downloads it at the version that go.mod names if need be. */
export async function raftModuleDirectory(): Promise<string> {
  const parameters = ["list", "-m", "-f", "{{.Dir}}", "go.etcd.io/raft/v3"];
  const find = async () => (await executeOrThrow("go", parameters, { directory: INTEROP_DIRECTORY })).stdout.trim();
  const directory = await find();
  if (directory !== "" && existsSync(directory)) return directory;
  await executeOrThrow("go", ["mod", "download", "go.etcd.io/raft/v3"], { directory: INTEROP_DIRECTORY });
  return await find();
}

/** The scripts of one folder of the module, of which there must be `count`: a folder that lost some proves nothing. */
export function scriptPaths(moduleDirectory: string, folder: string, count: number): string[] {
  const directory = join(moduleDirectory, folder);
  const names = readdirSync(directory).filter((name) => name.endsWith(".txt")).sort();
  if (names.length !== count) throw new Error(`${folder} holds ${names.length} scripts, not ${count}`);
  return names.map((name) => join(directory, name));
}

/** Runs every directive of a script and returns how many; throws at the first output that is not as written. */
export function runScript(path: string, run: (directive: Directive) => string): number {
  const directives = parseScript(readFileSync(path, "utf8"), basename(path));
  for (const directive of directives) {
    const actual = comparable(run(directive));
    const expected = comparable(directive.expected);
    if (actual !== expected) {
      throw new Error(`${directive.place}: ${directive.command}\n${difference(expected, actual)}`);
    }
  }
  return directives.length;
}

/** Thrown for what a runner does not know: never passed over. */
export function unknown(what: string, directive: Directive): Error {
  return new Error(`${directive.place}: unknown ${what} in "${directive.command}"`);
}

/** What counts of an output: not the log lines, which are worded as each implementation likes. */
function comparable(output: string): string {
  const kept = output.split("\n").filter((line) => !/^\s*(?:DEBUG|INFO|WARN|ERROR)\b/.test(line));
  if (kept.at(-1) === "") kept.pop();
  return kept.length === 0 ? "ok" : kept.join("\n");
}

/** The lines between the first and the last that differ, and one before them. */
function difference(expected: string, actual: string): string {
  const before = expected.split("\n");
  const after = actual.split("\n");
  let start = 0;
  while (start < before.length && before[start] === after[start]) start++;
  let same = 0;
  const most = Math.min(before.length, after.length) - start;
  while (same < most && before.at(-1 - same) === after.at(-1 - same)) same++;
  return [
    ...before.slice(Math.max(start - 1, 0), start).map((line) => `  ${line}`),
    ...before.slice(start, before.length - same).map((line) => `- ${line}`),
    ...after.slice(start, after.length - same).map((line) => `+ ${line}`),
  ].join("\n");
}

export function parseScript(text: string, name: string): Directive[] {
  const lines = text.split("\n");
  const directives: Directive[] = [];
  let at = 0;
  while (at < lines.length) {
    const place = `${name}:${at + 1}`;
    let line = lines[at++].trim();
    if (line === "" || line.startsWith("#")) continue;
    while (line.endsWith("\\")) line = `${line.slice(0, -1)} ${lines[at++].trim()}`;
    const { command, args } = parseLine(line, place);
    const separator = lines.indexOf("----", at);
    if (separator < 0) throw new Error(`${place}: no ---- after the directive`);
    const input = lines.slice(at, separator).join("\n").trim();
    const { expected, end, next } = readExpected(lines, separator + 1);
    directives.push({ place, command, args, input, expected, expectedFrom: separator + 1, expectedTo: end });
    at = next;
  }
  return directives;
}

/** Up to an empty line; between two doubled separators, output that contains empty lines itself. */
function readExpected(lines: readonly string[], start: number): { expected: string; end: number; next: number } {
  if (lines[start] !== "----") {
    let end = start;
    while (end < lines.length && lines[end].trim() !== "") end++;
    return { expected: lines.slice(start, end).join("\n"), end, next: end };
  }
  let end = start + 1;
  while (end < lines.length && !(lines[end] === "----" && lines[end + 1] === "----")) end++;
  return { expected: lines.slice(start + 1, end).join("\n"), end: end + 2, next: end + 2 };
}

/** Words, some with `=value` or `=(value, value)`; parentheses nest. */
function parseLine(line: string, place: string): { command: string; args: Argument[] } {
  const [command] = line.split(" ", 1);
  const args: Argument[] = [];
  let rest = line.slice(command.length).trim();
  while (rest !== "") {
    const key = /^[^ =]+/.exec(rest)?.[0];
    if (key === undefined) throw new Error(`${place}: cannot read the arguments at "${rest}"`);
    rest = rest.slice(key.length);
    let values: string[] = [];
    if (rest.startsWith("=(")) {
      const end = closingParenthesis(rest, place);
      values = splitList(rest.slice(2, end));
      rest = rest.slice(end + 1);
    } else if (rest.startsWith("=")) {
      const value = /^=[^ ]*/.exec(rest)![0];
      values = [value.slice(1)];
      rest = rest.slice(value.length);
    }
    args.push({ key, values });
    rest = rest.trim();
  }
  return { command, args };
}

function closingParenthesis(text: string, place: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "(") depth++;
    if (text[at] === ")" && --depth === 0) return at;
  }
  throw new Error(`${place}: a parenthesis is not closed`);
}

function splitList(text: string): string[] {
  const values: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= text.length; at++) {
    if (text[at] === "(") depth++;
    if (text[at] === ")") depth--;
    if (at < text.length && (text[at] !== "," || depth > 0)) continue;
    values.push(text.slice(start, at).trimStart());
    start = at + 1;
  }
  return values;
}
