/**
 * Reads nodes (a page and those it overflows into) of one state of a file: in pieces of 64 KiB, or of 1 MiB and ahead of
 * time where they are wanted in order. What comes from the disk is compared with its checksums before anyone sees it.
 *
 * One reader serves one caller at a time: a node is at hand until the next one is asked for.
 */

import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { BOLT_NODE_SIZE_MAX, BOLT_READ_SIZE, BOLT_RUNS_KEPT_MAX } from "../../base/limits.ts";
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

/** Successive chunks of the file, in memory. */
interface Run {
  chunk: number;
  count: number;
  bytes: Uint8Array;
  view: DataView;
  lastUse: number;
}

export class PageReader {
  /** The node that `open` or `tryOpen` found. */
  readonly node: Node;
  readonly #source: PageSource;
  readonly #runs: Run[] = [];
  readonly #runsMax: number;
  #clock = 0;
  #current: Run | undefined;
  /** The read that has been started because the one before it was in order. */
  #ahead: { readonly chunk: number; readonly run: Promise<Run | Error> } | undefined;
  #scratch: Uint8Array = EMPTY_BYTES;

  constructor(source: PageSource, runsMax = BOLT_RUNS_KEPT_MAX) {
    this.#source = source;
    this.#runsMax = runsMax;
    this.node = new Node(source.file.path);
  }

  /** Makes the node of this page the present one if that takes no reading. Throws BoltError. */
  tryOpen(page: number): boolean {
    const { pageSize, highWater } = this.#source;
    if (page < FIRST_PAGE || page >= highWater) {
      throw this.#error(page, `there is no such page: the high-water mark is at ${highWater}`);
    }
    const position = page * pageSize;
    const run = this.#find(Math.floor(position / CHUNK_SIZE));
    if (run === undefined) return false;
    const start = position - run.chunk * CHUNK_SIZE;
    const size = this.#nodeSize(page, run.view, start);
    if (start + size > run.count * CHUNK_SIZE) return false;
    this.node.set(page, run.bytes, run.view, start, start + size);
    return true;
  }

  /** Makes the node of this page the present one. Throws BoltError and DiskError. */
  async open(page: number): Promise<void> {
    if (this.tryOpen(page)) return;
    const position = page * this.#source.pageSize;
    const chunk = Math.floor(position / CHUNK_SIZE);
    const run = this.#find(chunk) ?? await this.#load(chunk);
    const size = this.#nodeSize(page, run.view, position - run.chunk * CHUNK_SIZE);
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
      const chunk = Math.floor((position + done) / CHUNK_SIZE);
      const run = this.#find(chunk) ?? await this.#load(chunk);
      const start = position + done - run.chunk * CHUNK_SIZE;
      const size = Math.min(target.length - done, run.count * CHUNK_SIZE - start);
      target.set(run.bytes.subarray(start, start + size), done);
      done += size;
    }
  }

  /** Reads, and so compares, all bytes of the state. */
  async readAll(): Promise<void> {
    for (let chunk = 0; chunk * CHUNK_SIZE < this.#source.size;) {
      const run = await this.#load(chunk);
      chunk = run.chunk + run.count;
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

  #find(chunk: number): Run | undefined {
    const current = this.#current;
    if (current !== undefined && chunk >= current.chunk && chunk < current.chunk + current.count) return current;
    for (const run of this.#runs) {
      if (chunk < run.chunk || chunk >= run.chunk + run.count) continue;
      run.lastUse = ++this.#clock;
      this.#current = run;
      return run;
    }
    return undefined;
  }

  async #load(chunk: number): Promise<Run> {
    const isInOrder = this.#runs.some((run) => run.chunk + run.count === chunk);
    const ahead = this.#ahead?.chunk === chunk ? this.#ahead.run : undefined;
    const size = isInOrder ? BOLT_READ_SIZE : CHUNK_SIZE;
    // Its buffer is going to be used for other chunks, so it is taken once.
    if (ahead !== undefined) this.#ahead = undefined;
    const run = await (ahead ?? this.#read(chunk, size));
    if (run instanceof Error) throw run;
    this.#verify(run);
    run.lastUse = ++this.#clock;
    this.#runs.push(run);
    this.#current = run;
    const next = chunk + run.count;
    if (isInOrder && next * CHUNK_SIZE < this.#source.size) {
      // It answers with its error, so that one which nobody comes to wait for is not an unhandled rejection.
      const read = this.#read(next, BOLT_READ_SIZE).catch((error: Error) => error);
      this.#ahead = { chunk: next, run: read };
    }
    return run;
  }

  async #read(chunk: number, size: number): Promise<Run> {
    const { file } = this.#source;
    const bytes = this.#buffer(size);
    const position = chunk * CHUNK_SIZE;
    const end = Math.min(size, this.#source.size - position);
    for (let done = 0; done < end;) {
      const count = await file.read(bytes.subarray(done, end), position + done);
      if (count === 0) {
        throw this.#error(undefined, `the file ends at byte ${position + done}, in the middle of its pages`);
      }
      done += count;
    }
    return { chunk, count: Math.ceil(end / CHUNK_SIZE), bytes, view: viewOf(bytes), lastUse: 0 };
  }

  /** A buffer of at least this size: a new one, or that of the run whose use is longest ago. Never the present node's. */
  #buffer(size: number): Uint8Array {
    if (this.#runs.length < this.#runsMax) return new Uint8Array(size);
    let oldest = -1;
    for (let i = 0; i < this.#runs.length; i++) {
      if (this.#runs[i] !== this.#current && (oldest < 0 || this.#runs[i].lastUse < this.#runs[oldest].lastUse)) {
        oldest = i;
      }
    }
    const [run] = this.#runs.splice(oldest, 1);
    return run.bytes.length >= size ? run.bytes : new Uint8Array(size);
  }

  #verify(run: Run): void {
    const { compared, pageSize } = this.#source;
    if (compared === undefined) return;
    for (let i = 0; i < run.count; i++) {
      if (compared.matches(run.chunk + i, run.bytes, i * CHUNK_SIZE)) continue;
      const position = (run.chunk + i) * CHUNK_SIZE;
      const end = Math.min(position + CHUNK_SIZE, this.#source.size);
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
