import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identifyDataDirectory } from "../../src/cli/data_directory.ts";
import { type Logger, silentLogger } from "../../src/io/log.ts";

const root = mkdtempSync(join(tmpdir(), "keelson-data-"));
afterAll(() => rmSync(root, { recursive: true }));

test("a directory that is missing or empty is new", async () => {
  expect(await identifyDataDirectory(join(root, "none"), silentLogger)).toBe("empty");
  mkdirSync(join(root, "empty"));
  expect(await identifyDataDirectory(join(root, "empty"), silentLogger)).toBe("empty");
});

test("a member has run where its directory is, and strange files are named", async () => {
  mkdirSync(join(root, "a", "member"), { recursive: true });
  writeFileSync(join(root, "a", "notes.txt"), "");
  const warnings: unknown[] = [];
  const log: Logger = { ...silentLogger, warn: (message, fields) => warnings.push([message, fields?.filename]) };
  expect(await identifyDataDirectory(join(root, "a"), log)).toBe("member");
  expect(warnings).toEqual([["found invalid file under data directory", "notes.txt"]]);
});

test("the directory of a proxy, or a file in its place, is refused", async () => {
  mkdirSync(join(root, "p", "proxy"), { recursive: true });
  await expect(identifyDataDirectory(join(root, "p"), silentLogger)).rejects.toThrow("v2 http proxy");
  mkdirSync(join(root, "p", "member"));
  await expect(identifyDataDirectory(join(root, "p"), silentLogger)).rejects.toThrow("invalid datadir");
  writeFileSync(join(root, "file"), "");
  await expect(identifyDataDirectory(join(root, "file"), silentLogger)).rejects.toThrow(
    "failed to list data directory",
  );
});
