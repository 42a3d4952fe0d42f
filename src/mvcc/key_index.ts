/**
 * The index: a B-tree from key bytes to the newest row of the key. Keys stay in the slabs; an entry is one number, the
 * row id, negative while the key is deleted (its tombstone is the newest row). Every node counts the live keys and the
 * entries below each child, so that rank and count are O(log n).
 *
 * Comparing in the slabs would cost several cache misses per comparison, so a node knows the prefix all its keys share,
 * and of each key the four bytes that follow ("head", big-endian). A search compares the prefix once, searches the heads
 * in one typed array, and reads a slab only where heads are equal: usually once per lookup (lookups in a million keys
 * take a sixth of the time).
 *
 * It changes in place. Only one search is remembered, in the fields `leaf`, `slot` and the path: what a caller does with
 * it, it does before the next search.
 */

import { assert } from "../base/assert.ts";
import { compareRanges, EMPTY_BYTES } from "../base/bytes.ts";
import { INDEX_NODE_KEYS } from "../base/limits.ts";
import type { History } from "./history.ts";

const DEPTH_MAX = 16;
const MERGE_BELOW = INDEX_NODE_KEYS >> 2;
const MERGED_MAX = INDEX_NODE_KEYS - (INDEX_NODE_KEYS >> 2);

export class Leaf {
  count = 0;
  /** Live entries among them. */
  live = 0;
  /** Where the last entry was inserted, for #splitLeaf. */
  lastInserted = -1;
  /** Bytes that all keys here begin with, and how many. */
  prefix: Uint8Array = EMPTY_BYTES;
  prefixSize = 0;
  readonly heads: Int32Array = new Int32Array(INDEX_NODE_KEYS);
  readonly rows: Float64Array = new Float64Array(INDEX_NODE_KEYS);
  next: Leaf | undefined = undefined;
}

/** Child i holds the keys in [separators[i], separators[i + 1]); the first one's separator is not used. */
class Inner {
  count = 0;
  prefix: Uint8Array = EMPTY_BYTES;
  readonly heads: Int32Array = new Int32Array(INDEX_NODE_KEYS);
  readonly separators: Uint8Array[] = [];
  readonly children: (Leaf | Inner)[] = [];
  readonly live: Uint32Array = new Uint32Array(INDEX_NODE_KEYS);
  readonly entries: Uint32Array = new Uint32Array(INDEX_NODE_KEYS);
}

/** The four bytes of a key after `skip`, zero padded, mapped so that signed order is byte order. */
function headOf(bytes: Uint8Array, start: number, size: number, skip: number): number {
  const at = start + skip;
  const left = size - skip;
  let head = 0;
  if (left >= 4) head = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  else if (left === 3) head = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8);
  else if (left === 2) head = (bytes[at] << 24) | (bytes[at + 1] << 16);
  else if (left === 1) head = bytes[at] << 24;
  return head ^ -0x80000000;
}

function commonSize(
  a: Uint8Array,
  aStart: number,
  aSize: number,
  b: Uint8Array,
  bStart: number,
  bSize: number,
): number {
  const size = aSize < bSize ? aSize : bSize;
  let i = 0;
  while (i < size && a[aStart + i] === b[bStart + i]) i++;
  return i;
}

export class KeyIndex {
  /** Where the last search ended: the first entry not below the key. `slot` may be `leaf.count`. */
  leaf: Leaf;
  slot = 0;
  /** Whether that entry is the key itself. */
  found = false;
  /** Live keys and entries in the whole tree. */
  live = 0;
  entries = 0;

  readonly #history: History;
  #root: Leaf | Inner;
  #height = 0;
  #leafCount = 1;
  #innerCount = 0;
  // The inner nodes above `leaf` with the child taken in each, the root first.
  readonly #path: Inner[] = [];
  readonly #slots = new Int32Array(DEPTH_MAX);

  constructor(history: History) {
    this.#history = history;
    const leaf = new Leaf();
    this.#root = leaf;
    this.leaf = leaf;
  }

