/** Commands that change the database of a member that does not run. */

import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import type { BoltDatabase } from "../../storage/bolt/mod.ts";
import { systemDisk } from "../../io/system/mod.ts";
import { asCommandError } from "./database.ts";
import { type Buckets, writeBuckets } from "./rewrite.ts";

export function databasePath(dataDirectory: string): string {
  return join(dataDirectory, "member", "snap", "db");
}

export function walPath(dataDirectory: string): string {
  return join(dataDirectory, "member", "wal");
}

/** A name that nobody else has chosen. */
export function randomSuffix(): string {
  return randomBytes(6).toString("hex");
}

/**
 * Puts a file of these buckets in the place of `database`, whose lock is held. At every moment one of the two is there.
 * Throws a CommandError, with the old file as it was.
 */
export async function replaceDatabase(database: BoltDatabase, buckets: Buckets): Promise<{ size: number }> {
  const { path } = database.file;
  const temporary = `${path}.tmp.${randomSuffix()}`;
  try {
    const written = await writeBuckets(temporary, buckets);
    await systemDisk.rename(temporary, path);
    await systemDisk.syncDirectory(dirname(path));
    return written;
  } catch (error) {
    await systemDisk.remove(temporary);
    throw asCommandError(error);
  }
}
