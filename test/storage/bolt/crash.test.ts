import { describe, expect, test } from "bun:test";
import { BoltDatabase, BoltError, type BoltRow, BoltWriter } from "../../../src/storage/bolt/mod.ts";
import { seeds } from "../../harness/seeds.ts";
import { type Operation, SimulatedDisk, SimulatedRandom } from "../../harness/simulated_disk.ts";
import {
  appended,
  type Contents,
  create,
  difference,
  fileOf,
  GROWING,
  openForWriting,
  PATH,
  randomSmall,
  readAll,
  sourceOf,
  sourcesOf,
  successiveRows,
  write,
} from "./support.ts";

const MOMENTS = ["crash-before", "crash-after"] as const;

describe("a power loss while appending", () => {
  for (const seed of seeds([1, 2, 3])) {
    test(`leaves the old state or the new one, at whichever operation it comes (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      const old = appended(new Map(), randomSmall(random), successiveRows(random, 0, 300));
      const rows = successiveRows(random, 300, 200);
      const others = randomSmall(random);
      const states: Record<string, Contents> = { old, new: appended(old, others, rows) };
      const file = await fileOf(old);
      const outcomes = new Set<string>();
      for (let crashAt = 1, isDone = false; !isDone; crashAt++) {
        for (const moment of MOMENTS) {
          const disk = new SimulatedDisk({
            seed: seed * 1000 + crashAt,
            fault: (operation) => operation.number === crashAt ? moment : undefined,
          });
          disk.place(PATH, file);
          isDone = await happens(appendOnce(disk, rows, others), disk);
          if (isDone) break;
          const database = await BoltDatabase.open(await openForWriting(disk.crash({ seed })));
          const outcome = database.txid === 2 ? "old" : "new";
          outcomes.add(outcome);
          await expectState(database, states[outcome]);
          // What an append that came to nothing has left behind is in nobody's way.
          const more = successiveRows(random, 500, 50);
          const writer = await BoltWriter.append(database, sourceOf(GROWING, more), sourcesOf(others));
          await expectState(await write(writer), appended(states[outcome], others, more));
        }
      }
      expect([...outcomes].sort()).toEqual(["new", "old"]);
    });
  }

  test("would leave what is neither, if the metas did not wait for the pages", async () => {
    const isBroken = async (seed: number, skipsSync: boolean): Promise<boolean> => {
      const random = new SimulatedRandom(seed);
      let syncs = 0;
      const disk = new SimulatedDisk({
        seed,
        skipSync: (operation) => operation.kind === "sync" && syncs++ === 0 && skipsSync,
        fault: (operation: Operation) => operation.kind === "write" && syncs === 1 ? "crash-after" : undefined,
      });
      disk.place(PATH, await fileOf(appended(new Map(), new Map(), successiveRows(random, 0, 100))));
      expect(await happens(appendOnce(disk, successiveRows(random, 100, 50), new Map()), disk)).toBe(false);
      const after = await disk.crash({ seed }, 0.5).open(PATH);
      try {
        const database = await BoltDatabase.open(after);
        await database.verifyAll();
        return false;
      } catch (error) {
        expect(error).toBeInstanceOf(BoltError);
        return true;
      }
    };
    const broken = { withSync: 0, without: 0 };
    for (let seed = 1; seed <= 20; seed++) {
      if (await isBroken(seed, false)) broken.withSync++;
      if (await isBroken(seed, true)) broken.without++;
    }
    expect(broken.withSync).toBe(0);
    expect(broken.without).toBeGreaterThan(0);
  });
});

describe("a power loss while a file is written whole", () => {
  test("leaves no database or all of it", async () => {
    const random = new SimulatedRandom(4);
    const contents = appended(new Map(), randomSmall(random), successiveRows(random, 0, 200));
    let found = 0;
    for (let crashAt = 1, isDone = false; !isDone; crashAt++) {
      for (let seed = 1; seed <= 6 && !isDone; seed++) {
        const disk = new SimulatedDisk({
          seed,
          fault: (operation) => operation.number === crashAt ? MOMENTS[seed % 2] : undefined,
        });
        const writing = (async () => await create(await openForWriting(disk), contents))();
        isDone = await happens(writing, disk);
        const file = await openForWriting(disk.crash({ seed }));
        try {
          const database = await BoltDatabase.open(file);
          expect(difference(contents, await readAll(database))).toBeUndefined();
          found++;
        } catch (error) {
          expect(error).toBeInstanceOf(BoltError);
        }
      }
    }
    expect(found).toBeGreaterThan(1);
  });
});

/** False if the power fails before `work` is done. */
function happens(work: Promise<unknown>, disk: SimulatedDisk): Promise<boolean> {
  return Promise.race([work.then(() => true), disk.crashed.then(() => false)]);
}

async function appendOnce(disk: SimulatedDisk, rows: BoltRow[], others: Contents): Promise<void> {
  const database = await BoltDatabase.open(await openForWriting(disk));
  await write(await BoltWriter.append(database, sourceOf(GROWING, rows), sourcesOf(others)));
}

async function expectState(database: BoltDatabase, contents: Contents): Promise<void> {
  expect([database.checksums, database.damage]).toEqual(["verified", undefined]);
  expect(difference(contents, await readAll(database))).toBeUndefined();
  expect(await database.check()).toEqual([]);
  await database.verifyAll();
}
