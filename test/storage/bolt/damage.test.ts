import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import { decodeMeta, encodeMeta, type Meta } from "../../../src/storage/bolt/format.ts";
import { BoltError, BoltWriter } from "../../../src/storage/bolt/mod.ts";
import { seeds } from "../../harness/seeds.ts";
import { SimulatedRandom } from "../../harness/simulated_disk.ts";
import {
  appended,
  bytesOf,
  type Contents,
  create,
  difference,
  fileOf,
  GROWING,
  newDisk,
  opened,
  openForWriting,
  randomSmall,
  readAll,
  sourceOf,
  sourcesOf,
  successiveRows,
  write,
} from "./support.ts";

const PAGE = 4096;

/** What a full read of the file says against it; undefined if it finds nothing. */
async function findDamage(bytes: Uint8Array): Promise<BoltError | undefined> {
  try {
    await (await opened(bytes)).verifyAll();
    return undefined;
  } catch (error) {
    if (!(error instanceof BoltError)) throw error;
    return error;
  }
}

function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >>> 3] ^= 1 << (bit & 7);
}

/** A file of several transactions, and what it holds. */
async function grownFile(seed: number, rounds: number): Promise<{ bytes: Uint8Array; contents: Contents }> {
  const random = new SimulatedRandom(seed);
  const disk = newDisk(seed);
  let contents = appended(new Map(), randomSmall(random), successiveRows(random, 0, 200));
  let database = await create(await openForWriting(disk), contents);
  for (let round = 1; round <= rounds; round++) {
    const rows = successiveRows(random, 1000 * round, random.below(100));
    const others = randomSmall(random);
    contents = appended(contents, others, rows);
    database = await write(await BoltWriter.append(database, sourceOf(GROWING, rows), sourcesOf(others)));
  }
  return { bytes: bytesOf(disk), contents };
}

/** The meta in page 0 or 1 of a file, which is in order. */
function metaOf(bytes: Uint8Array, page: number): Meta {
  const meta = decodeMeta(bytes.subarray(page * PAGE, (page + 1) * PAGE));
  if (typeof meta === "string") throw new Error(meta);
  return meta;
}

describe("a full read of a file of ours", () => {
  test("finds each single flipped bit", async () => {
    const bytes = await fileOf(new Map([["key", [{ key: utf8("a"), value: utf8("b") }]], ["meta", []]]));
    expect(bytes.length).toBe(4 * PAGE);
    expect(await findDamage(bytes)).toBeUndefined();
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      flip(bytes, bit);
      if (await findDamage(bytes) === undefined) throw new Error(`bit ${bit} is flipped, and nothing is said of it`);
      flip(bytes, bit);
    }
  }, 60_000);

  for (const seed of seeds([1, 2, 3])) {
    test(`finds flipped bits, dead pages included (seed ${seed})`, async () => {
      const { bytes } = await grownFile(seed, 5);
      const random = new SimulatedRandom(seed);
      expect(await findDamage(bytes)).toBeUndefined();
      for (let i = 0; i < 300; i++) {
        const bit = random.below(8 * bytes.length);
        flip(bytes, bit);
        if (await findDamage(bytes) === undefined) throw new Error(`bit ${bit} is flipped, and nothing is said of it`);
        flip(bytes, bit);
      }
    });
  }

  test("finds that its end is missing", async () => {
    const { bytes } = await grownFile(1, 2);
    for (let size = 0; size < bytes.length; size += 1 + size % 1013) {
      expect(await findDamage(bytes.slice(0, size))).toBeInstanceOf(BoltError);
    }
  });
});

describe("reading a damaged file of ours", () => {
  test("gives what was written or an error, and never anything else", async () => {
    const { bytes, contents } = await grownFile(4, 3);
    const random = new SimulatedRandom(4);
    let errors = 0;
    for (let i = 0; i < 200; i++) {
      const damaged = bytes.slice();
      for (let n = 1 + random.below(20); n > 0; n--) {
        damaged[2 * PAGE + random.below(bytes.length - 2 * PAGE)] = random.below(256);
      }
      try {
        const database = await opened(damaged);
        // Without checksums there is no saying, and it is told.
        if (database.damage === undefined) expect(difference(contents, await readAll(database))).toBeUndefined();
        else errors++;
      } catch (error) {
        expect(error).toBeInstanceOf(BoltError);
        errors++;
      }
    }
    expect(errors).toBeGreaterThan(100);
  });

  test("does not find fault with what is behind its checksums", async () => {
    const { bytes, contents } = await grownFile(2, 2);
    const longer = new Uint8Array(bytes.length + 3 * PAGE).fill(7);
    longer.set(bytes);
    const database = await opened(longer);
    await database.verifyAll();
    expect(difference(contents, await readAll(database))).toBeUndefined();
  });

  test("names file, page and what is wrong", async () => {
    const { bytes } = await grownFile(1, 0);
    flip(bytes, 8 * (5 * PAGE + 100));
    const database = await opened(bytes);
    await expect(readAll(database)).rejects.toThrow(
      `db, page 2: the checksum of bytes 0 to 65536 of the file does not match: they have changed since they were written`,
    );
  });
});

