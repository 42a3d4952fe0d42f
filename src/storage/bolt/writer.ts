/**
 * Writes a whole file, or appends a transaction to one of ours:
 *
 *   1. behind everything that is there: the growing bucket's new leaves and right edge, the other buckets, the root
 *   2. behind them the checksum area; sync: all that the new meta relies on is durable
 *   3. the meta page of the transaction before the last (both, in a new file), one sector; sync
 *
 * A power loss before the end of 3 finds the meta of the old state and all its pages, as none of them is ever written to.
 * A new file without metas is no database; it gets its name when it is whole.
 */

import { assert } from "../../base/assert.ts";
import { compareBytes } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import type { File } from "../../io/disk.ts";
import type { BoltBucket } from "./bucket.ts";
import { areaSizeOf, ChecksumBuilder, type Checksums } from "./checksums.ts";
import { BoltDatabase } from "./database.ts";
import {
  BUCKET_ELEMENT_FLAG,
  BUCKET_HEADER_SIZE,
  encodeMeta,
  FIRST_PAGE,
  type Mark,
  type Meta,
  PAGE_SIZE,
  viewOf,
  writeUint64,
} from "./format.ts";
import { Output } from "./output.ts";
import { ArrayCursor, type BoltRow, type BucketSource, ContinuedCursor } from "./rows.ts";
import { branchesOf, NO_SPINE, readSpine, type Spine } from "./spine.ts";
import { Progress, Tree } from "./tree.ts";

/** Transaction ids of the two metas of a new file: the newer in page 0, as in bolt the next one then goes to page 1. */
const FIRST_TXID = 2;

/** One bucket to be written. */
interface Part {
  readonly name: Uint8Array;
  readonly tree: Tree;
  /** Rows that are there already and are written again, and the root of the bucket if there are no others. */
  readonly presentRows: number;
  readonly presentRoot: number;
  /** Pages that the bucket keeps if it changes, and if it does not. */
  readonly keptPages: number;
  readonly presentPages: number;
}

/** What is there before: nothing, or the state that is appended to. */
interface Base {
  readonly file: File;
  readonly pageSize: number;
  readonly txid: number;
  /** Where the first page is written. */
  readonly position: number;
  readonly sequence: bigint;
  readonly checksums: ChecksumBuilder;
}

/**
 * One writing of a file. Usage: `while (!writer.plan()) yield; (sizes are known) while (!(await writer.step())) yield;
 * writer.written` is the new state. No step works longer than about 2 ms. A DiskError before the metas are written
 * (`isCommitting` is false) leaves the old state as it was; one after that leaves either, so the caller must stop.
 */
export class BoltWriter {
  /** Known when `plan` was true: size of the file afterwards and bytes that are going to be written, checksums included. */
  fileSize = 0;
  writeSize = 0;
  /** Likewise: pages afterwards that hold the state, and those that hold nothing any more. */
  livePages = 0;
  deadPages = 0;
  /** The metas are being written. */
  isCommitting = false;

  readonly #base: Base;
  readonly #parts: readonly Part[];
  #planned = 0;
  /** The bucket of buckets, whose rows are the values of the others in it. */
  #root: Tree | undefined;
  readonly #rootRows: BoltRow[] = [];
  #highWater = 0;

  #output: Output | undefined;
  #written = 0;
  #compared: Checksums | undefined;
  #mark: Mark | undefined;
  #database: BoltDatabase | undefined;

