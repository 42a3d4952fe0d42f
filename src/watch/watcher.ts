import type { Interest } from "./interest.ts";
import type { WatchStream } from "./stream.ts";

/**
 * Which events a watcher gets and in what form: a sum of these. Watchers of one range with the same selection share the
 * encoded events.
 */
export const SELECT_PREVIOUS = 1;
export const SELECT_NO_PUTS = 2;
export const SELECT_NO_DELETES = 4;
export const SELECTION_COUNT = 8;

/** Where a watcher stands. */
export const WatcherState = {
  /** Served as revisions are published. */
  SYNCED: 0,
  /** Behind: waits for the next sweep through the history. */
  LATE: 1,
  /** Behind: the running sweep will take it up. */
  JOINING: 2,
  /** Behind: served by the running sweep. */
  SWEPT: 3,
  /** Behind, and its stream is full: waits for the stream. */
  PARKED: 4,
  /** Told that compaction passed it. It stays known to its stream until it is cancelled, as in etcd. */
  COMPACTED: 5,
  /** Cancelled, or its stream is closed. */
  CLOSED: 6,
} as const;
export type WatcherState = typeof WatcherState[keyof typeof WatcherState];

/** One watcher. There may be very many: nothing here is per event, and no field is an object of its own. */
export class Watcher {
  readonly stream: WatchStream;
  readonly interest: Interest;
  /** A number where that is exact and not negative, else a bigint. */
  readonly id: number | bigint;
  readonly selection: number;
  readonly wantsFragments: boolean;
  readonly wantsProgress: boolean;
  /** Nothing was sent since the last tick of the progress interval. */
  isProgressDue = true;
  /** A response that was queued for it is lost to compaction: what is queued behind must not be sent. */
  isAborted = false;
  readonly startRevision: number;
  /** It is owed no event below this revision. While synced also none below what is published. */
  minRevision: number;
  state: WatcherState = WatcherState.CLOSED;
  // Neighbours in the one list it is in.
  next: Watcher | undefined = undefined;
  previous: Watcher | undefined = undefined;

  constructor(
    stream: WatchStream,
    interest: Interest,
    id: number | bigint,
    selection: number,
    wantsFragments: boolean,
    wantsProgress: boolean,
    startRevision: number,
    minRevision: number,
  ) {
    this.stream = stream;
    this.interest = interest;
    this.id = id;
    this.selection = selection;
    this.wantsFragments = wantsFragments;
    this.wantsProgress = wantsProgress;
    this.startRevision = startRevision;
    this.minRevision = minRevision;
  }
}

/** A list threaded through the watchers themselves. A watcher is in at most one. */
export class WatcherList {
  first: Watcher | undefined = undefined;

  get isEmpty(): boolean {
    return this.first === undefined;
  }

  add(watcher: Watcher): void {
    const first = this.first;
    watcher.next = first;
    if (first !== undefined) first.previous = watcher;
    this.first = watcher;
  }

  remove(watcher: Watcher): void {
    const { next, previous } = watcher;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    watcher.next = undefined;
    watcher.previous = undefined;
  }
}
