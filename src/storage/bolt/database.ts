/**
 * One state of a database file, to be read: the newest one, found by the two meta pages, or the one a writer has just made.
 */

import { updateCrc32c } from "../../base/crc32c.ts";
import type { File } from "../../io/disk.ts";
import { BoltBucket } from "./bucket.ts";
import { check } from "./check.ts";
import { areaSizeOf, Checksums } from "./checksums.ts";
import { BoltError } from "./error.ts";
import { decodeMark, decodeMeta, type Mark, type Meta, PAGE_SIZE_MAX, PAGE_SIZE_MIN } from "./format.ts";
import { PageReader } from "./pages.ts";
import { BoltSnapshot } from "./snapshot.ts";

/**
 * "verified": written by us, and what is read is compared with checksums. "absent": another program has written it, or
 * written to it since. "damaged": the checksums themselves cannot be relied on; nothing is compared.
 */
export type ChecksumState = "verified" | "absent" | "damaged";

/** One state (transaction) of a file. It stays readable as long as the file is open, whatever is appended. */
export class BoltDatabase {
  readonly file: File;
  readonly pageSize: number;
  /** The transaction id. */
  readonly txid: number;
  /** In pages; those from here on are not part of the state. */
  readonly highWater: number;
  /** `highWater` in bytes: what etcd calls the size of the database. */
  readonly size: number;
  readonly checksums: ChecksumState;
  /** What is wrong with a meta page or the checksums although the file can be read: maybe not its newest state. */
  readonly damage: BoltError | undefined;
  /** Pages that hold the state, and those that hold nothing any more. Known only if "verified". */
  readonly livePages: number | undefined;
  readonly deadPages: number | undefined;
  /** The bucket of buckets. */
  readonly root: BoltBucket;
  readonly meta: Meta;
  /** What is read is compared with these. */
  readonly compared: Checksums | undefined;

  constructor(
    file: File,
    meta: Meta,
    livePages: number | undefined,
    compared: Checksums | undefined,
    checksums: ChecksumState,
    damage: BoltError | undefined,
  ) {
    this.file = file;
    this.meta = meta;
    this.pageSize = meta.pageSize;
    this.txid = meta.txid;
    this.highWater = meta.highWater;
    this.size = meta.highWater * meta.pageSize;
    this.checksums = checksums;
    this.damage = damage;
    this.compared = compared;
    this.livePages = livePages;
    this.deadPages = livePages === undefined ? undefined : meta.highWater - 2 - livePages;
    this.root = new BoltBucket(this, meta.root, meta.sequence);
  }

  /** The newest state. Throws BoltError where there is none, and DiskError. */
  static async open(file: File): Promise<BoltDatabase> {
    const fileSize = await file.size();
    const pages = await readMetaPages(file, fileSize);
    const newest = pages[newestOf(pages)];
    const other = pages[1 - newest.id];
    const { meta } = newest;
    if (meta === undefined) throw new BoltError(file.path, newest.id, newest.found);
    if (meta.highWater * meta.pageSize > fileSize) {
      throw new BoltError(
        file.path,
        undefined,
        `it is ${fileSize} bytes long where its ${meta.highWater} pages take ${
          meta.highWater * meta.pageSize
        }: its end is missing`,
      );
    }
    const { checksums, compared, damage } = await readChecksums(file, fileSize, newest, meta);
    const livePages = checksums === "verified" ? (newest.mark as Mark).livePages : undefined;
    return new BoltDatabase(file, meta, livePages, compared, checksums, damage ?? damageOf(file, newest, other));
  }

  /** How many bytes a database takes whose first page this is, at least 80 bytes of it; or what is wrong with it, in words. */
  static announcedSize(head: Uint8Array): number | string {
    const meta = decodeMeta(head);
    return typeof meta === "string" ? meta : meta.highWater * meta.pageSize;
  }

  bucketNames(): Promise<Uint8Array[]> {
    return this.root.bucketNames();
  }

  bucket(name: Uint8Array): Promise<BoltBucket | undefined> {
    return this.root.bucket(name);
  }

  async get(bucket: Uint8Array, key: Uint8Array): Promise<Uint8Array | undefined> {
    return await (await this.root.bucket(bucket))?.get(key);
  }

  snapshot(): BoltSnapshot {
    return new BoltSnapshot(this, this.meta);
  }

