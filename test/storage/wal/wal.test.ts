import { expect, test } from "bun:test";
import { AssertionError } from "../../../src/base/assert.ts";
import { concatBytes, equalBytes } from "../../../src/base/bytes.ts";
import { WAL_WRITE_SIZE_MAX } from "../../../src/base/limits.ts";
import { silentLogger } from "../../../src/io/log.ts";
import type { Entry } from "../../../src/raft/mod.ts";
import { Wal, WalError, type WalVisitor } from "../../../src/storage/wal/mod.ts";
import { SimulatedDisk } from "../../harness/simulated_disk.ts";
import { stoppedClock } from "./lifetimes.ts";

const metadata = { memberId: 7n, clusterId: 9n };
const options = { directory: "wal", clock: stoppedClock, log: silentLogger, segmentSize: 4096 };
const openOptions = { ...options, from: { index: 0, term: 0 } };

function entry(index: number, size: number): Entry {
  return { term: 1, index, type: 0, data: new Uint8Array(size).fill(1 + index % 255) };
}

function state(commit: number) {
  return { term: 1, vote: 7n, commit };
}

function collect(): WalVisitor & { entries: Entry[] } {
  const entries: Entry[] = [];
  return { entries, metadata() {}, entry: (entry) => entries.push(entry) };
}

test("etcd's own log is read: metadata, entries in order, the last hard state", async () => {
  const text = await Bun.file(new URL("golden/etcd_3.7.1_first_start.hex", import.meta.url)).text();
  const records = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const content = new Uint8Array(options.segmentSize);
  content.set(concatBytes(records.map((line) => Uint8Array.fromHex(line))));
  const disk = new SimulatedDisk({ seed: 1 });
  disk.place("wal/0000000000000000-0000000000000000.wal", content);
  const visitor = collect();
  const opened = await Wal.open(disk, openOptions, visitor);
  expect(opened.metadata).toEqual({ memberId: 655066372522343161n, clusterId: 15967972750642569462n });
  expect(visitor.entries.map(({ index, term, type, data }) => [index, term, type, data.length])).toEqual([
    [1, 1, 1, 94],
    [2, 2, 0, 0],
    [3, 2, 0, 61],
    [4, 2, 0, 23],
    [5, 2, 0, 23],
    [6, 2, 0, 23],
    [7, 2, 0, 23],
  ]);
  expect(opened.hardState).toEqual({ term: 2, vote: 655066372522343161n, commit: 7 });
  expect(opened.tail).toEqual([]);
});

test("an append larger than one write is split, each part durable before the next", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata });
  const from = disk.trace.length;
  // Larger than what is read at a time, too.
  await wal.append(state(0), [entry(1, 10), entry(2, 2 * WAL_WRITE_SIZE_MAX), entry(3, 10)], true);
  const operations = disk.trace.slice(from).filter((line) => !/0\.tmp( \d+)?$/.test(line));
  const first = "wal/0000000000000000-0000000000000000.wal";
  const size = WAL_WRITE_SIZE_MAX;
  const end = 2 * size + 200;
  expect(operations.slice(0, 7)).toEqual([
    `write ${first} [64, ${64 + size})`,
    `sync ${first}`,
    `write ${first} [${64 + size}, ${64 + 2 * size})`,
    `sync ${first}`,
    `write ${first} [${64 + 2 * size}, ${end})`,
    `truncate ${first} ${end}`,
    `sync ${first}`,
  ]);
  await wal.append(state(3), [], false);
  await wal.close();
  const visitor = collect();
  await Wal.open(disk, openOptions, visitor);
  expect(visitor.entries.map(({ data }) => data.length)).toEqual([10, 2 * WAL_WRITE_SIZE_MAX, 10]);
  expect(equalBytes(visitor.entries[1].data, entry(2, 2 * WAL_WRITE_SIZE_MAX).data)).toBe(true);
});

