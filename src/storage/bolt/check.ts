/**
 * The consistency check of bbolt (`bbolt check`, `etcdutl snapshot status`): each page below the high-water mark belongs
 * to exactly one node or is free, keys are in order, and branches tell the truth about their children. The problems are
 * told in bbolt's words, where it has words; bbolt itself crashes or hangs on most of the others.
 */

import { compareBytes, hex } from "../../base/bytes.ts";
import { BOLT_DEPTH_MAX, BOLT_PROBLEMS_MAX } from "../../base/limits.ts";
import { bucketOfElement } from "./bucket.ts";
import { BoltError } from "./error.ts";
import { FIRST_PAGE, FREELIST_FLAG, type Meta, PAGE_HEADER_SIZE, readUint64 } from "./format.ts";
import type { Node } from "./node.ts";
import { PageReader, type PageSource } from "./pages.ts";

export async function check(source: PageSource, meta: Meta): Promise<string[]> {
  const checker = new Checker(source, meta);
  await checker.run();
  return checker.problems;
}

/** Keys of a subtree lie in [least, below); undefined is no bound. */
interface Bounds {
  readonly least: Uint8Array | undefined;
  readonly below: Uint8Array | undefined;
}

class PageSet {
  readonly #bits: Uint8Array;

  constructor(count: number) {
    this.#bits = new Uint8Array(Math.ceil(count / 8));
  }

  has(page: number): boolean {
    return (this.#bits[Math.floor(page / 8)] & (1 << page % 8)) !== 0;
  }

  add(page: number): void {
    this.#bits[Math.floor(page / 8)] |= 1 << page % 8;
  }
}

class Checker {
  readonly problems: string[] = [];
  readonly #source: PageSource;
  readonly #meta: Meta;
  readonly #reader: PageReader;
  readonly #freed: PageSet;
  readonly #reachable: PageSet;
  /** Root pages of nested buckets still to be looked at. A list, as they may be nested deeper than the stack goes. */
  readonly #roots: number[] = [];

  constructor(source: PageSource, meta: Meta) {
    this.#source = source;
    this.#meta = meta;
    this.#reader = new PageReader(source);
    this.#freed = new PageSet(meta.highWater);
    this.#reachable = new PageSet(meta.highWater);
  }

  async run(): Promise<void> {
    const { freelist, highWater, root } = this.#meta;
    this.#reachable.add(0);
    this.#reachable.add(1);
    if (freelist !== undefined) await this.#guard(() => this.#freelist(freelist));
    this.#roots.push(root);
    for (let next = this.#roots.pop(); next !== undefined && !this.#isFull; next = this.#roots.pop()) {
      await this.#subtree(next, { least: undefined, below: undefined }, []);
    }
    // Without a list all pages that are not reached are free.
    if (freelist === undefined) return;
    for (let page = 0; page < highWater && !this.#isFull; page++) {
      if (!this.#reachable.has(page) && !this.#freed.has(page)) this.#report(`page ${page}: unreachable unfreed`);
    }
  }

  get #isFull(): boolean {
    return this.problems.length >= BOLT_PROBLEMS_MAX;
  }

  #report(problem: string): void {
    if (!this.#isFull) this.problems.push(problem);
  }

  /** Runs a part of the check; damage that ends it is one more problem. */
  async #guard(part: () => Promise<void>): Promise<void> {
    try {
      await part();
    } catch (error) {
      if (!(error instanceof BoltError)) throw error;
      this.#report(error.message);
    }
  }

  async #freelist(page: number): Promise<void> {
    await this.#reader.open(page);
    const node = this.#reader.node;
    if (node.flags !== FREELIST_FLAG) throw node.error(`invalid freelist page: ${page}, page type is ${node.type}`);
    this.#reach(node, []);
    let start = node.start + PAGE_HEADER_SIZE;
    let count = node.count;
    // Lists that a 16-bit count has no room for begin with their count.
    if (count === 0xffff && start + 8 <= node.end) {
      count = readUint64(node.view, start);
      start += 8;
    }
    if (start + count * 8 > node.end) throw node.error(`there is no room for ${count} free pages`);
    for (let i = 0; i < count; i++) {
      const free = readUint64(node.view, start + i * 8);
      if (free < FIRST_PAGE || free >= this.#meta.highWater) {
        this.#report(`page ${free}: freed, but there is no such page`);
      } else if (this.#freed.has(free)) this.#report(`page ${free}: already freed`);
      else this.#freed.add(free);
    }
  }