  /** Finds a key: its newest row, negative if it is deleted, 0 if it is not here. */
  find(bytes: Uint8Array, start: number, size: number): number {
    let node = this.#root;
    for (let depth = 0; depth < this.#height; depth++) {
      const inner = node as Inner;
      const child = this.#childFor(inner, bytes, start, size);
      this.#path[depth] = inner;
      this.#slots[depth] = child;
      node = inner.children[child];
    }
    const leaf = node as Leaf;
    this.leaf = leaf;
    this.#searchLeaf(leaf, bytes, start, size);
    return this.found ? leaf.rows[this.slot] : 0;
  }

  /** As `find`, for where a walk begins or ends; the place may be past the end of its leaf. */
  seek(key: Uint8Array): void {
    this.find(key, 0, key.length);
  }

  /** Moves to the start of the next leaf; false at the end. */
  nextLeaf(): boolean {
    if (this.leaf.next === undefined) return false;
    this.#advance();
    return true;
  }

  /** Past the last entry. */
  seekEnd(): void {
    let node = this.#root;
    for (let depth = 0; depth < this.#height; depth++) {
      const inner = node as Inner;
      this.#path[depth] = inner;
      this.#slots[depth] = inner.count - 1;
      node = inner.children[inner.count - 1];
    }
    this.leaf = node as Leaf;
    this.slot = this.leaf.count;
    this.found = false;
  }

