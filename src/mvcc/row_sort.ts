/**
 * The order of a range's rows by version, create revision, mod revision or value, found in steps. Equal elements stay in
 * the order of their keys. (etcd's own sort is not stable, so nobody can rely on what it does with them.)
 */

import { MergeSort } from "../base/merge_sort.ts";
import { RecordView } from "./record.ts";
import type { StoreState } from "./state.ts";
import { SORT_BY_CREATE, SORT_BY_MOD, SORT_BY_VALUE } from "./types.ts";

export class RowSort {
  readonly #state: StoreState;
  readonly #rows: Float64Array;
  readonly #target: number;
  // What rows are compared by; values stay in their slabs instead.
  readonly #numbers: Float64Array;
  readonly #sort: MergeSort;
  readonly #left = new RecordView();
  readonly #right = new RecordView();
  #prepared = 0;

  constructor(state: StoreState, rows: Float64Array, target: number, isDescending: boolean) {
    this.#state = state;
    this.#rows = rows;
    this.#target = target;
    const isByValue = target === SORT_BY_VALUE;
    const numbers = new Float64Array(isByValue ? 0 : rows.length);
    this.#numbers = numbers;
    const positions = new Int32Array(rows.length);
    for (let i = 0; i < positions.length; i++) positions[i] = i;
    this.#sort = new MergeSort(
      positions,
      isByValue
        ? isDescending ? (a, b) => this.#compareValues(b, a) : (a, b) => this.#compareValues(a, b)
        : isDescending
        ? (a, b) => numbers[b] - numbers[a]
        : (a, b) => numbers[a] - numbers[b],
    );
  }

  /** Works for about `budget` units; returns whether the order is found. */
  step(budget: number): boolean {
    let left = budget;
    for (; this.#prepared < this.#numbers.length; this.#prepared++) {
      if (left-- <= 0) return false;
      this.#numbers[this.#prepared] = this.#numberOf(this.#rows[this.#prepared]);
    }
    // A comparison of values reads two slabs, one of numbers is sixteen times cheaper.
    return this.#sort.step(Math.max(left, 1) * (this.#target === SORT_BY_VALUE ? 1 : 16));
  }

  /** The rows in order, once it is found. */
  sortedRows(): Float64Array {
    const positions = this.#sort.sorted;
    const rows = new Float64Array(positions.length);
    for (let i = 0; i < rows.length; i++) rows[i] = this.#rows[positions[i]];
    return rows;
  }

  #numberOf(row: number): number {
    const history = this.#state.history;
    if (this.#target === SORT_BY_MOD) return history.mainOf(row);
    history.readRecord(row, this.#left);
    return this.#target === SORT_BY_CREATE ? this.#left.createRevision : this.#left.version;
  }

  #compareValues(a: number, b: number): number {
    const history = this.#state.history;
    const left = this.#left;
    const right = this.#right;
    history.readRecord(this.#rows[a], left);
    history.readRecord(this.#rows[b], right);
    const leftSize = left.valueEnd - left.valueStart;
    const rightSize = right.valueEnd - right.valueStart;
    const size = leftSize < rightSize ? leftSize : rightSize;
    for (let i = 0; i < size; i++) {
      const difference = left.bytes[left.valueStart + i] - right.bytes[right.valueStart + i];
      if (difference !== 0) return difference;
    }
    return leftSize - rightSize;
  }
}
