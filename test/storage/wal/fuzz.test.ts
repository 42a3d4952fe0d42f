import { expect, test } from "bun:test";
import { equalBytes } from "../../../src/base/bytes.ts";
import { silentLogger } from "../../../src/io/log.ts";
import type { Entry } from "../../../src/raft/mod.ts";
import { Wal, WalError } from "../../../src/storage/wal/mod.ts";
import { SimulatedDisk, SimulatedRandom } from "../../harness/simulated_disk.ts";
import { stoppedClock } from "./lifetimes.ts";

const SECTOR_SIZE = 512;
const options = { directory: "wal", clock: stoppedClock, log: silentLogger, segmentSize: 4096 };

interface Log {
  readonly files: Map<string, Uint8Array>;
  readonly entries: Entry[];
}

/** A log of several segments as a killed process leaves it, every entry acknowledged. */
async function writeLog(random: SimulatedRandom): Promise<Log> {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata: { memberId: 7n, clusterId: 9n } });
  const entries: Entry[] = [];
  for (let step = 0; step < 25; step++) {
    const batch: Entry[] = [];
    for (let count = 1 + random.below(3); count > 0; count--) {
      const data = new Uint8Array(random.below(600));
      for (let i = 0; i < data.length; i++) data[i] = 1 + random.below(255);
      batch.push({ term: 1 + (step >> 3), index: entries.length + batch.length + 1, type: 0, data });
    }
    await wal.append({ term: 1 + (step >> 3), vote: 7n, commit: entries.length }, batch, true);
    entries.push(...batch);
    if (random.chance(0.3)) await wal.append({ term: 1 + (step >> 3), vote: 7n, commit: entries.length }, [], false);
  }
  const files = [...disk.contents()].filter(([path]) => path.endsWith(".wal"));
  return { files: new Map(files.map(([path, content]) => [path, content.slice()])), entries };
}

/** Reads the log: its entries, or the error. Anything but a WalError fails the test. */
async function readLog(files: Map<string, Uint8Array>): Promise<Entry[] | WalError> {
  const disk = new SimulatedDisk({ seed: 1 });
  for (const [path, content] of files) disk.place(path, content);
  const entries: Entry[] = [];
  const visitor = { metadata() {}, entry: (entry: Entry) => entries.push(entry) };
  try {
    const opened = await Wal.open(disk, { ...options, from: { index: 0, term: 0 } }, visitor);
    return [...entries, ...opened.tail];
  } catch (error) {
    if (error instanceof WalError) return error;
    throw error;
  }
}

/** Whether `found` is the beginning of `written`, entry by entry. */
function isPrefix(found: Entry[], written: Entry[]): boolean {
  return found.length <= written.length && found.every((entry, i) => {
    const { term, index, type, data } = written[i];
    return entry.term === term && entry.index === index && entry.type === type && equalBytes(entry.data, data);
  });
}

function pick(files: Map<string, Uint8Array>, random: SimulatedRandom): [path: string, content: Uint8Array] {
  const paths = [...files.keys()];
  const path = paths[random.below(paths.length)];
  return [path, files.get(path)!];
}

test.each([1, 2, 3])("a flipped bit anywhere is refused or changes nothing (seed %d)", async (seed) => {
  const random = new SimulatedRandom(seed);
  const { files, entries } = await writeLog(random);
  let refusedCount = 0;
  for (let round = 0; round < 400; round++) {
    const [path, content] = pick(files, random);
    const flipped = content.slice();
    const at = random.below(content.length);
    flipped[at] ^= 1 << random.below(8);
    const found = await readLog(new Map(files).set(path, flipped));
    if (found instanceof WalError) {
      refusedCount++;
      expect(found.message).toContain(found.file);
    } else if (found.length !== entries.length || !isPrefix(found, entries)) {
      throw new Error(`bit at ${at} of ${path}: ${found.length} of ${entries.length} entries`);
    }
  }
  expect(refusedCount).toBeGreaterThan(250);
});

test.each([1, 2, 3])("a sector of zeros costs no more than the last write (seed %d)", async (seed) => {
  const random = new SimulatedRandom(seed);
  const { files, entries } = await writeLog(random);
  for (const [path, content] of files) {
    for (let start = 0; start < content.length; start += SECTOR_SIZE) {
      const zeroed = content.slice().fill(0, start, start + SECTOR_SIZE);
      const found = await readLog(new Map(files).set(path, zeroed));
      if (found instanceof WalError) continue;
      expect(isPrefix(found, entries)).toBe(true);
      // A write carries at most three entries here.
      expect(found.length).toBeGreaterThanOrEqual(entries.length - 3);
    }
  }
});

test.each([1, 2, 3])("no damage makes the reader fail otherwise, or yields a wrong entry (seed %d)", async (seed) => {
  const random = new SimulatedRandom(seed);
  const { files, entries } = await writeLog(random);
  for (let round = 0; round < 600; round++) {
    const damaged = new Map(files);
    for (let count = 1 + random.below(3); count > 0; count--) {
      const [path, content] = pick(damaged, random);
      damaged.set(path, damage(content, random));
    }
    const found = await readLog(damaged);
    if (!(found instanceof WalError)) expect(isPrefix(found, entries)).toBe(true);
  }
});

function damage(content: Uint8Array, random: SimulatedRandom): Uint8Array {
  const copy = content.slice();
  if (content.length === 0) return copy;
  const at = random.below(content.length);
  const size = random.below(64);
  switch (random.below(6)) {
    case 0:
      return copy.slice(0, at);
    case 1:
      return copy.fill(0, at, at + size);
    case 2:
      return copy.fill(random.below(256), at, at + size);
    case 3:
      return copy.copyWithin(at, random.below(content.length), size);
    case 4: {
      const sector = at - at % SECTOR_SIZE;
      return copy.copyWithin(sector, random.below(content.length / SECTOR_SIZE) * SECTOR_SIZE, sector + SECTOR_SIZE);
    }
    default:
      for (let i = 0; i < size && at + i < copy.length; i++) copy[at + i] = random.below(256);
      return copy;
  }
}

test("a bit that a checksum is too short for is refused like any other", async () => {
  const { files } = await writeLog(new SimulatedRandom(5));
  let count = 0;
  for (const [path, content] of files) {
    const view = new DataView(content.buffer, content.byteOffset, content.length);
    for (let at = 0; at + 16 <= content.length && view.getUint32(at, true) > 0;) {
      const size = view.getUint32(at, true);
      const last = at + 15;
      // Most checksums take five bytes, of which the last holds four bits.
      if (content.subarray(at + 11, last).every((byte) => byte >= 0x80)) {
        for (const bit of [4, 5, 6]) {
          const damaged = new Map(files);
          const copy = content.slice();
          copy[last] ^= 1 << bit;
          damaged.set(path, copy);
          const found = await readLog(damaged);
          expect(found).toBeInstanceOf(WalError);
          expect((found as WalError).message).toContain(`byte ${at}: a malformed crc`);
          count++;
        }
      }
      at += 8 + size + (8 - size % 8) % 8;
    }
  }
  expect(count).toBeGreaterThan(20);
});