  /** Reads the whole file once and compares all checksums. Throws BoltError; returns at once if there are none. */
  async verifyAll(): Promise<void> {
    if (this.damage !== undefined) throw this.damage;
    if (this.compared !== undefined) await new PageReader(this).readAll();
  }

  /** bbolt's consistency check: each problem in its words. Empty: the file is consistent. */
  check(): Promise<string[]> {
    return check(this, this.meta);
  }
}

/** What one of the two meta pages says: a meta, or why there is none. */
interface MetaPage {
  readonly id: number;
  readonly meta: Meta | undefined;
  readonly mark: Mark | "damaged" | undefined;
  readonly found: string;
}

async function readMetaPages(file: File, fileSize: number): Promise<readonly [MetaPage, MetaPage]> {
  const head = await readUpTo(file, Math.min(fileSize, 2 * PAGE_SIZE_MAX), 0);
  const pageSize = pageSizeOf(head);
  if (typeof pageSize === "string") {
    throw new BoltError(file.path, 0, `this is not a bolt database, or both its metas are damaged: ${pageSize}`);
  }
  const page = (id: number): MetaPage => {
    const bytes = head.subarray(id * pageSize, (id + 1) * pageSize);
    const meta = bytes.length < pageSize ? "the file ends in the middle of the page" : decodeMeta(bytes);
    if (typeof meta === "string") return { id, meta: undefined, mark: undefined, found: meta };
    if (meta.pageSize !== pageSize) {
      return {
        id,
        meta: undefined,
        mark: undefined,
        found: `pages of ${meta.pageSize} bytes, but it is at ${pageSize}`,
      };
    }
    return { id, meta, mark: decodeMark(bytes), found: "" };
  };
  return [page(0), page(1)];
}

/** As the first valid meta says: meta 1 is tried wherever it can be, if meta 0 is damaged. Or what is wrong with meta 0. */
function pageSizeOf(head: Uint8Array): number | string {
  if (head.length < PAGE_SIZE_MIN) return "it is too short";
  const meta = decodeMeta(head);
  if (typeof meta !== "string") return meta.pageSize;
  for (let size = PAGE_SIZE_MIN; size + PAGE_SIZE_MIN <= head.length; size *= 2) {
    if (typeof decodeMeta(head.subarray(size)) !== "string") return size;
  }
  return meta;
}

function newestOf(pages: readonly [MetaPage, MetaPage]): 0 | 1 {
  const [first, second] = pages;
  if (first.meta === undefined || second.meta === undefined) return first.meta === undefined ? 1 : 0;
  return second.meta.txid > first.meta.txid ? 1 : 0;
}

async function readChecksums(file: File, fileSize: number, page: MetaPage, meta: Meta): Promise<{
  checksums: ChecksumState;
  compared: Checksums | undefined;
  damage: BoltError | undefined;
}> {
  const { mark } = page;
  if (mark === undefined) return { checksums: "absent", compared: undefined, damage: undefined };
  const damaged = (found: string) => ({
    checksums: "damaged" as const,
    compared: undefined,
    damage: new BoltError(file.path, page.id, found),
  });
  if (mark === "damaged") return damaged("there is something behind the meta that is not this program's mark");
  const end = meta.highWater * meta.pageSize;
  const size = areaSizeOf(end, meta.pageSize);
  const area = await readUpTo(file, Math.min(size, fileSize - end), end);
  if (area.length < size) return damaged("the file ends inside its checksums");
  if (updateCrc32c(0, area) !== mark.areaCrc) {
    return damaged("the checksums of the file do not match their own checksum");
  }
  return { checksums: "verified", compared: Checksums.decode(area, meta.pageSize, end), damage: undefined };
}

/** What the other meta page tells about the file, beside a newest one that is in order. */
function damageOf(file: File, newest: MetaPage, other: MetaPage): BoltError | undefined {
  if (other.meta === undefined) return new BoltError(file.path, other.id, other.found);
  if (newest.mark === undefined) return undefined;
  // Of a file of ours both metas are ours, and successive; another program would have written the newest one.
  if (other.mark === undefined || other.mark === "damaged" || other.meta.txid !== newest.meta!.txid - 1) {
    return new BoltError(file.path, other.id, "this meta page is not the one before the newest");
  }
  return undefined;
}

/** `size` bytes from `position` on, or as many as there are. */
async function readUpTo(file: File, size: number, position: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, size));
  let done = 0;
  while (done < bytes.length) {
    const count = await file.read(bytes.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
