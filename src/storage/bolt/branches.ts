/**
 * The branches of a tree that is written from left to right: one unfinished node on each level. A node that is full is
 * written behind its children and becomes a child on the level above.
 *
 * The same code counts pages before anything is written and then writes them, so that the count is right.
 */

import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { ELEMENT_SIZE, PAGE_HEADER_SIZE } from "./format.ts";

/** An unfinished branch: its children, with their first keys one after the other. */
export class Branch {
  readonly pages: number[] = [];
  readonly keySizes: number[] = [];
  /** Has the keys only where there are any bytes to write. */
  keys: Uint8Array = EMPTY_BYTES;
  size = PAGE_HEADER_SIZE;
  #keysSize = 0;

  add(page: number, keySize: number, source: Uint8Array | undefined, keyStart: number): void {
    if (source !== undefined) {
      if (this.#keysSize + keySize > this.keys.length) {
        const grown = new Uint8Array(2 * (this.#keysSize + keySize));
        grown.set(this.keys);
        this.keys = grown;
      }
      for (let i = 0; i < keySize; i++) this.keys[this.#keysSize + i] = source[keyStart + i];
    }
    this.pages.push(page);
    this.keySizes.push(keySize);
    this.size += ELEMENT_SIZE + keySize;
    this.#keysSize += keySize;
  }

  clear(): void {
    this.pages.length = 0;
    this.keySizes.length = 0;
    this.size = PAGE_HEADER_SIZE;
    this.#keysSize = 0;
  }
}

/** Where finished branches go. */
export interface BranchWriter {
  /** Writes it and returns its page id; 0 if there is no room for it now. */
  writeBranch(branch: Branch): number;
}

/** A child on its way into the branch of a level. */
interface Carry {
  readonly level: number;
  readonly page: number;
  readonly keySize: number;
  readonly key: Uint8Array | undefined;
}

export class Branches {
  /** The root of the whole tree; once `finish` was true. */
  rootPage = 0;
  readonly #levels: Branch[];
  readonly #pageSize: number;
  readonly #writer: BranchWriter;
  #carry: Carry | undefined;
  #finished = 0;

  /** `levels`: the right edge of a tree that grows, the parents of its leaves first. They are changed. */
  constructor(pageSize: number, writer: BranchWriter, levels: Branch[]) {
    this.#pageSize = pageSize;
    this.#writer = writer;
    this.#levels = levels;
  }

  /** Adds a leaf; `settle` must be true before the next one. Its first key is in `source`, if bytes are being written. */
  add(page: number, keySize: number, source: Uint8Array | undefined, keyStart: number): void {
    assert(this.#carry === undefined, "the leaf before has found its place");
    if (this.#levels.length === 0) this.#levels.push(new Branch());
    if (this.#hasRoom(0, keySize)) {
      this.#levels[0].add(page, keySize, source, keyStart);
    } else {
      this.#carry = { level: 0, page, keySize, key: source?.slice(keyStart, keyStart + keySize) };
    }
  }

  /** Writes the branches that are full; false if that has to go on when there is room again. */
  settle(): boolean {
    for (let carry = this.#carry; carry !== undefined; carry = this.#carry) {
      const { level, page, keySize, key } = carry;
      if (level === this.#levels.length) this.#levels.push(new Branch());
      const branch = this.#levels[level];
      if (this.#hasRoom(level, keySize)) {
        branch.add(page, keySize, key, 0);
        this.#carry = undefined;
        continue;
      }
      const written = this.#writeLevel(level);
      if (written === undefined) return false;
      branch.clear();
      branch.add(page, keySize, key, 0);
      this.#carry = written;
    }
    return true;
  }

  /** Writes the unfinished branches, from the bottom up; false if that has to go on when there is room again. */
  finish(): boolean {
    while (this.settle()) {
      const level = this.#finished;
      const top = this.#levels.length - 1;
      if (level > top) return true;
      const branch = this.#levels[level];
      if (level === top && branch.pages.length === 1) {
        this.rootPage = branch.pages[0];
        this.#finished++;
        return true;
      }
      const written = this.#writeLevel(level);
      if (written === undefined) return false;
      this.#finished++;
      if (level === top) this.rootPage = written.page;
      else this.#carry = written;
    }
    return false;
  }

  /** At least two children in each, so that a tree of whatever keys comes to an end. */
  #hasRoom(level: number, keySize: number): boolean {
    const branch = this.#levels[level];
    return branch.pages.length < 2 || branch.size + ELEMENT_SIZE + keySize <= this.#pageSize;
  }

  #writeLevel(level: number): Carry | undefined {
    const branch = this.#levels[level];
    const page = this.#writer.writeBranch(branch);
    if (page === 0) return undefined;
    const keySize = branch.keySizes[0];
    const key = branch.keys.length === 0 ? undefined : branch.keys.slice(0, keySize);
    return { level: level + 1, page, keySize, key };
  }
}
