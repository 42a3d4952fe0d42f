/**
 * Who may import whom in src, and who may touch the machine: ARCHITECTURE.md's rules as a table and a checker. The
 * checker reads sources from a map, so that a test can show it bad ones.
 */

import { dirname, join, normalize } from "node:path";
import { lineNumber, readSource } from "./source_text.ts";

interface Rule {
  /** Modules it may import besides itself. */
  readonly imports: readonly string[];
  /** Packages it may import. Default: none. */
  readonly packages?: "any" | readonly string[];
  /** It may use `node:*`, timers, the clock, the process and the network. Default: false. */
  readonly isAtEdge?: boolean;
}

const CORE = ["raft", "mvcc", "lease", "auth", "membership", "watch", "keyspace"];
const PROTOBUF = ["@bufbuild/protobuf"];

/** Modules by folder; "io/system" and the parts of rpc have rules of their own. */
export const RULES: Readonly<Record<string, Rule>> = {
  base: { imports: [] },
  wire: { imports: ["base"] },
  io: { imports: ["base"] },
  "io/system": { imports: ["base", "io"], packages: "any", isAtEdge: true },

  raft: { imports: ["base"] },
  mvcc: { imports: ["base"] },
  lease: { imports: ["base"] },
  auth: { imports: ["base"] },
  membership: { imports: ["base"] },
  watch: { imports: ["base", "mvcc"] },
  keyspace: { imports: ["base", "mvcc", "lease", "auth", "watch"] },
  apply: { imports: ["base", "gen", "wire", ...CORE], packages: PROTOBUF },

  storage: { imports: ["base", "io", "gen", "wire", "raft"], packages: PROTOBUF },
  peer: { imports: ["base", "io", "gen", "wire", "raft", "membership"], packages: PROTOBUF },
  member: { imports: ["base", "io", "gen", "wire", ...CORE, "apply", "storage", "peer"], packages: PROTOBUF },
  // The api speaks of what the core holds, and reaches it through the member alone: never raft, the disk or a peer.
  api: {
    imports: [
      "base",
      "io",
      "gen",
      "wire",
      "member",
      "apply",
      "keyspace",
      "mvcc",
      "lease",
      "auth",
      "membership",
      "watch",
    ],
    packages: PROTOBUF,
  },

  "rpc/http2": { imports: ["base", "io"], isAtEdge: true },
  "rpc/grpc": { imports: ["base", "io", "rpc/http2"], isAtEdge: true },
  "rpc/connect": { imports: ["base", "io", "gen", "wire", "api"], packages: "any", isAtEdge: true },
  http: {
    imports: ["base", "io", "gen", "wire", "api", "rpc/http2", "rpc/grpc", "rpc/connect"],
    packages: "any",
    isAtEdge: true,
  },
  console: { imports: ["base", "gen"], packages: "any", isAtEdge: true },
  client: { imports: ["base", "gen"], packages: "any" },
  cli: {
    imports: [
      ...["base", "io", "io/system", "gen", "wire", ...CORE, "apply", "storage", "peer", "member", "api"],
      ...["rpc/http2", "rpc/grpc", "rpc/connect", "http", "console"],
    ],
    packages: "any",
    isAtEdge: true,
  },
  main: { imports: ["cli"], isAtEdge: true },
};

