/**
 * Whether the members of a cluster hold the same: their hashes of the revisions are compared, as etcd compares them, at the
 * start, from time to time, and at every compaction. What differs raises CORRUPT for the member that is wrong, or for all
 * where that cannot be told.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { formatDuration } from "../base/duration.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmRequestSchema,
  AlarmType,
} from "../gen/etcdserverpb/maintenance_pb.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import { idText, type Membership } from "../membership/mod.ts";
import type { KeyValueHash } from "../mvcc/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import type { KvHashError, KvHashSettle } from "./kv_hash.ts";
import type { Read } from "./pending_reads.ts";
import type { Settle } from "./proposals.ts";

/** A hash, and the revision of the store that it was taken from. */
export interface KvHash extends KeyValueHash {
  readonly revision: number;
}

/** Why another member did not tell its hash; undefined: it did not answer. */
export type PeerHashError = KvHashError | "cluster_id_mismatch" | undefined;

export interface CorruptionOptions {
  /** Compare before anything is served. */
  readonly checksAtStart: boolean;
  /** Milliseconds between comparisons of everything; 0: never. */
  readonly intervalMs: number;
  /** Milliseconds between comparisons of compaction hashes; 0: never. */
  readonly compactionIntervalMs: number;
}

export const NO_CORRUPTION_CHECKS: CorruptionOptions = {
  checksAtStart: false,
  intervalMs: 0,
  compactionIntervalMs: 0,
};

export interface CorruptionParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  readonly memberId: bigint;
  readonly isLeader: () => boolean;
  readonly hashKv: (revision: number, settle: KvHashSettle) => void;
  readonly askHashKv: (to: bigint, revision: number) => Promise<KvHash | PeerHashError>;
  readonly linearizableRead: (read: Read) => void;
  readonly propose: (operation: number, body: Uint8Array, settle: Settle) => void;
  readonly timeoutMs: number;
  readonly options: CorruptionOptions;
}

/** What a member said of itself. */
interface PeerHash {
  readonly id: bigint;
  readonly answer: KvHash | PeerHashError;
}

/** The members disagree: this one may not serve. */
export class CorruptionError extends Error {
  constructor(memberId: bigint) {
    super(
      `${
        idText(memberId)
      } found data inconsistency with peers; find out which members agree (etcdctl endpoint hashkv ` +
        "--cluster), and replace the others: remove them, and add them again with empty data directories",
    );
    this.name = "CorruptionError";
  }
}

const WHOLE_CLUSTER = 0n;

export class CorruptionChecks {
  readonly #parts: CorruptionParts;
  #timers: Timer[] = [];
  #isStopped = false;
  /** The revision of the newest compaction at which all members were found equal. */
  #checkedRevision = 0;

  constructor(parts: CorruptionParts) {
    this.#parts = parts;
  }