  constructor(base: Base, parts: readonly Part[]) {
    this.#base = base;
    this.#parts = [...parts].sort((a, b) => compareBytes(a.name, b.name));
    for (let i = 1; i < parts.length; i++) {
      assert(compareBytes(this.#parts[i - 1].name, this.#parts[i].name) !== 0, "the names of the buckets differ");
    }
  }

  /** Writes a whole new file; `file` is empty and open for writing. Buckets in any order. Its name is the caller's affair. */
  static create(file: File, buckets: readonly BucketSource[]): BoltWriter {
    const position = FIRST_PAGE * PAGE_SIZE;
    const checksums = new ChecksumBuilder(PAGE_SIZE);
    const base = { file, pageSize: PAGE_SIZE, txid: FIRST_TXID, position, sequence: 0n, checksums };
    return new BoltWriter(base, buckets.map((bucket) => newPart(bucket, PAGE_SIZE)));
  }

  /**
   * Appends a transaction to a file of ours (`checksums` is "verified", no `damage`), open for writing: `growing` holds
   * only rows behind the last one of its bucket, and may have none; `others` are written whole; buckets named by neither
   * are gone.
   */
  static async append(
    database: BoltDatabase,
    growing: BucketSource,
    others: readonly BucketSource[],
  ): Promise<BoltWriter> {
    const { file, pageSize, compared, livePages, meta } = database;
    assert(compared !== undefined && livePages !== undefined && database.damage === undefined, "the file is our own");
    const parts = others.map((bucket) => newPart(bucket, pageSize));
    parts.push(await growingPart(database, growing, livePages));
    const area = compared.encode(pageSize);
    const checksums = new ChecksumBuilder(pageSize, compared);
    checksums.add(area, 0, area.length);
    const position = database.size + area.length;
    const base = { file, pageSize, txid: meta.txid + 1, position, sequence: meta.sequence, checksums };
    return new BoltWriter(base, parts);
  }

  /** The state as written; only once `step` was true. */
  get written(): BoltDatabase {
    assert(this.#database !== undefined, "the writing is done");
    return this.#database;
  }

  /** One step of the first pass; true when it is done. */
  plan(): boolean {
    if (this.#planned < this.#parts.length) {
      if (this.#parts[this.#planned].tree.plan()) this.#planned++;
      return false;
    }
    if (this.#root === undefined) {
      for (const part of this.#parts) {
        const size = isUnchanged(part) ? BUCKET_HEADER_SIZE : part.tree.valueSize;
        this.#rootRows.push({ key: part.name, value: new Uint8Array(size) });
      }
      this.#root = new Tree({
        pageSize: this.#base.pageSize,
        elementFlags: BUCKET_ELEMENT_FLAG,
        mayBeInline: false,
        open: () => new ArrayCursor(this.#rootRows),
        levels: () => [],
        lastKey: NO_SPINE.lastKey,
      });
    }
    if (!this.#root.plan()) return false;
    this.#sum(this.#root);
    return true;
  }

  #sum(root: Tree): void {
    const { pageSize, position } = this.#base;
    let pages = root.pageCount;
    let kept = 0;
    for (const part of this.#parts) {
      pages += isUnchanged(part) ? 0 : part.tree.pageCount;
      kept += isUnchanged(part) ? part.presentPages : part.keptPages;
    }
    this.#highWater = position / pageSize + pages;
    this.livePages = pages + kept;
    this.deadPages = this.#highWater - FIRST_PAGE - this.livePages;
    const size = this.#highWater * pageSize;
    const area = areaSizeOf(size, pageSize);
    this.fileSize = size + area;
    this.writeSize = pages * pageSize + area + (this.#isNewFile ? FIRST_PAGE * pageSize : pageSize);
  }

  get #isNewFile(): boolean {
    return this.#base.txid === FIRST_TXID;
  }

  /** One step of the second pass; true when the new state is durable. */
  async step(): Promise<boolean> {
    assert(this.#highWater > 0, "the first pass is done");
    if (this.#written <= this.#parts.length) await this.#writeTrees();
    else if (this.#mark === undefined) await this.#writeChecksums();
    else await this.#commit(this.#mark);
    return this.#database !== undefined;
  }

  async #writeTrees(): Promise<void> {
    const { file, pageSize, position, checksums } = this.#base;
    const output = this.#output ??= new Output(file, pageSize, position, checksums);
    const part = this.#parts[this.#written];
    const isRoot = part === undefined;
    if (!isRoot && isUnchanged(part)) {
      writeUint64(viewOf(this.#rootRows[this.#written++].value), 0, part.presentRoot);
      return;
    }
    const tree = isRoot ? this.#root! : part.tree;
    const progress = tree.write(output);
    if (progress === Progress.FULL) await output.flush();
    if (progress !== Progress.DONE) return;
    if (isRoot) {
      const end = await output.finish();
      assert(end === this.#highWater * pageSize, "the file is as long as the first pass said");
    } else {
      const { value } = this.#rootRows[this.#written];
      writeUint64(viewOf(value), 0, tree.rootPage);
      value.set(tree.inline, BUCKET_HEADER_SIZE);
    }
    this.#written++;
  }

  async #writeChecksums(): Promise<void> {
    const { file, pageSize, checksums } = this.#base;
    const position = this.#highWater * pageSize;
    const compared = checksums.finish(position);
    const area = compared.encode(pageSize);
    await file.write(area, position);
    await file.syncData();
    this.#compared = compared;
    this.#mark = { livePages: this.livePages, areaCrc: updateCrc32c(0, area) };
  }

  async #commit(mark: Mark): Promise<void> {
    const { file, pageSize, txid, sequence } = this.#base;
    const root = this.#root!.rootPage;
    const meta: Meta = { pageSize, root, sequence, freelist: undefined, highWater: this.#highWater, txid };
    this.isCommitting = true;
    if (this.#isNewFile) {
      const metas = new Uint8Array(FIRST_PAGE * pageSize);
      metas.set(encodeMeta(0, meta, mark));
      metas.set(encodeMeta(1, { ...meta, txid: txid - 1 }, mark), pageSize);
      await file.writeDurable(metas, 0);
    } else {
      const page = txid % 2;
      await file.writeDurable(encodeMeta(page, meta, mark), page * pageSize);
    }
    this.#database = new BoltDatabase(file, meta, mark.livePages, this.#compared, "verified", undefined);
  }
}

/** Nothing is added to the bucket, and it has pages of its own: they stay. */
function isUnchanged(part: Part): boolean {
  return part.presentRoot !== 0 && part.tree.rowCount === part.presentRows;
}

function newPart(bucket: BucketSource, pageSize: number): Part {
  return {
    name: bucket.name,
    tree: new Tree({
      pageSize,
      elementFlags: 0,
      mayBeInline: true,
      open: () => bucket.open(),
      levels: () => [],
      lastKey: NO_SPINE.lastKey,
    }),
    presentRows: 0,
    presentRoot: 0,
    keptPages: 0,
    presentPages: 0,
  };
}

async function growingPart(database: BoltDatabase, growing: BucketSource, livePages: number): Promise<Part> {
  const bucket = await database.bucket(growing.name);
  if (bucket === undefined) return newPart(growing, database.pageSize);
  const spine: Spine = await readSpine(database, bucket);
  const presentPages = livePages - await pagesOfOthers(database, growing.name);
  return {
    name: growing.name,
    tree: new Tree({
      pageSize: database.pageSize,
      elementFlags: 0,
      mayBeInline: true,
      open: () => new ContinuedCursor(new ArrayCursor(spine.rows), growing.open()),
      levels: () => branchesOf(spine),
      lastKey: spine.lastKey,
    }),
    presentRows: spine.rows.length,
    presentRoot: bucket.rootPage,
    keptPages: presentPages - spine.pages,
    presentPages,
  };
}

/** Pages of all but one bucket, and of the bucket of buckets. They are written anew, so reading them costs no more. */
async function pagesOfOthers(database: BoltDatabase, name: Uint8Array): Promise<number> {
  let pages = await pagesOf(database.root);
  for (const other of await database.bucketNames()) {
    if (compareBytes(other, name) !== 0) pages += await pagesOf((await database.bucket(other))!);
  }
  return pages;
}

async function pagesOf(bucket: BoltBucket): Promise<number> {
  const walk = bucket.walk();
  while (await walk.next());
  return walk.pages;
}
