/** What the parts of a store share. Only files of this folder see it; the door hands out `Store`. */

import { COMPACTION_HASHES_MAX } from "../base/limits.ts";
import type { CompactionJob } from "./compaction.ts";
import { CREATE, HAS_LEASE, History, TOMBSTONE } from "./history.ts";
import { KeyIndex } from "./key_index.ts";
import { PageCounts } from "./page_counts.ts";
import { Pins } from "./pin.ts";
import { deleteEventSize, framedSize, recordSizeAt, RecordView, writeDeleteEvent } from "./record.ts";
import { type SlabPool, Slabs } from "./slab.ts";
import {
  type KeyValueHash,
  NO_ROW,
  type OperationCounts,
  RECORD_EVENT,
  RECORD_FULL,
  RECORD_KEYS_ONLY,
  type RecordForm,
  type RevisionError,
} from "./types.ts";
import { writeVarint } from "../base/varint.ts";

export class StoreState {
  readonly slabs: Slabs;
  readonly history: History;
  readonly index: KeyIndex;
  readonly pins: Pins = new Pins();
  readonly pageCounts: PageCounts = new PageCounts();
  /** Compactions scheduled and not finished, oldest first. */
  readonly compactions: CompactionJob[] = [];
  /** Hashes of finished compactions by ascending revision. */
  readonly hashes: KeyValueHash[] = [];
  readonly operations: OperationCounts = { ranges: 0, puts: 0, deletes: 0, txns: 0, putSize: 0 };
  revision = 1;
  compactRevision = -1;
  finishedCompactRevision = -1;
  /** Rows of committed transactions have ids below this. */
  committedEnd = 1;
  /** For this folder's own short readings. */
  readonly view: RecordView = new RecordView();

  constructor(pool: SlabPool) {
    this.slabs = new Slabs(pool);
    this.history = new History(this.slabs);
    this.index = new KeyIndex(this.history);
  }

  /** `current` is the newest revision the reader may see; 0 and negative revisions stand for it. */
  checkRevision(revision: number, current: number): RevisionError | undefined {
    if (revision > current) return "future";
    if ((revision <= 0 ? current : revision) < this.compactRevision) return "compacted";
    return undefined;
  }

  /** The live row of a key at a readable revision, or NO_ROW. */
  liveRow(key: Uint8Array, revision: number): number {
    const entry = this.index.find(key, 0, key.length);
    if (revision >= this.history.lastMain) return entry > 0 ? entry : NO_ROW;
    return this.liveAt(entry, revision);
  }

  /** The live row of an index entry at a revision that may be older than the entry; NO_ROW if it was deleted or not yet there. */
  liveAt(entry: number, revision: number): number {
    const row = this.history.rowAtRevision(entry < 0 ? -entry : entry, revision);
    if (row === 0 || (this.history.flagsOf(row) & TOMBSTONE) !== 0) return NO_ROW;
    return row;
  }

  recordSize(row: number, form: RecordForm): number {
    const history = this.history;
    const position = history.get(row);
    const chunk = history.chunk;
    const bytes = this.slabs.buffers[chunk.slabAt(position)];
    const offset = chunk.offsetAt(position);
    if (form === RECORD_FULL) return recordSizeAt(bytes, offset);
    if (form === RECORD_EVENT) {
      if ((chunk.flagsAt(position) & TOMBSTONE) === 0) return recordSizeAt(bytes, offset);
      this.view.read(bytes, offset);
      return deleteEventSize(this.view, chunk.mainAt(position));
    }
    const view = this.view;
    view.read(bytes, offset);
    const head = view.headEnd - view.start;
    return framedSize(form === RECORD_KEYS_ONLY ? head : head + view.end - view.leaseStart);
  }

  copyRecord(row: number, form: RecordForm, target: Uint8Array, offset: number): number {
    const history = this.history;
    const position = history.get(row);
    const chunk = history.chunk;
    const bytes = this.slabs.buffers[chunk.slabAt(position)];
    const start = chunk.offsetAt(position);
    const isTombstone = (chunk.flagsAt(position) & TOMBSTONE) !== 0;
    if (form === RECORD_FULL || (form === RECORD_EVENT && !isTombstone)) {
      const size = recordSizeAt(bytes, start);
      target.set(bytes.subarray(start, start + size), offset);
      return offset + size;
    }
    const view = this.view;
    view.read(bytes, start);
    if (form === RECORD_EVENT) return writeDeleteEvent(target, offset, view, chunk.mainAt(position));
    const head = view.headEnd - view.start;
    const lease = form === RECORD_KEYS_ONLY ? 0 : view.end - view.leaseStart;
    target[offset] = 0x12;
    let at = writeVarint(target, offset + 1, head + lease);
    target.set(bytes.subarray(view.start, view.headEnd), at);
    at += head;
    if (lease > 0) target.set(bytes.subarray(view.leaseStart, view.end), at);
    return at + lease;
  }

  rememberHash(hash: KeyValueHash): void {
    this.hashes.push(hash);
    this.hashes.sort((a, b) => a.hashRevision - b.hashRevision);
    if (this.hashes.length > COMPACTION_HASHES_MAX) this.hashes.shift();
  }

  /** Row flags of a put. */
  putFlags(version: number, lease: bigint): number {
    return (version === 1 ? CREATE : 0) | (lease === 0n ? 0 : HAS_LEASE);
  }
}
