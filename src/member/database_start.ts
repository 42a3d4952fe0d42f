/**
 * The database when a member starts: created empty for a new one, else read into the state.
 *
 * Which one counts is decided as in etcd: S is the newest snapshot record that the log commits, A the last entry that the
 * database holds. A >= S is normal: the database is written before the record. A < S means that a database was received
 * for S and has not taken its place yet.
 */

import type { Keyspace } from "../keyspace/mod.ts";
import { compareVersions, type Membership, parseVersion } from "../membership/mod.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import { EMPTY_CONF_STATE } from "../raft/mod.ts";
import { type BoltDatabase, BoltError } from "../storage/bolt/mod.ts";
import { type DataDirectory, DataDirectoryError } from "../storage/data_directory.ts";
import type { WalSnapshot } from "../storage/wal/mod.ts";
import { formatDuration } from "../base/duration.ts";
import { DiskError } from "../io/disk.ts";
import { STORAGE_VERSION } from "../base/version.ts";
import { captureState, KeyBucket, otherBuckets } from "./buckets.ts";
import type { CheckpointState } from "./checkpointer.ts";
import { LeaseRows } from "./lease_rows.ts";
import type { MemberOptions } from "./options.ts";
import { confStateOf } from "./conf_state.ts";
import { encodeV2Store } from "./v2_store.ts";
import { type DatabaseMeta, readMeta, restoreState } from "./restore.ts";

export interface DatabaseTarget {
  readonly keyspace: Keyspace;
  readonly membership: Membership;
}

export interface LoadedDatabase {
  readonly checkpoint: CheckpointState;
  /** A compaction that was scheduled and is still to be carried out. */
  readonly compaction: CompactionJob | undefined;
}

const EMPTY_META: DatabaseMeta = {
  index: 0,
  term: 0,
  storageVersion: "",
  scheduledCompactRevision: -1,
  finishedCompactRevision: -1,
};

const REMEDY = "restore the data directory from a snapshot, or remove this member and add it again with an empty one";

/**
 * Writes the database of a member that has no entry yet, so that from now on etcd and its tools can open it. Rejects with
 * DataDirectoryError if there is one with a state in it, since its log is missing then.
 */
export async function createDatabase(
  options: MemberOptions,
  { database, walPath }: DataDirectory,
  target: DatabaseTarget,
): Promise<CheckpointState> {
  const found = await read(database.path, () => database.read());
  const { index } = found === undefined ? EMPTY_META : await read(database.path, () => readMeta(found));
  if (index > 0) {
    throw new DataDirectoryError(
      `${database.path} holds the state after entry ${index}, but there is no log in ${walPath}: ` +
        `put the log back, or ${REMEDY}`,
    );
  }
  const state = captureState({ ...target, confState: EMPTY_CONF_STATE, index: 0, term: 0 });
  const leases = new LeaseRows(state.leases);
  while (!leases.prepare(1));
  const buckets = [new KeyBucket(target.keyspace.store, state, 0), ...otherBuckets(state, leases, -1)];
  const pace = { turn: () => new Promise<void>((resolve) => options.clock.defer(resolve)), check: () => {} };
  await read(database.path, () => database.rewrite(buckets, pace));
  return checkpointState(target, EMPTY_META, 0, 0);
}

/** Reads the database into the state. Rejects with DataDirectoryError: it is damaged, or does not fit the log. */
export async function loadDatabase(
  options: MemberOptions,
  directory: DataDirectory,
  target: DatabaseTarget,
  snapshot: WalSnapshot,
): Promise<LoadedDatabase> {
  const { log, clock } = options;
  const { database } = directory;
  const startMs = clock.monotonicMs();
  let found = await read(database.path, () => database.read());
  let meta = found === undefined ? EMPTY_META : await read(database.path, () => readMeta(found!));
  log.info("restore consistentIndex", { "index": meta.index });
  if (snapshot.index === 0) log.info("No snapshot found. Recovering WAL from scratch!");
  else if (snapshot.index <= meta.index) {
    log.info("Skipping snapshot backend", { "consistent-index": meta.index, "snapshot-index": snapshot.index });
  } else {
    log.info("Recovering from snapshot backend", { "consistent-index": meta.index, "snapshot-index": snapshot.index });
    found = await recoverReceived(directory, snapshot.index, meta.index, found);
    meta = await read(database.path, () => readMeta(found!));
    if (meta.index < snapshot.index) throw mismatch(directory, meta.index, snapshot.index);
  }
  if (found === undefined) {
    return { checkpoint: checkpointState(target, EMPTY_META, snapshot.index, 0), compaction: undefined };
  }
  tellChecksums(options, found);
  checkVersion(database.path, meta);
  const state = found;
  const { storedSize, compaction } = await read(
    database.path,
    () => restoreState(state, meta, { ...target, log }),
  );
  log.info("recovered v3 backend", {
    "backend-size-bytes": database.size,
    "took": formatDuration(clock.monotonicMs() - startMs),
  });
  return { checkpoint: checkpointState(target, meta, snapshot.index, storedSize), compaction };
}