describe("the meta pages", () => {
  test("are read from the other one where one is damaged, and that is told", async () => {
    for (const page of [0, 1]) {
      const { bytes, contents } = await grownFile(3, 0);
      flip(bytes, 8 * (page * PAGE + 40));
      const database = await opened(bytes);
      expect(database.damage?.message).toBe(`db, page ${page}: the checksum of the meta page does not match`);
      expect(database.checksums).toBe("verified");
      expect(difference(contents, await readAll(database))).toBeUndefined();
    }
  });

  test("show the state before where the newest one is damaged", async () => {
    const { bytes } = await grownFile(3, 1);
    bytes.fill(0, PAGE, 2 * PAGE);
    const database = await opened(bytes);
    expect(database.txid).toBe(2);
    expect(database.damage?.message).toBe("db, page 1: this is not a meta page of a bolt database");
    expect(database.checksums).toBe("verified");
  });

  test("are both needed to be damaged for a file to be none", async () => {
    const { bytes } = await grownFile(3, 1);
    bytes.fill(0, 0, 2 * PAGE);
    await expect(opened(bytes)).rejects.toThrow("this is not a bolt database, or both its metas are damaged");
    await expect(opened(new Uint8Array(0))).rejects.toThrow(BoltError);
  });

  test("tell that another program has written since", async () => {
    const { bytes, contents } = await grownFile(3, 1);
    const meta = metaOf(bytes, 1);
    // As bolt does for a transaction that changes nothing but the transaction id.
    bytes.set(encodeMeta(0, { ...meta, txid: meta.txid + 1 }, undefined), 0);
    const database = await opened(bytes);
    expect([database.checksums, database.damage, database.livePages]).toEqual(["absent", undefined, undefined]);
    expect(difference(contents, await readAll(database))).toBeUndefined();
    await database.verifyAll();
  });

  test("tell of a mark that is neither ours nor absent", async () => {
    const { bytes, contents } = await grownFile(3, 1);
    flip(bytes, 8 * (PAGE + 100));
    const database = await opened(bytes);
    expect(database.checksums).toBe("damaged");
    expect(database.damage?.message).toContain("page 1: there is something behind the meta");
    expect(difference(contents, await readAll(database))).toBeUndefined();
    await expect(database.verifyAll()).rejects.toThrow(database.damage!.message);
  });

  test("tell of checksums that are damaged themselves", async () => {
    const { bytes, contents } = await grownFile(3, 1);
    flip(bytes, 8 * (metaOf(bytes, 1).highWater * PAGE + 1));
    const database = await opened(bytes);
    expect(database.checksums).toBe("damaged");
    expect(database.damage?.message).toContain("page 1: the checksums of the file do not match their own checksum");
    expect(difference(contents, await readAll(database))).toBeUndefined();
  });

  test("are not taken for those of a file that was damaged back to an older state", async () => {
    const { bytes } = await grownFile(3, 3);
    // The newest meta (page 1, transaction 5) is replaced by one from before the other.
    const old = { ...metaOf(bytes, 0), txid: 1 };
    bytes.set(encodeMeta(1, old, { livePages: 0, areaCrc: 0 }), PAGE);
    const database = await opened(bytes);
    expect(database.txid).toBe(4);
    expect(database.damage?.message).toBe("db, page 1: this meta page is not the one before the newest");
  });

  test("are not appended to while anything is wrong with them", async () => {
    const { bytes } = await grownFile(3, 1);
    flip(bytes, 8 * 40);
    const database = await opened(bytes);
    await expect(BoltWriter.append(database, sourceOf(GROWING, []), [])).rejects.toThrow("the file is our own");
  });
});
