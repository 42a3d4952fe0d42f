/** Applies the log of a data directory to an empty state, and describes that as `dbdump` describes a database. */
import { Applier, applyConfChange, finished } from "../../src/apply/mod.ts";
import { compareBytes, EMPTY_BYTES, hex, type Pair, utf8 } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { systemClock, systemDisk } from "../../src/io/system/mod.ts";
import { silentLogger } from "../../src/io/log.ts";
import { encodeAlarm, Keyspace } from "../../src/keyspace/mod.ts";
import { writeLease } from "../../src/lease/mod.ts";
import { Membership } from "../../src/membership/mod.ts";
import { type RevisionCursor, revisionKey } from "../../src/mvcc/mod.ts";
import { type Entry, EntryType } from "../../src/raft/mod.ts";
import { Wal } from "../../src/storage/wal/mod.ts";
import { decodeRaftRequest } from "../../src/wire/mod.ts";

/** The state after a log, in etcd's terms. */
export interface Replayed {
  /** The lines of each bucket, by its name; `meta` has the revisions of compactions only. */
  readonly buckets: ReadonlyMap<string, readonly string[]>;
  readonly isAuthEnabled: boolean;
  readonly entryCount: number;
  /** Why entries had no effect. */
  readonly refusals: ReadonlySet<string>;
}

/** The log is opened for writing: `directory` is a copy that nobody minds. */
export async function replayLog(directory: string): Promise<Replayed> {
  const replay = new Replay();
  const { wal } = await Wal.open(systemDisk, {
    directory,
    from: { index: 0, term: 0 },
    clock: systemClock,
    log: silentLogger,
  }, replay);
  await wal.close();
  const { keyspace, entryCount, refusals } = replay;
  return { buckets: replay.buckets(), isAuthEnabled: keyspace.auth.isEnabled, entryCount, refusals };
}

class Replay {
  readonly keyspace = new Keyspace({
    electionTimeoutMs: 1000,
    revokeRetryMs: 7000,
    hashSeed: 1,
    quotaBackendBytes: -1,
  });
  readonly membership = new Membership();
  readonly #applier = new Applier(this.keyspace, this.membership);
  entryCount = 0;
  readonly refusals = new Set<string>();
  #finishedCompaction = -1;

  metadata(): void {}

  entry(entry: Entry): void {
    this.entryCount++;
    if (entry.type !== EntryType.NORMAL) this.#refused(applyConfChange(this.membership, entry.data).error);
    else if (entry.data.length > 0) this.#apply(entry.data);
  }

  #apply(data: Uint8Array): void {
    const request = decodeRaftRequest(data);
    const context = { nowMs: 0, isWaitedFor: false, isReplay: true, requester: request };
    const outcome = finished(this.#applier.apply(request.operation, request.body, context));
    this.#refused(outcome.error);
    if (outcome.compaction === undefined) return;
    while (outcome.compaction.step(1000) !== "done");
    this.#finishedCompaction = this.keyspace.store.compactRevision;
  }

  #refused(error: string | undefined): void {
    if (error !== undefined) this.refusals.add(error);
  }

  buckets(): Map<string, string[]> {
    const { store, lessor, alarms, auth } = this.keyspace;
    const { members, membersRemoved, cluster } = this.membership.records();
    const { auth: authState, authUsers, authRoles } = auth.records();
    const leases = lessor.records().map((lease): Pair => {
      const key = new Uint8Array(8);
      new DataView(key.buffer).setBigInt64(0, lease.id);
      const writer = new WireWriter(32);
      writeLease(writer, lease);
      return [key, writer.finish()];
    });
    const meta: Pair[] = [];
    if (this.#finishedCompaction > 0) {
      meta.push([utf8("finishedCompactRev"), revisionKey(this.#finishedCompaction)]);
      meta.push([utf8("scheduledCompactRev"), revisionKey(store.compactRevision)]);
    }
    return new Map(Object.entries({
      alarm: lines(sorted(alarms.list().map((alarm): Pair => [encodeAlarm(alarm), EMPTY_BYTES]))),
      auth: lines(authState),
      authRoles: lines(authRoles),
      authUsers: lines(authUsers),
      cluster: lines(cluster),
      key: lines(revisions(store.openRevisions(0, store.endRow, store.compactRevision))),
      lease: lines(sorted(leases)),
      members: lines(members),
      members_removed: lines(membersRemoved),
      meta: lines(meta),
    }));
  }
}

function* revisions(cursor: RevisionCursor): Iterable<Pair> {
  while (cursor.next()) {
    const key = new Uint8Array(cursor.keySize);
    cursor.copyKey(key, 0);
    const value = new Uint8Array(cursor.valueSize);
    cursor.copyValue(value, 0, 0, value.length);
    yield [key, value];
  }
}

function sorted(pairs: Pair[]): Pair[] {
  return pairs.sort((a, b) => compareBytes(a[0], b[0]));
}

function lines(pairs: Iterable<Pair>): string[] {
  return Array.from(pairs, ([key, value]) => `${hex(key)} ${hex(value)}`);
}
