import { MergeSort } from "../base/merge_sort.ts";
import type { Attachments } from "./attachments.ts";
import type { Lease } from "./lease.ts";

/**
 * A lease on its way out. The keys are deleted in the order of their bytes, so that every member writes the same
 * tombstones; putting a million keys in order takes a second, hence in steps:
 *
 *     while (!revocation.step(budget)) { other work }
 *     for (let i = 0; i < revocation.count; i++) { delete revocation.key(i) from the store, then detach it }
 *     revocation.finish()
 *
 * Until `finish` the lease is there for whoever asks. Nothing may be attached meanwhile, except by the transaction that
 * deletes the keys.
 */
export class Revocation {
  readonly #lease: Lease;
  readonly #attachments: Attachments;
  readonly #sort: MergeSort;
  readonly #remove: (lease: Lease) => void;

  /** `remove` takes the lease out of the lessor. */
  constructor(lease: Lease, attachments: Attachments, remove: (lease: Lease) => void) {
    this.#lease = lease;
    this.#attachments = attachments;
    this.#remove = remove;
    this.#sort = new MergeSort(Int32Array.from(lease.entries), (a, b) => attachments.keys.compare(a, b));
  }

  get id(): bigint {
    return this.#lease.id;
  }

  /** Keys that were attached when the revocation began. */
  get count(): number {
    return this.#sort.sorted.length;
  }

  /** Sorts the keys for about `budget` comparisons (about 0.1 us each); returns whether they are in order. */
  step(budget: number): boolean {
    return this.#sort.step(budget);
  }

  /** A copy of the key in this position of the byte order. To be read before that key is detached. */
  key(position: number): Uint8Array {
    return this.#attachments.keys.key(this.#sort.sorted[position]);
  }

  /** The lease is gone, and with it every key still attached. */
  finish(): void {
    this.#remove(this.#lease);
  }
}
