import { expect, test } from "bun:test";
import { silentLogger } from "../../../src/io/log.ts";
import { EMPTY_CONF_STATE, type Entry } from "../../../src/raft/mod.ts";
import { findSnapshot, Wal, type WalPosition } from "../../../src/storage/wal/mod.ts";
import { SimulatedDisk } from "../../harness/simulated_disk.ts";
import { stoppedClock } from "./lifetimes.ts";

const options = { directory: "wal", clock: stoppedClock, log: silentLogger, segmentSize: 4096 };
const confState = { ...EMPTY_CONF_STATE, voters: [7n] };

/** Entries [first, last] of a term. */
function entries(first: number, last: number, term: number): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    term,
    index: first + i,
    type: 0,
    data: Uint8Array.of(term),
  }));
}

async function written(write: (wal: Wal) => Promise<void>): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata: { memberId: 7n, clusterId: 9n } });
  await write(wal);
  await wal.close();
  return disk.kill({ seed: 1 });
}

/** Terms by index of what a start at `from` finds: committed, and not known to be. */
async function found(disk: SimulatedDisk, from: WalPosition): Promise<{ committed: number[][]; tail: number[][] }> {
  const committed: number[][] = [];
  const visitor = { metadata() {}, entry: ({ index, term }: Entry) => void committed.push([index, term]) };
  const { wal, tail } = await Wal.open(disk, { ...options, from }, visitor);
  await wal.close();
  return { committed, tail: tail.map(({ index, term }) => [index, term]) };
}

test("entries that a received snapshot has replaced do not come back behind it", async () => {
  const disk = await written(async (wal) => {
    await wal.append({ term: 1, vote: 0n, commit: 5 }, entries(1, 5, 1), true);
    // From a leader that was deposed; the snapshot is of what the next one committed instead.
    await wal.append(undefined, entries(6, 20, 2), true);
    await wal.saveSnapshot({ index: 10, term: 3, confState });
    await wal.append({ term: 3, vote: 0n, commit: 10 }, [], true);
  });
  expect(await findSnapshot(disk, "wal")).toMatchObject({ index: 10, term: 3 });
  expect(await found(disk, { index: 10, term: 3 })).toEqual({ committed: [], tail: [] });
});

test("entries behind a snapshot of one's own stay", async () => {
  const disk = await written(async (wal) => {
    await wal.append({ term: 1, vote: 0n, commit: 0 }, entries(1, 20, 1), true);
    await wal.append({ term: 1, vote: 0n, commit: 12 }, [], false);
    await wal.saveSnapshot({ index: 10, term: 1, confState });
  });
  const { committed, tail } = await found(disk, { index: 10, term: 1 });
  expect(committed).toEqual([[11, 1], [12, 1]]);
  expect(tail.map(([index]) => index)).toEqual([13, 14, 15, 16, 17, 18, 19, 20]);
});

test("entries that were replaced from before the start position do not come back behind it", async () => {
  const disk = await written(async (wal) => {
    await wal.append({ term: 1, vote: 0n, commit: 5 }, entries(1, 20, 1), true);
    await wal.append({ term: 2, vote: 0n, commit: 7 }, entries(8, 10, 2), true);
    await wal.append({ term: 2, vote: 0n, commit: 10 }, [], true);
    await wal.saveSnapshot({ index: 10, term: 2, confState });
  });
  expect(await found(disk, { index: 10, term: 2 })).toEqual({ committed: [], tail: [] });
});

test("a write that replaces entries of its own commits none of them", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const wal = await Wal.create(disk, { ...options, metadata: { memberId: 7n, clusterId: 9n } });
  await wal.append({ term: 1, vote: 0n, commit: 0 }, entries(1, 5, 1), true);
  // Two Readys as one: the second leader replaces what the first one sent, and something before.
  await wal.append({ term: 3, vote: 0n, commit: 5 }, [...entries(6, 10, 2), ...entries(4, 6, 3)], true);
  const crashed = disk.crash({ seed: 1 });
  const visitor = { metadata() {}, entry() {} };
  const opened = await Wal.open(crashed, { ...options, from: { index: 0, term: 0 } }, visitor);
  expect(opened.hardState).toEqual({ term: 3, vote: 0n, commit: 3 });
  expect(opened.tail.map(({ index, term }) => [index, term])).toEqual([[4, 3], [5, 3], [6, 3]]);
  await opened.wal.close();
});
