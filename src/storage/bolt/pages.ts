/**
 * Reads nodes (a page and those it overflows into) of one state of a file: 1 MiB at a time, and ahead of time, where they
 * are wanted in order; otherwise one block, which is what has a checksum of its own, or less in a file that has none. What
 * comes from the disk is compared with its checksums before anyone sees it.
 *
 * One reader serves one caller at a time: a node is at hand until the next one is asked for.
 */

import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { BOLT_KEPT_SIZE_MAX, BOLT_NODE_SIZE_MAX, BOLT_READ_SIZE } from "../../base/limits.ts";
import type { File } from "../../io/disk.ts";
import { type Checksums, CHUNK_SIZE } from "./checksums.ts";
import { BoltError } from "./error.ts";
import { FIRST_PAGE, readUint64, viewOf } from "./format.ts";
import { Node } from "./node.ts";

/** What is known of the state whose pages are read. */
export interface PageSource {
  readonly file: File;
  readonly pageSize: number;
  readonly highWater: number;
  readonly size: number;
  readonly compared: Checksums | undefined;
}

/** Size of a block in a file without checksums, or of a page if that is larger. */
const PLAIN_BLOCK_SIZE = 16 * 1024;

/** Uses of other runs (branches, on the way to a leaf) that may come between two successive blocks. */
const RECENT_USES = 8;

/** Successive blocks of the file, in memory. */
interface Run {
  readonly block: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  lastUse: number;
}

export class PageReader {
  /** The node that `open` or `tryOpen` found. */
  readonly node: Node;
  readonly #source: PageSource;
  readonly #blockSize: number;
  readonly #runs: Run[] = [];
  readonly #keptSizeMax: number;
  #keptSize = 0;
  #clock = 0;
  #current: Run | undefined;
  /** The read that has been started because the one before it was in order. */
  #ahead: { readonly block: number; readonly run: Promise<Run | Error> } | undefined;
  #scratch: Uint8Array = EMPTY_BYTES;

  constructor(source: PageSource, keptSizeMax = BOLT_KEPT_SIZE_MAX) {
    this.#source = source;
    this.#keptSizeMax = keptSizeMax;
    this.#blockSize = source.compared === undefined ? Math.max(PLAIN_BLOCK_SIZE, source.pageSize) : CHUNK_SIZE;
    this.node = new Node(source.file.path);
  }

