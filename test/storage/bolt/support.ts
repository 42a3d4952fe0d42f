/** Random contents of database files, and ways to write and read all of them. */

import { compareBytes, equalBytes, hex, utf8 } from "../../../src/base/bytes.ts";
import { DiskError, type File } from "../../../src/io/disk.ts";
import { BoltDatabase, type BoltRow, BoltWriter, type BucketSource } from "../../../src/storage/bolt/mod.ts";
import { SimulatedDisk, type SimulatedRandom } from "../../harness/simulated_disk.ts";

/** Bucket by name; rows in order of their keys. */
export type Contents = Map<string, BoltRow[]>;

export const PATH = "db";

/** Bytes after which a random bucket gets no more rows. */
const BUCKET_SIZE_MAX = 700_000;

/** The bucket that grows. */
export const GROWING = "key";

export function newDisk(seed: number): SimulatedDisk {
  return new SimulatedDisk({ seed, latency: async () => {} });
}

export function openForWriting(disk: SimulatedDisk): Promise<File> {
  return disk.open(PATH, { write: true, create: true });
}

/** A file with these bytes, opened. */
export function opened(bytes: Uint8Array): Promise<BoltDatabase> {
  return BoltDatabase.open(fileWith(bytes));
}

/** A file to read from, which shows each change of `bytes`. */
function fileWith(bytes: Uint8Array): File {
  const isReadOnly = () => Promise.reject(new DiskError("EBADF", "write", PATH));
  return {
    path: PATH,
    read(target, position) {
      const part = bytes.subarray(position, position + target.length);
      target.set(part);
      return Promise.resolve(part.length);
    },
    size: () => Promise.resolve(bytes.length),
    write: isReadOnly,
    syncData: isReadOnly,
    writeDurable: isReadOnly,
    allocate: isReadOnly,
    truncate: isReadOnly,
    tryLock: isReadOnly,
    close: () => Promise.resolve(),
  };
}

export function bytesOf(disk: SimulatedDisk): Uint8Array {
  return disk.contents().get(PATH)!;
}

/** Copies what is asked for and nothing else, as a cursor over rows that lie anywhere would. */
export function sourceOf(name: string, rows: readonly BoltRow[]): BucketSource {
  return {
    name: utf8(name),
    open() {
      let i = -1;
      return {
        next: () => ++i < rows.length,
        get keySize() {
          return rows[i].key.length;
        },
        get valueSize() {
          return rows[i].value.length;
        },
        copyKey: (target, offset) => target.set(rows[i].key, offset),
        copyValue: (target, offset, start, end) => target.set(rows[i].value.subarray(start, end), offset),
      };
    },
  };
}

export function sourcesOf(contents: Contents): BucketSource[] {
  return [...contents].map(([name, rows]) => sourceOf(name, rows));
}

export async function write(writer: BoltWriter): Promise<BoltDatabase> {
  while (!writer.plan());
  while (!(await writer.step()));
  return writer.written;
}

export async function create(file: File, contents: Contents): Promise<BoltDatabase> {
  return await write(BoltWriter.create(file, sourcesOf(contents)));
}

/** Everything in the file, by scans. */
export async function readAll(database: BoltDatabase): Promise<Contents> {
  const contents: Contents = new Map();
  for (const name of await database.bucketNames()) {
    const rows: BoltRow[] = [];
    const scan = (await database.bucket(name))!.scan();
    while (
      await scan.step((bytes, keyStart, keySize, valueStart, valueSize) => {
        const key = bytes.slice(keyStart, keyStart + keySize);
        rows.push({ key, value: bytes.slice(valueStart, valueStart + valueSize) });
      })
    );
    contents.set(new TextDecoder().decode(name), rows);
  }
  return contents;
}

