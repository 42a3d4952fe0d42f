/**
 * One node in memory: the rows of a leaf, or the children of a branch. Every number in it is checked before it is used,
 * so whatever the bytes are, nothing outside the node is read. One object is used over and over.
 */

import { compareRanges, EMPTY_BYTES } from "../../base/bytes.ts";
import { BoltError } from "./error.ts";
import {
  BRANCH_FLAG,
  BUCKET_ELEMENT_FLAG,
  ELEMENT_SIZE,
  FREELIST_FLAG,
  LEAF_FLAG,
  META_FLAG,
  PAGE_HEADER_SIZE,
  readUint64,
  viewOf,
} from "./format.ts";

const NO_VIEW = viewOf(EMPTY_BYTES);

export class Node {
  /** 0 for an inline bucket. */
  page = 0;
  bytes: Uint8Array = EMPTY_BYTES;
  view: DataView = NO_VIEW;
  /** The node is `bytes[start, end)`. */
  start = 0;
  end = 0;
  flags = 0;
  count = 0;

  /** Of the element that `element` or `child` read last. */
  keyStart = 0;
  keySize = 0;
  valueStart = 0;
  valueSize = 0;
  isBucket = false;
  childPage = 0;

  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  set(page: number, bytes: Uint8Array, view: DataView, start: number, end: number): void {
    this.page = page;
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.end = end;
    this.flags = view.getUint16(start + 8, true);
    this.count = view.getUint16(start + 10, true);
  }

  get isLeaf(): boolean {
    return this.flags === LEAF_FLAG;
  }

  /** "branch", "leaf", "meta", "freelist", or bbolt's word for another one. */
  get type(): string {
    if (this.flags === BRANCH_FLAG) return "branch";
    if (this.flags === LEAF_FLAG) return "leaf";
    if (this.flags === META_FLAG) return "meta";
    if (this.flags === FREELIST_FLAG) return "freelist";
    return `unknown<${this.flags.toString(16).padStart(2, "0")}>`;
  }

  /** Throws BoltError unless this is a leaf or a branch with room for its elements. Only a leaf that is a root may be empty. */
  requireTree(isRoot: boolean): void {
    if (this.flags !== LEAF_FLAG && this.flags !== BRANCH_FLAG) {
      throw this.error(`a page of a bucket's tree is expected here, not of type ${this.type}`);
    }
    if (this.start + PAGE_HEADER_SIZE + this.count * ELEMENT_SIZE > this.end) {
      throw this.error(`there is no room for ${this.count} elements`);
    }
    if (this.count === 0 && !(isRoot && this.isLeaf)) throw this.error("it is empty");
  }

  /** Reads row `i` of a leaf. Throws BoltError. */
  element(i: number): void {
    const element = this.start + PAGE_HEADER_SIZE + i * ELEMENT_SIZE;
    const view = this.view;
    this.isBucket = (view.getUint32(element, true) & BUCKET_ELEMENT_FLAG) !== 0;
    this.#place(i, element + view.getUint32(element + 4, true), view.getUint32(element + 8, true));
    this.valueStart = this.keyStart + this.keySize;
    this.valueSize = view.getUint32(element + 12, true);
    if (this.valueStart + this.valueSize > this.end) {
      throw this.error(`the value of element ${i} (${this.valueSize} bytes) ends behind the page`);
    }
  }

  /** Reads child `i` of a branch. Throws BoltError. */
  child(i: number): void {
    const element = this.start + PAGE_HEADER_SIZE + i * ELEMENT_SIZE;
    const view = this.view;
    this.#place(i, element + view.getUint32(element, true), view.getUint32(element + 4, true));
    this.childPage = readUint64(view, element + 8);
  }

  /** The key of a leaf's row or a branch's child `i`, not copied. */
  key(i: number): Uint8Array {
    if (this.isLeaf) this.element(i);
    else this.child(i);
    return this.bytes.subarray(this.keyStart, this.keyStart + this.keySize);
  }

  /** Whether key `i` is equal to `key` or greater: 0 or positive; otherwise negative. */
  compareKey(i: number, key: Uint8Array): number {
    if (this.isLeaf) this.element(i);
    else this.child(i);
    return compareRanges(this.bytes, this.keyStart, this.keySize, key, 0, key.length);
  }

  error(found: string): BoltError {
    return new BoltError(this.#path, this.page, found);
  }

  #place(i: number, keyStart: number, keySize: number): void {
    this.keyStart = keyStart;
    this.keySize = keySize;
    if (keySize === 0) throw this.error(`the key of element ${i} is empty`);
    if (keyStart < this.start + PAGE_HEADER_SIZE + this.count * ELEMENT_SIZE || keyStart + keySize > this.end) {
      throw this.error(`the key of element ${i} (${keySize} bytes) is not inside the page`);
    }
  }
}
