/**
 * A set of byte strings packed into a few typed arrays: about 32 bytes beside the key itself, where a Map of strings
 * takes 100 and more. A key is known by its entry, a small number that stays the same while the key is in the set and is
 * used again afterwards, so that callers keep what belongs to a key in arrays of their own.
 *
 * Keys lie in chunks, each behind eight bytes that name its entry and size:
 *
 *     | entry u32 | size u32 | key ... | entry u32 | size u32 | key ... |
 *
 * When more than half of a chunk is dead its living keys are copied to the newest chunk and it is let go. The hash table
 * is cut into parts that grow one by one. So no call takes long, however many keys there are: at a million, doubling
 * the entry arrays is the longest, a few milliseconds.
 */

import { assert } from "./assert.ts";

const PART_BITS = 6;
const PART_COUNT = 1 << PART_BITS;
const PART_SLOTS_MIN = 16;
const ENTRIES_MIN = 64;
const RECORD_HEAD_SIZE = 8;
const CHUNK_SIZE_MIN = 1024;
const CHUNK_SIZE_MAX = 65536;
/** In `#offsets` and `#sizes`: no entry, and the mark of an entry that is not in use. */
const NONE = -1;

interface Chunk {
  readonly bytes: Uint8Array;
  /** Where the next key goes. */
  used: number;
  /** Bytes of removed keys, heads included. */
  dead: number;
}

export class KeySet {
  readonly #seed: number;
  #size = 0;

  // Per entry. A free entry has size NONE, and in `offsets` the next free one.
  #hashes = new Int32Array(ENTRIES_MIN);
  #chunkOf = new Int32Array(ENTRIES_MIN);
  #offsets = new Int32Array(ENTRIES_MIN);
  #sizes = new Int32Array(ENTRIES_MIN);
  #entryCount = 0;
  #freeEntry = NONE;

  // Open addressing with linear probing; a slot holds entry + 1, or 0.
  readonly #parts: (Int32Array | undefined)[] = new Array(PART_COUNT).fill(undefined);
  readonly #partSizes = new Int32Array(PART_COUNT);

  #chunks: (Chunk | undefined)[] = [];
  #freeChunks: number[] = [];
  #current = NONE;
  #chunkBytes = 0;

  /** Different seeds give different hashes, so that clients cannot choose keys that collide. Nothing else depends on it. */
  constructor(seed = 0) {
    this.#seed = seed | 0;
  }

  /** Keys in the set. */
  get size(): number {
    return this.#size;
  }

  /** Entries are below this. Callers size their own arrays by it. */
  get entryEnd(): number {
    return this.#entryCount;
  }

  /** Bytes of key storage held, dead keys included. */
  get storageSize(): number {
    return this.#chunkBytes;
  }

  /** The entry of the key `bytes[start, end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    if (this.#size === 0) return NONE;
    const hash = this.#hash(bytes, start, end);
    const part = this.#parts[hash >>> (32 - PART_BITS)];
    if (part === undefined) return NONE;
    const mask = part.length - 1;
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const entry = part[slot] - 1;
      if (entry < 0) return NONE;
      if (this.#hashes[entry] === hash && this.#holds(entry, bytes, start, end)) return entry;
    }
  }

  /** The entry of the key `bytes[start, end)`, which is copied into the set if it is not there yet. */
  insert(bytes: Uint8Array, start: number, end: number): number {
    const found = this.find(bytes, start, end);
    if (found !== NONE) return found;
    const hash = this.#hash(bytes, start, end);
    const entry = this.#takeEntry();
    this.#hashes[entry] = hash;
    this.#sizes[entry] = end - start;
    this.#store(entry, bytes, start, end);
    this.#link(entry, hash);
    this.#size++;
    return entry;
  }

  /** Takes out the key with this entry. The entry may come back for another key. */
  remove(entry: number): void {
    assert(this.has(entry), "a removed entry is in the set");
    this.#unlink(entry);
    const number = this.#chunkOf[entry];
    const chunk = this.#chunks[number]!;
    chunk.dead += RECORD_HEAD_SIZE + this.#sizes[entry];
    this.#sizes[entry] = NONE;
    this.#offsets[entry] = this.#freeEntry;
    this.#freeEntry = entry;
    this.#size--;
    if (this.#size === 0) this.#clear();
    else if (number !== this.#current) this.#evacuateIfMostlyDead(number);
    else if (chunk.dead === chunk.used) {
      chunk.used = 0;
      chunk.dead = 0;
    }
  }

  has(entry: number): boolean {
    return entry >= 0 && entry < this.#entryCount && this.#sizes[entry] !== NONE;
  }

  /** A copy of the key. */
  key(entry: number): Uint8Array {
    const offset = this.#offsets[entry];
    return this.#chunks[this.#chunkOf[entry]]!.bytes.slice(offset, offset + this.#sizes[entry]);
  }

  /** Order of two keys of the set, as compareBytes. */
  compare(entryA: number, entryB: number): number {
    const a = this.#chunks[this.#chunkOf[entryA]]!.bytes;
    const b = this.#chunks[this.#chunkOf[entryB]]!.bytes;
    const startA = this.#offsets[entryA];
    const startB = this.#offsets[entryB];
    const sizeA = this.#sizes[entryA];
    const sizeB = this.#sizes[entryB];
    const size = sizeA < sizeB ? sizeA : sizeB;
    for (let i = 0; i < size; i++) {
      const difference = a[startA + i] - b[startB + i];
      if (difference !== 0) return difference;
    }
    return sizeA - sizeB;
  }

  /** FNV-1a, and a last mix because parts are chosen by the high bits and slots by the low ones. */
  #hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = 0x811c9dc5 ^ this.#seed;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
    return hash ^ (hash >>> 15);
  }

  #holds(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const size = end - start;
    if (this.#sizes[entry] !== size) return false;
    const own = this.#chunks[this.#chunkOf[entry]]!.bytes;
    const offset = this.#offsets[entry];
    // From the end: keys of one application share their beginning.
    for (let i = size - 1; i >= 0; i--) {
      if (own[offset + i] !== bytes[start + i]) return false;
    }
    return true;
  }

  #takeEntry(): number {
    if (this.#freeEntry !== NONE) {
      const entry = this.#freeEntry;
      this.#freeEntry = this.#offsets[entry];
      return entry;
    }
    const entry = this.#entryCount++;
    if (entry === this.#hashes.length) {
      this.#hashes = doubled(this.#hashes);
      this.#chunkOf = doubled(this.#chunkOf);
      this.#offsets = doubled(this.#offsets);
      this.#sizes = doubled(this.#sizes);
    }
    return entry;
  }

