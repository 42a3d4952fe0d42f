/** Uses everything of the real disk in the directory given, and prints what happened: the same on every runtime. */

import { DiskError } from "../../../src/io/disk.ts";
import { systemDisk as disk } from "../../../src/io/system/mod.ts";

const root = process.argv[2];

async function failure(operation: Promise<unknown>): Promise<string> {
  try {
    await operation;
    return "no error";
  } catch (error) {
    return error instanceof DiskError ? `${error.code} | ${error.message.replaceAll(root, "ROOT")}` : String(error);
  }
}

async function main(): Promise<void> {
  await disk.makeDirectory(`${root}/a/b`);
  await disk.makeDirectory(`${root}/a/b`);
  await disk.syncDirectory(`${root}/a`);
  console.log("directory", JSON.stringify(await disk.stat(`${root}/a/b`)));
  console.log("missing", await disk.stat(`${root}/nothing`));

  const path = `${root}/a/b/file`;
  const file = await disk.open(path, { write: true, create: true, exclusive: true });
  await file.allocate(100_000);
  console.log("allocated", await file.size());
  const written = new Uint8Array(70_000).fill(7);
  await file.writeDurable(written, 10);
  // Issued without waiting: they take effect in this order.
  const data = new Uint8Array(4).fill(1);
  await Promise.all([file.write(data, 0), file.truncate(70_010), file.writeDurable(data, 4), file.syncData()]);
  const read = new Uint8Array(100);
  console.log("read", await file.read(read, 0), read.slice(0, 12).join(" "));
  console.log("read at the end", await file.read(read, 70_000), await file.read(read, 70_010));

  const second = await disk.open(path, { write: true });
  console.log("locks", await file.tryLock(), await second.tryLock());
  await disk.rename(path, `${path}.renamed`);
  await file.writeDurable(data, 70_010);
  console.log("renamed", JSON.stringify(await disk.stat(`${path}.renamed`)), await disk.stat(path));
  await file.close();
  console.log("lock after close", await second.tryLock());
  await second.close();
  await second.close();

  console.log(await failure(file.syncData()));
  console.log(await failure(disk.open(`${root}/nothing`)));
  console.log(await failure(disk.open(`${path}.renamed`, { write: true, create: true, exclusive: true })));
  console.log(await failure(disk.list(`${root}/nothing`)));
  console.log(await failure(disk.open("/dev/full", { write: true }).then((full) => full.write(data, 0))));
  console.log(await failure(disk.makeDirectory(`${path}.renamed/below`)));

  for (const name of ["b", "a", "c"]) {
    await (await disk.open(`${root}/a/${name}x`, { write: true, create: true })).close();
  }
  console.log("list", (await disk.list(`${root}/a`)).join(" "));
  await disk.remove(`${root}/a/ax`);
  await disk.remove(`${root}/a/ax`);
  await disk.removeDirectory(`${root}/a`);
  await disk.removeDirectory(`${root}/a`);
  console.log("left", (await disk.list(root)).length);
}

await main();
