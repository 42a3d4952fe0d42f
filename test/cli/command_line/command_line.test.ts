import { expect, test } from "bun:test";
import {
  type Command,
  CommandError,
  type Console,
  execute,
  type Flag,
  type Invocation,
} from "../../../src/cli/command_line/mod.ts";
import { silentLogger } from "../../../src/io/log.ts";

const FLAGS: readonly Flag[] = [
  { name: "all", shorthand: "a", kind: "bool", defaultValue: false, usage: "everything" },
  { name: "brief", shorthand: "b", kind: "bool", defaultValue: true, usage: "less" },
  { name: "count", shorthand: "c", kind: "uint64", defaultValue: 0n, usage: "how many" },
  { name: "rev", kind: "int64", defaultValue: 0n, usage: "which" },
  { name: "wait", kind: "duration", defaultValue: 1500, usage: "how long" },
  { name: "to", kind: "strings", defaultValue: ["x"], usage: "where to" },
];

/** Runs `args` below a small tree; `seen` is what the command was given. */
async function run(...args: string[]) {
  let seen: Invocation | undefined;
  const take = async (invocation: Invocation) => {
    seen = invocation;
    return 7;
  };
  const root: Command = {
    name: "tool",
    summary: "A tool",
    persistentFlags: [{ name: "out", shorthand: "w", kind: "string", defaultValue: "simple", usage: "form" }],
    missing: ["later"],
    subcommands: [
      { name: "copy", argumentsUsage: "<file>", summary: "Copies", flags: FLAGS, run: take },
      { name: "count", summary: "Counts", requiredFlags: ["of", "in"], flags: [named("of"), named("in")], run: take },
      { name: "group", summary: "Holds others", subcommands: [{ name: "inner", summary: "Is inside", run: take }] },
      {
        name: "fail",
        summary: "Fails",
        run: () => Promise.reject(new CommandError(42, "it did not work")),
      },
    ],
  };
  let out = "", error = "";
  const console: Console = {
    out: (text) => void (out += text),
    error: (text) => void (error += text),
    isTerminal: false,
    environment: {},
    log: { ...silentLogger, fatal: () => {} },
    onInterrupt: () => () => {},
  };
  const code = await execute(root, args, console);
  return { code, out, error, line: error.split("\n")[0], flags: seen?.flags, plain: seen?.arguments };
}

function named(name: string): Flag {
  return { name, kind: "string", defaultValue: "", usage: "" };
}

test("flags stand before, between and behind names and arguments, until two dashes", async () => {
  const { code, flags, plain } = await run("-w", "json", "--count=3", "copy", "one", "--all", "two", "--", "--brief");
  expect(code).toBe(7);
  expect(plain).toEqual(["one", "two", "--brief"]);
  expect([flags!.string("out"), flags!.integer("count"), flags!.boolean("all")]).toEqual(["json", 3n, true]);
  expect([flags!.isSet("count"), flags!.isSet("rev")]).toEqual([true, false]);
});

test("one-letter flags join, and take their value with or without =", async () => {
  for (const letters of [["-ac", "5"], ["-ac5"], ["-ac=5"], ["-a", "-c", "0x5"]]) {
    const { flags } = await run("copy", ...letters);
    expect([letters, flags!.boolean("all"), flags!.integer("count")]).toEqual([letters, true, 5n]);
  }
});

test("values are of their kind: exact integers, milliseconds, lists that join", async () => {
  const { flags } = await run(
    ...["copy", "--count=18446744073709551615", "--rev=-0x10", "--wait=1m0.5s"],
    ...["--to=a,b", "--to", "c", "--brief=false"],
  );
  expect(flags!.integer("count")).toBe(2n ** 64n - 1n);
  expect(flags!.integer("rev")).toBe(-16n);
  expect(flags!.duration("wait")).toBe(60_500);
  expect(flags!.strings("to")).toEqual(["a", "b", "c"]);
  expect(flags!.boolean("brief")).toBe(false);
});