  #link(entry: number, hash: number): void {
    const number = hash >>> (32 - PART_BITS);
    let part = this.#parts[number];
    if (part === undefined) part = this.#parts[number] = new Int32Array(PART_SLOTS_MIN);
    else if ((this.#partSizes[number] + 1) * 4 > part.length * 3) {
      const larger = new Int32Array(part.length * 2);
      for (const value of part) {
        if (value !== 0) place(larger, this.#hashes[value - 1], value);
      }
      part = this.#parts[number] = larger;
    }
    place(part, hash, entry + 1);
    this.#partSizes[number]++;
  }

  #unlink(entry: number): void {
    const number = this.#hashes[entry] >>> (32 - PART_BITS);
    const part = this.#parts[number]!;
    const mask = part.length - 1;
    let slot = this.#hashes[entry] & mask;
    while (part[slot] !== entry + 1) slot = (slot + 1) & mask;
    // Later keys of the same probe sequence move up, so that no mark of the removed one has to stay.
    let next = slot;
    for (;;) {
      next = (next + 1) & mask;
      const value = part[next];
      if (value === 0) break;
      const home = this.#hashes[value - 1] & mask;
      if (((next - home) & mask) >= ((next - slot) & mask)) {
        part[slot] = value;
        slot = next;
      }
    }
    part[slot] = 0;
    this.#partSizes[number]--;
  }

  /** Copies a key into the current chunk, opening another one when it is full. */
  #store(entry: number, bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    let chunk = this.#current === NONE ? undefined : this.#chunks[this.#current];
    let full = NONE;
    if (chunk === undefined || chunk.used + RECORD_HEAD_SIZE + size > chunk.bytes.length) {
      full = this.#current;
      chunk = this.#openChunk(RECORD_HEAD_SIZE + size);
    }
    const head = chunk.used;
    writeUint32(chunk.bytes, head, entry);
    writeUint32(chunk.bytes, head + 4, size);
    const target = chunk.bytes;
    const offset = head + RECORD_HEAD_SIZE;
    for (let i = 0; i < size; i++) target[offset + i] = bytes[start + i];
    chunk.used = offset + size;
    this.#chunkOf[entry] = this.#current;
    this.#offsets[entry] = offset;
    // While it was the current one it was spared.
    if (full !== NONE) this.#evacuateIfMostlyDead(full);
  }

  #openChunk(needed: number): Chunk {
    const size = Math.max(needed, Math.min(CHUNK_SIZE_MAX, Math.max(CHUNK_SIZE_MIN, this.#chunkBytes)));
    const chunk: Chunk = { bytes: new Uint8Array(size), used: 0, dead: 0 };
    this.#chunkBytes += size;
    const number = this.#freeChunks.pop() ?? this.#chunks.length;
    this.#chunks[number] = chunk;
    this.#current = number;
    return chunk;
  }

  /** Of a chunk that is not the current one. */
  #evacuateIfMostlyDead(number: number): void {
    const chunk = this.#chunks[number]!;
    if (chunk.dead * 2 <= chunk.used) return;
    let offset = 0;
    while (offset < chunk.used) {
      const entry = readUint32(chunk.bytes, offset);
      const start = offset + RECORD_HEAD_SIZE;
      const end = start + readUint32(chunk.bytes, offset + 4);
      const isLive = this.has(entry) && this.#chunkOf[entry] === number && this.#offsets[entry] === start;
      if (isLive) this.#store(entry, chunk.bytes, start, end);
      offset = end;
    }
    this.#chunks[number] = undefined;
    this.#freeChunks.push(number);
    this.#chunkBytes -= chunk.bytes.length;
  }

  /** The set is empty: nothing stays behind of what it held. */
  #clear(): void {
    this.#hashes = new Int32Array(ENTRIES_MIN);
    this.#chunkOf = new Int32Array(ENTRIES_MIN);
    this.#offsets = new Int32Array(ENTRIES_MIN);
    this.#sizes = new Int32Array(ENTRIES_MIN);
    this.#entryCount = 0;
    this.#freeEntry = NONE;
    this.#parts.fill(undefined);
    this.#partSizes.fill(0);
    this.#chunks = [];
    this.#freeChunks = [];
    this.#current = NONE;
    this.#chunkBytes = 0;
  }
}

function place(part: Int32Array, hash: number, value: number): void {
  const mask = part.length - 1;
  let slot = hash & mask;
  while (part[slot] !== 0) slot = (slot + 1) & mask;
  part[slot] = value;
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}

function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

function readUint32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16) | (bytes[offset + 3] << 24)) >>> 0;
}
