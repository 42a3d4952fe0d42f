/** From a database to a state: reads every bucket into an empty keyspace and membership. */

import { fromBinary } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
import { AuthRecordError } from "../auth/mod.ts";
import { type Pair, utf8, utf8Text } from "../base/bytes.ts";
import { WireError } from "../base/varint.ts";
import { AlarmMemberSchema } from "../gen/etcdserverpb/maintenance_pb.ts";
import type { Logger } from "../io/log.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import { decodeLease } from "../lease/mod.ts";
import { type Membership, MembershipError } from "../membership/mod.ts";
import { type CompactionJob, isRevisionKey, mainOfKey, type Store, subOfKey, TOMBSTONE_KEY_SIZE } from "../mvcc/mod.ts";
import type { BoltDatabase, RowVisitor } from "../storage/bolt/mod.ts";
import { DataDirectoryError } from "../storage/error.ts";
import { Bucket, MetaKey } from "./buckets.ts";

/** Keys attached to leases in one step. */
const ATTACHED_PER_STEP = 4096;

/** What a page of the file says about each of its rows. */
const ELEMENT_SIZE = 16;

/** What the `meta` bucket says. Revisions are -1 where it says none. */
export interface DatabaseMeta {
  /** The last entry in the state; 0 for a database in which there is none yet. */
  readonly index: number;
  readonly term: number;
  /** Empty: it says none, as before 3.6. */
  readonly storageVersion: string;
  readonly scheduledCompactRevision: number;
  readonly finishedCompactRevision: number;
}

/** Where the state goes, and who hears about it. */
export interface RestoreTarget {
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  readonly log: Logger;
}

export interface Restored {
  /** Bytes of the revisions in the file, as `Store.storedSize` counts them. */
  readonly storedSize: number;
  /** A compaction that was scheduled and is still to be carried out. */
  readonly compaction: CompactionJob | undefined;
}

/** Lets others run, between two steps of about a millisecond. */
export type Turn = () => Promise<void>;

/** Where nothing else waits, as at a start. */
const NO_TURN: Turn = () => Promise.resolve();

/** Rejects with BoltError. */
export async function readMeta(database: BoltDatabase): Promise<DatabaseMeta> {
  const meta = new Map((await rowsOf(database, Bucket.META)).map(([key, value]) => [utf8Text(key), value]));
  const index = uint64(meta.get(MetaKey.CONSISTENT_INDEX));
  return {
    index,
    term: uint64(meta.get(MetaKey.TERM)),
    storageVersion: utf8Text(meta.get(MetaKey.STORAGE_VERSION) ?? new Uint8Array(0)),
    scheduledCompactRevision: revision(meta.get(MetaKey.SCHEDULED_COMPACT_REVISION)),
    finishedCompactRevision: revision(meta.get(MetaKey.FINISHED_COMPACT_REVISION)),
  };
}

/**
 * Fills an empty keyspace and membership. Rejects with BoltError where the file is damaged, and with DataDirectoryError
 * where it holds what etcd does not write.
 */
