import { expect, test } from "bun:test";
import { silentLogger } from "../../src/io/log.ts";
import { EMPTY_CONF_STATE } from "../../src/raft/mod.ts";
import { encodeMeta } from "../../src/storage/bolt/format.ts";
import { SnapshotDirectory } from "../../src/storage/snapshot_directory.ts";
import { encodeSnapshotFile, snapshotFileFault, snapshotFileName } from "../../src/storage/snapshot_file.ts";
import { SimulatedDisk } from "../harness/simulated_disk.ts";

const confState = { ...EMPTY_CONF_STATE, voters: [0xffffffffffffffffn, 7n] };
const snapshot = { index: 300, term: 3, confState, data: new TextEncoder().encode("{}") };

test("a snapshot file is laid out as etcd's", () => {
  expect(snapshotFileName(3, 300)).toBe("0000000000000003-000000000000012c.snap");
  const bytes = encodeSnapshotFile(snapshot);
  const data = "0a027b7d" + "1216" + "0a0f08ffffffffffffffffff0108072800" + "10ac02" + "1803";
  expect(Buffer.from(bytes).toString("hex")).toEndWith(`121c${data}`);
  expect(bytes[0]).toBe(0x08);
  expect(snapshotFileFault(bytes)).toBeUndefined();
});

test("every flipped bit and every missing end of a snapshot file is found", () => {
  const bytes = encodeSnapshotFile(snapshot);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = bytes.slice();
    flipped[bit >>> 3] ^= 1 << (bit & 7);
    expect(`${bit}: ${snapshotFileFault(flipped)}`).not.toBe(`${bit}: undefined`);
  }
  for (let size = 0; size < bytes.length; size++) expect(snapshotFileFault(bytes.subarray(0, size))).toBeDefined();
});

test("what is received and has no end is refused, and nothing of it stays", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await disk.makeDirectory("snap");
  const directory = new SnapshotDirectory(disk, "snap", silentLogger);
  const size = 3 << 20;
  const meta = { pageSize: 4096, root: 3, sequence: 0n, freelist: undefined, highWater: size / 4096, txid: 1 };
  const head = new Uint8Array(1 << 20);
  head.set(encodeMeta(0, meta, undefined));
  const piece = new Uint8Array(1 << 20);
  let count = 0;
  async function* endless(first: Uint8Array): AsyncGenerator<Uint8Array> {
    for (yield first;; count++) yield piece;
  }
  const check = async () => {};
  await expect(directory.receive(7, endless(piece), check)).rejects.toThrow("what was received is no database");
  expect(count).toBe(0);
  await expect(directory.receive(7, endless(head), check)).rejects.toThrow(`behind the ${size} bytes`);
  expect(count).toBe(2);
  expect(await disk.list("snap")).toEqual([]);

  async function* whole(): AsyncGenerator<Uint8Array> {
    for (const block of [head, piece, piece]) yield block;
  }
  expect(await directory.receive(7, whole(), check)).toBe(size);
});

test("the oldest files beyond those to be kept are purged, and databases received for earlier snapshots", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await disk.makeDirectory("snap");
  const directory = new SnapshotDirectory(disk, "snap", silentLogger);
  for (const index of [100, 200, 300, 400]) await directory.save({ ...snapshot, index });
  for (const index of [200, 400, 500]) {
    disk.place(`snap/${index.toString(16).padStart(16, "0")}.snap.db`, Uint8Array.of(1));
  }
  await directory.purge(2, 400);
  expect(await disk.list("snap")).toEqual([
    snapshotFileName(3, 300),
    snapshotFileName(3, 400),
    "0000000000000190.snap.db",
    "00000000000001f4.snap.db",
  ]);
  expect(await directory.receivedDatabase(500)).toBe("00000000000001f4.snap.db");
  expect(await directory.receivedDatabase(501)).toBeUndefined();
  await directory.purge(0, 400);
  expect(await disk.list("snap")).toHaveLength(4);
});
