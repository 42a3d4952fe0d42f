import { expect, test } from "bun:test";
import { withoutSync } from "../../src/cli/unsafe_disk.ts";
import type { Disk, File } from "../../src/io/disk.ts";

/** Writes down what reaches the disk. */
function recordingDisk(calls: string[]): Disk {
  const record = <T>(call: string, result: T) => {
    calls.push(call);
    return Promise.resolve(result);
  };
  const file: File = {
    path: "f",
    read: () => record("read", 0),
    write: () => record("write", undefined),
    syncData: () => record("syncData", undefined),
    writeDurable: () => record("writeDurable", undefined),
    allocate: () => record("allocate", undefined),
    truncate: () => record("truncate", undefined),
    size: () => record("size", 3),
    tryLock: () => record("tryLock", true),
    close: () => record("close", undefined),
  };
  return {
    open: () => record("open", file),
    list: () => record("list", ["f"]),
    stat: () => record("stat", undefined),
    makeDirectory: () => record("makeDirectory", undefined),
    rename: () => record("rename", undefined),
    remove: () => record("remove", undefined),
    removeDirectory: () => record("removeDirectory", undefined),
    syncDirectory: () => record("syncDirectory", undefined),
  };
}

test("everything reaches the disk but the waiting", async () => {
  const calls: string[] = [];
  const disk = withoutSync(recordingDisk(calls));
  const file = await disk.open("f", { write: true });
  await file.writeDurable(new Uint8Array(1), 0);
  await file.write(new Uint8Array(1), 1);
  await file.syncData();
  await file.allocate(10);
  await file.truncate(1);
  expect(await file.tryLock()).toBe(true);
  expect(await file.size()).toBe(3);
  await file.close();
  await disk.rename("f", "g");
  await disk.syncDirectory(".");
  expect(calls).toEqual(["open", "write", "write", "allocate", "truncate", "tryLock", "size", "close", "rename"]);
});