/** What reaches the machine without an import. */
const GLOBALS = [
  /\b(?:set|clear)(?:Timeout|Interval|Immediate)\b/,
  /\bnew Date\b|\bDate\s*[.(]/,
  /\bperformance\s*\./,
  /\bprocess\s*\./,
  /\bcrypto\s*\.\s*(?:subtle|getRandomValues|randomUUID)\b/,
  /\bMath\s*\.\s*random\b/,
  /\bfetch\s*\(/,
  /\bconsole\s*\./,
  /\b(?:Bun|Deno)\s*\./,
  /\bglobalThis\b/,
];

/** Folders whose code nobody writes by hand. */
const GENERATED = "gen";

/** `files` maps paths below src ("mvcc/store.ts") to sources. Returns one line per offence, with path and line number. */
export function checkImports(files: ReadonlyMap<string, string>): string[] {
  const offences: string[] = [];
  for (const [path, source] of files) {
    const module = moduleOf(path);
    if (module === GENERATED) continue;
    const rule = RULES[module];
    if (rule === undefined) {
      offences.push(`src/${path}: the module "${module}" has no rule in test/tidy/import_rules.ts`);
      continue;
    }
    const { withoutComments, codeOnly } = readSource(source);
    const lines = source.split("\n");
    const report = (line: number, why: string) =>
      offences.push(`src/${path}:${line}: ${why}: ${lines[line - 1].trim()}`);

    for (const { specifier, line } of importsOf(withoutComments, codeOnly)) {
      const why = judge(path, module, rule, specifier, files);
      if (why !== undefined) report(line, why);
    }
    if (rule.isAtEdge) continue;
    for (const pattern of GLOBALS) {
      for (const match of codeOnly.matchAll(new RegExp(`(?<![.#$\\w])(?:${pattern.source})`, "g"))) {
        report(lineNumber(codeOnly, match.index), `only the edge may touch the machine (${match[0].trim()})`);
      }
    }
  }
  return offences;
}

/** Static imports and re-exports, types included, and dynamic imports; not what a string says. */
function importsOf(code: string, codeOnly: string): { specifier: string; line: number }[] {
  const found: { specifier: string; line: number }[] = [];
  const pattern =
    /\b(?:import|export)\b[^;"'`]*?\bfrom\s*(["'])(.+?)\1|\bimport\s*(["'])(.+?)\3|\bimport\s*\(\s*(["'`])(.+?)\5/g;
  for (const match of code.matchAll(pattern)) {
    if (codeOnly[match.index] === " ") continue;
    const specifier = match[2] ?? match[4] ?? match[6];
    found.push({ specifier, line: lineNumber(code, match.index + match[0].length - 1) });
  }
  return found;
}

/** Why `specifier` may not be imported there; undefined if it may. */
function judge(
  path: string,
  module: string,
  rule: Rule,
  specifier: string,
  files: ReadonlyMap<string, string>,
): string | undefined {
  if (specifier.startsWith("node:")) {
    return rule.isAtEdge ? undefined : `${module} must not touch the machine`;
  }
  if (!specifier.startsWith(".")) {
    const packages = rule.packages ?? [];
    const isAllowed = packages === "any" ||
      packages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
    return isAllowed ? undefined : `${module} must not use packages`;
  }
  const target = normalize(join(dirname(path), specifier));
  if (target.startsWith("..")) return "src must not import from outside src";
  if (!target.endsWith(".ts")) return "imports name their file, with .ts";
  const targetModule = moduleOf(target);
  if (targetModule !== module && !rule.imports.includes(targetModule)) {
    return `${module} must not import ${targetModule}`;
  }
  const door = closedDoor(path, target, files);
  return door === undefined ? undefined : `the only door is ${door}`;
}

/** The `mod.ts` that an import from outside its folder should have used; undefined if the import is right. */
function closedDoor(path: string, target: string, files: ReadonlyMap<string, string>): string | undefined {
  const parts = target.split("/");
  for (let length = 1; length < parts.length; length++) {
    const folder = parts.slice(0, length).join("/");
    const door = `${folder}/mod.ts`;
    if (path.startsWith(`${folder}/`) || !files.has(door)) continue;
    return target === door ? undefined : door;
  }
  return undefined;
}

/** "mvcc" of "mvcc/store.ts", "rpc/grpc" of "rpc/grpc/call.ts", "main" of "main.ts". */
function moduleOf(path: string): string {
  const parts = path.split("/");
  if (parts.length === 1) return parts[0].replace(/\.ts$/, "");
  const nested = parts.slice(0, 2).join("/");
  return parts.length > 2 && Object.hasOwn(RULES, nested) ? nested : parts[0];
}
