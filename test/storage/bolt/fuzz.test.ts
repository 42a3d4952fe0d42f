import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import { encodeMeta } from "../../../src/storage/bolt/format.ts";
import { BoltError } from "../../../src/storage/bolt/mod.ts";
import { seeds } from "../../harness/seeds.ts";
import { SimulatedRandom } from "../../harness/simulated_disk.ts";
import { appended, create, newDisk, opened, openForWriting, randomSmall, readAll, successiveRows } from "./support.ts";

const PAGE = 4096;
const FILES = 150;

/** What a field of a damaged page may hold, to be as misleading as possible. */
const NUMBERS = [0, 1, 2, 3, 4, 7, 15, 16, 17, 255, 4095, 4096, 4097, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff];

/** Bytes of a database without checksums, small enough to be read a thousand times. */
async function plainFile(random: SimulatedRandom): Promise<Uint8Array> {
  const contents = appended(new Map(), randomSmall(random), successiveRows(random, 0, random.below(600)).slice(0, 200));
  const database = await create(await openForWriting(newDisk(1)), contents);
  const bytes = new Uint8Array(database.size);
  await database.snapshot().read(bytes, 0);
  return bytes;
}

/** Reads all there is in every way. Nothing but BoltError may come of it, and it has to end. */
async function readEveryWay(bytes: Uint8Array): Promise<void> {
  const ways = [
    readAll,
    (database: Awaited<ReturnType<typeof opened>>) => database.check(),
    (database: Awaited<ReturnType<typeof opened>>) => database.get(utf8("key"), new Uint8Array(17)),
    async (database: Awaited<ReturnType<typeof opened>>) => {
      for (const name of await database.bucketNames()) await (await database.bucket(name))!.bucketNames();
    },
    (database: Awaited<ReturnType<typeof opened>>) => database.snapshot().read(new Uint8Array(100_000), 0),
  ];
  for (const way of ways) {
    try {
      await way(await opened(bytes));
    } catch (error) {
      if (!(error instanceof BoltError)) throw error;
    }
  }
}

