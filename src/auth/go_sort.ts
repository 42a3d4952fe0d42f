/**
 * The order in which Go's sort.Sort (since Go 1.19) leaves equal elements. It is no stable sort, and etcd writes its
 * result to the database: permissions of one key stand there in the order that this algorithm happens to give them. So
 * the very same exchanges are made: a pattern-defeating quicksort (Peters, arXiv 2106.05123) with Go's choice of pivots,
 * thresholds and pseudo-random exchanges. Frozen.
 */

/** Up to so many elements are sorted by insertion. */
const INSERTION_MAX = 12;
/** From so many elements on the pivot is a median of medians, and a nearly sorted list is mended in place. */
const LONG_MIN = 50;
/** Places out of order that are mended before it counts as unsorted. */
const MENDED_MAX = 5;
/** A median of medians exchanges so often only if the list runs backwards. */
const EXCHANGES_MAX = 12;

type Less<T> = (a: T, b: T) => boolean;

/** Sorts `items` in place and returns them. */
export function goSort<T>(items: T[], less: Less<T>): T[] {
  new GoSort(items, less).sort(0, items.length, bitLength(items.length));
  return items;
}

class GoSort<T> {
  readonly #items: T[];
  readonly #lessThan: Less<T>;
  /** Exchanges made while the last pivot was chosen. */
  #exchanges = 0;

  constructor(items: T[], less: Less<T>) {
    this.#items = items;
    this.#lessThan = less;
  }

  /** Sorts [start, end). `badPivotsMax`: unbalanced partitions after which it goes on as a heap sort. */
  sort(start: number, end: number, badPivotsMax: number): void {
    let isBalanced = true;
    let isPartitioned = true;
    for (;;) {
      const length = end - start;
      if (length <= INSERTION_MAX) return this.#insertionSort(start, end);
      if (badPivotsMax === 0) return this.#heapSort(start, end);
      if (!isBalanced) {
        this.#breakPatterns(start, length);
        badPivotsMax--;
      }
      let pivot = this.#choosePivot(start, length);
      const isBackwards = this.#exchanges === EXCHANGES_MAX;
      if (isBackwards) {
        this.#reverse(start, end);
        pivot = end - 1 - (pivot - start);
      }
      const isLikelySorted = isBackwards || this.#exchanges === 0;
      if (isBalanced && isPartitioned && isLikelySorted && this.#mend(start, end)) return;
      // Nothing here is less than the element before: if the pivot equals that one, so do many others.
      if (start > 0 && !this.#less(start - 1, pivot)) {
        start = this.#partitionEqual(start, end, pivot);
        continue;
      }
      const { middle, wasPartitioned } = this.#partition(start, end, pivot);
      isPartitioned = wasPartitioned;
      const before = middle - start;
      const after = end - middle;
      isBalanced = Math.min(before, after) >= Math.floor(length / 8);
      if (before < after) {
        this.sort(start, middle, badPivotsMax);
        start = middle + 1;
      } else {
        this.sort(middle + 1, end, badPivotsMax);
        end = middle;
      }
    }
  }

  #less(a: number, b: number): boolean {
    return this.#lessThan(this.#items[a], this.#items[b]);
  }

