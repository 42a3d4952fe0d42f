/** A bucket: a tree of pages, or one leaf inside the value that its parent keeps of it (inline). */

import { BOLT_DEPTH_MAX, BOLT_SCAN_STEP_SIZE } from "../../base/limits.ts";
import { compareRanges, EMPTY_BYTES } from "../../base/bytes.ts";
import { BoltError } from "./error.ts";
import { BUCKET_HEADER_SIZE, PAGE_HEADER_SIZE, readUint64, viewOf } from "./format.ts";
import { Node } from "./node.ts";
import { PageReader, type PageSource } from "./pages.ts";

/** Called for each row; the bytes hold only until it returns. */
export type RowVisitor = (
  bytes: Uint8Array,
  keyStart: number,
  keySize: number,
  valueStart: number,
  valueSize: number,
) => void;

/** The rows of a bucket in the order of their keys. Nested buckets are passed over. */
export interface BoltScan {
  /** Visits some more rows (about 256 KiB of them); false when there are no more. Throws BoltError, and what `visit` throws. */
  step(visit: RowVisitor): Promise<boolean>;
}

export class BoltBucket {
  /** Bolt's counter; etcd does not use it. */
  readonly sequence: bigint;
  /** Page id of the root, 0 for an inline bucket. */
  readonly rootPage: number;
  readonly #source: PageSource;
  readonly #inline: Uint8Array | undefined;

  constructor(source: PageSource, rootPage: number, sequence: bigint, inline?: Uint8Array) {
    this.#source = source;
    this.rootPage = rootPage;
    this.sequence = sequence;
    this.#inline = inline;
  }