describe("reading", () => {
  for (const seed of seeds([1, 2, 3, 4])) {
    test(`survives changed bytes (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      const bytes = await plainFile(random);
      for (let i = 0; i < FILES; i++) {
        const damaged = bytes.slice();
        for (let n = 1 + random.below(10); n > 0; n--) {
          damaged[2 * PAGE + random.below(bytes.length - 2 * PAGE)] = random.below(256);
        }
        await readEveryWay(damaged);
      }
    });

    test(`survives changed numbers in headers and elements (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      const bytes = await plainFile(random);
      const pages = bytes.length / PAGE;
      for (let i = 0; i < FILES; i++) {
        const damaged = bytes.slice();
        const view = new DataView(damaged.buffer);
        for (let n = 1 + random.below(6); n > 0; n--) {
          const field = (2 + random.below(pages - 2)) * PAGE + 4 * random.below(16);
          const number = random.chance(0.5) ? random.below(pages + 1) : NUMBERS[random.below(NUMBERS.length)];
          if (random.chance(0.3)) view.setUint16(field, number & 0xffff, true);
          else view.setUint32(field, number, true);
        }
        await readEveryWay(damaged);
      }
    });

    test(`survives pages in the place of others (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      const bytes = await plainFile(random);
      const pages = bytes.length / PAGE;
      for (let i = 0; i < FILES; i++) {
        const damaged = bytes.slice();
        const view = new DataView(damaged.buffer);
        for (let n = 1 + random.below(3); n > 0; n--) {
          const to = 2 + random.below(pages - 2);
          const from = 2 + random.below(pages - 2);
          damaged.copyWithin(to * PAGE, from * PAGE, (from + 1) * PAGE);
          view.setUint32(to * PAGE, to, true);
        }
        await readEveryWay(damaged);
      }
    });

    test(`survives bytes of no meaning behind metas that are in order (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      for (let i = 0; i < FILES; i++) {
        const pageSize = 512 << random.below(8);
        const pages = 3 + random.below(6);
        const bytes = new Uint8Array(pages * pageSize);
        for (let at = 0; at < bytes.length; at += 1 + random.below(40)) bytes[at] = random.below(256);
        const view = new DataView(bytes.buffer);
        for (let page = 2; page < pages; page++) {
          view.setUint32(page * pageSize, page, true);
          view.setUint32(page * pageSize + 4, 0, true);
          view.setUint16(page * pageSize + 8, [1, 2, 2, 16][random.below(4)], true);
          view.setUint16(page * pageSize + 10, random.below(4), true);
          view.setUint32(page * pageSize + 12, random.below(2), true);
        }
        const root = 2 + random.below(pages - 2);
        const freelist = random.chance(0.5) ? undefined : random.below(pages + 1);
        const meta = { pageSize, root, sequence: 0n, freelist, highWater: pages, txid: 7 };
        bytes.set(encodeMeta(random.below(2), meta, undefined), pageSize);
        await readEveryWay(bytes);
        await readEveryWay(bytes.slice(0, random.below(bytes.length)));
      }
    });
  }

  test("ends for branches that lead in circles, and into one another", async () => {
    const pages = 80;
    const bytes = new Uint8Array(pages * PAGE);
    const view = new DataView(bytes.buffer);
    for (let page = 2; page < pages; page++) {
      view.setUint32(page * PAGE, page, true);
      view.setUint16(page * PAGE + 8, 1, true);
      view.setUint16(page * PAGE + 10, 100, true);
      for (let i = 0; i < 100; i++) {
        const element = page * PAGE + 16 + 16 * i;
        // Each of 100 children is the next page, so there are 100 to the power of 78 ways; then back to the first.
        const child = page + 1 < pages ? page + 1 : 2;
        bytes[page * PAGE + 3000 + i] = i;
        view.setUint32(element, page * PAGE + 3000 + i - element, true);
        view.setUint32(element + 4, 1, true);
        view.setUint32(element + 8, child, true);
      }
    }
    const meta = { pageSize: PAGE, root: 2, sequence: 0n, freelist: undefined, highWater: pages, txid: 3 };
    bytes.set(encodeMeta(1, meta, undefined), PAGE);
    await readEveryWay(bytes);
    // The last of them is a leaf with one row: it cannot be come to twice.
    view.setUint16((pages - 20) * PAGE + 8, 2, true);
    view.setUint16((pages - 20) * PAGE + 10, 1, true);
    bytes.copyWithin((pages - 20) * PAGE + 16, (pages - 20) * PAGE + 2000, (pages - 20) * PAGE + 2016);
    view.setUint32((pages - 20) * PAGE + 20, 3000, true);
    view.setUint32((pages - 20) * PAGE + 24, 1, true);
    await readEveryWay(bytes);
    await expect(opened(bytes).then(readAll)).rejects.toThrow("not greater than the one before it");
  });

  test("ends for buckets nested more deeply than a stack", async () => {
    const count = 3000;
    const bytes = new Uint8Array((count + 3) * PAGE);
    const view = new DataView(bytes.buffer);
    for (let page = 2; page < count + 3; page++) {
      const start = page * PAGE;
      view.setUint32(start, page, true);
      view.setUint16(start + 8, 2, true);
      view.setUint16(start + 10, page + 1 < count + 3 ? 1 : 0, true);
      view.setUint32(start + 16, 1, true);
      view.setUint32(start + 20, 16, true);
      view.setUint32(start + 24, 1, true);
      view.setUint32(start + 28, 16, true);
      view.setUint32(start + 33, page + 1, true);
    }
    const meta = { pageSize: PAGE, root: 2, sequence: 0n, freelist: undefined, highWater: count + 3, txid: 3 };
    bytes.set(encodeMeta(1, meta, undefined), PAGE);
    expect(await (await opened(bytes)).check()).toEqual([]);
  });
});