test("a command goes by any beginning of its name that no other has", async () => {
  expect((await run("cop")).code).toBe(7);
  expect((await run("g", "i")).code).toBe(7);
  expect((await run("co")).line).toBe('Error: unknown command "co" for "tool"');
});

test("what cannot be read is said in Go's words, with the usage below and exit code 1", async () => {
  const cases: [args: string[], line: string][] = [
    [["copy", "--bogus"], "unknown flag: --bogus"],
    [["copy", "-az"], "unknown shorthand flag: 'z' in -z"],
    [["copy", "--=x"], "bad flag syntax: --=x"],
    [["copy", "--rev"], "flag needs an argument: --rev"],
    [["copy", "-c"], "flag needs an argument: 'c' in -c"],
    [
      ["copy", "--rev=x"],
      'invalid argument "x" for "--rev" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ],
    [
      ["copy", "-c", "-1"],
      'invalid argument "-1" for "-c, --count" flag: strconv.ParseUint: parsing "-1": invalid syntax',
    ],
    [
      ["copy", "--count=18446744073709551616"],
      'invalid argument "18446744073709551616" for "-c, --count" flag: strconv.ParseUint: ' +
      'parsing "18446744073709551616": value out of range',
    ],
    [
      ["copy", "--all=maybe"],
      'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [["copy", "--wait=5"], 'invalid argument "5" for "--wait" flag: time: missing unit in duration "5"'],
    [["copy", "--wait=5x"], 'invalid argument "5x" for "--wait" flag: time: unknown unit "x" in duration "5x"'],
    [["copy", "--wait=x"], 'invalid argument "x" for "--wait" flag: time: invalid duration "x"'],
    [["count", "--in=a"], 'required flag(s) "of" not set'],
    [["count"], 'required flag(s) "in", "of" not set'],
  ];
  for (const [args, line] of cases) {
    const { code, out, error, line: shown } = await run(...args);
    expect([code, out, shown]).toEqual([1, "", `Error: ${line}`]);
    expect(error).toContain("\nUsage:\n  tool ");
  }
});

test("an unknown command is told of with those that may be meant", async () => {
  const { code, error } = await run("cpy");
  expect(code).toBe(1);
  expect(error).toBe(
    'Error: unknown command "cpy" for "tool"\n\nDid you mean this?\n\tcopy\n\nRun \'tool --help\' for usage.\n',
  );
});

test("a command of etcd's that is not built yet says so, whatever its flags", async () => {
  const { code, line } = await run("later", "--with", "--flags");
  expect([code, line]).toEqual([
    1,
    expect.stringMatching(/^Error: tool later is not part of Keelson .* yet: etcd's own tool .* works with Keelson$/),
  ]);
});

test("help goes to standard output, for every command in three ways", async () => {
  const { code, out } = await run("copy", "--help");
  expect(code).toBe(0);
  expect(out).toBe(
    "Copies\n\nUsage:\n  tool copy <file> [flags]\n\nFlags:\n" +
      "  -a, --all             everything\n" +
      "  -b, --brief           less (default true)\n" +
      "  -c, --count uint      how many\n" +
      "  -h, --help            help for copy\n" +
      "      --rev int         which\n" +
      "      --to strings      where to (default [x])\n" +
      "      --wait duration   how long (default 1.5s)\n\n" +
      'Global Flags:\n  -w, --out string   form (default "simple")\n',
  );
  expect((await run("copy", "-h")).out).toBe(out);
  expect((await run("help", "copy")).out).toBe(out);
  expect((await run()).out).toContain("Available Commands:\n  copy        Copies\n");
  expect((await run("group", "unknown")).out).toContain("  inner       Is inside\n");
});

test("what a command throws is an error with its exit code, and no usage", async () => {
  expect(await run("fail")).toMatchObject({ code: 42, error: "Error: it did not work\n" });
});
