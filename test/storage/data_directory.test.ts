import { expect, test } from "bun:test";
import { silentLogger } from "../../src/io/log.ts";
import { EMPTY_CONF_STATE } from "../../src/raft/mod.ts";
import { DataDirectory, DataDirectoryError } from "../../src/storage/data_directory.ts";
import { encodeSnapshotFile } from "../../src/storage/snapshot_file.ts";
import { SimulatedDisk } from "../harness/simulated_disk.ts";

const options = { path: "data/default.etcd", walPath: "", log: silentLogger };

test("a new directory is laid out as etcd's, every name durable", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const directory = await DataDirectory.open(disk, options);
  expect(directory.hasWal).toBe(false);
  expect(directory.walPath).toBe("data/default.etcd/member/wal");
  const names = [...disk.crash({ seed: 2 }, 0).contents().keys()].filter((name) => name.endsWith("/"));
  expect(names).toEqual(["data/", "data/default.etcd/", "data/default.etcd/member/", "data/default.etcd/member/snap/"]);
});

test("a second process is told which directory is in use", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const directory = await DataDirectory.open(disk, options);
  const second = DataDirectory.open(disk, options);
  await expect(second).rejects.toBeInstanceOf(DataDirectoryError);
  await expect(second).rejects.toThrow(
    "data directory data/default.etcd is in use by another process (data/default.etcd/member/snap/db is locked); " +
      "stop that process, or choose another data directory",
  );
  await directory.close();
  await (await DataDirectory.open(disk, options)).close();
});

test("what was never finished is removed, and a damaged snapshot file set aside", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  const snap = "data/default.etcd/member/snap";
  const good = encodeSnapshotFile({ index: 4, term: 2, confState: EMPTY_CONF_STATE, data: Uint8Array.of(1) });
  disk.place(`${snap}/tmp-db`, Uint8Array.of(1));
  disk.place(`${snap}/tmp123`, Uint8Array.of(1));
  disk.place(`${snap}/db.tmp.456`, Uint8Array.of(1));
  disk.place(`${snap}/0000000000000002-0000000000000004.snap`, good);
  disk.place(`${snap}/0000000000000002-0000000000000005.snap`, good.map((byte, i) => i === 20 ? byte ^ 4 : byte));
  disk.place(`${snap}/0000000000000006.snap.db`, Uint8Array.of(1));
  await DataDirectory.open(disk, options);
  expect(await disk.list(snap)).toEqual([
    "0000000000000002-0000000000000004.snap",
    "0000000000000002-0000000000000005.snap.broken",
    "0000000000000006.snap.db",
    "db",
  ]);
});

test("a log elsewhere is found there", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  disk.place("logs/wal/0000000000000000-0000000000000000.wal", new Uint8Array(8));
  const directory = await DataDirectory.open(disk, { ...options, walPath: "logs/wal" });
  expect(directory.walPath).toBe("logs/wal");
  expect(directory.hasWal).toBe(true);
});

test("a directory that cannot be written to is named", async () => {
  const disk = new SimulatedDisk({
    seed: 1,
    fault: ({ kind, path }) => kind === "create" && path.endsWith(".touch") ? { fail: "EACCES" } : undefined,
  });
  await expect(DataDirectory.open(disk, options)).rejects.toThrow("cannot use data directory data/default.etcd: ");
});
