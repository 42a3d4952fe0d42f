import { describe, expect, test } from "bun:test";
import { DiskError } from "../../../src/io/disk.ts";
import { BoltDatabase, type BoltRow, BoltWriter } from "../../../src/storage/bolt/mod.ts";
import { seeds } from "../../harness/seeds.ts";
import { SimulatedRandom } from "../../harness/simulated_disk.ts";
import {
  appended,
  bytesOf,
  type Contents,
  create,
  difference,
  GROWING,
  newDisk,
  opened,
  openForWriting,
  randomContents,
  randomSmall,
  readAll,
  sourceOf,
  sourcesOf,
  successiveRows,
  write,
} from "./support.ts";

/** Pages of the trees of all buckets and of the bucket of buckets. */
async function reachablePages(database: BoltDatabase): Promise<number> {
  let pages = 0;
  for (const bucket of [database.root, ...await bucketsOf(database)]) {
    const walk = bucket.walk();
    while (await walk.next());
    pages += walk.pages;
  }
  return pages;
}

async function bucketsOf(database: BoltDatabase) {
  const names = await database.bucketNames();
  return await Promise.all(names.map(async (name) => (await database.bucket(name))!));
}

async function snapshotOf(database: BoltDatabase): Promise<BoltDatabase> {
  const bytes = new Uint8Array(database.size);
  await database.snapshot().read(bytes, 0);
  return await opened(bytes);
}

describe("appending", () => {
  for (const seed of seeds([1, 2, 3, 4])) {
    test(`gives the new state and leaves each earlier one readable (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      const disk = newDisk(seed);
      let count = random.below(400);
      let contents = appended(new Map(), randomContents(random), successiveRows(random, 0, count));
      let database = await create(await openForWriting(disk), contents);
      const history: { database: BoltDatabase; contents: Contents }[] = [{ database, contents }];
      for (let round = 0; round < 8; round++) {
        const rows = successiveRows(
          random,
          count,
          random.chance(0.3) ? 0 : random.below([3, 40, 400][random.below(3)]),
        );
        count += 1000;
        const others = random.chance(0.8) ? randomSmall(random) : new Map(contents);
        others.delete(GROWING);
        const writer = await BoltWriter.append(database, sourceOf(GROWING, rows), sourcesOf(others));
        contents = appended(contents, others, rows);
        database = await write(writer);
        if (random.chance(0.5)) database = await BoltDatabase.open(database.file);
        history.push({ database, contents });
        expect(difference(contents, await readAll(database))).toBeUndefined();
        expect(await database.check()).toEqual([]);
        expect([database.checksums, database.damage]).toEqual(["verified", undefined]);
        expect(database.livePages).toBe(await reachablePages(database));
        expect(database.livePages! + database.deadPages! + 2).toBe(database.highWater);
        expect([writer.livePages, writer.deadPages]).toEqual([database.livePages!, database.deadPages!]);
        expect(bytesOf(disk).length).toBe(writer.fileSize);
      }
      for (const state of history) {
        expect(difference(state.contents, await readAll(state.database))).toBeUndefined();
        await state.database.verifyAll();
      }
      const early = history[random.below(history.length)];
      const copy = await snapshotOf(early.database);
      expect(await copy.check()).toEqual([]);
      expect(difference(early.contents, await readAll(copy))).toBeUndefined();
    }, 30_000);
  }

  test("reads a state while the next one is being written", async () => {
    const random = new SimulatedRandom(3);
    const contents = appended(new Map(), new Map(), successiveRows(random, 0, 3000));
    const old = await create(await openForWriting(newDisk(1)), contents);
    const writer = await BoltWriter.append(old, sourceOf(GROWING, successiveRows(random, 3000, 3000)), []);
    const [, read] = await Promise.all([write(writer), readAll(old)]);
    expect(difference(contents, read)).toBeUndefined();
  });

  test("writes no page of the bucket that has not grown", async () => {
    const random = new SimulatedRandom(1);
    const contents = appended(new Map(), new Map(), successiveRows(random, 0, 2000));
    const database = await create(await openForWriting(newDisk(1)), contents);
    const writer = await BoltWriter.append(database, sourceOf(GROWING, []), []);
    await write(writer);
    // The root, the checksums and a meta.
    expect(writer.writeSize).toBe(3 * 4096);
  });

  test("needs rows behind the last one", async () => {
    const random = new SimulatedRandom(1);
    for (const count of [1, 7, 2000]) {
      const contents = appended(new Map(), new Map(), successiveRows(random, 0, count));
      const database = await create(await openForWriting(newDisk(1)), contents);
      const again = sourceOf(GROWING, contents.get(GROWING)!.slice(-1));
      await expect(write(await BoltWriter.append(database, again, []))).rejects.toThrow("in order");
    }
  });

  test("starts a bucket that was not there", async () => {
    const random = new SimulatedRandom(1);
    const empty = await create(await openForWriting(newDisk(1)), new Map());
    expect(await empty.check()).toEqual([]);
    const contents = appended(new Map(), new Map(), successiveRows(random, 0, 100));
    const database = await write(await BoltWriter.append(empty, sourcesOf(contents)[0], []));
    expect(difference(contents, await readAll(database))).toBeUndefined();
    expect(await database.check()).toEqual([]);
  });

  test("counts dead pages so that half of a file is dead after enough of them", async () => {
    const random = new SimulatedRandom(1);
    let database = await create(await openForWriting(newDisk(1)), new Map([[GROWING, successiveRows(random, 0, 10)]]));
    for (let i = 0; i < 20; i++) {
      database = await write(
        await BoltWriter.append(database, sourceOf(GROWING, successiveRows(random, 100 * i + 10, 1)), []),
      );
    }
    expect(database.deadPages!).toBeGreaterThan(database.livePages!);
  });
});

describe("an append without room on the disk", () => {
  test("fails, leaves the old state, and can be tried again", async () => {
    const random = new SimulatedRandom(2);
    const disk = newDisk(1);
    const contents = appended(new Map(), new Map(), successiveRows(random, 0, 500));
    const database = await create(await openForWriting(disk), contents);
    const rows = successiveRows(random, 500, 500);
    const next = appended(contents, new Map(), rows);
    const { fileSize } = await planned(database, rows);
    for (let room = fileSize - 1; room >= bytesOf(disk).length; room -= 10_007) {
      disk.capacity = room;
      const writer = await BoltWriter.append(database, sourceOf(GROWING, rows), []);
      await expect(write(writer)).rejects.toThrow(DiskError);
      expect(writer.isCommitting).toBe(false);
      const present = await BoltDatabase.open(database.file);
      expect([present.txid, present.checksums, present.damage]).toEqual([database.txid, "verified", undefined]);
      expect(difference(contents, await readAll(present))).toBeUndefined();
    }
    disk.capacity = fileSize;
    const written = await write(await BoltWriter.append(database, sourceOf(GROWING, rows), []));
    expect(difference(next, await readAll(written))).toBeUndefined();
  });
});

async function planned(database: BoltDatabase, rows: BoltRow[]): Promise<BoltWriter> {
  const writer = await BoltWriter.append(database, sourceOf(GROWING, rows), []);
  while (!writer.plan());
  return writer;
}