  /** Live keys before the last search's place. */
  liveRank(): number {
    let rank = 0;
    for (let depth = 0; depth < this.#height; depth++) {
      const live = this.#path[depth].live;
      for (let child = this.#slots[depth] - 1; child >= 0; child--) rank += live[child];
    }
    const rows = this.leaf.rows;
    for (let slot = this.slot - 1; slot >= 0; slot--) if (rows[slot] > 0) rank++;
    return rank;
  }

  /** Entries before the last search's place. */
  entryRank(): number {
    let rank = this.slot;
    for (let depth = 0; depth < this.#height; depth++) {
      const entries = this.#path[depth].entries;
      for (let child = this.#slots[depth] - 1; child >= 0; child--) rank += entries[child];
    }
    return rank;
  }

  /** Replaces the row of the key that was found; negative for a tombstone. */
  replaceFound(row: number): void {
    const rows = this.leaf.rows;
    const before = rows[this.slot];
    rows[this.slot] = row;
    const change = (row > 0 ? 1 : 0) - (before > 0 ? 1 : 0);
    if (change !== 0) this.addLive(change);
  }

  /** Adds to the live counts above the current leaf: for a caller that has changed `leaf.rows` itself. */
  addLive(change: number): void {
    this.leaf.live += change;
    this.live += change;
    for (let depth = this.#height - 1; depth >= 0; depth--) this.#path[depth].live[this.#slots[depth]] += change;
  }

  /** Inserts the key that was searched and not found; negative for a tombstone. The row is in the history already. */
  insertSearched(bytes: Uint8Array, start: number, size: number, row: number): void {
    if (this.leaf.count === INDEX_NODE_KEYS) {
      this.#splitLeaf();
      // The split may have moved the place, and the path with it.
      const again = this.find(bytes, start, size);
      assert(again === 0, "a key that is inserted is not in the index");
    }
    const leaf = this.leaf;
    const slot = this.slot;
    const prefixSize = leaf.prefix.length;
    if (leaf.count === 0) {
      leaf.prefix = bytes.slice(start, start + size);
      leaf.prefixSize = size;
    } else {
      const common = commonSize(bytes, start, size, leaf.prefix, 0, prefixSize);
      if (common < prefixSize) this.#shortenLeafPrefix(leaf, common);
    }
    leaf.rows.copyWithin(slot + 1, slot, leaf.count);
    leaf.heads.copyWithin(slot + 1, slot, leaf.count);
    leaf.rows[slot] = row;
    leaf.heads[slot] = headOf(bytes, start, size, leaf.prefix.length);
    leaf.count++;
    leaf.lastInserted = slot;
    this.entries++;
    for (let depth = this.#height - 1; depth >= 0; depth--) this.#path[depth].entries[this.#slots[depth]]++;
    if (row > 0) this.addLive(1);
  }

  /** Removes the entry that was found. */
  removeFound(): void {
    const leaf = this.leaf;
    const slot = this.slot;
    if (leaf.rows[slot] > 0) this.addLive(-1);
    leaf.rows.copyWithin(slot, slot + 1, leaf.count);
    leaf.heads.copyWithin(slot, slot + 1, leaf.count);
    leaf.count--;
    this.entries--;
    for (let depth = this.#height - 1; depth >= 0; depth--) this.#path[depth].entries[this.#slots[depth]]--;
    if (leaf.count < MERGE_BELOW && this.#height > 0) this.#mergeLeaf();
  }

  /** Compares the key of an entry's row with `key`. */
  compareRow(row: number, key: Uint8Array): number {
    const history = this.#history;
    history.locateKey(row < 0 ? -row : row);
    return compareRanges(history.keyBytes, history.keyStart, history.keySize, key, 0, key.length);
  }

  /** Estimate of the bytes held. */
  get size(): number {
    return this.#leafCount * (INDEX_NODE_KEYS * 12 + 240) + this.#innerCount * (INDEX_NODE_KEYS * 100 + 240);
  }

  // --- searching

  #childFor(inner: Inner, bytes: Uint8Array, start: number, size: number): number {
    const prefix = inner.prefix;
    const prefixSize = prefix.length;
    for (let i = 0; i < prefixSize; i++) {
      if (i === size) return 0;
      const difference = bytes[start + i] - prefix[i];
      if (difference !== 0) return difference < 0 ? 0 : inner.count - 1;
    }
    const head = headOf(bytes, start, size, prefixSize);
    const heads = inner.heads;
    // The number of separators not above the key.
    let low = 1;
    let high = inner.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const probe = heads[middle];
      let isAbove = probe > head;
      if (probe === head) {
        const separator = inner.separators[middle];
        isAbove = compareRanges(separator, 0, separator.length, bytes, start, size, prefixSize) > 0;
      }
      if (isAbove) high = middle;
      else low = middle + 1;
    }
    return low - 1;
  }

  #searchLeaf(leaf: Leaf, bytes: Uint8Array, start: number, size: number): void {
    const prefixSize = leaf.prefixSize;
    const count = leaf.count;
    const head = headOf(bytes, start, size, prefixSize);
    const heads = leaf.heads;
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (heads[middle] < head) low = middle + 1;
      else high = middle;
    }
    // Among equal heads the keys themselves decide; there is rarely more than one. The prefix is compared with the key,
    // here or, where no head is equal, below: a hit then does not touch the prefix (a lookup in a
    // million keys took 1.8 us with it and takes 1.35 us without).
    if (low < count && heads[low] === head) {
      const history = this.#history;
      const rows = leaf.rows;
      high = low + 1;
      while (high < count && heads[high] === head) high++;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const row = rows[middle];
        history.locateKey(row < 0 ? -row : row);
        const difference = compareRanges(history.keyBytes, history.keyStart, history.keySize, bytes, start, size);
        if (difference === 0) {
          this.slot = middle;
          this.found = true;
          return;
        }
        if (difference < 0) low = middle + 1;
        else high = middle;
      }
    }
    this.found = false;
    this.slot = low;
    const prefix = leaf.prefix;
    for (let i = 0; i < prefixSize; i++) {
      const difference = i === size ? -1 : bytes[start + i] - prefix[i];
      if (difference !== 0) {
        this.slot = difference < 0 ? 0 : count;
        return;
      }
    }
  }

  /** Moves the remembered place to the start of the next leaf. */
  #advance(): void {
    let depth = this.#height - 1;
    while (this.#slots[depth] === this.#path[depth].count - 1) depth--;
    this.#slots[depth]++;
    let node = this.#path[depth].children[this.#slots[depth]];
    for (depth++; depth < this.#height; depth++) {
      this.#path[depth] = node as Inner;
      this.#slots[depth] = 0;
      node = (node as Inner).children[0];
    }
    this.leaf = node as Leaf;
    this.slot = 0;
    this.found = false;
  }

  // --- changing the shape

  #shortenLeafPrefix(leaf: Leaf, skip: number): void {
    const before = leaf.prefix;
    leaf.prefix = before.slice(0, skip);
    leaf.prefixSize = skip;
    if (skip + 4 <= before.length) {
      // All heads lie inside what used to be shared.
      leaf.heads.fill(headOf(before, 0, before.length, skip), 0, leaf.count);
      return;
    }
    this.#computeLeafHeads(leaf);
  }

