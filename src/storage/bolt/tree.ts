/**
 * One bucket on its way into a file: first only sizes, to know how many pages it takes, then the pages.
 *
 * Leaves are filled to the last row that fits. A page of which large rows would leave more than a quarter unused goes on
 * for some more pages; a row of its own may take as many as it likes, and its value is copied in pieces.
 */

import { assert } from "../../base/assert.ts";
import { compareRanges, EMPTY_BYTES } from "../../base/bytes.ts";
import { BOLT_NODE_SIZE_MAX, BOLT_STEP_ROWS_MAX, BOLT_STEP_SIZE } from "../../base/limits.ts";
import { type Branch, Branches, type BranchWriter } from "./branches.ts";
import {
  BRANCH_FLAG,
  BUCKET_HEADER_SIZE,
  ELEMENT_SIZE,
  KEY_SIZE_MAX,
  LEAF_FLAG,
  PAGE_HEADER_SIZE,
  viewOf,
  writePageHeader,
  writeUint64,
} from "./format.ts";
import type { Output } from "./output.ts";
import type { RowCursor } from "./rows.ts";

/** A leaf of several rows is not larger than this; it is put together in one piece of the output's buffer. */
const SHARED_LEAF_SIZE_MAX = 64 * 1024;

/** What a step of writing came to. */
export const Progress = { MORE: 0, FULL: 1, DONE: 2 } as const;

/** Whether a leaf with `used` bytes gets no further rows if they do not fit in its pages. */
export function isFilled(used: number, pageSize: number): boolean {
  return used >= Math.ceil(used / pageSize) * pageSize * 3 / 4;
}

/** How the rows are divided into leaves: for each the number of its rows, and of its pages if the rows are several. */
class LeafPlan {
  length = 0;
  counts = new Uint16Array(16);
  pages = new Uint8Array(16);

  push(count: number, pages: number): void {
    if (this.length === this.counts.length) {
      const counts = new Uint16Array(2 * this.length);
      counts.set(this.counts);
      this.counts = counts;
      const grown = new Uint8Array(2 * this.length);
      grown.set(this.pages);
      this.pages = grown;
    }
    this.counts[this.length] = count;
    this.pages[this.length++] = count > 1 ? pages : 0;
  }
}

export interface TreeOptions {
  readonly pageSize: number;
  /** Flags of its rows: whether they are buckets. */
  readonly elementFlags: number;
  /** Whether a small one is written into its parent. */
  readonly mayBeInline: boolean;
  open(): RowCursor;
  /** The right edge of the tree that it continues, made anew for each pass. */
  levels(): Branch[];
  /** Of the rows that are there already; empty if there are none. */
  readonly lastKey: Uint8Array;
}

export class Tree implements BranchWriter {
  /** Known when `plan` was true. */
  rowCount = 0;
  pageCount = 0;
  isInline = false;
  /** Known when `write` was done. With an inline bucket it is 0, and `inline` holds the leaf. */
  rootPage = 0;
  inline: Uint8Array = EMPTY_BYTES;

  readonly #options: TreeOptions;
  readonly #pageSize: number;
  readonly #leaves = new LeafPlan();
  #cursor: RowCursor;
  #branches: Branches;
  /** Undefined in the first pass. */
  #output: Output | undefined;

  // The first pass: the leaf being filled, and the sum of all rows.
  #count = 0;
  #used = PAGE_HEADER_SIZE;
  #firstKeySize = 0;
  #rowsSize = 0;

  // The second pass.
  #nextLeaf = 0;
  #writtenRowsSize = 0;
  #lastKey: Uint8Array;
  #lastKeySize: number;
  /** The leaf whose value is being copied in pieces: its page, 0 if there is none, and how much of the value is copied. */
  #largePage = 0;
  #largeCopied = 0;
  #largeKey: Uint8Array = EMPTY_BYTES;

  constructor(options: TreeOptions) {
    this.#options = options;
    this.#pageSize = options.pageSize;
    this.#cursor = options.open();
    this.#branches = new Branches(options.pageSize, this, options.levels());
    this.#lastKey = options.lastKey;
    this.#lastKeySize = options.lastKey.length;
  }