  /** Checks the node of `page` and those below it; returns the greatest key there. */
  async #subtree(page: number, bounds: Bounds, parents: readonly number[]): Promise<Uint8Array | undefined> {
    const stack = [...parents, page];
    let greatest: Uint8Array | undefined;
    await this.#guard(async () => {
      await this.#reader.open(page);
      const node = this.#reader.node;
      if (parents.length > BOLT_DEPTH_MAX) throw node.error(`it is more than ${BOLT_DEPTH_MAX} levels below its root`);
      if (!this.#reach(node, stack)) return;
      node.requireTree(parents.length === 0);
      greatest = node.isLeaf ? this.#leaf(node, bounds, stack) : await this.#branch(node, bounds, stack);
    });
    return greatest;
  }

  /** Each page is part of one node only, and not free. False if the node has been looked at already. */
  #reach(node: Node, stack: readonly number[]): boolean {
    let isNew = true;
    const count = (node.end - node.start) / this.#source.pageSize;
    for (let i = 0; i < count; i++) {
      const page = node.page + i;
      if (this.#reachable.has(page)) {
        this.#report(`page ${page}: multiple references (stack: ${goList(stack)})`);
        isNew = false;
      }
      this.#reachable.add(page);
    }
    if (this.#freed.has(node.page)) this.#report(`page ${node.page}: reachable freed`);
    return isNew;
  }

  #leaf(node: Node, bounds: Bounds, stack: readonly number[]): Uint8Array | undefined {
    let previous = bounds.least;
    for (let i = 0; i < node.count; i++) {
      const key = node.key(i);
      this.#order("leaf", node.page, i, key, previous, bounds.below, stack);
      previous = key;
      if (!node.isBucket) continue;
      const { rootPage } = bucketOfElement(this.#source, node);
      if (rootPage !== 0) this.#roots.push(rootPage);
    }
    return node.count === 0 ? undefined : previous?.slice();
  }

  async #branch(node: Node, bounds: Bounds, stack: readonly number[]): Promise<Uint8Array | undefined> {
    // Copied, as the present node changes with the first child.
    const keys: Uint8Array[] = [];
    const children: number[] = [];
    for (let i = 0; i < node.count; i++) {
      keys.push(node.key(i).slice());
      children.push(node.childPage);
    }
    let previous = bounds.least;
    for (let i = 0; i < keys.length && !this.#isFull; i++) {
      this.#order("branch", children[i], i, keys[i], previous, bounds.below, stack);
      const below = i + 1 < keys.length ? keys[i + 1] : bounds.below;
      previous = await this.#subtree(children[i], { least: keys[i], below }, stack);
    }
    return previous;
  }

  #order(
    type: string,
    page: number,
    i: number,
    key: Uint8Array,
    previous: Uint8Array | undefined,
    below: Uint8Array | undefined,
    stack: readonly number[],
  ): void {
    const report = (need: string) => this.#report(`${need}${goList(stack)}`);
    const name = (which: string) => `${which}[${i}]=(hex)${hex(key)} on ${type} page(${page}) needs to be`;
    const order = previous === undefined ? -1 : compareBytes(previous, key);
    const before = previous === undefined ? "" : hex(previous);
    if (i === 0 && order > 0) {
      report(`${name("the first key")} >= the key in the ancestor (${before}). Stack: `);
    }
    if (i > 0 && order >= 0) {
      report(`${name("key")} > (found ${order > 0 ? "<" : "="}) than previous element (hex)${before}. Stack: `);
    }
    if (below !== undefined && compareBytes(key, below) >= 0) {
      report(`${name("key")} < than key of the next element in ancestor (hex)${before}. Pages stack: `);
    }
  }
}

/** As Go prints a slice. */
function goList(pages: readonly number[]): string {
  return `[${pages.join(" ")}]`;
}
