import { create, toBinary } from "@bufbuild/protobuf";
import type { Clock, Timer } from "../io/clock.ts";
import { LeaseCheckpointRequestSchema, LeaseRevokeRequestSchema } from "../gen/etcdserverpb/lease_pb.ts";
import { LEASE_CHECKPOINTS_MAX } from "../base/limits.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import type { LeaseCheckpoint } from "../lease/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import type { MemberError } from "./proposals.ts";

export interface DutiesParts {
  readonly clock: Clock;
  readonly keyspace: Keyspace;
  /** This member leads, and its state holds all that was committed before. */
  readonly isLeader: () => boolean;
  /** Time has passed here as it should: who led a moment ago still does, or the others have not waited long enough yet. */
  readonly isOnTime: () => boolean;
  /** The state holds everything that is known to be committed. */
  readonly isCaughtUp: () => boolean;
  /** Proposes in this member's own log, and only if it leads then: nobody else may decide by its clock. */
  readonly proposeAsLeader: (operation: number, body: Uint8Array) => void;
  /** Calls back once this member's state is as new as every write acknowledged before. */
  readonly linearizableRead: (callback: (error: MemberError | undefined) => void) => void;
  /** Asks the leader; undefined: there is none, or no answer. */
  readonly askLeaderToRenew: (id: bigint) => Promise<number | undefined>;
  readonly askLeaderForTtl: (id: bigint) => Promise<number | undefined>;
  readonly timeoutMs: number;
}

/** The lease's TTL in seconds, 0 where there is no such lease; or why that is not known. */
export type RenewalSettle = (ttl: number, error: MemberError | undefined) => void;

/** etcd looks for expired leases this often, and revokes at most LEASE_EXPIRED_MAX each time. */
const LEASE_INTERVAL_MS = 500;
/** A leader that gave no answer is asked again after this (etcd's figure). */
const ASK_RETRY_MS = 50;

interface Renewal {
  readonly id: bigint;
  readonly settle: RenewalSettle;
  readonly sinceMs: number;
}

/** What is done for leases: the leader has expired ones revoked and renews others, everyone else asks it to. */
export class Duties {
  readonly #parts: DutiesParts;
  #timer: Timer | undefined;
  /** Renewals of leases that are about to be revoked, or perhaps to be granted: looked at again with every revocation. */
  #waiting: Renewal[] = [];
  /** Leases whose checkpoints are about to be forgotten, so that they can be renewed. */
  readonly #forgetting = new Set<bigint>();
  #isStopped = false;

