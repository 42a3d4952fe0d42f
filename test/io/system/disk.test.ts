import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemDisk } from "../../../src/io/system/mod.ts";

let root = "";

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "keelson-disk-"));
});

afterAll(() => rm(root, { recursive: true }));

const EXPECTED = `directory {"size":4096,"isDirectory":true,"mode":448}
missing undefined
allocated 100000
read 100 1 1 1 1 1 1 1 1 0 0 7 7
read at the end 10 0
locks true false
renamed {"size":70014,"isDirectory":false,"mode":384} undefined
lock after close true
EBADF | use ROOT/a/b/file: file is closed
ENOENT | open ROOT/nothing: no such file or directory
EEXIST | open ROOT/a/b/file.renamed: file already exists
ENOENT | list ROOT/nothing: no such file or directory
ENOSPC | write /dev/full: no space left on device
ENOTDIR | make directory ROOT/a/b/file.renamed/below: not a directory
list ax b bx cx
left 0
`;

const repository = new URL("../../..", import.meta.url).pathname;

test.each([
  ["Bun", [process.execPath]],
  ["Deno", [join(repository, "node_modules/.bin/deno"), "run", "-A", "--no-lock"]],
])("every operation does on %s what the interface says", (_name, command) => {
  const directory = join(root, _name);
  const script = new URL("exercise.ts", import.meta.url).pathname;
  const { stdout, stderr } = Bun.spawnSync([...command, script, directory], { cwd: repository });
  expect(stdout.toString().replace(/"size":\d+(,"isDirectory":true)/, '"size":4096$1') + errorsOf(stderr)).toBe(
    EXPECTED,
  );
});

function errorsOf(stderr: Uint8Array): string {
  return stderr.toString().split("\n").filter((line) => line.includes("rror")).join("\n");
}

test("allocated space is really there", async () => {
  const path = join(root, "allocated");
  const file = await systemDisk.open(path, { write: true, create: true });
  await file.allocate(1_000_000);
  await file.close();
  const { blocks, mode } = await stat(path);
  expect(blocks * 512).toBeGreaterThanOrEqual(1_000_000);
  expect(mode & 0o777).toBe(0o600);
});

test("a lock holds out another process", async () => {
  const path = join(root, "locked");
  const file = await systemDisk.open(path, { write: true, create: true });
  expect(await file.tryLock()).toBe(true);
  const other = `
    const { systemDisk } = await import(${
    JSON.stringify(new URL("../../../src/io/system/mod.ts", import.meta.url).href)
  });
    const file = await systemDisk.open(${JSON.stringify(path)}, { write: true });
    console.log(await file.tryLock());
  `;
  const tryOther = () => Bun.spawnSync([process.execPath, "-e", other]).stdout.toString().trim();
  expect(tryOther()).toBe("false");
  await file.close();
  expect(tryOther()).toBe("true");
});
