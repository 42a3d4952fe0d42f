/**
 * A stable merge sort of rows by version, create revision, mod revision or value, in steps. (etcd's own sort is not
 * stable, so the order of equal elements is nobody's to rely on; here it is the order of the keys.)
 */

import { RecordView } from "./record.ts";
import type { StoreState } from "./state.ts";
import { SORT_BY_CREATE, SORT_BY_MOD, SORT_BY_VALUE } from "./types.ts";

export class RowSort {
  readonly #state: StoreState;
  readonly #target: number;
  readonly #isDescending: boolean;
  readonly #count: number;
  readonly #left = new RecordView();
  readonly #right = new RecordView();
  // Rows and what they are compared by (nothing for values, which stay in their slabs), and where merges go.
  #rows: Float64Array;
  #numbers: Float64Array;
  #rowsInto: Float64Array;
  #numbersInto: Float64Array;
  #prepared = 0;
  // Runs of #width are sorted; the pair of runs that begins at #start is being merged, #i and #j are next, #k is written.
  #width = 1;
  #start = 0;
  #i = 0;
  #j = 0;
  #k = 0;

  /** Sorts `rows`, which becomes the sort's own. */
  constructor(state: StoreState, rows: Float64Array, target: number, isDescending: boolean) {
    this.#state = state;
    this.#target = target;
    this.#isDescending = isDescending;
    this.#count = rows.length;
    this.#rows = rows;
    this.#rowsInto = new Float64Array(rows.length);
    const numbers = target === SORT_BY_VALUE ? 0 : rows.length;
    this.#numbers = new Float64Array(numbers);
    this.#numbersInto = new Float64Array(numbers);
    this.#beginPair(0);
  }

  /** The sorted rows, once `step` has returned 0 or more. */
  get result(): Float64Array {
    return this.#rows;
  }

  /** Works for about `budget` units and returns what is left: negative if it is not finished. */
  step(budget: number): number {
    let left = budget;
    if (this.#target !== SORT_BY_VALUE) {
      while (this.#prepared < this.#count) {
        this.#numbers[this.#prepared] = this.#numberOf(this.#rows[this.#prepared]);
        this.#prepared++;
        if (--left < 0) return left;
      }
    }
    while (this.#width < this.#count) {
      left = this.#mergePair(left);
      if (left < 0) return left;
      if (this.#start + 2 * this.#width < this.#count) {
        this.#beginPair(this.#start + 2 * this.#width);
        continue;
      }
      const rows = this.#rows;
      this.#rows = this.#rowsInto;
      this.#rowsInto = rows;
      const numbers = this.#numbers;
      this.#numbers = this.#numbersInto;
      this.#numbersInto = numbers;
      this.#width *= 2;
      this.#beginPair(0);
    }
    return left;
  }

  #numberOf(row: number): number {
    const history = this.#state.history;
    if (this.#target === SORT_BY_MOD) return history.mainOf(row);
    history.readRecord(row, this.#left);
    return this.#target === SORT_BY_CREATE ? this.#left.createRevision : this.#left.version;
  }

  #beginPair(start: number): void {
    this.#start = start;
    this.#i = start;
    this.#j = start + this.#width;
    this.#k = start;
  }

  #mergePair(budget: number): number {
    const middle = Math.min(this.#start + this.#width, this.#count);
    const end = Math.min(this.#start + 2 * this.#width, this.#count);
    const hasNumbers = this.#target !== SORT_BY_VALUE;
    let left = budget;
    while (this.#k < end) {
      if (left < 0) return left;
      left -= hasNumbers ? 0.1 : 1;
      const takeRight = this.#i === middle || (this.#j < end && this.#isBefore(this.#j, this.#i));
      const from = takeRight ? this.#j++ : this.#i++;
      this.#rowsInto[this.#k] = this.#rows[from];
      if (hasNumbers) this.#numbersInto[this.#k] = this.#numbers[from];
      this.#k++;
    }
    return Math.max(left, 0);
  }

  /** Whether the element at `a` has to come before the one at `b`, which was before it so far. */
  #isBefore(a: number, b: number): boolean {
    const order = this.#target === SORT_BY_VALUE ? this.#compareValues(a, b) : this.#numbers[a] - this.#numbers[b];
    return this.#isDescending ? order > 0 : order < 0;
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
