import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkLockFile, checkText } from "./repository_rules.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function trackedFiles(): string[] {
  const git = spawnSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  expect(git.status).toBe(0);
  // A file may be deleted and not yet committed.
  return git.stdout.split("\0").filter((path) => path !== "" && existsSync(join(ROOT, path)));
}

test("no tracked file holds what must not be in any", () => {
  const paths = trackedFiles();
  expect(paths).toContain("package.json");
  expect(paths.flatMap((path) => checkText(path, readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
});

test("the lock file pins packages by their content and not by where they came from", () => {
  expect(checkLockFile(readFileSync(join(ROOT, "package-lock.json"), "utf8"))).toEqual([]);
});

/** Put together here, so that this file does not hold what it forbids. */
const BAD_LINES = [
  ["const path = '", "/ho", "me/me/project';"],
  ["open(`", "/ro", "ot/.cache`)"],
  ["cd ", "/Us", "ers/me"],
  ["C:", "\\Users", "\\me"],
  ["https://registry", ".npmjs", ".org/x"],
  ["GOPROXY=https://proxy", ".golang", ".org"],
  ["// TO", "DO: later"],
  ["test", ".skip", "('x', () => {})"],
  ["describe", ".only", "('x', () => {})"],
].map((parts) => parts.join(""));

test("each thing that must not be in a file is found, with its place", () => {
  for (const line of BAD_LINES) {
    expect(checkText("test/x.test.ts", `a\n${line}\nb`)).toEqual([expect.stringMatching(/^test\/x\.test\.ts:2: /)]);
  }
});

test("ordinary text is no offence", () => {
  const innocent = "https://example.com/home/page\n./root/x\nsrc/work/x\nconst latest = tests.skipped;\n/healthz\n";
  expect(checkText("test/x.test.ts", innocent)).toEqual([]);
});

test("a lock file that names a host, or no content, is found", () => {
  const lock = { packages: { "": {}, "node_modules/a": { resolved: "https://x/a.tgz" } } };
  expect(checkLockFile(JSON.stringify(lock))).toHaveLength(2);
});
