import { LEASE_CHECKPOINTS_MAX, LEASE_EXPIRED_MAX } from "../base/limits.ts";
import { Attachments } from "./attachments.ts";
import { Lease, LEASE_TTL_MAX, NO_LEASE } from "./lease.ts";
import type { LeaseRecord } from "./record.ts";
import { Revocation } from "./revocation.ts";
import { type LeaseCheckpoint, Schedule } from "./schedule.ts";

export interface LessorOptions {
  /** Shorter grants are raised to this many seconds: 1.5 election timeouts, rounded up to a whole second. */
  readonly minTtl: number;
  /** An expired lease that is still there after this long is reported again. etcd: the request timeout. */
  readonly retryMs: number;
  /**
   * How long after a refresh the remaining time of a long lease is checkpointed. Infinity: never, which is etcd's default
   * (feature gate LeaseCheckpoint); its interval otherwise is five minutes.
   */
  readonly checkpointIntervalMs: number;
  /** Any number; members may differ in it. It keeps clients from choosing keys that collide in the hash table. */
  readonly hashSeed?: number;
}

/** Why a lease is not granted: it exists, asks for more than LEASE_TTL_MAX, or has id 0. */
export type GrantError = "lease_exists" | "lease_ttl_too_large" | "lease_not_found";

export type RenewResult =
  | { readonly kind: "renewed"; readonly ttl: number }
  | { readonly kind: "not_found" }
  /** Past its expiry or being revoked: the answer is known once it was revoked or this member demoted. Ask again then. */
  | { readonly kind: "expired" }
  /** Its remaining time was checkpointed: propose a checkpoint of 0 and ask again once that is applied. */
  | { readonly kind: "checkpointed" }
  | { readonly kind: "not_primary" };

export interface LeaseStatus {
  /** Whole seconds left, toward zero; negative when it expired and is not revoked yet. undefined: not the primary. */
  readonly ttl: number | undefined;
  readonly grantedTtl: number;
  /** How many keys are attached. */
  readonly keyCount: number;
}

const NO_KEYS: readonly Uint8Array[] = [];

/** Leases, the keys attached to them, and on the primary their expiry. See mod.ts. */
export class Lessor {
  readonly #options: LessorOptions;
  readonly #leases = new Map<bigint, Lease>();
  /** Leases by slot: entries of keys name their lease by a small number. */
  readonly #slots: (Lease | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  #attachments: Attachments;
  #schedule: Schedule | undefined;

  constructor(options: LessorOptions) {
    this.#options = options;
    this.#attachments = new Attachments(options.hashSeed ?? 0);
  }

  // --- replicated state

  /** Leases granted and not revoked. */
  get leaseCount(): number {
    return this.#leases.size;
  }

  /** Keys attached to any lease. */
  get attachedCount(): number {
    return this.#attachments.keys.size;
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  /**
   * Grants a lease and returns its time to live. `ttl` is in seconds, any number: short ones, 0 and negative ones too,
   * are raised to the minimum.
   */
  grant(id: bigint, ttl: number, now: number): number | GrantError {
    if (id === NO_LEASE) return "lease_not_found";
    if (ttl > LEASE_TTL_MAX) return "lease_ttl_too_large";
    if (this.#leases.has(id)) return "lease_exists";
    const lease = this.#add(id, ttl, 0);
    if (this.#schedule !== undefined) {
      this.#schedule.refresh(lease, now, 0);
      this.#schedule.scheduleCheckpoint(lease, now);
    }
    return lease.ttl;
  }

  /** Begins to revoke a lease; undefined when there is none. */
  startRevoke(id: bigint): Revocation | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined) return undefined;
    lease.isRevoking = true;
    return new Revocation(lease, this.#attachments, (revoked) => this.#remove(revoked));
  }

  /** Revokes a lease at once; returns the keys that were attached, in byte order, or undefined when there is none. */
  revoke(id: bigint): Uint8Array[] | undefined {
    const revocation = this.startRevoke(id);
    if (revocation === undefined) return undefined;
    revocation.step(Infinity);
    const keys: Uint8Array[] = [];
    for (let i = 0; i < revocation.count; i++) keys.push(revocation.key(i));
    revocation.finish();
    return keys;
  }

  /** Attaches a key, taking it from the lease it was attached to before. False: no such lease, nothing changed. */
  attach(id: bigint, key: Uint8Array): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    const slot = this.#attachments.slotOf(key);
    if (slot === lease.slot) return true;
    if (slot >= 0) this.#attachments.detach(key, this.#slots[slot]!);
    this.#attachments.attach(key, lease);
    return true;
  }

