/**
 * Builds the Go programs the interop tests and the benchmark run: etcd and its own tools as Go modules (the `tool` lines of
 * go.mod), the programs of this folder, and other versions of etcd and bbolt, each a module in a folder of its own. They are built
 * once into the git-ignored cache; a stamp over the sources says when that has to happen again.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const PROJECT_DIRECTORY: string = fileURLToPath(new URL("../..", import.meta.url));
export const INTEROP_DIRECTORY: string = fileURLToPath(new URL(".", import.meta.url));
export const CACHE_DIRECTORY: string = join(PROJECT_DIRECTORY, ".cache", "interop");

const BINARY_DIRECTORY = join(CACHE_DIRECTORY, "bin");

/** Our own Go programs, each a folder of this module. */
const PROGRAMS = [
  "differential",
  "transport",
  "clientv3",
  "waldump",
  "load",
  "state",
  "authlog",
  "dbdump",
  "traffic",
  "spoil",
] as const;
/** What the `tool` lines produce; `server` is etcd itself. */
const TOOLS = [
  "server",
  "etcdctl",
  "etcdutl",
  "benchmark",
  "etcd-dump-logs",
  "etcd-dump-db",
  "bbolt",
  "h2spec",
] as const;

/** Other versions: the `tool` line of the go.mod in the folder of that name. Those of bbolt share the program in `bolt`. */
const OTHER_VERSIONS = ["etcd-3.5", "etcd-3.6", "bolt-1.3", "bolt-1.4", "bolt-1.5"] as const;

export type Program = typeof PROGRAMS[number] | typeof TOOLS[number] | typeof OTHER_VERSIONS[number];

/** Where a built program is. `buildTools` must have run. */
export function programPath(program: Program): string {
  return join(BINARY_DIRECTORY, program);
}

/** Thrown where the machine lacks something the tests cannot do without; its message is for people. */
export class MissingRequirement extends Error {}

/** Builds whatever is missing or older than its sources, telling of it on standard error. */
export async function buildTools(): Promise<void> {
  mkdirSync(BINARY_DIRECTORY, { recursive: true });
  const toolStamp = stampOf(["go.mod", "go.sum"]);
  const programStamp = stampOf(["go.mod", "go.sum", ...PROGRAMS.flatMap(goSources)]);
  if (isStale("tools", toolStamp, TOOLS)) {
    console.error("building etcd 3.7.1 and its tools (once; about a minute)...");
    await goBuild(INTEROP_DIRECTORY, `${BINARY_DIRECTORY}/`, ["tool"]);
    writeFileSync(stampPath("tools"), toolStamp);
  }
  if (isStale("programs", programStamp, PROGRAMS)) {
    console.error(`building ${PROGRAMS.join(", ")}...`);
    await goBuild(INTEROP_DIRECTORY, `${BINARY_DIRECTORY}/`, PROGRAMS.map((program) => `./${program}`));
    writeFileSync(stampPath("programs"), programStamp);
  }
  for (const name of OTHER_VERSIONS) {
    const shared = name.startsWith("bolt") ? goSources("bolt") : [];
    const stamp = stampOf([`${name}/go.mod`, `${name}/go.sum`, ...shared]);
    if (!isStale(name, stamp, [name])) continue;
    console.error(`building ${name} (once; about a minute)...`);
    await goBuild(join(INTEROP_DIRECTORY, name), programPath(name), ["tool"]);
    writeFileSync(stampPath(name), stamp);
  }
}

function goSources(program: string): string[] {
  return readdirSync(join(INTEROP_DIRECTORY, program)).filter((name) => name.endsWith(".go")).sort()
    .map((name) => join(program, name));
}

function stampOf(paths: string[]): string {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(path).update("\0").update(readFileSync(join(INTEROP_DIRECTORY, path)));
  return hash.digest("hex");
}

function stampPath(name: string): string {
  return join(BINARY_DIRECTORY, `.${name}.stamp`);
}

function isStale(name: string, stamp: string, programs: readonly Program[]): boolean {
  if (programs.some((program) => !existsSync(programPath(program)))) return true;
  return !existsSync(stampPath(name)) || readFileSync(stampPath(name), "utf8") !== stamp;
}

async function goBuild(directory: string, output: string, packages: string[]): Promise<void> {
  const go = spawn("go", ["build", "-o", output, ...packages], {
    cwd: directory,
    stdio: ["ignore", "inherit", "inherit"],
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    go.once("error", (error: NodeJS.ErrnoException) => {
      reject(
        error.code === "ENOENT"
          ? new MissingRequirement(
            "Go is not installed: these tests run etcd and its clients, which are built with Go 1.26",
          )
          : error,
      );
    });
    go.once("exit", resolve);
  });
  if (code !== 0) throw new Error(`go build ${packages.join(" ")} failed with exit code ${code}`);
}
