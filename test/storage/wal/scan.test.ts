import { expect, test } from "bun:test";
import { silentLogger } from "../../../src/io/log.ts";
import { EMPTY_CONF_STATE, type Entry } from "../../../src/raft/mod.ts";
import { findSnapshot, purgeSegments, Wal } from "../../../src/storage/wal/mod.ts";
import { SimulatedClock } from "../../harness/simulated_clock.ts";
import { SimulatedDisk } from "../../harness/simulated_disk.ts";

const options = { directory: "wal", clock: new SimulatedClock(), log: silentLogger, segmentSize: 4096 };

async function newLog(): Promise<{ disk: SimulatedDisk; wal: Wal }> {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata: { memberId: 1n, clusterId: 2n } });
  return { disk, wal };
}

function entries(first: number, count: number, size: number): Entry[] {
  return Array.from(
    { length: count },
    (_, i) => ({ term: 1, index: first + i, type: 0, data: new Uint8Array(size).fill(7) }),
  );
}

const state = (commit: number) => ({ term: 1, vote: 1n, commit });
const at = (index: number) => ({ index, term: 1, confState: { ...EMPTY_CONF_STATE, voters: [1n] } });

test("reading starts at the newest snapshot that is committed", async () => {
  const { disk, wal } = await newLog();
  expect(await findSnapshot(disk, "wal")).toBeUndefined();
  await wal.append(state(0), entries(1, 10, 100), true);
  await wal.saveSnapshot(at(4));
  // Its commit index is not in the log yet.
  expect(await findSnapshot(disk, "wal")).toBeUndefined();
  await wal.append(state(8), [], true);
  expect(await findSnapshot(disk, "wal")).toEqual(at(4));
  await wal.saveSnapshot(at(8));
  await wal.saveSnapshot(at(10));
  expect(await findSnapshot(disk, "wal")).toEqual(at(8));
  await wal.close();
});

test("a commit index that was torn does not hide what was committed before", async () => {
  const { disk, wal } = await newLog();
  await wal.append(state(0), entries(1, 300, 1), true);
  await wal.append(state(250), [], true);
  await wal.saveSnapshot(at(200));
  await wal.append(state(300), [], true);
  await wal.close();
  const name = (await disk.list("wal")).findLast((found) => found.endsWith(".wal"))!;
  const bytes = disk.contents().get(`wal/${name}`)!;
  const last = bytes.findLastIndex((byte) => byte !== 0);
  bytes[last] = 0;
  expect(await findSnapshot(disk, "wal")).toEqual(at(200));
});

test("a record is found behind entries larger than what is read at a time, and in earlier segments", async () => {
  const { disk, wal } = await newLog();
  await wal.append(state(0), entries(1, 1, 5 << 20), true);
  await wal.append(state(1), [], true);
  await wal.saveSnapshot(at(1));
  await wal.append(state(1), entries(2, 3, 2000), true);
  await wal.append(state(4), entries(5, 3, 2000), true);
  await wal.append(state(7), entries(8, 1, 2000), true);
  expect((await disk.list("wal")).filter((name) => name.endsWith(".wal")).length).toBeGreaterThan(3);
  expect(await findSnapshot(disk, "wal")).toEqual(at(1));
  await wal.close();
});

test("released segments are purged, oldest first, down to what is to be kept", async () => {
  const { disk, wal } = await newLog();
  const segments = async () =>
    (await disk.list("wal")).filter((name) => name.endsWith(".wal")).map((name) => Number(`0x${name.slice(0, 16)}`));
  for (let index = 1; index <= 12; index++) await wal.append(state(index - 1), entries(index, 1, 4000), true);
  expect(await segments()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  const purge = (countMax: number) =>
    purgeSegments(disk, { directory: "wal", countMax, firstNeeded: wal.firstSequence, log: silentLogger });
  await purge(5);
  expect(await segments()).toHaveLength(13);
  await wal.append(state(10), [], true);
  await wal.saveSnapshot(at(10));
  await wal.releaseTo(10);
  await purge(0);
  expect(await segments()).toHaveLength(13);
  await purge(5);
  expect(await segments()).toEqual([8, 9, 10, 11, 12]);
  await purge(1);
  // The one before may still hold entries from 10 on, as far as its name tells.
  expect(await segments()).toEqual([8, 9, 10, 11, 12]);
  await wal.close();
  const read: number[] = [];
  const visitor = { metadata: () => {}, entry: ({ index }: Entry) => void read.push(index) };
  const opened = await Wal.open(disk, { ...options, from: at(10) }, visitor);
  expect([...read, ...opened.tail.map(({ index }) => index)]).toEqual([11, 12]);
  await opened.wal.close();
});