export async function restoreState(
  database: BoltDatabase,
  { scheduledCompactRevision, finishedCompactRevision }: DatabaseMeta,
  { keyspace, membership, log }: RestoreTarget,
  turn: Turn = NO_TURN,
): Promise<Restored> {
  const { store, lessor, alarms, auth } = keyspace;
  const read = (name: string) => rowsOf(database, name);
  let revisions = { lastMain: 0, storedSize: 0 };
  try {
    auth.restore({
      auth: await read(Bucket.AUTH),
      authRoles: await read(Bucket.AUTH_ROLES),
      authUsers: await read(Bucket.AUTH_USERS),
    });
    membership.restore({
      members: await read(Bucket.MEMBERS),
      membersRemoved: await read(Bucket.MEMBERS_REMOVED),
      cluster: await read(Bucket.CLUSTER),
    });
    for (const [key] of await read(Bucket.ALARM)) {
      const { memberID, alarm } = fromBinary(AlarmMemberSchema, key);
      alarms.activate(memberID, alarm);
    }
    lessor.restore((await read(Bucket.LEASE)).map(([, value]) => decodeLease(value)));
    revisions = await restoreRevisions(database, keyspace.store, turn);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    throw new DataDirectoryError(
      `${database.file.path} holds what etcd does not write: ${error.message}; restore the data directory from a ` +
        "snapshot, or remove this member and add it again with an empty one",
      { cause: error },
    );
  }
  const { lastMain, storedSize } = revisions;
  store.finishRestore(
    Math.max(1, lastMain, finishedCompactRevision, scheduledCompactRevision),
    finishedCompactRevision,
  );
  await attachLeases(keyspace, log, turn);
  log.info("kvstore restored", { "current-rev": store.revision });
  if (scheduledCompactRevision <= finishedCompactRevision) return { storedSize, compaction: undefined };
  const compaction = store.compact(scheduledCompactRevision, { cacheHash: false });
  assert(typeof compaction !== "string", "a revision between the last compaction and the newest can be compacted");
  log.info("resume scheduled compaction", { "scheduled-compact-revision": scheduledCompactRevision });
  return { storedSize, compaction };
}

/** Rows of the bucket `key`, read as fast as they come: they are most of what a start does. */
async function restoreRevisions(
  database: BoltDatabase,
  store: Store,
  turn: Turn,
): Promise<{ lastMain: number; storedSize: number }> {
  const scan = (await database.bucket(utf8(Bucket.KEY)))?.scan();
  let lastMain = 0;
  let lastSub = 0;
  let storedSize = 0;
  const visit: RowVisitor = (bytes, keyStart, keySize, valueStart, valueSize) => {
    if (!isRevisionKey(bytes, keyStart, keySize)) throw new WireError("a key that is no revision in the bucket key");
    const main = mainOfKey(bytes, keyStart);
    const sub = subOfKey(bytes, keyStart);
    if (main < lastMain || (main === lastMain && sub < lastSub)) throw new WireError("revisions out of order");
    lastMain = main;
    lastSub = sub;
    storedSize += ELEMENT_SIZE + keySize + valueSize;
    store.restoreRow(main, sub, keySize === TOMBSTONE_KEY_SIZE, bytes, valueStart, valueSize);
  };
  while (scan !== undefined && await scan.step(visit)) await turn();
  return { lastMain, storedSize };
}

/** A key belongs to the lease that its newest record names. */
async function attachLeases({ store, lessor }: Keyspace, log: Logger, turn: Turn): Promise<void> {
  let count = 0;
  for (let row = store.nextLeasedRow(0); row < store.endRow; row = store.nextLeasedRow(row)) {
    if (++count % ATTACHED_PER_STEP === 0) await turn();
    const id = store.lease(row);
    if (lessor.attach(id, store.key(row))) continue;
    log.error("failed to attach a lease", {
      "lease-id": BigInt.asUintN(64, id).toString(16).padStart(16, "0"),
      "error": "lease not found",
    });
  }
}

async function rowsOf(database: BoltDatabase, name: string): Promise<Pair[]> {
  const rows: Pair[] = [];
  const scan = (await database.bucket(utf8(name)))?.scan();
  const visit: RowVisitor = (bytes, keyStart, keySize, valueStart, valueSize) => {
    rows.push([bytes.slice(keyStart, keyStart + keySize), bytes.slice(valueStart, valueStart + valueSize)]);
  };
  while (scan !== undefined && await scan.step(visit));
  return rows;
}

function isUnreadable(error: unknown): error is Error {
  return error instanceof WireError || error instanceof AuthRecordError || error instanceof MembershipError;
}

function uint64(bytes: Uint8Array | undefined): number {
  if (bytes === undefined || bytes.length !== 8) return 0;
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
}

function revision(bytes: Uint8Array | undefined): number {
  return bytes === undefined || !isRevisionKey(bytes, 0, bytes.length) ? -1 : mainOfKey(bytes, 0);
}