  start(): void {
    const { log, memberId, options } = this.#parts;
    const { intervalMs, compactionIntervalMs } = options;
    if (intervalMs > 0) {
      log.info("enabled corruption checking", {
        "local-member-id": idText(memberId),
        "interval": formatDuration(intervalMs),
      });
      this.#timers.push(this.#everyAsLeader(intervalMs, () => this.checkAll()));
    }
    if (compactionIntervalMs > 0) {
      this.#timers.push(this.#everyAsLeader(compactionIntervalMs, () => this.checkCompactions()));
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }

  /** Before this member serves anybody: rejects with CorruptionError if it differs from another. */
  async checkAtStart(): Promise<void> {
    const { log, memberId, timeoutMs, options } = this.#parts;
    if (!options.checksAtStart) return;
    const local = { "local-member-id": idText(memberId) };
    log.info("starting initial corruption check", { ...local, "timeout": formatDuration(timeoutMs) });
    const own = await this.#ownHash();
    if (own === undefined) return;
    let isDifferent = false;
    for (const { id, answer } of await this.#peerHashes(own.hashRevision)) {
      const fields = { ...local, ...hashFields("local-member", own), "remote-peer-id": idText(id) };
      if (answer === undefined) continue;
      if (typeof answer === "string") {
        log.warn(INITIAL_REFUSALS[answer], fields);
      } else if (answer.hash !== own.hash) {
        const isComparable = areComparable(own, answer);
        log.warn(
          `found different ${isComparable ? "hash" : "compact revision"} values from remote peer`,
          { ...fields, ...hashFields("remote-peer", answer) },
        );
        isDifferent ||= isComparable;
      }
    }
    if (isDifferent) throw new CorruptionError(memberId);
    log.info("initial corruption checking passed; no corruption", local);
  }

  /** The leader compares everything. Another member may be behind, but may not hold what the leader does not. */
  async checkAll(): Promise<void> {
    const { log, memberId } = this.#parts;
    const before = await this.#ownHash();
    if (before === undefined) return;
    const peers = await this.#peerHashes(before.hashRevision);
    const isConfirmed = await this.#confirmed();
    const after = isConfirmed ? await this.#ownHash() : undefined;
    if (after === undefined) return log.warn("failed to check hash KV");
    const isSame = after.hashRevision === before.hashRevision && after.compactRevision === before.compactRevision;
    let wrong: bigint | undefined;
    if (isSame && after.hash !== before.hash) {
      log.warn("found hash mismatch", { ...hashFields("first", before), ...hashFields("second", after) });
      wrong = memberId;
    }
    let checkedCount = 0;
    for (const { id, answer } of peers) {
      if (answer === undefined || typeof answer === "string") continue;
      checkedCount++;
      const reason = faultOf(answer, before, after);
      if (reason === undefined) continue;
      log.warn(reason, {
        ...hashFields("leader", after),
        ...hashFields("follower", answer),
        "follower-peer-id": idText(id),
      });
      wrong ??= id;
    }
    if (wrong !== undefined) this.#raiseAlarm(wrong);
    log.info("finished peer corruption check", { "number-of-peers-checked": checkedCount });
  }

  /**
   * The leader compares what the members hashed when they carried out the same compaction: that costs nothing. From the
   * newest one back, to one that all members have.
   */
  async checkCompactions(): Promise<void> {
    const { log, keyspace, memberId, timeoutMs } = this.#parts;
    log.info("starting compact hash check", {
      "local-member-id": idText(memberId),
      "timeout": formatDuration(timeoutMs),
    });
    const hashes = keyspace.store.compactionHashes.filter(({ hashRevision }) => hashRevision > this.#checkedRevision);
    let checkedCount = 0;
    for (const hash of hashes.reverse()) {
      if (this.#isStopped) return;
      const peers = await this.#peerHashes(hash.hashRevision);
      checkedCount++;
      if (peers.length > 0 && this.#judgeCompaction(hash, peers)) break;
    }
    log.info("finished compaction hash check", { "number-of-hashes-checked": checkedCount });
  }

  /** True: there is nothing to be found out at older compactions. */
  #judgeCompaction(own: KeyValueHash, peers: readonly PeerHash[]): boolean {
    const { log, memberId } = this.#parts;
    const membersOf = new Map<number, bigint[]>([[own.hash, [memberId]]]);
    let checkedCount = 0;
    for (const { id, answer } of peers) {
      const reason = skipReason(own, answer);
      if (reason !== undefined) {
        log.warn("Skipped peer's hash", {
          "number-of-peers": peers.length,
          "leader-id": idText(memberId),
          "peer-id": idText(id),
          reason,
        });
        continue;
      }
      checkedCount++;
      const { hash } = answer as KvHash;
      const members = membersOf.get(hash);
      if (members === undefined) membersOf.set(hash, [id]);
      else members.push(id);
    }
    if (membersOf.size > 1) {
      this.#onDifferent(own, membersOf, peers.length + 1);
      return true;
    }
    const fields = {
      "number-of-peers-checked": checkedCount,
      "number-of-peers": peers.length,
      "revision": own.hashRevision,
      "compactRevision": own.compactRevision,
    };
    if (checkedCount < peers.length) {
      log.warn("skipped revision in compaction hash check; was not able to check all peers", fields);
      return false;
    }
    log.info("successfully checked hash on whole cluster", fields);
    this.#checkedRevision = Math.max(this.#checkedRevision, own.hashRevision);
    return true;
  }

  /** Whoever differs from a majority is wrong; without one nobody knows who is. */
  #onDifferent(own: KeyValueHash, membersOf: Map<number, bigint[]>, memberCount: number): void {
    const { log, memberId } = this.#parts;
    const leader = { "leader-id": idText(memberId), ...hashFields("leader", own) };
    const quorum = Math.floor(memberCount / 2) + 1;
    const majority = [...membersOf].find(([, members]) => members.length >= quorum);
    if (majority !== undefined) membersOf.delete(majority[0]);
    else {
      log.error(
        "Detected compaction hash mismatch but cannot identify the corrupted members, so intentionally set the memberID as 0",
        leader,
      );
      this.#raiseAlarm(WHOLE_CLUSTER);
    }
    for (const [hash, members] of membersOf) {
      log.error("Detected compaction hash mismatch", {
        ...leader,
        "peer-hash": hash,
        "peer-ids": members.map(idText).join(","),
        "quorum-exist": majority !== undefined,
      });
      if (majority !== undefined) { for (const id of members) this.#raiseAlarm(id); }
    }
  }

  /** Skips what the check before is still busy with. The two kinds do not wait for one another. */
  #everyAsLeader(intervalMs: number, check: () => Promise<void>): Timer {
    let isChecking = false;
    return this.#parts.clock.every(intervalMs, () => {
      if (isChecking || !this.#parts.isLeader()) return;
      isChecking = true;
      check().finally(() => isChecking = false);
    });
  }

  #raiseAlarm(memberID: bigint): void {
    const request = create(AlarmRequestSchema, { action: AlarmAction.ACTIVATE, memberID, alarm: AlarmType.CORRUPT });
    // One that gets lost is raised again by the next check.
    this.#parts.propose(RaftOperation.ALARM, toBinary(AlarmRequestSchema, request), () => {});
  }