/** What differs first, in words; undefined if nothing does. (Comparing with `expect` takes minutes for large values.) */
export function difference(expected: Contents, actual: Contents): string | undefined {
  const names = (contents: Contents) => [...contents.keys()].sort().join(" ");
  if (names(expected) !== names(actual)) return `buckets "${names(actual)}" instead of "${names(expected)}"`;
  for (const [name, rows] of expected) {
    const others = actual.get(name)!;
    if (rows.length !== others.length) return `${name}: ${others.length} rows instead of ${rows.length}`;
    for (let i = 0; i < rows.length; i++) {
      if (!equalBytes(rows[i].key, others[i].key)) return `${name}: key ${i} is ${hex(others[i].key)}`;
      if (!equalBytes(rows[i].value, others[i].value)) return `${name}: the value of ${hex(rows[i].key)} differs`;
    }
  }
  return undefined;
}

/** Sizes of values: how they are spread, and how many fit a page, differs from bucket to bucket. */
const VALUE_SIZES: readonly ((random: SimulatedRandom) => number)[] = [
  () => 0,
  (random) => random.below(20),
  (random) => random.below(500),
  (random) => 4096 - 16 - 16 - 17 - 2 + random.below(5),
  (random) => 1000 + random.below(3000),
  (random) => 2 * 4096 - 60 + random.below(60),
  (random) => random.below(20_000),
  (random) => 65_000 + random.below(1000),
  (random) => random.chance(0.1) ? random.below(1_500_000) : random.below(100),
];

export function randomValue(random: SimulatedRandom, size: number): Uint8Array {
  const value = new Uint8Array(size);
  for (let i = 0; i < size; i += 1 + random.below(1 + size / 64)) value[i] = random.below(256);
  return value;
}

/** Rows with keys of any bytes and lengths. */
export function randomRows(random: SimulatedRandom): BoltRow[] {
  const sizeOf = VALUE_SIZES[random.below(VALUE_SIZES.length)];
  const keySizeMax = [3, 30, 300, 3000, 32768][random.below(5)];
  const count = random.below([2, 10, 100, 1000][random.below(4)] + 2);
  const rows = new Map<string, BoltRow>();
  for (let i = 0, size = 0; i < count && size < BUCKET_SIZE_MAX; i++) {
    const key = randomValue(random, 1 + random.below(keySizeMax));
    const value = randomValue(random, sizeOf(random));
    rows.set(hex(key), { key, value });
    size += key.length + value.length;
  }
  return [...rows.values()].sort((a, b) => compareBytes(a.key, b.key));
}

/** Rows with keys as those of the growing bucket, from a number on. */
export function successiveRows(random: SimulatedRandom, from: number, count: number): BoltRow[] {
  const sizeOf = VALUE_SIZES[random.below(VALUE_SIZES.length)];
  const rows: BoltRow[] = [];
  for (let i = 0, size = 0; i < count && size < BUCKET_SIZE_MAX; i++) {
    const key = new Uint8Array(17);
    new DataView(key.buffer).setUint32(4, from + i);
    const value = randomValue(random, sizeOf(random));
    rows.push({ key, value });
    size += value.length;
  }
  return rows;
}

export function randomContents(random: SimulatedRandom): Contents {
  const contents: Contents = new Map();
  const count = random.below(12);
  for (let i = 0; i < count; i++) contents.set(`bucket-${random.below(1000)}`, randomRows(random));
  return contents;
}

/** Other buckets of a few small rows, as they are in a member's state. */
export function randomSmall(random: SimulatedRandom): Contents {
  const contents: Contents = new Map();
  for (let i = random.below(8); i > 0; i--) {
    contents.set(`bucket-${random.below(20)}`, successiveRows(random, 0, random.below(5)).slice(0, 3));
  }
  return contents;
}

/** The state after an append of some rows to the growing bucket, with other contents of the rest. */
export function appended(contents: Contents, others: Contents, rows: readonly BoltRow[]): Contents {
  const next: Contents = new Map(others);
  next.set(GROWING, [...contents.get(GROWING) ?? [], ...rows]);
  return next;
}

/** A file with these contents. */
export async function fileOf(contents: Contents): Promise<Uint8Array> {
  const disk = newDisk(1);
  await create(await openForWriting(disk), contents);
  return bytesOf(disk);
}