  /** What the bucket's value in its parent takes. */
  get valueSize(): number {
    return BUCKET_HEADER_SIZE + (this.isInline ? PAGE_HEADER_SIZE + this.#rowsSize : 0);
  }

  /** A step of the first pass; true when it is done. */
  plan(): boolean {
    const cursor = this.#cursor;
    for (let i = 0; i < BOLT_STEP_ROWS_MAX; i++) {
      if (!cursor.next()) {
        this.#finishPlan();
        return true;
      }
      const { keySize, valueSize } = cursor;
      assert(keySize > 0 && keySize <= KEY_SIZE_MAX, "a key has 1 to 32768 bytes");
      const size = ELEMENT_SIZE + keySize + valueSize;
      assert(PAGE_HEADER_SIZE + size <= BOLT_NODE_SIZE_MAX, "a row is not larger than what can be read");
      if (this.#count > 0 && !this.#hasRoom(size)) this.#closeLeaf();
      if (this.#count === 0) this.#firstKeySize = keySize;
      this.#count++;
      this.#used += size;
      this.#rowsSize += size;
      this.rowCount++;
    }
    return false;
  }

  #hasRoom(size: number): boolean {
    const used = this.#used + size;
    if (used <= Math.ceil(this.#used / this.#pageSize) * this.#pageSize) return used <= SHARED_LEAF_SIZE_MAX;
    return used <= SHARED_LEAF_SIZE_MAX && !isFilled(this.#used, this.#pageSize);
  }

  #closeLeaf(): void {
    const pages = Math.ceil(this.#used / this.#pageSize);
    this.#leaves.push(this.#count, pages);
    this.pageCount += pages;
    this.#branches.add(1, this.#firstKeySize, undefined, 0);
    this.#branches.settle();
    this.#count = 0;
    this.#used = PAGE_HEADER_SIZE;
  }

  #finishPlan(): void {
    const isOnlyLeaf = this.#leaves.length === 0 && this.#options.levels().length === 0;
    this.isInline = isOnlyLeaf && this.#options.mayBeInline && this.#used <= this.#pageSize / 4;
    if (this.isInline) return;
    if (this.#count > 0 || isOnlyLeaf) this.#closeLeaf();
    this.#branches.finish();
  }

  /** A step of the second pass: DONE at the end, FULL if the output has no room. */
  write(output: Output): number {
    if (this.#output === undefined) this.#rewind(output);
    if (this.isInline) {
      this.#writeInline();
      return Progress.DONE;
    }
    const branches = this.#branches;
    for (let size = 0; size < BOLT_STEP_SIZE;) {
      if (!branches.settle()) return Progress.FULL;
      if (this.#nextLeaf === this.#leaves.length) {
        if (!branches.finish()) return Progress.FULL;
        this.rootPage = branches.rootPage;
        this.#finishWriting();
        return Progress.DONE;
      }
      const written = this.#largePage !== 0 ? this.#continueLarge(output) : this.#writeLeaf(output);
      if (written === 0) return Progress.FULL;
      size += written;
    }
    return Progress.MORE;
  }

  #rewind(output: Output): void {
    this.#output = output;
    this.#cursor = this.#options.open();
    this.#branches = new Branches(this.#pageSize, this, this.#options.levels());
  }

  /** Writes the next leaf, or begins it if it is large. Returns its size, 0 if there is no room. */
  #writeLeaf(output: Output): number {
    const count = this.#leaves.counts[this.#nextLeaf];
    // The largest leaf, and the beginning of a large one.
    if (output.room < SHARED_LEAF_SIZE_MAX) return 0;
    if (count === 1) return this.#writeSingle(output);
    const { bytes, view, offset, page } = output;
    const pages = count === 0 ? 1 : this.#leaves.pages[this.#nextLeaf];
    const size = pages * this.#pageSize;
    writePageHeader(view, offset, page, LEAF_FLAG, count, pages - 1);
    const end = this.#writeRows(bytes, view, offset, count, offset + size);
    bytes.fill(0, end, offset + size);
    output.offset += size;
    const keySize = count === 0 ? 0 : view.getUint32(offset + PAGE_HEADER_SIZE + 8, true);
    this.#endLeaf(page, bytes, offset + PAGE_HEADER_SIZE + count * ELEMENT_SIZE, keySize);
    return size;
  }

  /** Writes rows into the leaf at `offset`, behind its header. Returns the end of the last one. */
  #writeRows(bytes: Uint8Array, view: DataView, offset: number, count: number, limit: number): number {
    const cursor = this.#cursor;
    let before = this.#lastKey;
    let beforeStart = 0;
    let beforeSize = this.#lastKeySize;
    let element = offset + PAGE_HEADER_SIZE;
    let start = element + count * ELEMENT_SIZE;
    for (let i = 0; i < count; i++) {
      this.#nextRow();
      const { keySize, valueSize } = cursor;
      assert(start + keySize + valueSize <= limit, "the rows are as long as they were in the first pass");
      cursor.copyKey(bytes, start);
      cursor.copyValue(bytes, start + keySize, 0, valueSize);
      assert(compareRanges(before, beforeStart, beforeSize, bytes, start, keySize) < 0, "the rows are in order");
      this.#writeElement(view, element, start - element, keySize, valueSize);
      before = bytes;
      beforeStart = start;
      beforeSize = keySize;
      start += keySize + valueSize;
      element += ELEMENT_SIZE;
    }
    this.#keepKey(before, beforeStart, beforeSize);
    return start;
  }

  /** A leaf of one row, which may be larger than the buffer. */
  #writeSingle(output: Output): number {
    const cursor = this.#cursor;
    this.#nextRow();
    const { keySize, valueSize } = cursor;
    const { bytes, view, offset, page } = output;
    const pages = Math.ceil((PAGE_HEADER_SIZE + ELEMENT_SIZE + keySize + valueSize) / this.#pageSize);
    writePageHeader(view, offset, page, LEAF_FLAG, 1, pages - 1);
    this.#writeElement(view, offset + PAGE_HEADER_SIZE, ELEMENT_SIZE, keySize, valueSize);
    const start = offset + PAGE_HEADER_SIZE + ELEMENT_SIZE;
    cursor.copyKey(bytes, start);
    assert(
      compareRanges(this.#lastKey, 0, this.#lastKeySize, bytes, start, keySize) < 0,
      "the rows are in order",
    );
    this.#keepKey(bytes, start, keySize);
    this.#largeKey = bytes.slice(start, start + keySize);
    this.#largePage = page;
    this.#largeCopied = 0;
    output.offset = start + keySize;
    return start + keySize - offset;
  }

  /** Copies the next piece of the present row's value. Returns its size, 0 if there is no room. */
  #continueLarge(output: Output): number {
    const { keySize, valueSize } = this.#cursor;
    if (output.room === 0) return 0;
    const from = this.#largeCopied;
    const end = Math.min(valueSize, from + output.room, from + BOLT_STEP_SIZE);
    this.#cursor.copyValue(output.bytes, output.offset, from, end);
    output.offset += end - from;
    this.#largeCopied = end;
    if (end === valueSize) {
      output.padPage();
      this.#endLeaf(this.#largePage, this.#largeKey, 0, keySize);
      this.#largePage = 0;
    }
    return Math.max(1, end - from);
  }

  #writeInline(): void {
    const bytes = new Uint8Array(PAGE_HEADER_SIZE + this.#rowsSize);
    const view = viewOf(bytes);
    writePageHeader(view, 0, 0, LEAF_FLAG, this.rowCount, 0);
    this.#writeRows(bytes, view, 0, this.rowCount, bytes.length);
    this.inline = bytes;
    this.#finishWriting();
  }

  #endLeaf(page: number, bytes: Uint8Array, keyStart: number, keySize: number): void {
    this.#nextLeaf++;
    this.#branches.add(page, keySize, bytes, keyStart);
  }

  #finishWriting(): void {
    const isSame = !this.#cursor.next() && this.#writtenRowsSize === this.#rowsSize;
    assert(isSame, "the rows are those of the first pass");
  }

  /** The next row of the second pass. */
  #nextRow(): void {
    const cursor = this.#cursor;
    assert(cursor.next(), "there are as many rows as in the first pass");
    this.#writtenRowsSize += ELEMENT_SIZE + cursor.keySize + cursor.valueSize;
  }

