/** The `lease` bucket: captured leases, put in the order of their keys a step at a time, however many there are. */

import { MergeSort } from "../base/merge_sort.ts";
import { WireWriter } from "../base/varint.ts";
import { type LeaseRecord, writeLease } from "../lease/mod.ts";
import type { RowCursor } from "../storage/bolt/mod.ts";

const KEY_SIZE = 8;
/** leasepb.Lease: three int64 fields. */
const VALUE_SIZE_MAX = 33;

export class LeaseRows {
  readonly #leases: readonly LeaseRecord[];
  /** Ids as uint64, which is how their keys compare, in two words each. */
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #order: Int32Array;
  #taken = 0;
  #sort: MergeSort | undefined;

  constructor(leases: readonly LeaseRecord[]) {
    this.#leases = leases;
    this.#high = new Uint32Array(leases.length);
    this.#low = new Uint32Array(leases.length);
    this.#order = new Int32Array(leases.length);
  }

  /** Works for about `budget` leases; true when the rows are in order. */
  prepare(budget: number): boolean {
    if (this.#sort !== undefined) return this.#sort.step(budget);
    const end = Math.min(this.#leases.length, this.#taken + budget);
    for (let i = this.#taken; i < end; i++) {
      const { id } = this.#leases[i];
      this.#high[i] = Number((id >> 32n) & 0xffffffffn);
      this.#low[i] = Number(id & 0xffffffffn);
      this.#order[i] = i;
    }
    this.#taken = end;
    if (end < this.#leases.length) return false;
    const high = this.#high;
    const low = this.#low;
    this.#sort = new MergeSort(this.#order, (a, b) => high[a] === high[b] ? low[a] - low[b] : high[a] - high[b]);
    return this.#sort.isDone;
  }

  open(): RowCursor {
    return new LeaseCursor(this.#leases, this.#sort!.sorted);
  }
}

class LeaseCursor implements RowCursor {
  readonly keySize = KEY_SIZE;
  valueSize = 0;
  readonly #leases: readonly LeaseRecord[];
  readonly #order: Int32Array;
  readonly #writer = new WireWriter(VALUE_SIZE_MAX);
  #next = 0;

  constructor(leases: readonly LeaseRecord[], order: Int32Array) {
    this.#leases = leases;
    this.#order = order;
  }

  next(): boolean {
    if (this.#next === this.#order.length) return false;
    this.#writer.reset();
    writeLease(this.#writer, this.#leases[this.#order[this.#next++]]);
    this.valueSize = this.#writer.position;
    return true;
  }

  copyKey(target: Uint8Array, offset: number): void {
    const { id } = this.#leases[this.#order[this.#next - 1]];
    new DataView(target.buffer, target.byteOffset).setBigInt64(offset, id);
  }

  copyValue(target: Uint8Array, offset: number, start: number, end: number): void {
    target.set(this.#writer.view().subarray(start, end), offset);
  }
}
