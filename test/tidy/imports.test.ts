import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkImports, RULES } from "./import_rules.ts";
import { readSource } from "./source_text.ts";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

function readSources(): Map<string, string> {
  const paths = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return new Map(paths.map((path) => [path.replaceAll("\\", "/"), readFileSync(join(SRC, path), "utf8")]));
}

/** The offences of one made-up file among others. */
function offencesOf(path: string, source: string, others: string[] = []): string[] {
  return checkImports(new Map([[path, source], ...others.map((other) => [other, ""] as const)]));
}

test("every import in src keeps the rules", () => {
  const sources = readSources();
  expect(sources.has("main.ts")).toBe(true);
  expect(checkImports(sources)).toEqual([]);
});

test("every rule names modules that have rules, and none its own", () => {
  for (const [module, rule] of Object.entries(RULES)) {
    expect(rule.imports).not.toContain(module);
    for (const name of rule.imports) expect(name === "gen" || Object.hasOwn(RULES, name)).toBe(true);
  }
});

test("no two modules may import each other", () => {
  const reaches = (from: string, to: string): boolean =>
    (RULES[from]?.imports ?? []).some((name) => name === to || reaches(name, to));
  for (const module of Object.keys(RULES)) expect(reaches(module, module)).toBe(false);
});

test("an import from above or beside is an offence, with its place and text", () => {
  expect(offencesOf("mvcc/a.ts", '\nimport { x } from "../lease/mod.ts";\n')).toEqual([
    'src/mvcc/a.ts:2: mvcc must not import lease: import { x } from "../lease/mod.ts";',
  ]);
  const cases: [path: string, specifier: string][] = [
    ["base/a.ts", "../io/log.ts"],
    ["io/a.ts", "./system/mod.ts"],
    ["raft/a.ts", "../io/log.ts"],
    ["watch/a.ts", "../lease/mod.ts"],
    ["keyspace/a.ts", "../membership/mod.ts"],
    ["apply/a.ts", "../io/disk.ts"],
    ["storage/wal/a.ts", "../../mvcc/mod.ts"],
    ["member/a.ts", "../api/mod.ts"],
    ["api/a.ts", "../storage/wal/mod.ts"],
    ["rpc/http2/a.ts", "../grpc/mod.ts"],
    ["rpc/grpc/a.ts", "../../api/mod.ts"],
    ["rpc/connect/a.ts", "../../member/mod.ts"],
    ["http/a.ts", "../member/mod.ts"],
    ["main.ts", "./member/mod.ts"],
  ];
  for (const [path, specifier] of cases) {
    expect(offencesOf(path, `import { x } from "${specifier}";`)).toEqual([
      expect.stringMatching(/must not import/),
    ]);
  }
});

test("every form of import is seen", () => {
  const forms = [
    'import type { X } from "../lease/mod.ts";',
    'import {\n  type X,\n  y,\n} from "../lease/mod.ts";',
    "import * as lease from '../lease/mod.ts'",
    'import "../lease/mod.ts";',
    'export * from "../lease/mod.ts";',
    'export { x } from "../lease/mod.ts";',
    'const lease = await import("../lease/mod.ts");',
    'type X = import("../lease/mod.ts").X;',
  ];
  for (const form of forms) expect(offencesOf("mvcc/a.ts", form)).toHaveLength(1);
});

test("a module is entered by its door alone", () => {
  const files = ["mvcc/mod.ts", "mvcc/b.ts", "cli/flags/mod.ts", "cli/flags/b.ts"];
  expect(offencesOf("watch/a.ts", 'import { x } from "../mvcc/b.ts";', files)).toEqual([
    expect.stringContaining("the only door is mvcc/mod.ts"),
  ]);
  expect(offencesOf("cli/a.ts", 'import { x } from "./flags/b.ts";', files)).toHaveLength(1);
  expect(offencesOf("cli/a.ts", 'import { x } from "./flags/mod.ts";', files)).toEqual([]);
  expect(offencesOf("mvcc/a.ts", 'import { x } from "./b.ts";', files)).toEqual([]);
});

test("only the edge imports node's modules, and only some modules packages", () => {
  expect(offencesOf("storage/wal/a.ts", 'import { open } from "node:fs";')).toHaveLength(1);
  expect(offencesOf("io/system/a.ts", 'import { open } from "node:fs";')).toEqual([]);
  expect(offencesOf("mvcc/a.ts", 'import { create } from "@bufbuild/protobuf";')).toHaveLength(1);
  expect(offencesOf("apply/a.ts", 'import { create } from "@bufbuild/protobuf";')).toEqual([]);
  expect(offencesOf("apply/a.ts", 'import { Hono } from "hono";')).toHaveLength(1);
  expect(offencesOf("rpc/http2/a.ts", 'import { Hono } from "hono";')).toHaveLength(1);
});

test("an import says where its file is", () => {
  expect(offencesOf("mvcc/a.ts", 'import { x } from "./b";')).toHaveLength(1);
  expect(offencesOf("mvcc/a.ts", 'import { x } from "../../test/b.ts";')).toHaveLength(1);
});

test("a folder without a rule is an offence", () => {
  expect(offencesOf("attic/a.ts", "")).toEqual([expect.stringContaining('"attic" has no rule')]);
});

test("the machine is out of reach below the edge, also by globals", () => {
  const uses = [
    "setTimeout(run, 10);",
    "clearInterval(timer);",
    "const now = Date.now();",
    "const now = new Date();",
    "const now = performance.now();",
    "const id = process.pid;",
    "crypto.getRandomValues(bytes);",
    "const x = Math.random();",
    "await fetch(url);",
    "console.log(x);",
    "Bun.file(path);",
    "globalThis.x = 1;",
    "const text = `at ${Date.now()}`;",
  ];
  for (const use of uses) {
    expect(offencesOf("raft/a.ts", use)).toEqual([expect.stringContaining("only the edge may touch the machine")]);
    expect(offencesOf("cli/a.ts", use)).toEqual([]);
  }
});

test("comments, strings and other people's names are no offence", () => {
  const innocent = [
    '// import { x } from "../lease/mod.ts";',
    "/* setTimeout() */",
    'const text = "process.exit()";',
    "const pattern = /console.log\\(\"'/; const a = 1 / 2;",
    "this.clock.setTimeout(x); options.crypto.sha1(data); this.#process.run();",
    "const dated = updateDate.valueOf(); refetch(x);",
    'const text = `// ${a} import "x" ${`${b}`} Date.now()`;',
  ];
  for (const source of innocent) expect(offencesOf("raft/a.ts", source)).toEqual([]);
});

test("line numbers survive what stands before", () => {
  const source = '/* a\nb */ const t = `x\n${y}\n`;\nconst s = "//";\nimport { x } from "../lease/mod.ts";\n';
  expect(offencesOf("mvcc/a.ts", source)[0]).toStartWith("src/mvcc/a.ts:6:");
  expect(readSource(source).codeOnly.split("\n")).toHaveLength(7);
});
