/**
 * A first-in, first-out queue in one array. It grows by doubling and lets go of a large array once it is empty; a bound
 * on the number of items is the caller's.
 */

const CAPACITY_MIN = 8;
/** An empty buffer keeps an array up to this capacity for the next burst. */
const CAPACITY_KEPT = 256;

export class RingBuffer<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#size) & (this.#items.length - 1)] = item;
    this.#size++;
  }

  /** The oldest item. */
  peek(): T | undefined {
    return this.#size === 0 ? undefined : this.#items[this.#head];
  }

  /** Takes out the oldest item. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#items[this.#head];
    // The slot must not keep the item alive.
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#size--;
    if (this.#size === 0 && this.#items.length > CAPACITY_KEPT) this.clear();
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
    this.#size = 0;
  }

  #grow(): void {
    const old = this.#items;
    const capacity = old.length === 0 ? CAPACITY_MIN : old.length * 2;
    const grown = new Array<T | undefined>(capacity).fill(undefined);
    for (let i = 0; i < this.#size; i++) grown[i] = old[(this.#head + i) & (old.length - 1)];
    this.#items = grown;
    this.#head = 0;
  }
}