  /** Makes the node of this page the present one if that takes no reading. Throws BoltError. */
  tryOpen(page: number): boolean {
    const { pageSize, highWater } = this.#source;
    if (page < FIRST_PAGE || page >= highWater) {
      throw this.#error(page, `there is no such page: the high-water mark is at ${highWater}`);
    }
    const position = page * pageSize;
    const run = this.#find(Math.floor(position / this.#blockSize));
    if (run === undefined) return false;
    const start = position - run.block * this.#blockSize;
    const size = this.#nodeSize(page, run.view, start);
    if (start + size > run.count * this.#blockSize) return false;
    this.node.set(page, run.bytes, run.view, start, start + size);
    return true;
  }

  /** Makes the node of this page the present one. Throws BoltError and DiskError. */
  async open(page: number): Promise<void> {
    if (this.tryOpen(page)) return;
    const position = page * this.#source.pageSize;
    const block = Math.floor(position / this.#blockSize);
    const run = this.#find(block) ?? await this.#load(block);
    const size = this.#nodeSize(page, run.view, position - run.block * this.#blockSize);
    if (this.tryOpen(page)) return;
    if (this.#scratch.length < size) this.#scratch = new Uint8Array(size);
    await this.read(this.#scratch.subarray(0, size), position);
    this.node.set(page, this.#scratch, viewOf(this.#scratch), 0, size);
  }

  /** Copies bytes of the state, from whichever pages they are; not of the metas, which have no checksums. */
  async read(target: Uint8Array, position: number): Promise<void> {
    assert(position + target.length <= this.#source.size, "reading ends at the high-water mark");
    let done = 0;
    while (done < target.length) {
      const block = Math.floor((position + done) / this.#blockSize);
      const run = this.#find(block) ?? await this.#load(block);
      const start = position + done - run.block * this.#blockSize;
      const size = Math.min(target.length - done, run.count * this.#blockSize - start);
      target.set(run.bytes.subarray(start, start + size), done);
      done += size;
    }
  }

  /** Reads, and so compares, all bytes of the state. */
  async readAll(): Promise<void> {
    for (let block = 0; block * this.#blockSize < this.#source.size;) {
      const run = await this.#load(block);
      block = run.block + run.count;
    }
  }

  /** Checks the header of the node at `offset`; returns the node's size. */
  #nodeSize(page: number, view: DataView, offset: number): number {
    const { pageSize, highWater } = this.#source;
    const id = readUint64(view, offset);
    if (id !== page) throw this.#error(page, `it says that it is page ${id}`);
    const overflow = view.getUint32(offset + 12, true);
    if (page + overflow >= highWater) {
      throw this.#error(page, `it goes on for ${overflow} pages, beyond the high-water mark at ${highWater}`);
    }
    const size = (overflow + 1) * pageSize;
    if (size > BOLT_NODE_SIZE_MAX) throw this.#error(page, `it goes on for ${overflow} pages, more than can be read`);
    return size;
  }

  #find(block: number): Run | undefined {
    const current = this.#current;
    if (current !== undefined && block >= current.block && block < current.block + current.count) return current;
    for (const run of this.#runs) {
      if (block < run.block || block >= run.block + run.count) continue;
      run.lastUse = ++this.#clock;
      this.#current = run;
      return run;
    }
    return undefined;
  }

  async #load(block: number): Promise<Run> {
    const isInOrder = this.#isInOrder(block);
    const ahead = this.#ahead?.block === block ? this.#ahead.run : undefined;
    const size = isInOrder ? BOLT_READ_SIZE : this.#blockSize;
    // Its buffer is going to be used for other blocks, so it is taken once.
    if (ahead !== undefined) this.#ahead = undefined;
    const run = await (ahead ?? this.#read(block, size));
    if (run instanceof Error) throw run;
    this.#verify(run);
    run.lastUse = ++this.#clock;
    this.#runs.push(run);
    this.#keptSize += run.bytes.length;
    this.#current = run;
    const next = block + run.count;
    if (isInOrder && next * this.#blockSize < this.#source.size) {
      // It answers with its error, so that one which nobody comes to wait for is not an unhandled rejection.
      const read = this.#read(next, BOLT_READ_SIZE).catch((error: Error) => error);
      this.#ahead = { block: next, run: read };
    }
    return run;
  }

  /** Whether the block before was wanted lately. Among all that is kept there often is one before, in a file of any order. */
  #isInOrder(block: number): boolean {
    for (const run of this.#runs) {
      if (run.block + run.count === block && this.#clock - run.lastUse < RECENT_USES) return true;
    }
    return false;
  }

  async #read(block: number, size: number): Promise<Run> {
    const { file } = this.#source;
    const position = block * this.#blockSize;
    const end = Math.min(size, this.#source.size - position);
    const bytes = this.#buffer(Math.ceil(end / this.#blockSize) * this.#blockSize);
    for (let done = 0; done < end;) {
      const count = await file.read(bytes.subarray(done, end), position + done);
      if (count === 0) {
        throw this.#error(undefined, `the file ends at byte ${position + done}, in the middle of its pages`);
      }
      done += count;
    }
    return { block, count: Math.ceil(end / this.#blockSize), bytes, view: viewOf(bytes), lastUse: 0 };
  }

  /** A buffer of this size, in the place of the runs used longest ago. Never the present node's: that was used last. */
  #buffer(size: number): Uint8Array {
    while (this.#keptSize + size > this.#keptSizeMax && this.#runs.length > 1) {
      const { bytes } = this.#forgetOldest();
      if (bytes.length === size) return bytes;
    }
    return new Uint8Array(size);
  }

  #forgetOldest(): Run {
    const runs = this.#runs;
    let oldest = 0;
    for (let i = 1; i < runs.length; i++) {
      if (runs[i].lastUse < runs[oldest].lastUse) oldest = i;
    }
    const run = runs[oldest];
    runs[oldest] = runs[runs.length - 1];
    runs.pop();
    this.#keptSize -= run.bytes.length;
    return run;
  }

  #verify(run: Run): void {
    const { compared, pageSize } = this.#source;
    if (compared === undefined) return;
    for (let i = 0; i < run.count; i++) {
      if (compared.matches(run.block + i, run.bytes, i * this.#blockSize)) continue;
      const position = (run.block + i) * this.#blockSize;
      const end = Math.min(position + this.#blockSize, this.#source.size);
      throw this.#error(
        Math.max(FIRST_PAGE, position / pageSize),
        `the checksum of bytes ${position} to ${end} of the file does not match: they have changed since they were written`,
      );
    }
  }

  #error(page: number | undefined, found: string): BoltError {
    return new BoltError(this.#source.file.path, page, found);
  }
}
