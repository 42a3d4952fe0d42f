import { WATCH_GATHERED_ROWS_MAX } from "../base/limits.ts";
import { RecordView } from "../mvcc/mod.ts";
import { Batch } from "./batch.ts";
import type { History } from "./history.ts";
import type { WatchHub } from "./hub.ts";
import type { Interest, InterestIndex } from "./interest.ts";
import { SELECT_PREVIOUS, type Watcher, WatcherList, WatcherState } from "./watcher.ts";

/** Encoded bytes that cost as much of a step's budget as a visited row. */
const BYTES_PER_UNIT = 1024;

/**
 * Brings watchers that are behind to the head. A sweep walks the history once for all of them, from the earliest
 * revision that one wants: rows are gathered per interest and given to its watchers some hundred at a time. Who falls
 * behind while a sweep runs is taken up by it if it has not passed the watcher's revision yet, else by the next one.
 * At the head a watcher is handed what was gathered and is synced in the same moment, so that it misses nothing.
 *
 * All of it is done in steps. Between two steps revisions may be added, and the sweep simply goes on through them;
 * history may be compacted, and whoever still needed what is gone is told so.
 */
export class CatchUp {
  readonly #hub: WatchHub;
  readonly #index: InterestIndex;
  #history: History;

  /** Waiting for the next sweep. */
  readonly #late = new WatcherList();

  // The sweep.
  #isSweeping = false;
  /** Belong to this sweep and are not yet among its interests. Rows are visited once there are none left. */
  readonly #joining = new WatcherList();
  readonly #interests: Interest[] = [];
  /** Revisions below have been visited. This one partly, if #floor is above. */
  #position = 0;
  /** A watcher that wants nothing below can join. */
  #floor = 0;
  /** The next row to visit. */
  #row = 0;
  #compactRevision = -1;
  /** Rows held by all batches together. */
  #gatheredCount = 0;
  /** Interests below this place are being flushed to make room. */
  #flushEnd = 0;

  // Used again for every row.
  readonly #record = new RecordView();
  readonly #found: Interest[] = [];

  constructor(hub: WatchHub, history: History, index: InterestIndex) {
    this.#hub = hub;
    this.#history = history;
    this.#index = index;
  }

  get hasWork(): boolean {
    return this.#isSweeping || !this.#late.isEmpty;
  }

