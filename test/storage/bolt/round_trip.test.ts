import { describe, expect, test } from "bun:test";
import { equalBytes, utf8 } from "../../../src/base/bytes.ts";
import { decodeMeta } from "../../../src/storage/bolt/format.ts";
import { BoltDatabase, BoltWriter, bucketOfRows } from "../../../src/storage/bolt/mod.ts";
import { seeds } from "../../harness/seeds.ts";
import { SimulatedDisk, SimulatedRandom } from "../../harness/simulated_disk.ts";
import {
  bytesOf,
  type Contents,
  create,
  difference,
  newDisk,
  opened,
  openForWriting,
  randomContents,
  randomValue,
  readAll,
  sourceOf,
  sourcesOf,
  successiveRows,
  write,
} from "./support.ts";

describe("a file written whole", () => {
  for (const seed of seeds([1, 2, 3, 4])) {
    test(`holds what was written, whatever the sizes (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      for (let round = 0; round < 3; round++) {
        const contents = randomContents(random);
        const disk = newDisk(seed);
        const writer = BoltWriter.create(await openForWriting(disk), sourcesOf(contents));
        const written = await write(writer);
        const database = await BoltDatabase.open(await openForWriting(disk));
        for (const state of [written, database]) expect(difference(contents, await readAll(state))).toBeUndefined();
        expect(bytesOf(disk).length).toBe(writer.fileSize);
        expect(database.checksums).toBe("verified");
        expect(database.damage).toBeUndefined();
        expect(database.livePages).toBe(writer.livePages);
        expect(database.deadPages).toBe(0);
        expect(await database.check()).toEqual([]);
        await database.verifyAll();
      }
    }, 30_000);
  }

  test("finds each of its keys, and no other", async () => {
    const random = new SimulatedRandom(5);
    const contents: Contents = new Map();
    for (const keySize of [2, 40, 5000]) {
      const rows = new Map<string, { key: Uint8Array; value: Uint8Array }>();
      for (let i = 0; i < 300; i++) {
        const key = randomValue(random, keySize);
        rows.set(key.toString(), { key, value: randomValue(random, random.below(400)) });
      }
      contents.set(`keys of ${keySize}`, [...rows.values()]);
    }
    const disk = newDisk(1);
    const buckets = [...contents].map(([name, rows]) => bucketOfRows(utf8(name), rows));
    const database = await write(BoltWriter.create(await openForWriting(disk), buckets));
    for (const [name, rows] of contents) {
      for (const { key, value } of rows) {
        const found = await database.get(utf8(name), key);
        expect(found !== undefined && equalBytes(found, value)).toBe(true);
        const longer = new Uint8Array([...key, 0]);
        expect(await database.get(utf8(name), longer)).toBeUndefined();
      }
      expect(await database.get(utf8(name), new Uint8Array([255, 255, 255]))).toBeUndefined();
      expect(await database.get(utf8(name), new Uint8Array(1))).toBeUndefined();
    }
    expect(await database.get(utf8("absent"), utf8("key"))).toBeUndefined();
  });

  test("is as a snapshot a file of its own, without our checksums", async () => {
    const random = new SimulatedRandom(9);
    for (let round = 0; round < 3; round++) {
      const contents = randomContents(random);
      const database = await create(await openForWriting(newDisk(1)), contents);
      const snapshot = database.snapshot();
      expect(snapshot.size).toBe(database.size);
      const bytes = new Uint8Array(snapshot.size);
      for (let position = 0; position < snapshot.size;) {
        const part = bytes.subarray(position, position + 1 + random.below(100_000));
        expect(await snapshot.read(part, position)).toBe(part.length);
        position += part.length;
      }
      expect(await snapshot.read(new Uint8Array(10), snapshot.size)).toBe(0);
      expect(await snapshot.read(new Uint8Array(10), snapshot.size - 4)).toBe(4);
      const copy = await opened(bytes);
      expect(copy.checksums).toBe("absent");
      expect(copy.txid).toBe(database.txid);
      expect(decodeMeta(bytes.subarray(4096))).toEqual({ ...database.meta, txid: database.txid - 1 });
      expect(await copy.check()).toEqual([]);
      expect(difference(contents, await readAll(copy))).toBeUndefined();
    }
  });

  for (const seed of seeds([1, 2, 3])) {
    test(`is read right in whatever order its pieces are asked for (seed ${seed})`, async () => {
      const random = new SimulatedRandom(seed);
      const rows = Array.from({ length: 12 }, (_, i) => ({
        key: new Uint8Array([i]),
        value: randomValue(random, 200_000),
      }));
      const disk = newDisk(seed);
      const database = await create(await openForWriting(disk), new Map([["key", rows]]));
      const bytes = bytesOf(disk);
      const snapshot = database.snapshot();
      const target = new Uint8Array(50_000);
      // Several places that are read on from in turn, so that what was read ahead for one is wanted much later, or never.
      const positions = Array.from({ length: 5 }, () => 8192 + random.below(database.size - 8192));
      for (let i = 0; i < 1500; i++) {
        const place = random.below(positions.length);
        const position = random.chance(0.3) ? 8192 + random.below(database.size - 8192) : positions[place];
        const part = target.subarray(0, 1 + random.below(target.length));
        const count = await snapshot.read(part, position);
        expect(equalBytes(part.subarray(0, count), bytes.subarray(position, position + count))).toBe(true);
        // Some go on from where they were before.
        if (random.chance(0.5)) positions[place] = position + count < database.size ? position + count : 8192;
      }
    });
  }

  test("is read right where what was read ahead is wanted only after much else, and again", async () => {
    const random = new SimulatedRandom(1);
    const rows = Array.from(
      { length: 12 },
      (_, i) => ({ key: new Uint8Array([i]), value: randomValue(random, 1_000_000) }),
    );
    const disk = newDisk(1);
    const database = await create(await openForWriting(disk), new Map([["key", rows]]));
    const bytes = bytesOf(disk);
    const snapshot = database.snapshot();
    const last = Math.floor(database.size / 65536) - (database.size % 65536 === 0 ? 1 : 0);
    const elsewhere = Array.from({ length: 20 }, (_, i) => 60 + 3 * i);
    // 1 is behind 0, so 17 is read ahead; in the end its buffer is used for the last blocks, and then it is read again.
    for (const block of [0, 1, ...elsewhere, 17, last - 1, last, 17]) {
      const position = Math.max(8192, block * 65536);
      const part = new Uint8Array(1000);
      const count = await snapshot.read(part, position);
      expect(equalBytes(part.subarray(0, count), bytes.subarray(position, position + count))).toBe(true);
    }
  });

  test("has zeros where its pages hold nothing", async () => {
    const random = new SimulatedRandom(6);
    const disk = newDisk(1);
    const contents: Contents = new Map();
    for (const [name, count, sizeMax] of [["a", 4000, 300], ["b", 200, 6000], ["c", 20, 300_000]] as const) {
      contents.set(
        name,
        Array.from({ length: count }, (_, i) => {
          const key = utf8(`${i + 10_000}`.repeat(10));
          return { key, value: new Uint8Array(1 + random.below(sizeMax)).fill(0xff) };
        }),
      );
    }
    const database = await create(await openForWriting(disk), contents);
    const bytes = bytesOf(disk);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let page = 2; page < database.highWater;) {
      const start = page * 4096;
      const [isLeaf, count] = [view.getUint16(start + 8, true) === 2, view.getUint16(start + 10, true)];
      page += 1 + view.getUint32(start + 12, true);
      const element = start + 16 * count;
      const last = isLeaf
        ? element + view.getUint32(element + 4, true) + view.getUint32(element + 8, true) +
          view.getUint32(element + 12, true)
        : element + view.getUint32(element, true) + view.getUint32(element + 4, true);
      expect(bytes.subarray(last, page * 4096).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("is right on a disk that is slower than the rows come", async () => {
    const disk = new SimulatedDisk({
      seed: 1,
      latency: async () => {
        for (let i = 0; i < 2000; i++) await undefined;
      },
    });
    const contents: Contents = new Map([["key", successiveRows(new SimulatedRandom(8), 0, 6000)]]);
    for (const name of ["a", "b", "c", "d", "e", "f"]) contents.set(name, contents.get("key")!);
    const writer = BoltWriter.create(await openForWriting(disk), sourcesOf(contents));
    const database = await write(writer);
    expect(writer.fileSize).toBeGreaterThan(4_000_000);
    expect(difference(contents, await readAll(database))).toBeUndefined();
  });

  test("has small buckets inside their parent, as bolt has them", async () => {
    const buckets = [0, 900, 1100].map((size) =>
      [`${size}`, [{ key: utf8("key"), value: new Uint8Array(size) }]] as const
    );
    const database = await create(
      await openForWriting(newDisk(1)),
      new Map(buckets.map(([name, rows]) => [name, [...rows]])),
    );
    const isInline = buckets.map(async ([name]) => (await database.bucket(utf8(name)))!.rootPage === 0);
    expect(await Promise.all(isInline)).toEqual([true, true, false]);
  });

  test("takes few pages more than its rows need", async () => {
    for (const valueSize of [0, 100, 320, 1000, 1500, 2100, 3000, 5000, 20_000]) {
      const rows = Array.from({ length: 10_000 }, (_, i) => {
        const key = new Uint8Array(17);
        new DataView(key.buffer).setUint32(0, i);
        return { key, value: new Uint8Array(valueSize) };
      });
      const writer = BoltWriter.create(await openForWriting(newDisk(1)), [sourceOf("key", rows)]);
      while (!writer.plan());
      // A leaf is filled to three quarters at the least; then there are the branches.
      expect(writer.fileSize / (10_000 * (16 + 17 + valueSize))).toBeLessThan(1 / 0.75 + 0.02);
    }
  });
});

describe("what is asked of the rows", () => {
  const row = (key: string, value = "") => ({ key: utf8(key), value: utf8(value) });

  test("is that they are in order", async () => {
    for (const rows of [[row("b"), row("a")], [row("a"), row("a")], [row("a", "x".repeat(70_000)), row("a")]]) {
      const writer = BoltWriter.create(await openForWriting(newDisk(1)), [sourceOf("bucket", rows)]);
      await expect(write(writer)).rejects.toThrow("in order");
    }
  });

  test("is that both passes give the same", async () => {
    const first = [row("a", "1"), row("b", "2")];
    const others = [[row("a", "1")], [...first, row("c")], [row("a", "1"), row("b", "23")], [
      row("a", "x".repeat(9000)),
      row("b"),
    ]];
    for (const second of others) {
      let passes = 0;
      const source = { name: utf8("bucket"), open: () => sourceOf("", passes++ === 0 ? first : second).open() };
      const writer = BoltWriter.create(await openForWriting(newDisk(1)), [source]);
      await expect(write(writer)).rejects.toThrow("first pass");
    }
  });

  test("is that keys are neither empty nor too long for bolt", async () => {
    for (const key of [new Uint8Array(0), new Uint8Array(32769)]) {
      const writer = BoltWriter.create(await openForWriting(newDisk(1)), [sourceOf("bucket", [{ key, value: key }])]);
      await expect(write(writer)).rejects.toThrow("a key has 1 to 32768 bytes");
    }
  });

  test("is that the buckets have different names", async () => {
    const file = await openForWriting(newDisk(1));
    expect(() => BoltWriter.create(file, [sourceOf("a", []), sourceOf("a", [])])).toThrow("names");
  });
});