  #swap(a: number, b: number): void {
    const items = this.#items;
    const item = items[a];
    items[a] = items[b];
    items[b] = item;
  }

  #insertionSort(start: number, end: number): void {
    for (let i = start + 1; i < end; i++) {
      for (let j = i; j > start && this.#less(j, j - 1); j--) this.#swap(j, j - 1);
    }
  }

  #heapSort(start: number, end: number): void {
    const length = end - start;
    for (let i = (length - 1) >> 1; i >= 0; i--) this.#siftDown(start, i, length);
    for (let i = length - 1; i >= 0; i--) {
      this.#swap(start, start + i);
      this.#siftDown(start, 0, i);
    }
  }

  #siftDown(start: number, root: number, length: number): void {
    for (let child = 2 * root + 1; child < length; child = 2 * root + 1) {
      if (child + 1 < length && this.#less(start + child, start + child + 1)) child++;
      if (!this.#less(start + root, start + child)) return;
      this.#swap(start + root, start + child);
      root = child;
    }
  }

  /** Exchanges the three middle elements with pseudo-random ones. */
  #breakPatterns(start: number, length: number): void {
    const mask = BigInt(2 ** bitLength(length) - 1);
    const middle = start + Math.floor(length / 4) * 2;
    let random = BigInt(length);
    for (let i = middle - 1; i <= middle + 1; i++) {
      random = xorshift(random);
      let other = Number(random & mask);
      if (other >= length) other -= length;
      this.#swap(i, start + other);
    }
  }

  #choosePivot(start: number, length: number): number {
    this.#exchanges = 0;
    const quarter = Math.floor(length / 4);
    let first = start + quarter;
    let second = start + quarter * 2;
    let third = start + quarter * 3;
    if (length >= LONG_MIN) {
      first = this.#median(first - 1, first, first + 1);
      second = this.#median(second - 1, second, second + 1);
      third = this.#median(third - 1, third, third + 1);
    }
    return this.#median(first, second, third);
  }

  /** Which of three places holds the middle one of their elements; counts how far they were out of order. */
  #median(a: number, b: number, c: number): number {
    if (this.#less(b, a)) {
      [a, b] = [b, a];
      this.#exchanges++;
    }
    if (this.#less(c, b)) {
      b = c;
      this.#exchanges++;
    }
    if (this.#less(b, a)) {
      b = a;
      this.#exchanges++;
    }
    return b;
  }

  #reverse(start: number, end: number): void {
    for (let i = start, j = end - 1; i < j; i++, j--) this.#swap(i, j);
  }

  /** Mends a few places that are out of order; true if the list is sorted then. */
  #mend(start: number, end: number): boolean {
    let i = start + 1;
    for (let mended = 0; mended < MENDED_MAX; mended++) {
      while (i < end && !this.#less(i, i - 1)) i++;
      if (i === end) return true;
      if (end - start < LONG_MIN) return false;
      this.#swap(i, i - 1);
      if (i - start >= 2) {
        // As in Go, this may go on below the start: what lies there is not greater, so it never does.
        for (let j = i - 1; j >= 1 && this.#less(j, j - 1); j--) this.#swap(j, j - 1);
      }
      if (end - i >= 2) {
        for (let j = i + 1; j < end && this.#less(j, j - 1); j++) this.#swap(j, j - 1);
      }
    }
    return false;
  }

  /** Brings what is less than the pivot before it, the rest behind it. */
  #partition(start: number, end: number, pivot: number): { middle: number; wasPartitioned: boolean } {
    this.#swap(start, pivot);
    let i = start + 1;
    let j = end - 1;
    let exchanges = 0;
    for (;; exchanges++) {
      while (i <= j && this.#less(i, start)) i++;
      while (i <= j && !this.#less(j, start)) j--;
      if (i > j) break;
      this.#swap(i++, j--);
    }
    this.#swap(j, start);
    return { middle: j, wasPartitioned: exchanges === 0 };
  }

  /** Brings what equals the pivot, the least here, to the front; returns where the rest begins. */
  #partitionEqual(start: number, end: number, pivot: number): number {
    this.#swap(start, pivot);
    let i = start + 1;
    let j = end - 1;
    for (;;) {
      while (i <= j && !this.#less(start, i)) i++;
      while (i <= j && this.#less(start, j)) j--;
      if (i > j) return i;
      this.#swap(i++, j--);
    }
  }
}

function bitLength(value: number): number {
  return 32 - Math.clz32(value);
}

/** Marsaglia's generator, with the shifts that Go uses. */
function xorshift(state: bigint): bigint {
  state ^= BigInt.asUintN(64, state << 13n);
  state ^= state >> 7n;
  state ^= BigInt.asUintN(64, state << 17n);
  return state;
}
