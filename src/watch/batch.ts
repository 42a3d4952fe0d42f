import { assert } from "../base/assert.ts";
import { WATCH_BATCH_REVISIONS_MAX, WATCH_BATCH_SIZE } from "../base/limits.ts";
import { NO_ROW } from "../mvcc/mod.ts";
import { eventSize, writeEvent } from "./event.ts";
import type { History } from "./history.ts";
import { SELECT_NO_DELETES, SELECT_NO_PUTS, SELECT_PREVIOUS, SELECTION_COUNT } from "./watcher.ts";

/** Encoded events of one response, shared by all watchers that get the same. Never changed. */
export class Block {
  /** The header's revision. */
  readonly revision: number;
  readonly events: Uint8Array;
  readonly eventCount: number;

  constructor(revision: number, events: Uint8Array, eventCount: number) {
    this.revision = revision;
    this.events = events;
    this.eventCount = eventCount;
  }
}

/**
 * Events of the revision being published, each encoded once even where several interests share it: a key and the ranges
 * around it.
 */
export class EventCache {
  readonly #events = new Map<number, Uint8Array>();

  /** Forgets everything: another revision is published. */
  clear(): void {
    if (this.#events.size > 0) this.#events.clear();
  }

  get(history: History, row: number, selection: number): Uint8Array {
    const withPrevious = selection & SELECT_PREVIOUS;
    const name = row * 2 + withPrevious;
    let event = this.#events.get(name);
    if (event === undefined) {
      event = new Uint8Array(selectedSize(history, row, selection));
      writeSelected(history, row, selection, event, 0);
      this.#events.set(name, event);
    }
    return event;
  }
}

/**
 * The rows found for one interest, whole revisions in order, and the responses they become. Rows are numbers until they
 * are encoded, so a batch is small however large the values are.
 */
export class Batch {
  readonly rows: number[] = [];
  firstMain = 0;
  lastMain = 0;
  readonly #countsPrevious: boolean;
  #revisionCount = 0;
  #putCount = 0;
  #deleteCount = 0;
  // Encoded sizes: of the events, and what prev_kv adds to them.
  #putSize = 0;
  #putPrevious = 0;
  #deleteSize = 0;
  #deletePrevious = 0;
  #block: Block | undefined = undefined;
  // Of other selections than 0, which is by far the most frequent.
  #otherBlocks: (Block | undefined)[] | undefined = undefined;

  /** `countsPrevious`: a watcher that wants all of this batch wants prev_kv. */
  constructor(countsPrevious: boolean) {
    this.#countsPrevious = countsPrevious;
  }

  /** Enough for one response: the next revision starts another one. */
  get isFull(): boolean {
    return this.#revisionCount >= WATCH_BATCH_REVISIONS_MAX || this.size(SELECT_PREVIOUS) >= WATCH_BATCH_SIZE;
  }

  /** Adds a row of revision `main`, after all before. */
  add(history: History, row: number, main: number): void {
    if (this.rows.length === 0) this.firstMain = main;
    if (this.rows.length === 0 || main !== this.lastMain) this.#revisionCount++;
    this.lastMain = main;
    this.rows.push(row);
    const size = eventSize(history, row, NO_ROW);
    const previous = this.#countsPrevious ? history.previousKvRow(row) : NO_ROW;
    const added = previous === NO_ROW ? 0 : eventSize(history, row, previous) - size;
    if (history.isTombstone(row)) {
      this.#deleteCount++;
      this.#deleteSize += size;
      this.#deletePrevious += added;
    } else {
      this.#putCount++;
      this.#putSize += size;
      this.#putPrevious += added;
    }
  }

  /** Events left after filtering. */
  eventCount(selection: number): number {
    return ((selection & SELECT_NO_PUTS) !== 0 ? 0 : this.#putCount) +
      ((selection & SELECT_NO_DELETES) !== 0 ? 0 : this.#deleteCount);
  }

  /** Size of the encoded events. */
  size(selection: number): number {
    const withPrevious = (selection & SELECT_PREVIOUS) !== 0;
    let size = 0;
    if ((selection & SELECT_NO_PUTS) === 0) size += this.#putSize + (withPrevious ? this.#putPrevious : 0);
    if ((selection & SELECT_NO_DELETES) === 0) size += this.#deleteSize + (withPrevious ? this.#deletePrevious : 0);
    return size;
  }

  /** The selected events, encoded once for each selection. `revision` is the same in every call. */
  block(history: History, selection: number, revision: number, cache: EventCache | undefined): Block {
    let block = selection === 0 ? this.#block : this.#otherBlocks?.[selection];
    if (block !== undefined) return block;
    const events = cache !== undefined && this.rows.length === 1
      ? cache.get(history, this.rows[0], selection)
      : this.#encode(history, selection);
    block = new Block(revision, events, this.eventCount(selection));
    if (selection === 0) this.#block = block;
    else {
      this.#otherBlocks ??= new Array(SELECTION_COUNT).fill(undefined);
      this.#otherBlocks[selection] = block;
    }
    return block;
  }

  /** What a watcher gets that wants no event below `minRevision`; this batch itself if that is all of it. */
  from(history: History, minRevision: number): Batch {
    if (minRevision <= this.firstMain) return this;
    const later = new Batch(true);
    for (const row of this.rows) {
      const main = history.rowMain(row);
      if (main >= minRevision) later.add(history, row, main);
    }
    return later;
  }

  /** Drops what is below a compaction, whose rows may be gone, and counts again, since prev_kv may be gone as well. */
  compacted(history: History, compactRevision: number): Batch {
    const later = new Batch(this.#countsPrevious);
    const firstRow = history.rowAtOrAfter(compactRevision);
    for (const row of this.rows) if (row >= firstRow) later.add(history, row, history.rowMain(row));
    return later;
  }

  #encode(history: History, selection: number): Uint8Array {
    const events = new Uint8Array(this.size(selection));
    let at = 0;
    for (const row of this.rows) {
      if (isSelected(history, row, selection)) at = writeSelected(history, row, selection, events, at);
    }
    assert(at === events.length, "events are as large as was counted");
    return events;
  }
}

export function isSelected(history: History, row: number, selection: number): boolean {
  return (selection & (history.isTombstone(row) ? SELECT_NO_DELETES : SELECT_NO_PUTS)) === 0;
}

export function selectedSize(history: History, row: number, selection: number): number {
  return eventSize(history, row, previousRow(history, row, selection));
}

export function writeSelected(
  history: History,
  row: number,
  selection: number,
  target: Uint8Array,
  offset: number,
): number {
  return writeEvent(history, row, previousRow(history, row, selection), target, offset);
}

function previousRow(history: History, row: number, selection: number): number {
  return (selection & SELECT_PREVIOUS) === 0 ? NO_ROW : history.previousKvRow(row);
}
