/**
 * How the state maps to etcd's database: the one place that knows its buckets, their keys and their values (frozen: on
 * disk, and in Maintenance.Hash).
 *
 *   alarm            AlarmMember, as the key                                        nothing
 *   auth             authEnabled, authRevision                                      1 byte; 8 bytes, big-endian
 *   authRoles/Users  name                                                           authpb.Role, authpb.User
 *   cluster          clusterVersion, downgrade                                      "3.7.0", JSON
 *   key              revision (mvcc/revision_key.ts)                                KeyValue; of a tombstone only the key
 *   lease            id, 8 bytes, big-endian                                        leasepb.Lease
 *   members          id in hexadecimal                                              JSON
 *   members_removed  id in hexadecimal                                              "removed"
 *   meta             consistent_index, term, confState, storageVersion              8 bytes, 8 bytes, JSON, "3.7.0"
 *                    scheduledCompactRev, finishedCompactRev                        a revision
 *
 * A capture is taken between two entries and holds all that later entries change in place. Revisions stay where they are:
 * the cursor over them reads the store, step by step, under a pin.
 */

import { EMPTY_BYTES, utf8 } from "../base/bytes.ts";
import { encodeAlarm, type Keyspace } from "../keyspace/mod.ts";
import type { LeaseRecord } from "../lease/mod.ts";
import type { Membership } from "../membership/mod.ts";
import { type RevisionCursor, revisionKey, type Store } from "../mvcc/mod.ts";
import type { ConfState } from "../raft/mod.ts";
import { type BoltRow, bucketOfRows, type BucketSource } from "../storage/bolt/mod.ts";
import { LeaseRows } from "./lease_rows.ts";

/** Names of the buckets. */
export const Bucket = {
  ALARM: "alarm",
  AUTH: "auth",
  AUTH_ROLES: "authRoles",
  AUTH_USERS: "authUsers",
  CLUSTER: "cluster",
  KEY: "key",
  LEASE: "lease",
  MEMBERS: "members",
  MEMBERS_REMOVED: "members_removed",
  META: "meta",
} as const;

/** Keys of the bucket `meta`. */
export const MetaKey = {
  CONSISTENT_INDEX: "consistent_index",
  TERM: "term",
  CONF_STATE: "confState",
  STORAGE_VERSION: "storageVersion",
  SCHEDULED_COMPACT_REVISION: "scheduledCompactRev",
  FINISHED_COMPACT_REVISION: "finishedCompactRev",
} as const;

/** The buckets in the order in which etcd hashes them. */
export const BUCKETS: readonly string[] = Object.values(Bucket);

/** The state between two entries. */
export interface CapturedState {
  /** Of the last entry in it. */
  readonly index: number;
  readonly term: number;
  readonly revision: number;
  /** Rows of the history below this belong to it. */
  readonly endRow: number;
  readonly compactRevision: number;
  readonly confState: ConfState;
  /** Empty: 3.5, which says none. */
  readonly storageVersion: string;
  readonly leases: readonly LeaseRecord[];
  /** All buckets but `key`, `lease` and `meta`. */
  readonly small: readonly (readonly [name: string, rows: readonly BoltRow[]])[];
}

export interface CaptureParts {
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  readonly confState: ConfState;
  readonly index: number;
  readonly term: number;
}

/** Takes the state as it is. To be called while no entry is half applied; takes about a millisecond per 100,000 leases. */
export function captureState({ keyspace, membership, confState, index, term }: CaptureParts): CapturedState {
  const { store, lessor, alarms, auth } = keyspace;
  const { auth: authRows, authRoles, authUsers } = auth.records();
  const { members, membersRemoved, cluster } = membership.records();
  return {
    index,
    term,
    revision: store.revision,
    endRow: store.endRow,
    compactRevision: store.compactRevision,
    confState,
    storageVersion: storageVersionOf(membership.clusterVersion),
    leases: lessor.records(),
    small: [
      [Bucket.ALARM, alarms.list().map((alarm) => ({ key: encodeAlarm(alarm), value: EMPTY_BYTES }))],
      [Bucket.AUTH, rowsOf(authRows)],
      [Bucket.AUTH_ROLES, rowsOf(authRoles)],
      [Bucket.AUTH_USERS, rowsOf(authUsers)],
      [Bucket.CLUSTER, rowsOf(cluster)],
      [Bucket.MEMBERS, rowsOf(members)],
      [Bucket.MEMBERS_REMOVED, rowsOf(membersRemoved)],
    ],
  };
}

