/**
 * What the primary knows of time: when leases expire and when their remaining time is due to be checkpointed. It exists
 * only while the member is the primary; demotion throws it away.
 */

import { Heap } from "../base/heap.ts";
import { LEASE_REVOKES_PER_SECOND } from "../base/limits.ts";
import { type Lease, type LeaseDue, LeaseTiming } from "./lease.ts";

/** A checkpoint to be proposed. */
export interface LeaseCheckpoint {
  readonly id: bigint;
  /** Whole seconds, rounded up. */
  readonly remainingTtl: number;
}

export class Schedule {
  readonly #notices = new Heap<LeaseDue>();
  readonly #checkpoints = new Heap<LeaseDue>();
  /** Infinity: remaining times are not checkpointed. */
  readonly #checkpointIntervalMs: number;

  constructor(checkpointIntervalMs: number) {
    this.#checkpointIntervalMs = checkpointIntervalMs;
  }

  /** The time of a lease starts again from `now`, `extendMs` longer than its time to live. */
  refresh(lease: Lease, now: number, extendMs: number): void {
    const expiryMs = now + extendMs + lease.refreshTtl * 1000;
    if (lease.timing === undefined) {
      lease.timing = new LeaseTiming(lease, expiryMs);
      this.#notices.push(lease.timing.notice);
      return;
    }
    lease.timing.expiryMs = expiryMs;
    this.#notices.update(lease.timing.notice, expiryMs);
  }

  forget(lease: Lease): void {
    if (lease.timing === undefined) return;
    this.#notices.remove(lease.timing.notice);
    if (lease.timing.checkpoint.position >= 0) this.#checkpoints.remove(lease.timing.checkpoint);
    lease.timing = undefined;
  }

  /** After an election all leases start again together, and would expire together: those too many in one second move on. */
  promote(leases: Iterable<Lease>, now: number, extendMs: number): void {
    const promoted: Lease[] = [];
    const notices: LeaseDue[] = [];
    for (const lease of leases) {
      lease.timing = new LeaseTiming(lease, now + extendMs + lease.refreshTtl * 1000);
      promoted.push(lease);
      notices.push(lease.timing.notice);
    }
    if (promoted.length >= LEASE_REVOKES_PER_SECOND) spread(promoted, now, extendMs);
    this.#notices.fill(notices);
    for (const lease of promoted) this.scheduleCheckpoint(lease, now);
  }

  /**
   * Leases past their expiry, at most `limit`. Each is given once, and again `retryMs` later if it is still there by
   * then: its revocation may have been lost with a leader.
   */
  expired(now: number, limit: number, retryMs: number): Lease[] {
    const expired: Lease[] = [];
    while (expired.length < limit) {
      const notice = this.#notices.peek();
      if (notice === undefined || notice.priority > now) break;
      this.#notices.update(notice, now + retryMs);
      expired.push(notice.lease);
    }
    return expired;
  }

  /** Schedules a checkpoint for a lease that lives longer than the interval between checkpoints. */
  scheduleCheckpoint(lease: Lease, now: number): void {
    if (lease.timing === undefined || lease.timing.checkpoint.position >= 0) return;
    if (lease.refreshTtl * 1000 <= this.#checkpointIntervalMs) return;
    lease.timing.checkpoint.priority = now + this.#checkpointIntervalMs;
    this.#checkpoints.push(lease.timing.checkpoint);
  }

  /** Checkpoints that are due, at most `limit`. The next one of a lease is scheduled when this one is applied. */
  dueCheckpoints(now: number, limit: number): LeaseCheckpoint[] {
    const due: LeaseCheckpoint[] = [];
    while (due.length < limit) {
      const next = this.#checkpoints.peek();
      if (next === undefined || next.priority > now) break;
      this.#checkpoints.remove(next);
      const lease = next.lease;
      const remainingMs = lease.timing!.expiryMs - now;
      if (remainingMs <= 0) continue;
      const remainingTtl = Math.ceil(remainingMs / 1000);
      if (remainingTtl < lease.ttl) due.push({ id: lease.id, remainingTtl });
    }
    return due;
  }
}

/**
 * Lets at most three quarters of the revoke rate expire in any second, so that a pile of leases leaves room for the rest.
 * The arithmetic is etcd's, because a follower that takes over should not expire leases earlier than etcd would.
 */
function spread(leases: readonly Lease[], now: number, extendMs: number): void {
  const target = (LEASE_REVOKES_PER_SECOND * 3) / 4;
  const byExpiry = leases.slice().sort((a, b) => a.timing!.expiryMs - b.timing!.expiryMs);
  let windowStartMs = byExpiry[0].timing!.expiryMs - now;
  let windowEndMs = windowStartMs + 1000;
  let expiring = 0;
  for (const lease of byExpiry) {
    const timing = lease.timing!;
    const remainingMs = timing.expiryMs - now;
    if (remainingMs > windowEndMs) {
      windowStartMs = remainingMs;
      windowEndMs = windowStartMs + 1000;
      expiring = 1;
      continue;
    }
    expiring++;
    if (expiring <= target) continue;
    // A lease that already lies n seconds after the start of the window needs n seconds less.
    const delayMs = 1000 * (expiring / target) - (remainingMs - windowStartMs);
    windowEndMs = windowStartMs + delayMs;
    timing.expiryMs = now + delayMs + extendMs + lease.refreshTtl * 1000;
    timing.notice.priority = timing.expiryMs;
  }
}
