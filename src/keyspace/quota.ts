/**
 * How much may be stored, and how much is. etcd measures the pages of its database file, which grow with fragmentation
 * and shrink only when somebody defragments. Here the records themselves are counted: what the live keys, their history
 * and the leases need in etcd's database, without unused space. Deleting and compacting therefore make room at once.
 */
import type { Lessor } from "../lease/mod.ts";
import type { Store } from "../mvcc/mod.ts";

/** etcd's quota where none is set, and the size above which it warns. Bytes. */
export const QUOTA_SIZE_DEFAULT = 2 * 1024 ** 3;
export const QUOTA_SIZE_SUGGESTED_MAX = 8 * 1024 ** 3;

/** What etcd reckons for a lease, stored or about to be. Bytes. */
export const LEASE_COST = 64;

export class Quota {
  /** Bytes; Infinity where there is no bound. */
  readonly limit: number;
  /** As given: what etcd reports where there is no bound. */
  readonly setting: number;
  readonly #store: Store;
  readonly #lessor: Lessor;

  /** `setting` as `--quota-backend-bytes`: 0 for the default, negative for no bound. */
  constructor(setting: number, store: Store, lessor: Lessor) {
    this.setting = setting;
    this.limit = setting === 0 ? QUOTA_SIZE_DEFAULT : setting < 0 ? Infinity : setting;
    this.#store = store;
    this.#lessor = lessor;
  }

  /** Bytes held: every record that a compaction has not removed, and every lease. */
  get used(): number {
    return this.#store.storedSize + this.#lessor.leaseCount * LEASE_COST;
  }

  /** The part of the limit that is used; 0 where there is no limit. */
  get usedRatio(): number {
    return this.used / this.limit;
  }

  /** Whether a request of that cost may go ahead. One that stores nothing always may. */
  hasRoomFor(cost: number): boolean {
    return cost === 0 || this.used + cost < this.limit;
  }
}