  #computeLeafHeads(leaf: Leaf): void {
    const history = this.#history;
    const skip = leaf.prefix.length;
    for (let slot = 0; slot < leaf.count; slot++) {
      const row = leaf.rows[slot];
      history.locateKey(row < 0 ? -row : row);
      leaf.heads[slot] = headOf(history.keyBytes, history.keyStart, history.keySize, skip);
    }
  }

  /** Gives a leaf the longest prefix its keys share: what the first and the last of sorted keys have in common. */
  #lengthenLeafPrefix(leaf: Leaf): void {
    const history = this.#history;
    const first = this.#keyOf(leaf.rows[0]);
    const last = leaf.rows[leaf.count - 1];
    history.locateKey(last < 0 ? -last : last);
    const common = commonSize(first, 0, first.length, history.keyBytes, history.keyStart, history.keySize);
    leaf.prefix = first.slice(0, common);
    leaf.prefixSize = common;
    this.#computeLeafHeads(leaf);
  }

  #keyOf(row: number): Uint8Array {
    const history = this.#history;
    history.locateKey(row < 0 ? -row : row);
    return history.keyBytes.slice(history.keyStart, history.keyStart + history.keySize);
  }

  #splitLeaf(): void {
    const left = this.leaf;
    const right = new Leaf();
    this.#leafCount++;
    // Where keys arrive in order the leaf is split at the place of the new one, so that they fill their leaves whether
    // they come at an end or before the keys of another prefix. Otherwise in the middle.
    let from = left.count >> 1;
    if (this.slot === left.lastInserted + 1 || this.slot === left.lastInserted) {
      from = Math.min(Math.max(this.slot, 1), left.count - 1);
    }
    const moved = left.count - from;
    // Not a subarray: a typed array that has had one made of it takes more memory from then on.
    right.rows.set(left.rows);
    right.rows.copyWithin(0, from, left.count);
    right.count = moved;
    let live = 0;
    for (let slot = 0; slot < moved; slot++) if (right.rows[slot] > 0) live++;
    right.live = live;
    left.count = from;
    left.live -= live;
    right.next = left.next;
    left.next = right;
    this.#lengthenLeafPrefix(right);
    this.#lengthenLeafPrefix(left);

    const firstRight = this.#keyOf(right.rows[0]);
    const lastLeft = this.#keyOf(left.rows[left.count - 1]);
    const common = commonSize(firstRight, 0, firstRight.length, lastLeft, 0, lastLeft.length);
    this.#insertChild(this.#height - 1, firstRight.slice(0, common + 1), right, live, moved);
  }

  /** Adds a node to the right of the child taken at `depth`, which gave it `live` and `entries` of its own. */
  #insertChild(depth: number, separator: Uint8Array, node: Leaf | Inner, live: number, entries: number): void {
    if (depth < 0) {
      const root = new Inner();
      this.#innerCount++;
      root.children.push(this.#root, node);
      root.separators.push(EMPTY_BYTES, separator);
      root.count = 2;
      root.live[0] = this.live - live;
      root.live[1] = live;
      root.entries[0] = this.entries - entries;
      root.entries[1] = entries;
      prepareInner(root);
      this.#root = root;
      this.#height++;
      assert(this.#height < DEPTH_MAX, "the index is not absurdly deep");
      return;
    }
    let parent = this.#path[depth];
    let slot = this.#slots[depth];
    if (parent.count === INDEX_NODE_KEYS) {
      const right = this.#splitInner(depth);
      if (slot >= parent.count) {
        slot -= parent.count;
        parent = right;
      }
    }
    parent.live[slot] -= live;
    parent.entries[slot] -= entries;
    const at = slot + 1;
    parent.children.splice(at, 0, node);
    parent.separators.splice(at, 0, separator);
    parent.live.copyWithin(at + 1, at, parent.count);
    parent.entries.copyWithin(at + 1, at, parent.count);
    parent.live[at] = live;
    parent.entries[at] = entries;
    parent.count++;
    prepareInner(parent);
  }

  #splitInner(depth: number): Inner {
    const left = this.#path[depth];
    const right = new Inner();
    this.#innerCount++;
    const from = this.#slots[depth] === left.count - 1 ? left.count - 1 : left.count >> 1;
    right.children.push(...left.children.splice(from));
    right.separators.push(...left.separators.splice(from));
    right.live.set(left.live.subarray(from, left.count));
    right.entries.set(left.entries.subarray(from, left.count));
    right.count = left.count - from;
    left.count = from;
    const separator = right.separators[0];
    right.separators[0] = EMPTY_BYTES;
    prepareInner(left);
    prepareInner(right);
    let live = 0;
    let entries = 0;
    for (let child = 0; child < right.count; child++) {
      live += right.live[child];
      entries += right.entries[child];
    }
    this.#insertChild(depth - 1, separator, right, live, entries);
    return right;
  }

  /** Joins the current leaf, which has become small, with a neighbour under the same parent if both fit in one. */
  #mergeLeaf(): void {
    const depth = this.#height - 1;
    const parent = this.#path[depth];
    const slot = this.#slots[depth];
    if (parent.count === 1) return;
    let leftSlot = slot;
    if (slot + 1 === parent.count || (slot > 0 && parent.entries[slot - 1] < parent.entries[slot + 1])) {
      leftSlot = slot - 1;
    }
    const left = parent.children[leftSlot] as Leaf;
    const right = parent.children[leftSlot + 1] as Leaf;
    if (left.count + right.count > MERGED_MAX) return;
    left.rows.set(right.rows.subarray(0, right.count), left.count);
    left.count += right.count;
    left.live += right.live;
    left.next = right.next;
    this.#leafCount--;
    if (left.count > 0) this.#lengthenLeafPrefix(left);
    this.#removeChild(depth, leftSlot + 1);
  }

  /** Takes child `slot`, whose contents its left neighbour has taken over, out of the inner node at `depth`. */
  #removeChild(depth: number, slot: number): void {
    const inner = this.#path[depth];
    inner.live[slot - 1] += inner.live[slot];
    inner.entries[slot - 1] += inner.entries[slot];
    inner.children.splice(slot, 1);
    inner.separators.splice(slot, 1);
    inner.live.copyWithin(slot, slot + 1, inner.count);
    inner.entries.copyWithin(slot, slot + 1, inner.count);
    inner.count--;
    prepareInner(inner);
    if (depth === 0) {
      if (inner.count === 1) {
        this.#root = inner.children[0];
        this.#height--;
        this.#innerCount--;
      }
    } else if (inner.count < MERGE_BELOW) {
      this.#mergeInner(depth);
    }
  }

  #mergeInner(depth: number): void {
    const parent = this.#path[depth - 1];
    const slot = this.#slots[depth - 1];
    if (parent.count === 1) return;
    const leftSlot = slot + 1 < parent.count ? slot : slot - 1;
    const left = parent.children[leftSlot] as Inner;
    const right = parent.children[leftSlot + 1] as Inner;
    if (left.count + right.count > MERGED_MAX) return;
    right.separators[0] = parent.separators[leftSlot + 1];
    left.children.push(...right.children);
    left.separators.push(...right.separators);
    left.live.set(right.live.subarray(0, right.count), left.count);
    left.entries.set(right.entries.subarray(0, right.count), left.count);
    left.count += right.count;
    this.#innerCount--;
    prepareInner(left);
    this.#removeChild(depth - 1, leftSlot + 1);
  }
}

/** Computes an inner node's prefix and heads after its separators changed. */
function prepareInner(inner: Inner): void {
  if (inner.count < 2) {
    inner.prefix = EMPTY_BYTES;
    return;
  }
  const first = inner.separators[1];
  const last = inner.separators[inner.count - 1];
  const common = commonSize(first, 0, first.length, last, 0, last.length);
  inner.prefix = first.slice(0, common);
  for (let child = 1; child < inner.count; child++) {
    const separator = inner.separators[child];
    inner.heads[child] = headOf(separator, 0, separator.length, common);
  }
}
