/**
 * WatchResponse messages (frozen: on the wire), apart from their events, which are in event.ts:
 *
 *     [header] [0x10 watch_id] [0x18 1: created] [0x20 1: canceled] [0x28 compact_revision] [0x32 cancel_reason]
 *     [0x38 1: fragment] [0x5a event]...
 *
 * Zero fields are left out, so watch 0 has no watch_id. The header comes from outside, with its own tag.
 */

import { utf8 } from "../base/bytes.ts";
import { varint64Size, varintSize, WireWriter, writeVarint, writeVarint64 } from "../base/varint.ts";

/**
 * Supplies the header field of a response: tag 0x0a, size and ResponseHeader with this revision (0: left out). The bytes
 * are copied before the next call.
 */
export type HeaderWriter = (revision: number) => Uint8Array;

const TAG_WATCH_ID = 0x10;
const TAG_FRAGMENT = 0x38;

/** What `writeFragmentMark` writes. */
export const FRAGMENT_MARK_SIZE = 2;

/** The watch id of responses that concern no single watcher. */
export const NO_WATCH_ID = -1n;

export function watchIdSize(id: number | bigint): number {
  if (typeof id === "number") return id === 0 ? 0 : 1 + varintSize(id);
  return 1 + varint64Size(id);
}

/** Writes the watch id's field, if it has one, and returns the offset after it. */
export function writeWatchId(id: number | bigint, target: Uint8Array, offset: number): number {
  if (id === 0) return offset;
  target[offset] = TAG_WATCH_ID;
  return typeof id === "number" ? writeVarint(target, offset + 1, id) : writeVarint64(target, offset + 1, id);
}

/** Says that another part of the same response follows. */
export function writeFragmentMark(target: Uint8Array, offset: number): number {
  target[offset] = TAG_FRAGMENT;
  target[offset + 1] = 1;
  return offset + 2;
}

export interface ControlFields {
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly compactRevision?: number;
  readonly cancelReason?: string;
}

/** A response without events. */
export function controlResponse(header: Uint8Array, id: number | bigint, fields: ControlFields): Uint8Array {
  const writer = new WireWriter(64);
  writer.raw(header);
  writer.integer64Field(2, BigInt(id));
  writer.boolField(3, fields.created ?? false);
  writer.boolField(4, fields.canceled ?? false);
  writer.integerField(5, fields.compactRevision ?? 0);
  writer.bytesField(6, utf8(fields.cancelReason ?? ""));
  return writer.finish();
}