  /** The value of a row that is not a nested bucket. */
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const node = await this.#find(key);
    if (node === undefined || node.isBucket) return undefined;
    return node.bytes.slice(node.valueStart, node.valueStart + node.valueSize);
  }

  async bucket(name: Uint8Array): Promise<BoltBucket | undefined> {
    const node = await this.#find(name);
    if (node === undefined || !node.isBucket) return undefined;
    return bucketOfElement(this.#source, node);
  }

  async bucketNames(): Promise<Uint8Array[]> {
    const names: Uint8Array[] = [];
    const walk = this.walk();
    while (await walk.next()) {
      const node = walk.node;
      for (let i = 0; i < node.count; i++) {
        walk.element(i);
        if (node.isBucket) names.push(node.bytes.slice(node.keyStart, node.keyStart + node.keySize));
      }
    }
    return names;
  }

  scan(): BoltScan {
    return new Scan(this.walk());
  }

  walk(): Walk {
    return new Walk(this.#source, this.rootPage, this.inlineNode());
  }

  /** The only leaf of an inline bucket. */
  inlineNode(): Node | undefined {
    return this.#inline === undefined ? undefined : inlineNode(this.#source.file.path, this.#inline);
  }

  /** The leaf whose present element has this key. */
  async #find(key: Uint8Array): Promise<Node | undefined> {
    const reader = new PageReader(this.#source);
    const node = this.inlineNode() ?? reader.node;
    if (node === reader.node) await reader.open(this.rootPage);
    for (let depth = 1; !node.isLeaf; depth++) {
      if (depth > BOLT_DEPTH_MAX) throw node.error(`it is more than ${BOLT_DEPTH_MAX} levels below its bucket's root`);
      node.requireTree(depth === 1);
      const next = lowerBound(node, key);
      const isEqual = next < node.count && node.compareKey(next, key) === 0;
      node.child(isEqual || next === 0 ? next : next - 1);
      await reader.open(node.childPage);
    }
    node.requireTree(true);
    const i = lowerBound(node, key);
    return i < node.count && node.compareKey(i, key) === 0 ? node : undefined;
  }
}

/** The bucket whose header is the value of the node's present element. */
export function bucketOfElement(source: PageSource, node: Node): BoltBucket {
  const value = node.bytes.slice(node.valueStart, node.valueStart + node.valueSize);
  if (value.length < BUCKET_HEADER_SIZE) throw node.error(`a bucket of ${value.length} bytes`);
  const view = viewOf(value);
  const root = readUint64(view, 0);
  const inline = root === 0 ? value.subarray(BUCKET_HEADER_SIZE) : undefined;
  return new BoltBucket(source, root, view.getBigUint64(8, true), inline);
}

/** Number of elements whose key is smaller. */
function lowerBound(node: Node, key: Uint8Array): number {
  let low = 0;
  let high = node.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (node.compareKey(middle, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function inlineNode(path: string, inline: Uint8Array): Node {
  if (inline.length < PAGE_HEADER_SIZE) throw new BoltError(path, undefined, "an inline bucket without a page header");
  const node = new Node(path);
  node.set(0, inline, viewOf(inline), 0, inline.length);
  if (!node.isLeaf) throw node.error(`an inline bucket of type ${node.type}`);
  return node;
}

/** Behind the last page of a walk. */
const NO_PAGE = -1;

/** Where the walk stands in one branch. */
interface Level {
  readonly children: Float64Array;
  next: number;
}

/** Goes from leaf to leaf. As the keys have to rise, it ends on any bytes: no leaf can be come to twice. */
export class Walk {
  readonly node: Node;
  /** Pages of the nodes passed so far. */
  pages = 0;
  readonly #reader: PageReader;
  readonly #pageSize: number;
  readonly #levels: Level[] = [];
  #rootPage: number;
  #inline: Node | undefined;

  /** The key read last. Between leaves it is in #scratch. */
  #keyBytes: Uint8Array = EMPTY_BYTES;
  #keyStart = 0;
  #keySize = 0;
  #scratch = new Uint8Array(64);

  constructor(source: PageSource, rootPage: number, inline: Node | undefined) {
    this.#reader = new PageReader(source);
    this.#pageSize = source.pageSize;
    this.#rootPage = rootPage;
    this.#inline = inline;
    this.node = inline ?? this.#reader.node;
  }

  /** Makes the next leaf the present node; false behind the last one. */
  async next(): Promise<boolean> {
    if (this.#inline !== undefined) {
      this.#inline = undefined;
      this.#rootPage = NO_PAGE;
      this.node.requireTree(true);
      return true;
    }
    this.#keepKey();
    let page = this.#nextPage();
    while (page !== NO_PAGE) {
      if (!this.#reader.tryOpen(page)) await this.#reader.open(page);
      const node = this.node;
      this.pages += (node.end - node.start) / this.#pageSize;
      node.requireTree(this.#levels.length === 0);
      if (node.isLeaf) return true;
      page = this.#descend();
    }
    return false;
  }

  /** Reads element `i` of the present leaf: they have to be read one after the other. Throws BoltError. */
  element(i: number): void {
    const node = this.node;
    node.element(i);
    const bytes = node.bytes;
    const { keyStart, keySize } = node;
    if (compareRanges(this.#keyBytes, this.#keyStart, this.#keySize, bytes, keyStart, keySize) >= 0) {
      throw node.error(`the key of element ${i} is not greater than the one before it`);
    }
    this.#keyBytes = bytes;
    this.#keyStart = keyStart;
    this.#keySize = keySize;
  }

  #nextPage(): number {
    const root = this.#rootPage;
    this.#rootPage = NO_PAGE;
    if (root !== NO_PAGE) return root;
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (level.next < level.children.length) return level.children[level.next++];
      this.#levels.pop();
    }
    return NO_PAGE;
  }

  /** Into the present node, a branch; returns its first child. */
  #descend(): number {
    const node = this.node;
    if (this.#levels.length === BOLT_DEPTH_MAX) {
      throw node.error(`it is more than ${BOLT_DEPTH_MAX} levels below its bucket's root`);
    }
    const children = new Float64Array(node.count);
    for (let i = 0; i < children.length; i++) {
      node.child(i);
      children[i] = node.childPage;
    }
    this.#levels.push({ children, next: 1 });
    return children[0];
  }

  #keepKey(): void {
    if (this.#scratch.length < this.#keySize) this.#scratch = new Uint8Array(2 * this.#keySize);
    if (this.#keyBytes !== this.#scratch) {
      this.#scratch.set(this.#keyBytes.subarray(this.#keyStart, this.#keyStart + this.#keySize));
    }
    this.#keyBytes = this.#scratch;
    this.#keyStart = 0;
  }
}

class Scan implements BoltScan {
  readonly #walk: Walk;

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  async step(visit: RowVisitor): Promise<boolean> {
    const walk = this.#walk;
    const node = walk.node;
    for (let size = 0; size < BOLT_SCAN_STEP_SIZE; size += node.end - node.start) {
      if (!(await walk.next())) return false;
      this.#visitLeaf(visit);
    }
    return true;
  }

  #visitLeaf(visit: RowVisitor): void {
    const walk = this.#walk;
    const node = walk.node;
    const { bytes, count } = node;
    for (let i = 0; i < count; i++) {
      walk.element(i);
      if (!node.isBucket) visit(bytes, node.keyStart, node.keySize, node.valueStart, node.valueSize);
    }
  }
}
