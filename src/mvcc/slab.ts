/**
 * Slabs: the memory records live in. Append-only buffers of SLAB_SIZE from a pool that stores may share; a record that
 * would waste too much of one gets a buffer of its own.
 *
 * There are two streams of appends: FRESH for what transactions write, MOVED for records that compaction rescues from
 * mostly dead slabs. Keeping the survivors together keeps them from being moved again with every compaction.
 *
 * A slab counts its dead bytes and is freed when everything in it is dead and no stream appends to it. Freeing detaches
 * the buffer instead of leaving it to the garbage collector: a dropped 4 MiB buffer may otherwise stay resident for
 * seconds, and many of them together (measured: 80 MB live, 474 MB resident).
 */

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { LARGE_RECORD_SIZE, SLAB_POOL_MAX, SLAB_SIZE } from "../base/limits.ts";

export const FRESH = 0;
export const MOVED = 1;
export type Stream = 0 | 1;

const PAGE_SIZE = 4096;
const NO_SLAB = -1;

/** Empty slabs waiting to be used again; above SLAB_POOL_MAX they go back to the system. */
export class SlabPool {
  /** Bytes of each slab. */
  readonly slabSize: number;
  readonly #free: Uint8Array[] = [];

  constructor(slabSize: number = SLAB_SIZE) {
    this.slabSize = slabSize;
  }

  get size(): number {
    return this.#free.length * this.slabSize;
  }

  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.slabSize);
  }

  give(slab: Uint8Array): void {
    if (slab.length === this.slabSize && this.#free.length < SLAB_POOL_MAX) this.#free.push(slab);
    else release(slab);
  }
}

/** Gives the memory back now: transferring to a length of zero detaches the buffer and frees its contents. */
function release(slab: Uint8Array): void {
  (slab.buffer as ArrayBuffer).transfer(0);
}

export class Slabs {
  /** The buffer of each slab number; an empty one where the number is free. Read it, write only what was reserved. */
  readonly buffers: Uint8Array[] = [];
  /** Where the last `reserve` made room. */
  slab = 0;
  offset = 0;

  readonly #pool: SlabPool;
  readonly #slabSize: number;
  readonly #largeSize: number;
  readonly #used: number[] = [];
  readonly #dead: number[] = [];
  readonly #freeNumbers: number[] = [];
  // Per stream, the slab that is appended to.
  readonly #current: [number, number] = [NO_SLAB, NO_SLAB];
  #allocated = 0;
  #live = 0;
  #deadTotal = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
    this.#slabSize = pool.slabSize;
    this.#largeSize = Math.min(LARGE_RECORD_SIZE, pool.slabSize / 8);
  }

  /** Bytes of the buffers held. */
  get allocated(): number {
    return this.#allocated;
  }

  get live(): number {
    return this.#live;
  }

  get dead(): number {
    return this.#deadTotal;
  }

  /** Makes room for `size` bytes and leaves their place in `slab` and `offset`. */
  reserve(size: number, stream: Stream): void {
    let number = this.#current[stream];
    if (number === NO_SLAB || this.#used[number] + size > this.#slabSize) {
      if (size > this.#largeSize) {
        this.#reserveLarge(size);
        return;
      }
      this.#current[stream] = NO_SLAB;
      if (number !== NO_SLAB) this.#freeIfDead(number);
      number = this.#add(this.#pool.take());
      this.#current[stream] = number;
    }
    this.slab = number;
    this.offset = this.#used[number];
    this.#used[number] += size;
    this.#live += size;
  }

  /** Counts a record as dead; frees the slab with its last one. */
  markDead(number: number, size: number): void {
    this.#dead[number] += size;
    this.#deadTotal += size;
    this.#live -= size;
    assert(this.#dead[number] <= this.#used[number], "a slab has no more dead bytes than used ones");
    this.#freeIfDead(number);
  }

  /** Whether a slab is full and so much of it dead that moving the rest is worth its cost. */
  isMostlyDead(number: number): boolean {
    if (number === this.#current[FRESH] || number === this.#current[MOVED]) return false;
    const buffer = this.buffers[number];
    return this.#dead[number] > 0 && (this.#used[number] - this.#dead[number]) * 2 < buffer.length;
  }

  get count(): number {
    return this.buffers.length;
  }

  /** Frees everything; the store must not be used afterwards. */
  releaseAll(): void {
    for (const buffer of this.buffers) if (buffer.length > 0) this.#pool.give(buffer);
    this.buffers.length = 0;
  }

  #reserveLarge(size: number): void {
    const number = this.#add(new Uint8Array(Math.ceil(size / PAGE_SIZE) * PAGE_SIZE));
    this.#used[number] = size;
    this.#live += size;
    this.slab = number;
    this.offset = 0;
  }

  #add(buffer: Uint8Array): number {
    const number = this.#freeNumbers.pop() ?? this.buffers.length;
    this.buffers[number] = buffer;
    this.#used[number] = 0;
    this.#dead[number] = 0;
    this.#allocated += buffer.length;
    return number;
  }

  #freeIfDead(number: number): void {
    if (this.#dead[number] !== this.#used[number]) return;
    if (number === this.#current[FRESH] || number === this.#current[MOVED]) return;
    const buffer = this.buffers[number];
    this.buffers[number] = EMPTY_BYTES;
    this.#allocated -= buffer.length;
    this.#deadTotal -= this.#dead[number];
    this.#used[number] = 0;
    this.#dead[number] = 0;
    this.#freeNumbers.push(number);
    this.#pool.give(buffer);
  }
}
