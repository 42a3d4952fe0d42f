/**
 * Half-open intervals [start, end) of byte strings, each with a value, in a balanced (AVL) tree ordered by start and then
 * end. Every node knows the largest end below it, so the intervals around a point are found without visiting the rest.
 * An interval without end reaches to the end of all keys.
 */

import { compareBytes } from "./bytes.ts";

interface Node<V> {
  readonly start: Uint8Array;
  readonly end: Uint8Array | undefined;
  value: V;
  /** Largest end in this subtree; undefined: one of them is unbounded. */
  maxEnd: Uint8Array | undefined;
  height: number;
  left: Node<V> | undefined;
  right: Node<V> | undefined;
}

export class IntervalTree<V> {
  #root: Node<V> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The value of exactly this interval. */
  get(start: Uint8Array, end: Uint8Array | undefined): V | undefined {
    let node = this.#root;
    while (node !== undefined) {
      const order = compareInterval(start, end, node);
      if (order === 0) return node.value;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** Adds an interval or replaces its value. `start` and `end` are kept, not copied. */
  set(start: Uint8Array, end: Uint8Array | undefined, value: V): void {
    this.#root = this.#insert(this.#root, start, end, value);
  }

  /** Returns whether the interval was there. */
  delete(start: Uint8Array, end: Uint8Array | undefined): boolean {
    const size = this.#size;
    this.#root = this.#remove(this.#root, start, end);
    return this.#size < size;
  }

  /** Appends the values of all intervals that contain the key `bytes[from, to)` to `into`. */
  stab(bytes: Uint8Array, from: number, to: number, into: V[]): void {
    if (this.#root !== undefined) stab(this.#root, bytes, from, to, into);
  }

  #insert(node: Node<V> | undefined, start: Uint8Array, end: Uint8Array | undefined, value: V): Node<V> {
    if (node === undefined) {
      this.#size++;
      return { start, end, value, maxEnd: end, height: 1, left: undefined, right: undefined };
    }
    const order = compareInterval(start, end, node);
    if (order === 0) {
      node.value = value;
      return node;
    }
    if (order < 0) node.left = this.#insert(node.left, start, end, value);
    else node.right = this.#insert(node.right, start, end, value);
    return balance(node);
  }

  #remove(node: Node<V> | undefined, start: Uint8Array, end: Uint8Array | undefined): Node<V> | undefined {
    if (node === undefined) return undefined;
    const order = compareInterval(start, end, node);
    if (order < 0) node.left = this.#remove(node.left, start, end);
    else if (order > 0) node.right = this.#remove(node.right, start, end);
    else {
      this.#size--;
      if (node.left === undefined) return node.right;
      if (node.right === undefined) return node.left;
      // The next interval in order takes the place of the removed one.
      let next = node.right;
      while (next.left !== undefined) next = next.left;
      next.right = withoutFirst(node.right);
      next.left = node.left;
      return balance(next);
    }
    return balance(node);
  }
}

function withoutFirst<V>(node: Node<V>): Node<V> | undefined {
  if (node.left === undefined) return node.right;
  node.left = withoutFirst(node.left);
  return balance(node);
}

function stab<V>(node: Node<V>, bytes: Uint8Array, from: number, to: number, into: V[]): void {
  if (!isBelow(bytes, from, to, node.maxEnd)) return;
  if (node.left !== undefined) stab(node.left, bytes, from, to, into);
  // Everything to the right starts at or after this node.
  if (compareKey(bytes, from, to, node.start) < 0) return;
  if (isBelow(bytes, from, to, node.end)) into.push(node.value);
  if (node.right !== undefined) stab(node.right, bytes, from, to, into);
}

function isBelow(bytes: Uint8Array, from: number, to: number, end: Uint8Array | undefined): boolean {
  return end === undefined || compareKey(bytes, from, to, end) < 0;
}

/** compareBytes of `bytes[from, to)` with `key`. */
function compareKey(bytes: Uint8Array, from: number, to: number, key: Uint8Array): number {
  const size = to - from;
  const common = size < key.length ? size : key.length;
  for (let i = 0; i < common; i++) {
    const difference = bytes[from + i] - key[i];
    if (difference !== 0) return difference;
  }
  return size - key.length;
}

function compareInterval<V>(start: Uint8Array, end: Uint8Array | undefined, node: Node<V>): number {
  return compareBytes(start, node.start) || compareEnd(end, node.end);
}

function compareEnd(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  if (a === undefined) return b === undefined ? 0 : 1;
  return b === undefined ? -1 : compareBytes(a, b);
}

function height<V>(node: Node<V> | undefined): number {
  return node === undefined ? 0 : node.height;
}

/** Recomputes what a node knows of its subtree. */
function refresh<V>(node: Node<V>): void {
  const { left, right } = node;
  node.height = 1 + Math.max(height(left), height(right));
  let maxEnd = node.end;
  if (left !== undefined && compareEnd(left.maxEnd, maxEnd) > 0) maxEnd = left.maxEnd;
  if (right !== undefined && compareEnd(right.maxEnd, maxEnd) > 0) maxEnd = right.maxEnd;
  node.maxEnd = maxEnd;
}

/** Restores the AVL property at a node whose subtrees have it; returns the subtree's root. */
function balance<V>(node: Node<V>): Node<V> {
  const lean = height(node.left) - height(node.right);
  if (lean > 1) {
    const left = node.left!;
    if (height(left.left) < height(left.right)) node.left = rotateLeft(left);
    return rotateRight(node);
  }
  if (lean < -1) {
    const right = node.right!;
    if (height(right.right) < height(right.left)) node.right = rotateRight(right);
    return rotateLeft(node);
  }
  refresh(node);
  return node;
}

function rotateRight<V>(node: Node<V>): Node<V> {
  const top = node.left!;
  node.left = top.right;
  top.right = node;
  refresh(node);
  refresh(top);
  return top;
}

function rotateLeft<V>(node: Node<V>): Node<V> {
  const top = node.right!;
  node.right = top.left;
  top.left = node;
  refresh(node);
  refresh(top);
  return top;
}
