/**
 * Bolt's file format, version 2, as far as constants and the meta pages go. All of it is frozen; integers are little endian.
 *
 *   file    | meta 0 | meta 1 | pages 2 up to the high-water mark | whatever: no longer part of the state
 *   node    one page, or several in a row (overflow): branch, leaf or list of free pages
 *
 *   page header, 16 bytes    u64 page id | u16 flags | u16 count of elements | u32 overflow: further pages of the node
 *   leaf element, 16 bytes   u32 flags (1: the value is a bucket) | u32 pos | u32 key size | u32 value size
 *   branch element, 16 bytes u32 pos | u32 key size | u64 page id of the child, whose first key this is
 *
 * The elements follow the header; pos is where the key starts, counted from the element; a value follows its key. A
 * bucket's value is u64 page id of its root | u64 sequence. With page id 0 the bucket is inline: one leaf follows, which
 * has a header but no page of its own.
 *
 *   meta page
 *    0  page header: id 0 or 1, flags 4
 *   16  u32 magic | u32 version | u32 page size | u32 flags | u64 root page | u64 sequence of the root bucket
 *   48  u64 page of the list of free pages (all ones: none is kept) | u64 high-water mark in pages | u64 transaction id
 *   72  u64 FNV-1a of bytes 16 to 72
 *   80  our mark, if the transaction is ours; other programs leave zeros, as they write the whole page
 *          80  8 bytes "keelson1"
 *          88  u64 pages below the high-water mark that hold the state, the two metas not counted
 *          96  u32 CRC-32C of the checksum area, which begins at the high-water mark (checksums.ts)
 *         100  u32 CRC-32C of bytes 0 to 100 of the page, so that the mark belongs to this transaction and no other
 *  104  zeros to the end of the page
 *
 * All that a state depends on is in the first 512 bytes of the page: a sector is written whole or not at all.
 */

import { updateCrc32c } from "../../base/crc32c.ts";

export const PAGE_HEADER_SIZE = 16;
export const ELEMENT_SIZE = 16;
export const BUCKET_HEADER_SIZE = 16;

export const BRANCH_FLAG = 1;
export const LEAF_FLAG = 2;
export const META_FLAG = 4;
export const FREELIST_FLAG = 16;
export const BUCKET_ELEMENT_FLAG = 1;

/** The size of pages in files that we write. Other programs take that of the machine. */
export const PAGE_SIZE = 4096;
export const PAGE_SIZE_MIN = 512;
export const PAGE_SIZE_MAX = 65536;
export const KEY_SIZE_MAX = 32768;
export const FIRST_PAGE = 2;

const MAGIC = 0xed0cdaed;
const VERSION = 2;
const META_END = 80;
const MARK_MAGIC = [0x6b65656c, 0x736f6e31] as const;
const MARK_CRC_OFFSET = 100;
const MARK_END = 104;

export interface Meta {
  readonly pageSize: number;
  readonly root: number;
  readonly sequence: bigint;
  /** Undefined where no list of free pages is kept. */
  readonly freelist: number | undefined;
  readonly highWater: number;
  readonly txid: number;
}

export interface Mark {
  readonly livePages: number;
  /** Checksum of the checksum area. */
  readonly areaCrc: number;
}

/** An unsigned 64-bit integer; exact up to 2^53, and larger than any page id or size beyond. */
export function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x100000000;
}

/** `value` is a safe integer. */
export function writeUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 0x100000000), true);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function writePageHeader(
  view: DataView,
  offset: number,
  id: number,
  flags: number,
  count: number,
  overflow: number,
): void {
  writeUint64(view, offset, id);
  view.setUint16(offset + 8, flags, true);
  view.setUint16(offset + 10, count, true);
  view.setUint32(offset + 12, overflow, true);
}

/** Reads the meta at the start of `page`, at least 80 bytes; what is wrong with it, in words, where it is not valid. */
export function decodeMeta(page: Uint8Array): Meta | string {
  const view = viewOf(page);
  if (view.getUint32(16, true) !== MAGIC) return "this is not a meta page of a bolt database";
  const version = view.getUint32(20, true);
  if (version !== VERSION) return `version ${version} of the format, where only ${VERSION} can be read`;
  if (view.getBigUint64(72, true) !== metaChecksum(page)) return "the checksum of the meta page does not match";
  const pageSize = view.getUint32(24, true);
  if (pageSize < PAGE_SIZE_MIN || pageSize > PAGE_SIZE_MAX || (pageSize & (pageSize - 1)) !== 0) {
    return `pages of ${pageSize} bytes`;
  }
  const meta: Meta = {
    pageSize,
    root: readUint64(view, 32),
    sequence: view.getBigUint64(40, true),
    freelist: view.getBigUint64(48, true) === 0xffffffffffffffffn ? undefined : readUint64(view, 48),
    highWater: readUint64(view, 56),
    txid: readUint64(view, 64),
  };
  if (meta.txid >= Number.MAX_SAFE_INTEGER) return `transaction id ${meta.txid}`;
  if (meta.highWater * pageSize > Number.MAX_SAFE_INTEGER) return `high-water mark ${meta.highWater}`;
  return meta;
}

/** The mark behind the meta of a whole page that is valid; undefined if there are only zeros, "damaged" if it is anything but valid. */
export function decodeMark(page: Uint8Array): Mark | "damaged" | undefined {
  if (isZero(page, META_END, page.length)) return undefined;
  const view = viewOf(page);
  const isValid = view.getUint32(80) === MARK_MAGIC[0] && view.getUint32(84) === MARK_MAGIC[1] &&
    view.getUint32(MARK_CRC_OFFSET, true) === updateCrc32c(0, page, 0, MARK_CRC_OFFSET) &&
    isZero(page, MARK_END, page.length);
  return isValid ? { livePages: readUint64(view, 88), areaCrc: view.getUint32(96, true) } : "damaged";
}

/** A whole meta page. */
export function encodeMeta(id: number, meta: Meta, mark: Mark | undefined): Uint8Array {
  const page = new Uint8Array(meta.pageSize);
  const view = viewOf(page);
  writePageHeader(view, 0, id, META_FLAG, 0, 0);
  view.setUint32(16, MAGIC, true);
  view.setUint32(20, VERSION, true);
  view.setUint32(24, meta.pageSize, true);
  writeUint64(view, 32, meta.root);
  view.setBigUint64(40, meta.sequence, true);
  if (meta.freelist === undefined) view.setBigUint64(48, 0xffffffffffffffffn, true);
  else writeUint64(view, 48, meta.freelist);
  writeUint64(view, 56, meta.highWater);
  writeUint64(view, 64, meta.txid);
  view.setBigUint64(72, metaChecksum(page), true);
  if (mark === undefined) return page;
  view.setUint32(80, MARK_MAGIC[0]);
  view.setUint32(84, MARK_MAGIC[1]);
  writeUint64(view, 88, mark.livePages);
  view.setUint32(96, mark.areaCrc, true);
  view.setUint32(MARK_CRC_OFFSET, updateCrc32c(0, page, 0, MARK_CRC_OFFSET), true);
  return page;
}

/** FNV-1a, 64 bits, of bytes 16 to 72. */
function metaChecksum(page: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let i = 16; i < 72; i++) hash = BigInt.asUintN(64, (hash ^ BigInt(page[i])) * 0x100000001b3n);
  return hash;
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}
