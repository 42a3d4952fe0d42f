/**
 * A sort that can pause: natural merge sort of numbers (indexes, usually) under a given order, a budget of comparisons
 * at a time. Input already in order costs one pass. Equal elements keep their order.
 */

export type NumberOrder = (a: number, b: number) => number;

const FIRST_RUN = 0;
const SECOND_RUN = 1;
const MERGE = 2;
const DONE = 3;

export class MergeSort {
  readonly #order: NumberOrder;
  #source: Int32Array;
  #target: Int32Array;
  #phase: number;
  // The two runs being found or merged are source[start, middle) and source[middle, end).
  #start = 0;
  #middle = 0;
  #end = 0;
  // Merge: next of the first run, next of the second, next place in the target.
  #left = 0;
  #right = 0;
  #place = 0;

  /** Sorts `items` in place, or nearly: the result is `sorted`, which may be another array of the same size. */
  constructor(items: Int32Array, order: NumberOrder) {
    this.#order = order;
    this.#source = items;
    this.#target = new Int32Array(items.length);
    this.#phase = items.length < 2 ? DONE : FIRST_RUN;
    this.#middle = 1;
  }

  get isDone(): boolean {
    return this.#phase === DONE;
  }

  /** The elements in order, once done. */
  get sorted(): Int32Array {
    return this.#source;
  }

  /** Works for about `budget` comparisons; returns whether the sort is done. */
  step(budget: number): boolean {
    let left = budget;
    while (left > 0 && this.#phase !== DONE) {
      if (this.#phase === FIRST_RUN) left = this.#findFirstRun(left);
      else if (this.#phase === SECOND_RUN) left = this.#findSecondRun(left);
      else left = this.#merge(left);
    }
    return this.#phase === DONE;
  }

  #findFirstRun(budget: number): number {
    const source = this.#source;
    const size = source.length;
    let left = budget;
    let middle = this.#middle;
    while (middle < size && left > 0) {
      left--;
      if (this.#order(source[middle - 1], source[middle]) > 0) {
        this.#middle = middle;
        this.#end = middle + 1;
        this.#phase = SECOND_RUN;
        return left;
      }
      middle++;
    }
    this.#middle = middle;
    if (middle === size) {
      if (this.#start === 0) this.#phase = DONE;
      else {
        // An odd run at the end of a pass has no partner: it moves over as it is.
        this.#end = size;
        this.#startMerge();
      }
    }
    return left;
  }

  #findSecondRun(budget: number): number {
    const source = this.#source;
    const size = source.length;
    let left = budget;
    let end = this.#end;
    while (end < size && left > 0) {
      left--;
      if (this.#order(source[end - 1], source[end]) > 0) {
        this.#end = end;
        this.#startMerge();
        return left;
      }
      end++;
    }
    this.#end = end;
    if (end === size) this.#startMerge();
    return left;
  }

  #startMerge(): void {
    this.#phase = MERGE;
    this.#left = this.#start;
    this.#right = this.#middle;
    this.#place = this.#start;
  }

  #merge(budget: number): number {
    const source = this.#source;
    const target = this.#target;
    const middle = this.#middle;
    const end = this.#end;
    const order = this.#order;
    let budgetLeft = budget;
    let left = this.#left;
    let right = this.#right;
    let place = this.#place;
    while (left < middle && right < end && budgetLeft > 0) {
      budgetLeft--;
      target[place++] = order(source[left], source[right]) <= 0 ? source[left++] : source[right++];
    }
    if (left < middle && right < end) {
      this.#left = left;
      this.#right = right;
      this.#place = place;
      return 0;
    }
    // What is left of one run is one memory copy.
    target.set(source.subarray(left, middle), place);
    target.set(source.subarray(right, end), place + middle - left);
    this.#phase = FIRST_RUN;
    if (end === source.length) {
      this.#source = target;
      this.#target = source;
      this.#start = 0;
      this.#middle = 1;
    } else {
      this.#start = end;
      this.#middle = end + 1;
    }
    return budgetLeft;
  }
}
