import { create, toBinary } from "@bufbuild/protobuf";
import type { Clock, Timer } from "../io/clock.ts";
import { LeaseRevokeRequestSchema } from "../gen/etcdserverpb/lease_pb.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import type { MemberError, Settle } from "./proposals.ts";

export interface DutiesParts {
  readonly clock: Clock;
  readonly keyspace: Keyspace;
  readonly isLeader: () => boolean;
  readonly propose: (operation: number, body: Uint8Array, settle: Settle) => void;
}

/** etcd looks for expired leases this often, and revokes at most LEASE_EXPIRED_MAX each time. */
const LEASE_INTERVAL_MS = 500;

/** The lease's TTL in seconds, 0 where there is no such lease; or why that is not known. */
export type RenewalSettle = (ttl: number, error: MemberError | undefined) => void;

interface WaitingRenewal {
  readonly id: bigint;
  readonly settle: RenewalSettle;
}

/** What the leader does unasked: it has expired leases revoked, and answers renewals that came too late. */
export class Duties {
  readonly #parts: DutiesParts;
  #timer: Timer | undefined;
  #waiting: WaitingRenewal[] = [];

  constructor(parts: DutiesParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = this.#parts.clock.every(LEASE_INTERVAL_MS, () => this.#revokeExpired());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#waiting = [];
  }

  /** See Member.renewLease. */
  renewLease(id: bigint, settle: RenewalSettle): void {
    const { clock, keyspace } = this.#parts;
    const result = keyspace.lessor.renew(id, clock.monotonicMs());
    if (result.kind === "renewed") settle(result.ttl, undefined);
    else if (result.kind === "not_found") settle(0, undefined);
    else if (result.kind === "not_primary") settle(0, "no_leader");
    else this.#waiting.push({ id, settle });
  }

  #revokeExpired(): void {
    const { clock, keyspace, isLeader, propose } = this.#parts;
    if (isLeader()) {
      for (const ID of keyspace.lessor.expired(clock.monotonicMs())) {
        const body = toBinary(LeaseRevokeRequestSchema, create(LeaseRevokeRequestSchema, { ID }));
        // One that fails is reported by the lessor again.
        propose(RaftOperation.LEASE_REVOKE, body, () => this.#retryRenewals());
      }
    }
    this.#retryRenewals();
  }

  #retryRenewals(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { id, settle } of waiting) this.renewLease(id, settle);
  }
}
