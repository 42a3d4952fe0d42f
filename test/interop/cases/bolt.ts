import { rmSync } from "node:fs";
import { join } from "node:path";
import { hex } from "../../../src/base/bytes.ts";
import { updateCrc32c } from "../../../src/base/crc32c.ts";
import { systemDisk } from "../../../src/io/system/mod.ts";
import { type BoltBucket, BoltDatabase, type BoltRow, BoltWriter } from "../../../src/storage/bolt/mod.ts";
import { SimulatedRandom } from "../../harness/simulated_disk.ts";
import {
  appended,
  type Contents,
  GROWING,
  randomContents,
  randomSmall,
  sourceOf,
  sourcesOf,
  successiveRows,
  write,
} from "../../storage/bolt/support.ts";
import { type Case, type Context, expectEqual } from "../context.ts";
import { executeOrThrow } from "../process.ts";
import { type Program, programPath } from "../tools.ts";

const VERSIONS = ["bolt-1.3", "bolt-1.4", "bolt-1.5"] as const;
/** bbolt does not find its own small files again if pages are smaller. */
const PAGE_SIZES = [1024, 4096, 16384, 65536];
/** Files of each version that are read, and files of ours that each version reads and writes on. */
const FILES = 10;

export const bolt: Case = {
  name: "bolt",
  about: "database files of bbolt 1.3, 1.4 and 1.5 read here, and ours read, checked and written on there",
  async run(context) {
    const random = new SimulatedRandom(context.settings.seed);
    let files = 0;
    for (const version of VERSIONS) {
      for (let i = 0; i < FILES; i++) {
        await readTheirs(context, version, random);
        await letThemRead(context, version, random);
        files += 2;
      }
    }
    return `seed ${context.settings.seed}: ${files} files`;
  },
};

/** A file by random transactions of bbolt, read here. */
async function readTheirs(context: Context, version: Program, random: SimulatedRandom): Promise<void> {
  const path = newPath(context);
  const written = await letWrite(version, path, random, PAGE_SIZES[random.below(PAGE_SIZES.length)]);
  await expectSame(`a file by ${version}`, path, written);
}

/** A file of ours after some appends: checked and read by bbolt, then written on by it and read here again. */
async function letThemRead(context: Context, version: Program, random: SimulatedRandom): Promise<void> {
  const path = newPath(context);
  const file = await systemDisk.open(path, { write: true, create: true });
  let contents = appended(new Map(), random.chance(0.5) ? randomContents(random) : new Map(), someRows(random, 0));
  let database = await write(BoltWriter.create(file, sourcesOf(contents)));
  for (let round = random.below(6); round > 0; round--) {
    const rows = someRows(random, 10_000 * (7 - round));
    const others = randomSmall(random);
    contents = appended(contents, others, rows);
    database = await write(await BoltWriter.append(database, sourceOf(GROWING, rows), sourcesOf(others)));
  }
  await writeSnapshot(database, `${path}.snapshot`);
  await file.close();
  for (const copy of [path, `${path}.snapshot`]) {
    const { stdout } = await executeOrThrow(programPath("bbolt"), ["check", copy]);
    if (stdout.trim() !== "OK") throw new Error(`bbolt check ${copy}: ${stdout}`);
    const read = await executeOrThrow(programPath(version), ["dump", copy]);
    expectEqual(`${copy} as ${version} reads it`, sorted(read.stdout), sorted(linesOf(contents)));
    const writtenOn = await letWrite(version, copy, random, 4096);
    await expectSame(`${copy} as ${version} has left it`, copy, writtenOn);
  }
}

/** Lets bbolt make some transactions on a file; returns what it then finds in it. */
async function letWrite(version: Program, path: string, random: SimulatedRandom, pageSize: number): Promise<string> {
  const transactions = 1 + random.below(40);
  const list = random.chance(0.5) ? "list" : "no-list";
  const seed = 1 + random.below(1_000_000_000);
  const args = ["write", path, String(seed), String(transactions), String(pageSize), list];
  return (await executeOrThrow(programPath(version), args)).stdout;
}

async function expectSame(what: string, path: string, theirs: string): Promise<void> {
  const file = await systemDisk.open(path);
  const database = await BoltDatabase.open(file);
  if (database.checksums !== "absent" || database.damage !== undefined) {
    throw new Error(`${what}: checksums ${database.checksums}, ${database.damage?.message}`);
  }
  // bbolt forgets to free a page now and then; then both checks have to say so.
  const lines = (await database.check()).map((problem) => `problem: ${problem}`);
  for (const name of await database.bucketNames()) {
    await dump((await database.bucket(name))!, hex(name), lines);
  }
  await file.close();
  expectEqual(`${what} (${path})`, sorted(theirs), sorted(lines.join("\n")));
  rmSync(path);
}

/** As the Go program prints it. */
async function dump(bucket: BoltBucket, path: string, lines: string[]): Promise<void> {
  lines.push(`${path} ${bucket.sequence}`);
  const scan = bucket.scan();
  const rows: BoltRow[] = [];
  while (
    await scan.step((bytes, keyStart, keySize, valueStart, valueSize) => {
      const key = bytes.slice(keyStart, keyStart + keySize);
      rows.push({ key, value: bytes.slice(valueStart, valueStart + valueSize) });
    })
  );
  for (const row of rows) lines.push(lineOf(path, row));
  for (const { key, value } of rows.slice(0, 20)) {
    const found = await bucket.get(key);
    if (found === undefined || hex(found) !== hex(value)) throw new Error(`${path}: ${hex(key)} is not found`);
  }
  for (const name of await bucket.bucketNames()) {
    await dump((await bucket.bucket(name))!, `${path}/${hex(name)}`, lines);
  }
}

function lineOf(path: string, { key, value }: BoltRow): string {
  return `${path} ${hex(key)} ${value.length} ${updateCrc32c(0, value).toString(16).padStart(8, "0")}`;
}

function linesOf(contents: Contents): string {
  return [...contents].flatMap(([name, rows]) => {
    const path = hex(new TextEncoder().encode(name));
    return [`${path} 0`, ...rows.map((row) => lineOf(path, row))];
  }).join("\n");
}

function sorted(text: string): string {
  return text.split("\n").filter((line) => line !== "").sort().join("\n");
}

function someRows(random: SimulatedRandom, from: number): BoltRow[] {
  return successiveRows(random, from, random.below([2, 60, 2000][random.below(3)]));
}

async function writeSnapshot(database: BoltDatabase, path: string): Promise<void> {
  rmSync(path, { force: true });
  const file = await systemDisk.open(path, { write: true, create: true });
  const bytes = new Uint8Array(database.size);
  await database.snapshot().read(bytes, 0);
  await file.write(bytes, 0);
  await file.close();
}

let nextPath = 0;

function newPath(context: Context): string {
  return join(context.directory, `${++nextPath}.db`);
}
