/**
 * Which key is attached to which lease. A key is an entry of a packed set, and a lease holds the numbers of its entries:
 * some 45 bytes beside the key, so that a million keys on one lease stay cheap.
 */

import { KeySet } from "../base/key_set.ts";
import type { Lease } from "./lease.ts";

const NO_SLOT = -1;
const ENTRIES_MIN = 64;

export class Attachments {
  readonly keys: KeySet;
  /** By entry: the lease's slot, and where the entry stands in the lease's list. */
  #slots = new Int32Array(ENTRIES_MIN);
  #positions = new Int32Array(ENTRIES_MIN);

  constructor(seed: number) {
    this.keys = new KeySet(seed);
  }

  /** The slot of the lease that the key is attached to, or -1. */
  slotOf(key: Uint8Array): number {
    const entry = this.keys.find(key, 0, key.length);
    return entry < 0 ? NO_SLOT : this.#slots[entry];
  }

  /** Attaches a key that is attached to no lease. */
  attach(key: Uint8Array, lease: Lease): void {
    const entry = this.keys.insert(key, 0, key.length);
    if (entry >= this.#slots.length) {
      this.#slots = enlarged(this.#slots, entry);
      this.#positions = enlarged(this.#positions, entry);
    }
    this.#slots[entry] = lease.slot;
    this.#positions[entry] = lease.entries.length;
    lease.entries.push(entry);
  }

  /** Detaches a key from the lease that it is attached to. */
  detach(key: Uint8Array, lease: Lease): void {
    this.#take(this.keys.find(key, 0, key.length), lease);
  }

  detachAll(lease: Lease): void {
    while (lease.entries.length > 0) this.#take(lease.entries[lease.entries.length - 1], lease);
  }

  /** Whether an entry remembered from before is, still or again, a key of this lease. */
  isAttached(entry: number, lease: Lease): boolean {
    return this.keys.has(entry) && this.#slots[entry] === lease.slot;
  }

  #take(entry: number, lease: Lease): void {
    const position = this.#positions[entry];
    const last = lease.entries.pop()!;
    if (last !== entry) {
      lease.entries[position] = last;
      this.#positions[last] = position;
    }
    this.keys.remove(entry);
    if (this.keys.size > 0) return;
    this.#slots = new Int32Array(ENTRIES_MIN);
    this.#positions = new Int32Array(ENTRIES_MIN);
  }
}

function enlarged(array: Int32Array, index: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(array.length * 2, index + 1));
  larger.set(array);
  return larger;
}