test("the committed entries come while the log is read, each once, and the rest at the end", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata });
  for (let index = 1; index <= 100; index++) {
    await wal.append(state(Math.max(0, index - 3)), [entry(index, 150)], true);
  }
  await wal.close();
  const visitor = collect();
  const opened = await Wal.open(disk, openOptions, visitor);
  expect(visitor.entries.map(({ index }) => index)).toEqual(Array.from({ length: 97 }, (_, i) => i + 1));
  expect(opened.tail.map(({ index }) => index)).toEqual([98, 99, 100]);
});

test("a log is not created over the files of others", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  disk.place("wal/notes.txt", new Uint8Array(3));
  const creating = Wal.create(disk, { ...options, metadata });
  await expect(creating).rejects.toThrow("files in the way of a new log");
  expect([...disk.contents().keys()]).toEqual(["wal/", "wal/notes.txt"]);
});

test("a log for which there is no room says what to do", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  disk.capacity = 1000;
  const creating = Wal.create(disk, { ...options, metadata });
  await expect(creating).rejects.toThrow(/cannot create the log: allocate .*: ENOSPC; make room and start again/);
});

test("a second opening of a log is refused while the first lasts", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata });
  const second = Wal.open(disk, openOptions, collect());
  await expect(second).rejects.toThrow("wal/0000000000000000-0000000000000000.wal, byte 0: locked by another process");
  await expect(second).rejects.toBeInstanceOf(WalError);
  await wal.close();
  await (await Wal.open(disk, openOptions, collect())).wal.close();
});

test("released segments may be locked by others, the last that may hold earlier entries may not", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata });
  // Segments begin with entries 0, 2, 3, 4 and 5.
  for (let index = 1; index <= 4; index++) await wal.append(state(index - 1), [entry(index, 5000)], true);
  const lockable = async () => {
    const names: number[] = [];
    for (const name of (await disk.list("wal")).filter((name) => name.endsWith(".wal"))) {
      const file = await disk.open(`wal/${name}`);
      if (await file.tryLock()) names.push(Number(`0x${name.slice(17, 33)}`));
      await file.close();
    }
    return names;
  };
  expect(await lockable()).toEqual([]);
  await wal.releaseTo(2);
  expect(await lockable()).toEqual([]);
  await wal.releaseTo(4);
  expect(await lockable()).toEqual([0, 2]);
  await wal.releaseTo(1000);
  expect(await lockable()).toEqual([0, 2, 3, 4]);
});

test("appends do not overlap: the second is a programmer's error", async () => {
  const disk = new SimulatedDisk({ seed: 1, fault: ({ kind }) => kind === "sync" ? { stall: 50 } : undefined });
  const wal = await Wal.create(disk, { ...options, metadata });
  const first = wal.append(state(0), [entry(1, 10)], true);
  await expect(wal.append(state(0), [entry(2, 10)], true)).rejects.toBeInstanceOf(AssertionError);
  await first;
  await wal.append(state(1), [entry(2, 10)], true);
});

test("every sync is measured, and a slow one is warned of as etcd does", async () => {
  let nowMs = 0;
  let tookMs = 5;
  const clock = { ...stoppedClock, monotonicMs: () => nowMs };
  const disk = new SimulatedDisk({
    seed: 1,
    latency: async ({ kind }) => {
      await undefined;
      if (kind === "sync") nowMs += tookMs;
    },
  });
  const synced: number[] = [];
  let written = 0;
  const observer = {
    synced: (durationMs: number) => synced.push(durationMs),
    written: (size: number) => void (written += size),
  };
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => warnings.push(message) };
  const wal = await Wal.create(disk, { ...options, clock, observer, log, metadata });
  await wal.append(state(0), [entry(1, 100)], true);
  expect(synced).toEqual([5]);
  expect(written).toBe(152);
  tookMs = 1500;
  await wal.append(undefined, [entry(2, 100)], true);
  expect(synced).toEqual([5, 1500]);
  expect(warnings).toEqual(["slow fdatasync"]);
});