  /** Takes up a watcher that is in no list and behind. */
  add(watcher: Watcher): void {
    if (this.#isSweeping && watcher.minRevision >= this.#floor) this.#admit(watcher);
    else {
      watcher.state = WatcherState.LATE;
      this.#late.add(watcher);
    }
  }

  /** Lets go of a watcher that was taken up here. */
  remove(watcher: Watcher): void {
    if (watcher.state === WatcherState.LATE) this.#late.remove(watcher);
    else if (watcher.state === WatcherState.JOINING) this.#joining.remove(watcher);
    else this.#leave(watcher);
  }

  /**
   * Works for about `budget` units: a row visited, a response queued or a KiB encoded, a fifth of a microsecond to one.
   * Returns whether anyone is still behind and could be served.
   */
  step(budget: number): boolean {
    if (!this.#isSweeping) {
      if (this.#late.isEmpty) return false;
      this.#start();
    }
    if (this.#history.compactRevision !== this.#compactRevision) this.#compact();
    let left = budget;
    for (let watcher = this.#joining.first; watcher !== undefined && left > 0; watcher = this.#joining.first) {
      this.#joining.remove(watcher);
      this.#admit(watcher);
      left--;
    }
    if (this.#joining.isEmpty) this.#advance(left);
    return this.hasWork;
  }

  /** Starts over on another history: everyone is late, and keeps what it was owed. */
  restore(history: History): void {
    for (const interest of this.#interests.slice()) {
      const owedFrom = this.#owedFrom(interest);
      for (let watcher = interest.swept.first; watcher !== undefined; watcher = interest.swept.first) {
        watcher.minRevision = Math.max(watcher.minRevision, owedFrom);
        this.#leave(watcher);
        watcher.state = WatcherState.LATE;
        this.#late.add(watcher);
      }
    }
    for (let watcher = this.#joining.first; watcher !== undefined; watcher = this.#joining.first) {
      this.#joining.remove(watcher);
      watcher.state = WatcherState.LATE;
      this.#late.add(watcher);
    }
    this.#isSweeping = false;
    this.#history = history;
  }

  #start(): void {
    let position = Infinity;
    for (let watcher = this.#late.first; watcher !== undefined; watcher = watcher.next) {
      position = Math.min(position, watcher.minRevision);
      watcher.state = WatcherState.JOINING;
    }
    this.#joining.first = this.#late.first;
    this.#late.first = undefined;
    this.#isSweeping = true;
    this.#flushEnd = 0;
    this.#compactRevision = this.#history.compactRevision;
    this.#seek(Math.max(position, this.#compactRevision));
  }

  #seek(position: number): void {
    this.#position = position;
    this.#floor = position;
    this.#row = this.#history.rowAtOrAfter(position);
  }

  #admit(watcher: Watcher): void {
    if (watcher.minRevision < this.#history.compactRevision) return this.#hub.cancelCompacted(watcher);
    // Only after a restore: one that waits for the future has nothing to catch up on.
    if (watcher.minRevision > this.#history.revision) return this.#hub.sync(watcher);
    const { interest } = watcher;
    if (interest.sweepPosition < 0) {
      interest.sweepPosition = this.#interests.length;
      interest.sweepMinRevision = watcher.minRevision;
      this.#interests.push(interest);
    } else if (watcher.minRevision < interest.sweepMinRevision) interest.sweepMinRevision = watcher.minRevision;
    watcher.state = WatcherState.SWEPT;
    interest.swept.add(watcher);
  }

  #leave(watcher: Watcher): void {
    const { interest } = watcher;
    interest.swept.remove(watcher);
    if (!interest.swept.isEmpty) return;
    const last = this.#interests.pop()!;
    if (last !== interest) {
      this.#interests[interest.sweepPosition] = last;
      last.sweepPosition = interest.sweepPosition;
    }
    interest.sweepPosition = -1;
    this.#forgetBatch(interest);
  }

  #forgetBatch(interest: Interest): void {
    this.#gatheredCount -= interest.gathered?.rows.length ?? 0;
    interest.gathered = undefined;
  }

  #advance(budget: number): void {
    let left = budget;
    while (left > 0) {
      if (this.#interests.length === 0) {
        this.#isSweeping = false;
        return;
      }
      if (this.#flushEnd > 0) {
        this.#flushEnd = Math.min(this.#flushEnd, this.#interests.length) - 1;
        left -= this.#flush(this.#interests[this.#flushEnd]);
      } else if (this.#row < this.#history.endRow) left -= this.#visit();
      else {
        this.#position = this.#floor = this.#history.revision + 1;
        left -= this.#finish(this.#interests[this.#interests.length - 1]);
      }
    }
  }

  /** Gathers the next row for everyone who wants it. Returns the cost. */
  #visit(): number {
    const history = this.#history;
    const row = this.#row;
    const main = history.rowMain(row);
    if (main >= this.#floor && this.#gatheredCount >= WATCH_GATHERED_ROWS_MAX) {
      // All rows held are of whole revisions now.
      this.#flushEnd = this.#interests.length;
      return 0;
    }
    this.#position = main;
    this.#floor = main + 1;
    this.#row = history.nextRow(row);
    let cost = 1;
    const found = this.#found;
    found.length = 0;
    history.readRecord(row, this.#record);
    this.#index.find(this.#record.bytes, this.#record.keyStart, this.#record.keyEnd, found);
    for (const interest of found) {
      if (interest.sweepPosition < 0 || main < interest.sweepMinRevision) continue;
      if (interest.gathered !== undefined && interest.gathered.isFull && interest.gathered.lastMain !== main) {
        cost += this.#flush(interest);
        // Its watchers may all have been parked.
        if (interest.sweepPosition < 0) continue;
      }
      interest.gathered ??= new Batch(interest.previousCount > 0);
      interest.gathered.add(history, row, main);
      this.#gatheredCount++;
      cost++;
    }
    return cost;
  }

  /** Gives an interest's rows, which are whole revisions, to its watchers. Returns the cost. */
  #flush(interest: Interest): number {
    const batch = interest.gathered;
    if (batch === undefined) return 1;
    this.#forgetBatch(interest);
    const { revision } = this.#history;
    let cost = 1 + batch.size(SELECT_PREVIOUS) / BYTES_PER_UNIT;
    for (let watcher = interest.swept.first, next; watcher !== undefined; watcher = next) {
      next = watcher.next;
      cost++;
      if (this.#hub.deliver(watcher, batch, revision, undefined)) {
        watcher.minRevision = Math.max(watcher.minRevision, batch.lastMain + 1);
      } else {
        watcher.minRevision = Math.max(watcher.minRevision, batch.firstMain);
        this.#leave(watcher);
        watcher.stream.park(watcher);
      }
    }
    return cost;
  }

  /** The head is reached: an interest's watchers get the last rows and are synced. Returns the cost. */
  #finish(interest: Interest): number {
    let cost = this.#flush(interest);
    for (let watcher = interest.swept.first; watcher !== undefined; watcher = interest.swept.first) {
      this.#leave(watcher);
      watcher.minRevision = Math.max(watcher.minRevision, this.#history.revision + 1);
      this.#hub.sync(watcher);
      cost++;
    }
    return cost;
  }

  /** History below was compacted: what is gone may be neither visited nor encoded any more. */
  #compact(): void {
    const compactRevision = this.#history.compactRevision;
    this.#compactRevision = compactRevision;
    for (const interest of this.#interests.slice()) {
      const owedFrom = this.#owedFrom(interest);
      for (let watcher = interest.swept.first, next; watcher !== undefined; watcher = next) {
        next = watcher.next;
        if (Math.max(watcher.minRevision, owedFrom) >= compactRevision) continue;
        this.#leave(watcher);
        this.#hub.cancelCompacted(watcher);
      }
      const batch = interest.gathered;
      if (batch === undefined || batch.firstMain > compactRevision) continue;
      this.#forgetBatch(interest);
      const remaining = batch.compacted(this.#history, compactRevision);
      if (remaining.rows.length === 0) continue;
      interest.gathered = remaining;
      this.#gatheredCount += remaining.rows.length;
    }
    if (this.#position < compactRevision) this.#seek(compactRevision);
  }

  /** Events of an interest from here on are still owed to its swept watchers, unless they want later ones only. */
  #owedFrom(interest: Interest): number {
    return interest.gathered === undefined ? this.#position : interest.gathered.firstMain;
  }
}
