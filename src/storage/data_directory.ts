/**
 * The data directory, laid out as etcd's:
 *
 *   <data-dir>/                           0700
 *     member/
 *       snap/db                           the state at the last checkpoint (database.ts); locked
 *       snap/<term>-<index>.snap          what raft knows of a snapshot (snapshot_file.ts)
 *       snap/<index>.snap.db              a database received from another member, to take the place of `db`
 *       snap/tmp*                         being written; removed at the next start
 *       wal/                              the log, each segment locked; elsewhere with --wal-dir
 *
 * Two processes never work on one. etcd locks `db` before it looks at anything else and then each segment, so the same
 * locks keep it out of our directory and us out of its own. (Without the lock on `db`, an etcd started by mistake would
 * create a database before it noticed the locked log.)
 */

import { type Disk, DiskError } from "../io/disk.ts";
import type { Logger } from "../io/log.ts";
import { Database } from "./database.ts";
import { DataDirectoryError } from "./error.ts";
import { parentOf } from "./path.ts";
import { SnapshotDirectory } from "./snapshot_directory.ts";
import { Wal } from "./wal/mod.ts";

const DIRECTORY_MODE = 0o700;

export { DataDirectoryError };

export interface DataDirectoryOptions {
  readonly path: string;
  /** Empty: inside the data directory. */
  readonly walPath: string;
  readonly log: Logger;
}

export class DataDirectory {
  readonly path: string;
  /** Where the log is, or is to be created; its parent exists and is durable. */
  readonly walPath: string;
  readonly hasWal: boolean;
  readonly database: Database;
  readonly snapshots: SnapshotDirectory;

  private constructor(
    path: string,
    walPath: string,
    hasWal: boolean,
    database: Database,
    snapshots: SnapshotDirectory,
  ) {
    this.path = path;
    this.walPath = walPath;
    this.hasWal = hasWal;
    this.database = database;
    this.snapshots = snapshots;
  }

  /** Creates what is missing and takes the lock, held until `close`. Rejects with DataDirectoryError. */
  static async open(disk: Disk, options: DataDirectoryOptions): Promise<DataDirectory> {
    const { path, log } = options;
    const snapPath = `${path}/member/snap`;
    const walPath = options.walPath === "" ? `${path}/member/wal` : options.walPath;
    let database: Database | undefined;
    try {
      await checkPermissions(disk, path, log);
      await createDurably(disk, snapPath);
      if (options.walPath !== "") await createDurably(disk, parentOf(walPath));
      await probe(disk, `${path}/.touch`);
      database = await Database.open(disk, snapPath);
      const snapshots = new SnapshotDirectory(disk, snapPath, log);
      await snapshots.tidy();
      return new DataDirectory(path, walPath, await Wal.exists(disk, walPath), database, snapshots);
    } catch (error) {
      await database?.close();
      if (!(error instanceof DiskError)) throw error;
      throw new DataDirectoryError(
        `cannot use data directory ${path}: ${error.message}; give this user access to it, or choose another one`,
        { cause: error },
      );
    }
  }

  /** Gives up the lock. */
  async close(): Promise<void> {
    await this.database.close();
  }
}

async function checkPermissions(disk: Disk, path: string, log: Logger): Promise<void> {
  const stat = await disk.stat(path);
  if (stat === undefined) return;
  if (!stat.isDirectory) throw new DiskError("ENOTDIR", "open", path, "not a directory");
  if (stat.mode === DIRECTORY_MODE) return;
  log.warn("check file permission", {
    "error": `directory "${path}" exist, but the permission is "${modeText(stat.mode)}". The recommended permission ` +
      `is "${modeText(DIRECTORY_MODE)}" to prevent possible unprivileged access to the data`,
  });
}

/** Whether files can be created: found out now rather than at the first cut of the log. */
async function probe(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, { write: true, create: true });
  await file.close();
  await disk.remove(path);
}

/**
 * Creates a directory and its missing parents, each name durable before anything is put below it. A process killed in
 * between leaves at most one name that is there and not durable, the lowest; so that one is synced too.
 */
async function createDurably(disk: Disk, path: string): Promise<void> {
  const missing: string[] = [];
  let existing = path;
  for (; await disk.stat(existing) === undefined; existing = parentOf(existing)) missing.push(existing);
  try {
    await disk.syncDirectory(parentOf(existing));
  } catch (error) {
    // What this user cannot read was made by another, not by an earlier start.
    if (!(error instanceof DiskError && error.code === "EACCES")) throw error;
  }
  for (const directory of missing.reverse()) {
    await disk.makeDirectory(directory);
    await disk.syncDirectory(parentOf(directory));
  }
}

/** As `ls` shows a directory's permissions. */
function modeText(mode: number): string {
  let text = "d";
  for (let bit = 8; bit >= 0; bit--) text += (mode & (1 << bit)) === 0 ? "-" : "rwx"[(8 - bit) % 3];
  return text;
}