  constructor(parts: DutiesParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = this.#parts.clock.every(LEASE_INTERVAL_MS, () => this.#revokeExpired());
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { settle } of waiting) settle(0, "stopped");
  }

  /** See Member.renewLease. */
  renewLease(id: bigint, settle: RenewalSettle): void {
    const { clock, keyspace, isOnTime, linearizableRead } = this.#parts;
    const renewal = { id, settle, sinceMs: clock.monotonicMs() };
    if (!keyspace.lessor.isPrimary || isOnTime()) return this.#renew(renewal);
    // This process stood still, and others may have renewed or revoked since.
    linearizableRead((error) => error === undefined ? this.#renew(renewal) : settle(0, error));
  }

  /** The same for another member, which took this one for the leader; undefined: it is not. */
  renewLeaseFor(id: bigint): Promise<number | undefined> {
    if (!this.#parts.isLeader()) return Promise.resolve(undefined);
    return new Promise((resolve) =>
      this.renewLease(id, (ttl, error) => resolve(error === undefined ? ttl : undefined))
    );
  }

  /** See Member.remainingTtl. */
  remainingTtl(id: bigint, settle: RenewalSettle): void {
    this.#findTtl({ id, settle, sinceMs: this.#parts.clock.monotonicMs() });
  }

  /** Revocations or checkpoints have been applied. */
  retryRenewals(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const renewal of waiting) this.#renew(renewal);
  }

  #renew(renewal: Renewal): void {
    const { clock, keyspace, isCaughtUp } = this.#parts;
    if (this.#isStopped) return renewal.settle(0, "stopped");
    const result = keyspace.lessor.renew(renewal.id, clock.monotonicMs());
    if (result.kind === "renewed") renewal.settle(result.ttl, undefined);
    else if (result.kind === "not_primary") this.#ask(renewal);
    else if (result.kind === "checkpointed") this.#forgetCheckpoint(renewal);
    // The member that was asked may know of a lease that is not applied here yet.
    else if (result.kind === "not_found" && isCaughtUp()) renewal.settle(0, undefined);
    else this.#waiting.push(renewal);
  }

  /** A leader that comes after this one must not expire the lease by what was left of it before the renewal. */
  #forgetCheckpoint(renewal: Renewal): void {
    this.#waiting.push(renewal);
    if (this.#forgetting.has(renewal.id)) return;
    this.#forgetting.add(renewal.id);
    this.#proposeCheckpoints([{ id: renewal.id, remainingTtl: 0 }]);
  }

  #ask(renewal: Renewal): void {
    const { askLeaderToRenew } = this.#parts;
    askLeaderToRenew(renewal.id).then((ttl) => {
      if (ttl !== undefined) renewal.settle(ttl, undefined);
      else this.#later(renewal, () => this.#renew(renewal));
    });
  }

  /** There was no answer: another leader may have one. */
  #later({ settle, sinceMs }: Renewal, retry: () => void): void {
    const { clock, timeoutMs } = this.#parts;
    if (clock.monotonicMs() - sinceMs >= timeoutMs) settle(0, "timeout");
    else clock.after(ASK_RETRY_MS, retry);
  }

  #findTtl(query: Renewal): void {
    if (this.#isStopped) return query.settle(0, "stopped");
    const ttl = this.#ownTtl(query.id);
    if (ttl !== undefined) return query.settle(ttl, undefined);
    this.#parts.askLeaderForTtl(query.id).then((ttl) => {
      if (ttl !== undefined) query.settle(ttl, undefined);
      else this.#later(query, () => this.#findTtl(query));
    });
  }

  /** Undefined: only the leader knows, and this is not it. */
  #ownTtl(id: bigint): number | undefined {
    const { clock, keyspace } = this.#parts;
    if (!keyspace.lessor.isPrimary) return undefined;
    const status = keyspace.lessor.timeToLive(id, clock.monotonicMs());
    return status === undefined ? -1 : status.ttl;
  }

  #revokeExpired(): void {
    const { clock, keyspace, isLeader, proposeAsLeader } = this.#parts;
    if (isLeader()) {
      for (const ID of keyspace.lessor.expired(clock.monotonicMs())) {
        // One that gets lost is reported by the lessor again.
        const body = toBinary(LeaseRevokeRequestSchema, create(LeaseRevokeRequestSchema, { ID }));
        proposeAsLeader(RaftOperation.LEASE_REVOKE, body);
      }
      this.#checkpoint();
    }
    this.#forgetting.clear();
    this.retryRenewals();
  }

  /** Writes down what is left of long leases, so that a new leader does not begin their time again. */
  #checkpoint(): void {
    const { clock, keyspace } = this.#parts;
    const due = keyspace.lessor.dueCheckpoints(clock.monotonicMs(), LEASE_CHECKPOINTS_MAX);
    if (due.length > 0) this.#proposeCheckpoints(due);
  }

  #proposeCheckpoints(due: readonly LeaseCheckpoint[]): void {
    const checkpoints = due.map(({ id, remainingTtl }) => ({ ID: id, remainingTTL: BigInt(remainingTtl) }));
    const request = create(LeaseCheckpointRequestSchema, { checkpoints });
    this.#parts.proposeAsLeader(RaftOperation.LEASE_CHECKPOINT, toBinary(LeaseCheckpointRequestSchema, request));
  }
}