/** Lets the database that was received for a snapshot take the place of the present one. */
async function recoverReceived(
  directory: DataDirectory,
  snapshotIndex: number,
  index: number,
  found: BoltDatabase | undefined,
): Promise<BoltDatabase> {
  const { database, snapshots } = directory;
  const name = await snapshots.receivedDatabase(snapshotIndex);
  if (name === undefined) {
    const doubt = found?.damage === undefined ? "" : ` (${found.damage.message})`;
    throw new DataDirectoryError(
      "failed to recover v3 backend from snapshot: failed to find database snapshot file (snap: snapshot file doesn't " +
        `exist): the log says that the state after entry ${snapshotIndex} is durable, but ${database.path} holds only ` +
        `that after entry ${index}${doubt}; ${REMEDY}`,
    );
  }
  await database.replaceBy(name);
  const received = await read(database.path, () => database.read());
  if (received === undefined) throw mismatch(directory, 0, snapshotIndex);
  return received;
}

function mismatch({ database }: DataDirectory, index: number, snapshotIndex: number): DataDirectoryError {
  return new DataDirectoryError(
    `database file (${database.path} index ${index}) does not match with snapshot (index ${snapshotIndex}); ${REMEDY}`,
  );
}

/** A file that cannot be checked is said to be so; one whose checksums are damaged themselves is not served. */
function tellChecksums({ log }: MemberOptions, { file, checksums, damage }: BoltDatabase): void {
  if (checksums === "absent") {
    log.warn(
      "the database was last written by another program or member and carries no checksums; they come with the next checkpoint",
      {
        "path": file.path,
      },
    );
  } else if (checksums === "damaged") {
    throw new DataDirectoryError(`${damage?.message ?? file.path}; the file was left as it is: ${REMEDY}`);
  } else if (damage !== undefined) {
    // Its other meta page is in order, and not behind what the log needs.
    log.warn("the database has a damaged meta page; it will be written anew", { "error": damage.message });
  }
}

function checkVersion(path: string, { storageVersion }: DatabaseMeta): void {
  if (storageVersion === "") return;
  const version = parseVersion(storageVersion);
  if (version !== undefined && compareVersions(version, parseVersion(STORAGE_VERSION)!) <= 0) return;
  throw new DataDirectoryError(
    `cannot use ${path}: version "${storageVersion}" is not supported; start a program that is as new`,
  );
}

/** Runs what reads or writes a database; what is wrong with it, or with the disk, is told with the way out. */
async function read<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof DiskError) {
      throw new DataDirectoryError(
        `cannot use the database: ${error.message}; make room on its disk, or check it, and start again: nothing was lost`,
        { cause: error },
      );
    }
    if (!(error instanceof BoltError)) throw error;
    const message = error.message.includes(path) ? error.message : `${path}: ${error.message}`;
    throw new DataDirectoryError(
      `the database is damaged: ${message}; the file was left as it is: ${REMEDY} (if etcd was killed on this ` +
        "directory right after a start, start it there once more first: it was about to write the file)",
      { cause: error },
    );
  }
}

/** The state is what the database holds. */
export function checkpointState(
  { keyspace: { store }, membership }: DatabaseTarget,
  { index, term, storageVersion, finishedCompactRevision }: DatabaseMeta,
  recordedIndex: number,
  storedSize: number,
): CheckpointState {
  const { revision } = store;
  const confState = confStateOf(membership);
  const v2Store = encodeV2Store(membership);
  return {
    index,
    term,
    confState,
    v2Store,
    revision,
    storageVersion,
    finishedCompactRevision,
    storedSize,
    recordedIndex,
  };
}
