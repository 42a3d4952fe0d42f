/**
 * Maintenance.Hash: one checksum over everything a member stores, as etcd computes it over its database: CRC-32C of each
 * bucket's name followed by its keys and values, buckets and keys in byte order. What changes without a client's doing
 * (consistent index, term, storage version) is left out.
 */
import { updateCrc32c } from "../base/crc32c.ts";
import { EMPTY_BYTES, utf8 } from "../base/bytes.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import { WireWriter } from "../base/varint.ts";
import { encodeAlarm, type Keyspace } from "../keyspace/mod.ts";
import { idText, memberJson, type Membership } from "../membership/mod.ts";
import { RECORD_FULL } from "../mvcc/mod.ts";
import type { ConfState } from "../raft/mod.ts";

export interface HashedState {
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  readonly confState: ConfState;
}

/** Yields between steps; returns the checksum as an unsigned 32-bit number. */
export function* hashState({ keyspace, membership, confState }: HashedState): Generator<undefined, number> {
  const { store, lessor, alarms } = keyspace;
  let crc = 0;
  const add = (bytes: Uint8Array): void => void (crc = updateCrc32c(crc, bytes));
  const bucket = (name: string, pairs: Iterable<readonly [Uint8Array, Uint8Array]>): void => {
    add(utf8(name));
    for (const [key, value] of pairs) {
      add(key);
      add(value);
    }
  };

  bucket("alarm", alarms.list().map((alarm) => [encodeAlarm(alarm), EMPTY_BYTES]));
  // The auth store of a cluster on which nobody ever enabled it.
  bucket("auth", [[utf8("authRevision"), bigEndian(1n)]]);
  bucket("authRoles", []);
  bucket("authUsers", []);
  bucket("cluster", [[utf8("clusterVersion"), utf8(membership.clusterVersion)]]);

  // Only the revisions stay as they are while entries are applied between the steps: all else is taken now.
  const leases = [...lessor.records()].map(({ id, ttl, remainingTtl }) => {
    const writer = new WireWriter(32);
    writer.integer64Field(1, id);
    writer.integerField(2, ttl);
    writer.integerField(3, remainingTtl);
    return { order: BigInt.asUintN(64, id), key: bigEndian(id), value: writer.finish() };
  });
  leases.sort((a, b) => (a.order < b.order ? -1 : 1));
  const members = membership.list().map((member) => [idText(member.id), memberJson(member)]).sort();
  const removedIds = membership.removedIds().map(idText).sort();
  const meta = metaPairs(confState, store.compactRevision, store.finishedCompactRevision);

  add(utf8("key"));
  const pin = store.pin(Math.max(store.compactRevision, 1));
  const end = store.endRow;
  let record = new Uint8Array(4096);
  let visited = 0;
  for (let row = store.rowAtOrAfter(0); row < end; row = store.nextRow(row)) {
    add(revisionKey(store.rowMain(row), store.rowSub(row), store.isTombstone(row)));
    const size = store.recordSize(row, RECORD_FULL);
    if (size > record.length) record = new Uint8Array(size * 2);
    store.copyRecord(row, RECORD_FULL, record, 0);
    crc = updateCrc32c(crc, record, frameSize(record), size);
    if (++visited % (JOB_STEP_BUDGET / 4) === 0) yield;
  }
  pin.release();

  bucket("lease", leases.map(({ key, value }) => [key, value]));
  bucket("members", members.map(([id, json]) => [utf8(id), utf8(json)]));
  bucket("members_removed", removedIds.map((id) => [utf8(id), utf8("removed")]));
  bucket("meta", meta);
  return crc;
}

function metaPairs(
  confState: ConfState,
  scheduledCompactRevision: number,
  finishedCompactRevision: number,
): [Uint8Array, Uint8Array][] {
  const pairs: [Uint8Array, Uint8Array][] = [[utf8("confState"), utf8(confStateJson(confState))]];
  if (finishedCompactRevision > 0) {
    pairs.push([utf8("finishedCompactRev"), revisionKey(finishedCompactRevision, 0, false)]);
  }
  if (scheduledCompactRevision > 0) {
    pairs.push([utf8("scheduledCompactRev"), revisionKey(scheduledCompactRevision, 0, false)]);
  }
  return pairs;
}

function confStateJson({ voters, learners, autoLeave }: ConfState): string {
  const parts: string[] = [];
  if (voters.length > 0) parts.push(`"voters":[${voters.join(",")}]`);
  if (learners.length > 0) parts.push(`"learners":[${learners.join(",")}]`);
  parts.push(`"auto_leave":${autoLeave}`);
  return `{${parts.join(",")}}`;
}

/** A key of the `key` bucket: main and sub revision, big endian, and "t" behind a tombstone's. */
function revisionKey(main: number, sub: number, isTombstone: boolean): Uint8Array {
  const bytes = new Uint8Array(isTombstone ? 18 : 17);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(main));
  bytes[8] = 0x5f;
  view.setBigUint64(9, BigInt(sub));
  if (isTombstone) bytes[17] = 0x74;
  return bytes;
}

/** Size of a framed record's tag and length. */
function frameSize(record: Uint8Array): number {
  let size = 2;
  while (record[size - 1] >= 0x80) size++;
  return size;
}

function bigEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value));
  return bytes;
}
