import { varintSize } from "../base/varint.ts";
import { type Entry, EntryType } from "./types.ts";

/** Bytes of `entry` as a protobuf message, which is how every limit on entries counts them. */
export function entrySize(entry: Entry): number {
  const { length } = entry.data;
  return 2 + varintSize(entry.term) + varintSize(entry.index) + (entry.type === EntryType.NORMAL ? 0 : 2) +
    (length === 0 ? 0 : 1 + varintSize(length) + length);
}

/** Bytes of data of `entries`, without what surrounds them. */
export function dataSize(entries: readonly Entry[]): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += entries[i].data.length;
  return size;
}