/** The `meta` bucket of a file whose revisions have been compacted up to `finishedCompactRevision` (-1: never). */
export function metaRows(state: CapturedState, finishedCompactRevision: number): BoltRow[] {
  const { index, term, confState, storageVersion, compactRevision } = state;
  const rows: BoltRow[] = [row(MetaKey.CONF_STATE, confStateJson(confState))];
  // etcd takes an index of zero for one that it has not read yet.
  if (index > 0) {
    rows.push({ key: utf8(MetaKey.CONSISTENT_INDEX), value: bigEndian(index) });
    rows.push({ key: utf8(MetaKey.TERM), value: bigEndian(term) });
  }
  if (storageVersion !== "") rows.push(row(MetaKey.STORAGE_VERSION, storageVersion));
  if (compactRevision > 0) {
    rows.push({ key: utf8(MetaKey.SCHEDULED_COMPACT_REVISION), value: revisionKey(compactRevision) });
  }
  if (finishedCompactRevision > 0) {
    rows.push({ key: utf8(MetaKey.FINISHED_COMPACT_REVISION), value: revisionKey(finishedCompactRevision) });
  }
  return rows;
}

/** The buckets that are written whole each time. `leases` is ready. */
export function otherBuckets(
  state: CapturedState,
  leases: LeaseRows,
  finishedCompactRevision: number,
): BucketSource[] {
  return [
    ...state.small.map(([name, rows]) => bucketOfRows(utf8(name), rows)),
    { name: utf8(Bucket.LEASE), open: () => leases.open() },
    bucketOfRows(utf8(Bucket.META), metaRows(state, finishedCompactRevision)),
  ];
}

/** The revisions behind `afterRevision`, as a compaction at the state's leaves them; the caller pins that one. */
export class KeyBucket implements BucketSource {
  readonly name = utf8(Bucket.KEY);
  readonly #store: Store;
  readonly #state: CapturedState;
  readonly #afterRevision: number;
  #cursor: RevisionCursor | undefined;

  constructor(store: Store, state: CapturedState, afterRevision: number) {
    this.#store = store;
    this.#state = state;
    this.#afterRevision = afterRevision;
  }

  open(): RevisionCursor {
    const { endRow, compactRevision } = this.#state;
    return this.#cursor = this.#store.openRevisions(this.#afterRevision, endRow, compactRevision);
  }

  /** Bytes of the rows that the newest cursor has passed, as `Store.storedSize` counts them. */
  get passedSize(): number {
    return this.#cursor?.passedSize ?? 0;
  }
}

/** The version of the schema goes with the version of the cluster; empty for 3.5 and before, which do not say it. */
export function storageVersionOf(clusterVersion: string): string {
  const [major, minor] = clusterVersion.split(".").map(Number);
  return major > 3 || (major === 3 && minor >= 6) ? `${major}.${minor}.0` : "";
}

function rowsOf(pairs: Iterable<readonly [Uint8Array, Uint8Array]>): BoltRow[] {
  return [...pairs].map(([key, value]) => ({ key, value }));
}

function row(key: string, value: string): BoltRow {
  return { key: utf8(key), value: utf8(value) };
}

/** Ids exceed what JSON.stringify can write. */
function confStateJson({ voters, learners, votersOutgoing, learnersNext, autoLeave }: ConfState): string {
  const parts: string[] = [];
  const lists = { voters, learners, voters_outgoing: votersOutgoing, learners_next: learnersNext };
  for (const [name, ids] of Object.entries(lists)) if (ids.length > 0) parts.push(`"${name}":[${ids.join(",")}]`);
  parts.push(`"auto_leave":${autoLeave}`);
  return `{${parts.join(",")}}`;
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}
