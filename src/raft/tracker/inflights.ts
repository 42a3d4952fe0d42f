import { assert } from "../../base/assert.ts";

/**
 * The appends that were sent to a member and not yet acknowledged: last index and bytes of each, oldest first, in a ring
 * that grows up to `countMax`. When it is full, no more is sent until an acknowledgement frees some of it.
 */
export class Inflights {
  readonly countMax: number;
  /** 0: without a bound. It is soft: the message that reaches it is still taken. */
  readonly bytesMax: number;
  #indexes = new Float64Array(FIRST_CAPACITY);
  #sizes = new Float64Array(FIRST_CAPACITY);
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    this.countMax = countMax;
    this.bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#count === this.countMax || (this.bytesMax !== 0 && this.#bytes >= this.bytesMax);
  }

  /** Takes in a message whose last entry is `index`, at least that of the message before it; there must be room. */
  add(index: number, bytes: number): void {
    assert(!this.isFull, "there is room for one more message in flight");
    const capacity = this.#indexes.length;
    if (this.#count === capacity) this.#grow();
    const position = (this.#start + this.#count) & (this.#indexes.length - 1);
    this.#indexes[position] = index;
    this.#sizes[position] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Frees the messages up to and including `index`. */
  freeThrough(index: number): void {
    const mask = this.#indexes.length - 1;
    while (this.#count > 0 && this.#indexes[this.#start] <= index) {
      this.#bytes -= this.#sizes[this.#start];
      this.#start = (this.#start + 1) & mask;
      this.#count--;
    }
  }

  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const capacity = this.#indexes.length;
    this.#indexes = unrolled(this.#indexes, this.#start, new Float64Array(capacity * 2));
    this.#sizes = unrolled(this.#sizes, this.#start, new Float64Array(capacity * 2));
    this.#start = 0;
  }
}

/** A power of two, so that a position in the ring is a mask away. */
const FIRST_CAPACITY = 8;

function unrolled(ring: Float64Array<ArrayBuffer>, start: number, target: Float64Array<ArrayBuffer>) {
  target.set(ring.subarray(start));
  target.set(ring.subarray(0, start), ring.length - start);
  return target;
}