  /** Detaches a key from this lease. False: it was not attached to it, nothing changed. */
  detach(id: bigint, key: Uint8Array): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined || this.#attachments.slotOf(key) !== lease.slot) return false;
    this.#attachments.detach(key, lease);
    return true;
  }

  /** The lease that a key is attached to, or NO_LEASE. */
  leaseOf(key: Uint8Array): bigint {
    const slot = this.#attachments.slotOf(key);
    return slot < 0 ? NO_LEASE : this.#slots[slot]!.id;
  }

  /**
   * The keys attached to a lease, in no order, given in portions of `limit` so that a long list does not hold the loop:
   * each call continues where the last one ended and gives nothing at the end. A key detached meanwhile is left out.
   */
  keyPortions(id: bigint): (limit: number) => readonly Uint8Array[] {
    const lease = this.#leases.get(id);
    if (lease === undefined) return () => NO_KEYS;
    const entries = lease.entries.slice();
    const attachments = this.#attachments;
    let position = 0;
    return (limit) => {
      const portion: Uint8Array[] = [];
      while (position < entries.length && portion.length < limit) {
        const entry = entries[position++];
        if (attachments.isAttached(entry, lease)) portion.push(attachments.keys.key(entry));
      }
      return portion;
    };
  }

  /**
   * Applies a checkpoint: what was left of a lease's time, in seconds, or 0 to forget an earlier one. `isSaved`: it is
   * saved with the state, too. False: no such lease.
   */
  checkpoint(id: bigint, remainingTtl: number, isSaved: boolean, now: number): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.checkpointTtl = remainingTtl;
    if (isSaved) lease.remainingTtl = remainingTtl;
    this.#schedule?.scheduleCheckpoint(lease, now);
    return true;
  }

  /**
   * What has to be saved, in the order of granting, as of now. Not copies, so that many cost little: a later checkpoint
   * shows in `remainingTtl`, which does no harm since replaying it leads to the same.
   */
  records(): readonly LeaseRecord[] {
    return [...this.#leases.values()];
  }

  /** Replaces all leases by saved ones; the keys are attached again afterwards. Demoted, whatever it was before. */
  restore(records: Iterable<LeaseRecord>): void {
    this.demote();
    this.#leases.clear();
    this.#slots.length = 0;
    this.#freeSlots.length = 0;
    this.#attachments = new Attachments(this.#options.hashSeed ?? 0);
    for (const { id, ttl, remainingTtl } of records) this.#add(id, ttl, remainingTtl);
  }

  // --- the primary's

  /** Whether expiry is decided here. In etcd's clusters the raft leader is the primary. */
  get isPrimary(): boolean {
    return this.#schedule !== undefined;
  }

  /** Becomes the primary: every lease lives for its time to live, or what was left of it, and `extendMs` from now on. */
  promote(now: number, extendMs: number): void {
    this.demote();
    this.#schedule = new Schedule(this.#options.checkpointIntervalMs);
    this.#schedule.promote(this.#leases.values(), now, extendMs);
  }

  /** No longer the primary: no lease expires here. */
  demote(): void {
    if (this.#schedule === undefined) return;
    this.#schedule = undefined;
    for (const lease of this.#leases.values()) lease.timing = undefined;
  }

  /** Starts the time of a lease again. Not replicated: only the primary knows the expiry. */
  renew(id: bigint, now: number): RenewResult {
    if (this.#schedule === undefined) return { kind: "not_primary" };
    const lease = this.#leases.get(id);
    if (lease === undefined) return { kind: "not_found" };
    if (lease.isRevoking || lease.timing!.expiryMs <= now) return { kind: "expired" };
    if (lease.checkpointTtl > 0 && this.#options.checkpointIntervalMs !== Infinity) return { kind: "checkpointed" };
    this.#schedule.refresh(lease, now, 0);
    return { kind: "renewed", ttl: lease.ttl };
  }

  /** undefined: no such lease. */
  timeToLive(id: bigint, now: number): LeaseStatus | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined) return undefined;
    // Adding 0 makes a zero of a negative zero.
    const ttl = lease.timing === undefined ? undefined : Math.trunc((lease.timing.expiryMs - now) / 1000) + 0;
    return { ttl, grantedTtl: lease.ttl, keyCount: lease.entries.length };
  }

  /** Ids of all leases, soonest to expire first; where nothing expires, in the order of granting. */
  leases(): bigint[] {
    const leases = [...this.#leases.values()];
    if (this.#schedule !== undefined) leases.sort((a, b) => a.timing!.expiryMs - b.timing!.expiryMs);
    return leases.map((lease) => lease.id);
  }

  /**
   * Ids of leases to revoke, soonest expired first. To be asked every 500 ms: at most LEASE_EXPIRED_MAX at a time, which
   * is half the revoke rate. Each is given once until the retry interval has passed.
   */
  expired(now: number, limit: number = LEASE_EXPIRED_MAX): bigint[] {
    if (this.#schedule === undefined) return [];
    return this.#schedule.expired(now, limit, this.#options.retryMs).map((lease) => lease.id);
  }

  /** Checkpoints to propose. To be asked every 500 ms, again while it gives as many as the limit. */
  dueCheckpoints(now: number, limit: number = LEASE_CHECKPOINTS_MAX): LeaseCheckpoint[] {
    return this.#schedule === undefined ? [] : this.#schedule.dueCheckpoints(now, limit);
  }

  #add(id: bigint, ttl: number, remainingTtl: number): Lease {
    const slot = this.#freeSlots.pop() ?? this.#slots.length;
    const lease = new Lease(id, Math.max(ttl, this.#options.minTtl), remainingTtl, slot);
    this.#slots[slot] = lease;
    this.#leases.set(id, lease);
    return lease;
  }

  #remove(lease: Lease): void {
    this.#attachments.detachAll(lease);
    this.#schedule?.forget(lease);
    this.#leases.delete(lease.id);
    this.#slots[lease.slot] = undefined;
    this.#freeSlots.push(lease.slot);
  }
}