  #ownHash(): Promise<KvHash | undefined> {
    return new Promise((resolve) =>
      this.#parts.hashKv(0, (hash, revision) => resolve(hash === undefined ? undefined : { ...hash, revision }))
    );
  }

  async #peerHashes(revision: number): Promise<PeerHash[]> {
    const { membership, memberId, askHashKv } = this.#parts;
    const ids = membership.list().map(({ id }) => id).filter((id) => id !== memberId);
    return await Promise.all(ids.map(async (id) => ({ id, answer: await askHashKv(id, revision) })));
  }

  #confirmed(): Promise<boolean> {
    return new Promise((resolve) => this.#parts.linearizableRead((error) => resolve(error === undefined)));
  }
}

const INITIAL_REFUSALS: Readonly<Record<Exclude<PeerHashError, undefined>, string>> = {
  future_revision: "cannot fetch hash from slow remote peer",
  compacted: "cannot fetch hash from remote peer; local member is behind",
  cluster_id_mismatch: "cluster ID mismatch",
};

/** `before` and `after` are the leader's, taken before and after `answer`. */
function faultOf(answer: KvHash, before: KvHash, after: KvHash): string | undefined {
  if (answer.revision > after.revision) return "revision from follower must be less than or equal to leader's";
  if (answer.compactRevision > after.compactRevision) {
    return "compact revision from follower must be less than or equal to leader's";
  }
  return areComparable(before, answer) && answer.hash !== before.hash
    ? "same compact revision then hashes must match"
    : undefined;
}

/**
 * Where no key is alive, members that compute the hash differ from those that remember it from a compaction (etcd raises
 * the alarm then).
 */
function areComparable(own: KeyValueHash, answer: KvHash): boolean {
  return answer.compactRevision === own.compactRevision && (own.compactRevision <= 0 || !own.hasNoLiveKeys);
}

function skipReason(own: KeyValueHash, answer: KvHash | PeerHashError): string | undefined {
  if (answer === undefined || typeof answer === "string") return "no response";
  if (areComparable(own, answer)) return undefined;
  if (own.hasNoLiveKeys) return "no key is alive at the revision";
  return `the peer's CompactRevision ${answer.compactRevision} doesn't match leader's CompactRevision ` +
    `${own.compactRevision}`;
}

function hashFields(whose: string, { hash, hashRevision, compactRevision }: KeyValueHash): Record<string, number> {
  return {
    [`${whose}-revision`]: hashRevision,
    [`${whose}-compact-revision`]: compactRevision,
    [`${whose}-hash`]: hash,
  };
}
