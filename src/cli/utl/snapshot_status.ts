/** `snapshot status`: what is in a database file, after a check of all its pages. */

import { updateCrc32c } from "../../base/crc32c.ts";
import { KeySet } from "../../base/key_set.ts";
import { utf8Text } from "../../base/bytes.ts";
import { Bucket } from "../../member/mod.ts";
import type { BoltDatabase, BoltScan } from "../../storage/bolt/mod.ts";
import { type Command, CommandError, ExitCode, type Invocation } from "../command_line/mod.ts";
import { printerOf, type SnapshotStatus } from "../output/mod.ts";
import { requireFile, withDatabase } from "./database.ts";
import { checkDigest } from "./digest.ts";
import { findKey, isTombstoneKey, mainRevision, readStorageVersion } from "./schema.ts";

export const SNAPSHOT_STATUS: Command = {
  name: "status",
  argumentsUsage: "<filename>",
  summary: "Checks a snapshot file and tells what is in it",
  description:
    "Checks a snapshot file, or the database of a member that does not run, and tells its hash, revision,\n" +
    "number of keys, size, and the version of its schema.\n\n" +
    "All pages are checked, and the SHA-256 at the end of a saved snapshot is compared.",
  run: async ({ flags, arguments: paths, console }: Invocation) => {
    if (paths.length !== 1) {
      throw new CommandError(ExitCode.BAD_ARGUMENTS, "snapshot status requires exactly one argument");
    }
    await requireFile(paths[0]);
    const printer = printerOf(flags);
    const status = await withDatabase(paths[0], flags.duration("timeout"), readStatus);
    console.out(printer.status(status));
    return ExitCode.SUCCESS;
  },
};

async function readStatus(database: BoltDatabase): Promise<SnapshotStatus> {
  const problems = await database.check();
  if (problems.length > 0) {
    throw new CommandError(
      ExitCode.ERROR,
      `snapshot file integrity check failed. ${problems.length} errors found.\n${problems.join("\n")}`,
    );
  }
  await database.verifyAll();
  await checkDigest(database.file);

  let hash = 0;
  let keys = new KeyCount();
  for (const name of await database.bucketNames()) {
    hash = updateCrc32c(hash, name);
    const bucket = await database.bucket(name);
    if (bucket === undefined) throw new CommandError(ExitCode.ERROR, `nil bucket: ${JSON.stringify(utf8Text(name))}`);
    const isKeyBucket = utf8Text(name) === Bucket.KEY;
    if (isKeyBucket) keys = new KeyCount();
    hash = await hashRows(bucket.scan(), hash, isKeyBucket ? keys : undefined);
  }
  return {
    hash,
    revision: keys.revision,
    totalKey: keys.count,
    totalSize: database.size,
    version: await readStorageVersion(database),
  };
}

async function hashRows(scan: BoltScan, before: number, keys: KeyCount | undefined): Promise<number> {
  let hash = before;
  const visit = (bytes: Uint8Array, keyStart: number, keySize: number, valueStart: number, valueSize: number) => {
    hash = updateCrc32c(hash, bytes, keyStart, keyStart + keySize);
    hash = updateCrc32c(hash, bytes, valueStart, valueStart + valueSize);
    keys?.add(bytes, keyStart, keySize, valueStart, valueSize);
  };
  while (await scan.step(visit));
  return hash;
}

/** Counts the keys that are there at the end of their history. */
class KeyCount {
  revision = 0n;
  readonly #keys = new KeySet();
  readonly #place = { start: 0, end: 0 };

  get count(): number {
    return this.#keys.size;
  }

  add(bytes: Uint8Array, keyStart: number, keySize: number, valueStart: number, valueSize: number): void {
    const main = mainRevision(bytes, keyStart, keySize);
    const shown = () => JSON.stringify(utf8Text(bytes.subarray(keyStart, keyStart + keySize)));
    if (main === undefined) throw new CommandError(ExitCode.ERROR, `cannot parse revision key: ${shown()}`);
    this.revision = main;
    if (!findKey(bytes, valueStart, valueSize, this.#place)) {
      throw new CommandError(ExitCode.ERROR, `cannot unmarshal value, key: ${shown()}`);
    }
    const { start, end } = this.#place;
    const entry = this.#keys.find(bytes, start, end);
    const isTombstone = isTombstoneKey(bytes, keyStart, keySize);
    if (isTombstone && entry >= 0) this.#keys.remove(entry);
    if (!isTombstone && entry < 0) this.#keys.insert(bytes, start, end);
  }
}