  #writeElement(view: DataView, offset: number, pos: number, keySize: number, valueSize: number): void {
    view.setUint32(offset, this.#options.elementFlags, true);
    view.setUint32(offset + 4, pos, true);
    view.setUint32(offset + 8, keySize, true);
    view.setUint32(offset + 12, valueSize, true);
  }

  #keepKey(bytes: Uint8Array, start: number, size: number): void {
    if (this.#lastKey === bytes) return;
    if (this.#lastKey === this.#options.lastKey || this.#lastKey.length < size) {
      this.#lastKey = new Uint8Array(2 * size);
    }
    this.#lastKey.set(bytes.subarray(start, start + size));
    this.#lastKeySize = size;
  }

  /** BranchWriter: counts in the first pass, writes in the second. */
  writeBranch(branch: Branch): number {
    const pages = Math.ceil(branch.size / this.#pageSize);
    const output = this.#output;
    if (output === undefined) {
      this.pageCount += pages;
      return 1;
    }
    const size = pages * this.#pageSize;
    if (output.room < size) return 0;
    const { bytes, view, offset, page } = output;
    const count = branch.pages.length;
    writePageHeader(view, offset, page, BRANCH_FLAG, count, pages - 1);
    let element = offset + PAGE_HEADER_SIZE;
    let start = element + count * ELEMENT_SIZE;
    const keysSize = branch.size - PAGE_HEADER_SIZE - count * ELEMENT_SIZE;
    bytes.set(branch.keys.subarray(0, keysSize), start);
    for (let i = 0; i < count; i++) {
      view.setUint32(element, start - element, true);
      view.setUint32(element + 4, branch.keySizes[i], true);
      writeUint64(view, element + 8, branch.pages[i]);
      start += branch.keySizes[i];
      element += ELEMENT_SIZE;
    }
    bytes.fill(0, start, offset + size);
    output.offset += size;
    return page;
  }
}
