/**
 * An event as it stands in a WatchResponse (frozen: on the wire). A put is the stored record behind a few bytes:
 *
 *     0x5a varint(size) [0x08 0x01: DELETE]  0x12 varint(size) KeyValue  [0x1a varint(size) previous KeyValue]
 */

import { varintSize, writeVarint } from "../base/varint.ts";
import { NO_ROW, RECORD_EVENT, RECORD_FULL } from "../mvcc/mod.ts";
import type { History } from "./history.ts";

const TAG_EVENTS = 0x5a;
const TAG_TYPE = 0x08;
const TYPE_DELETE = 1;
const TAG_PREV_KV = 0x1a;

/** Bytes that `writeEvent` writes. `previous` is the row of prev_kv, or NO_ROW. */
export function eventSize(history: History, row: number, previous: number): number {
  const size = contentSize(history, row, previous);
  return 1 + varintSize(size) + size;
}

/** Writes an event with its field's tag, and returns the offset after it. */
export function writeEvent(
  history: History,
  row: number,
  previous: number,
  target: Uint8Array,
  offset: number,
): number {
  target[offset] = TAG_EVENTS;
  let at = writeVarint(target, offset + 1, contentSize(history, row, previous));
  if (history.isTombstone(row)) {
    target[at] = TAG_TYPE;
    target[at + 1] = TYPE_DELETE;
    at += 2;
  }
  at = history.copyRecord(row, RECORD_EVENT, target, at);
  if (previous === NO_ROW) return at;
  const end = history.copyRecord(previous, RECORD_FULL, target, at);
  target[at] = TAG_PREV_KV;
  return end;
}

function contentSize(history: History, row: number, previous: number): number {
  let size = history.recordSize(row, RECORD_EVENT);
  if (history.isTombstone(row)) size += 2;
  if (previous !== NO_ROW) size += history.recordSize(previous, RECORD_FULL);
  return size;
}
