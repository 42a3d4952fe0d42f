import type { HeapNode } from "../base/heap.ts";

/** The absence of a lease: a key without one, or a grant that leaves the choice to the server. */
export const NO_LEASE = 0n;

/** A time to live beyond this many seconds (about 285 years, etcd's bound) is refused. */
export const LEASE_TTL_MAX = 9_000_000_000;

/**
 * One granted lease. Everything but `timing` is replicated: the same on every member after the same entries, and saved
 * with the state.
 */
export class Lease {
  readonly id: bigint;
  /** Granted time to live in seconds. */
  readonly ttl: number;
  /** Seconds left at the last checkpoint, 0 if there was none since the grant or the last renewal. */
  checkpointTtl: number;
  /** The same as the database holds it: a checkpoint is not always saved. */
  remainingTtl: number;
  /** The keys attached, as entries of the lessor's key set, in no order. */
  readonly entries: number[] = [];
  /** Where this lease stands in the lessor's table. Local to this process. */
  readonly slot: number;
  /** Deadlines, kept by the primary only: undefined means that the lease never expires here. */
  timing: LeaseTiming | undefined = undefined;
  /** A revocation has been taken up and not finished. */
  isRevoking = false;

  constructor(id: bigint, ttl: number, remainingTtl: number, slot: number) {
    this.id = id;
    this.ttl = ttl;
    this.checkpointTtl = remainingTtl;
    this.remainingTtl = remainingTtl;
    this.slot = slot;
  }

  /** Seconds that a refresh gives: from the last checkpoint, else the whole time to live. */
  get refreshTtl(): number {
    return this.checkpointTtl > 0 ? this.checkpointTtl : this.ttl;
  }
}

/** A lease's place in one of the primary's heaps. */
export class LeaseDue implements HeapNode {
  readonly lease: Lease;
  /** Monotonic milliseconds. */
  priority: number;
  position = -1;

  constructor(lease: Lease, dueMs: number) {
    this.lease = lease;
    this.priority = dueMs;
  }
}

/** What the primary alone knows of a lease. */
export class LeaseTiming {
  /** Monotonic milliseconds at which the lease expires. */
  expiryMs: number;
  /** When to look at it next: at the expiry, and once expired again after the retry interval. */
  readonly notice: LeaseDue;
  /** When to checkpoint the remaining time, if that is scheduled. */
  readonly checkpoint: LeaseDue;

  constructor(lease: Lease, expiryMs: number) {
    this.expiryMs = expiryMs;
    this.notice = new LeaseDue(lease, expiryMs);
    this.checkpoint = new LeaseDue(lease, 0);
  }
}
