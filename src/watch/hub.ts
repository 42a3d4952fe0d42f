import { WATCH_BLOCK_SIZE_MAX, WATCH_PUBLISH_ROWS_MAX, WATCH_QUEUED_SIZE_MAX } from "../base/limits.ts";
import { RecordView } from "../mvcc/mod.ts";
import { Batch, EventCache } from "./batch.ts";
import { CatchUp } from "./catch_up.ts";
import type { History } from "./history.ts";
import { type Interest, InterestIndex } from "./interest.ts";
import { LargeResponse } from "./large_response.ts";
import { WatchStream, type WatchStreamOptions } from "./stream.ts";
import { SELECT_PREVIOUS, Watcher, WatcherState } from "./watcher.ts";

const SCRATCH_SIZE = 4096;

/** All watchers of one store. See mod.ts. */
export class WatchHub {
  #history: History;
  readonly #index: InterestIndex;
  readonly #catchUp: CatchUp;
  readonly #streams = new Set<WatchStream>();
  #ready: WatchStream[] = [];
  #publishedRevision: number;
  #watcherCount = 0;
  #slowWatcherCount = 0;

  // Used again for every publication.
  readonly #record = new RecordView();
  readonly #found: Interest[] = [];
  readonly #touched: Interest[] = [];
  readonly #cache = new EventCache();

  // The buffer in which streams assemble messages, and views of it by size.
  #scratch = new Uint8Array(SCRATCH_SIZE);
  views: (Uint8Array | undefined)[] = [];

  /** Bytes queued in all outboxes; kept by the streams. */
  queuedSize = 0;
  /** Events given to transports so far; kept by the streams. */
  sentEventCount = 0;

  /** `hashSeed`: any number. It keeps clients from choosing keys that collide in the hash table. */
  constructor(history: History, hashSeed = 0) {
    this.#history = history;
    this.#publishedRevision = history.revision;
    this.#index = new InterestIndex(hashSeed);
    this.#catchUp = new CatchUp(this, history, this.#index);
  }

  // --- for the metrics

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Watchers that still get events. */
  get watcherCount(): number {
    return this.#watcherCount;
  }

  /** Those of them that are behind. */
  get slowWatcherCount(): number {
    return this.#slowWatcherCount;
  }

  // --- for the member's loop

  /**
   * The rows [firstRow, endRow) of one transaction have become visible: every synced watcher gets them queued. A
   * transaction of very many rows makes the synced watchers fall behind instead, and `step` brings them its events.
   */
  publish(firstRow: number, endRow: number): void {
    const history = this.#history;
    const main = history.rowMain(firstRow);
    this.#publishedRevision = main;
    if (this.#watcherCount === this.#slowWatcherCount) return;
    if (endRow - firstRow > WATCH_PUBLISH_ROWS_MAX) return this.#fallBehind(main);
    const touched = this.#touched;
    for (let row = firstRow; row < endRow; row++) {
      const found = this.#found;
      found.length = 0;
      history.readRecord(row, this.#record);
      this.#index.find(this.#record.bytes, this.#record.keyStart, this.#record.keyEnd, found);
      for (let i = 0; i < found.length; i++) {
        const interest = found[i];
        if (interest.synced.isEmpty) continue;
        if (interest.published === undefined) {
          interest.published = new Batch(interest.previousCount > 0);
          touched.push(interest);
        }
        interest.published.add(history, row, main);
      }
    }
    for (let i = 0; i < touched.length; i++) {
      this.#deliverAll(touched[i], touched[i].published!, main);
      touched[i].published = undefined;
    }
    touched.length = 0;
    this.#cache.clear();
  }

  /** Watchers are behind and could be served: `step` is to be called. */
  get hasWork(): boolean {
    return this.#catchUp.hasWork;
  }

  /**
   * Brings watchers that are behind forward, for about `budget` units of a fifth of a microsecond to one. Returns whether
   * there is more to do.
   */
  step(budget: number): boolean {
    return this.#catchUp.step(budget);
  }

  /** Lets the owners of streams with queued responses take them. To be called after `publish`, `step` and `tick`. */
  flush(): void {
    while (this.#ready.length > 0) {
      const ready = this.#ready;
      this.#ready = [];
      for (const stream of ready) {
        stream.isReady = false;
        stream.owner.drain();
      }
    }
  }

  /** Queues the automatic progress notifications that are due. To be called about every 100 ms. */
  tick(now: number): void {
    for (const stream of this.#streams) if (stream.progressDueMs <= now) stream.notifyProgress(now);
  }

  /** Opens a stream. It is closed by its owner. */
  open(options: WatchStreamOptions): WatchStream {
    const stream = new WatchStream(this, options);
    this.#streams.add(stream);
    return stream;
  }

  /** The store was replaced by a snapshot: everyone catches up from where it stood. Large responses end at the old one. */
  restore(history: History): void {
    this.#catchUp.restore(history);
    this.#history = history;
    const owedFrom = this.#publishedRevision + 1;
    for (const stream of this.#streams) {
      for (const watcher of stream.watchers()) {
        if (watcher.state !== WatcherState.SYNCED) continue;
        watcher.minRevision = Math.max(watcher.minRevision, owedFrom);
        this.#unsync(watcher);
        this.#catchUp.add(watcher);
      }
    }
    this.#publishedRevision = history.revision;
  }

  // --- for streams and the catch-up

  get revision(): number {
    return this.#history.revision;
  }

  /** Synced watchers have all events up to here queued. */
  get publishedRevision(): number {
    return this.#publishedRevision;
  }

  get isOverfull(): boolean {
    return this.queuedSize >= WATCH_QUEUED_SIZE_MAX;
  }

  addReady(stream: WatchStream): void {
    stream.isReady = true;
    this.#ready.push(stream);
  }

  removeStream(stream: WatchStream): void {
    this.#streams.delete(stream);
  }

  /** Adds a watcher of a key, of all keys from one on, or of [key, range). */
  addWatcher(
    stream: WatchStream,
    key: Uint8Array,
    range: "key" | "from_key" | Uint8Array,
    id: number | bigint,
    selection: number,
    wantsFragments: boolean,
    wantsProgress: boolean,
    startRevision: number,
  ): Watcher {
    const interest = range === "key"
      ? this.#index.takeKey(key)
      : this.#index.takeRange(key, range === "from_key" ? undefined : range);
    if ((selection & SELECT_PREVIOUS) !== 0) interest.previousCount++;
    const { revision } = this.#history;
    // Nobody had to be told of what was committed before the first watcher, published or not.
    if (this.#watcherCount === 0) this.#publishedRevision = revision;
    this.#watcherCount++;
    const isSynced = startRevision === 0 || startRevision > revision;
    const minRevision = isSynced ? Math.max(startRevision, revision + 1) : startRevision;
    const watcher = new Watcher(
      stream,
      interest,
      id,
      selection,
      wantsFragments,
      wantsProgress,
      startRevision,
      minRevision,
    );
    // Until it is synced it counts as slow.
    this.#slowWatcherCount++;
    stream.behindCount++;
    if (isSynced) this.sync(watcher);
    else this.#catchUp.add(watcher);
    return watcher;
  }

  /** A watcher that is in no list has everything up to the head. */
  sync(watcher: Watcher): void {
    watcher.state = WatcherState.SYNCED;
    watcher.interest.synced.add(watcher);
    watcher.stream.behindCount--;
    this.#slowWatcherCount--;
  }

  /** A watcher's stream has room again. */
  resumeWatcher(watcher: Watcher): void {
    this.#catchUp.add(watcher);
  }

  /** A watcher is cancelled. */
  dropWatcher(watcher: Watcher): void {
    if (watcher.state !== WatcherState.COMPACTED) this.#retire(watcher);
    watcher.stream.behindCount--;
    watcher.state = WatcherState.CLOSED;
  }

  /** Compaction passed a watcher that is in no list: its client is told. */
  cancelCompacted(watcher: Watcher): void {
    watcher.stream.control(watcher, 0, { canceled: true, compactRevision: this.#history.compactRevision });
    this.#forget(watcher);
    watcher.state = WatcherState.COMPACTED;
  }

  /** Compaction took the next response of a watcher from its outbox. Returns the message for its client, unless it has one. */
  compactWatcher(watcher: Watcher): Uint8Array | undefined {
    if (watcher.state === WatcherState.COMPACTED) return undefined;
    this.#retire(watcher);
    watcher.state = WatcherState.COMPACTED;
    const { compactRevision } = this.#history;
    return watcher.stream.controlMessage(watcher, 0, { canceled: true, compactRevision });
  }

  /**
   * Queues what a watcher wants of a batch, if anything. False: its stream has no room; nothing was queued. `cache` holds
   * the events of the revision being published.
   */
  deliver(watcher: Watcher, batch: Batch, revision: number, cache: EventCache | undefined): boolean {
    const { selection, stream } = watcher;
    if (watcher.minRevision > batch.lastMain) return true;
    const wanted = batch.from(this.#history, watcher.minRevision);
    if (wanted.eventCount(selection) === 0) return true;
    if (!stream.hasRoom) return false;
    stream.push(
      watcher,
      wanted.size(selection) > WATCH_BLOCK_SIZE_MAX
        ? new LargeResponse(this.#history, watcher, wanted, revision)
        : wanted.block(this.#history, selection, revision, cache),
    );
    return true;
  }

  /** A buffer of at least `size` bytes; the one given before is given up. */
  scratch(size: number): Uint8Array {
    if (size > this.#scratch.length) {
      this.#scratch = new Uint8Array(Math.max(size, this.#scratch.length * 2));
      this.views = [];
    }
    return this.#scratch;
  }

  #deliverAll(interest: Interest, batch: Batch, main: number): void {
    for (let watcher = interest.synced.first, next; watcher !== undefined; watcher = next) {
      next = watcher.next;
      if (this.deliver(watcher, batch, main, this.#cache)) continue;
      this.#unsync(watcher);
      watcher.minRevision = Math.max(watcher.minRevision, main);
      watcher.stream.park(watcher);
    }
  }

  #fallBehind(main: number): void {
    for (const stream of this.#streams) {
      for (const watcher of stream.watchers()) {
        if (watcher.state !== WatcherState.SYNCED) continue;
        this.#unsync(watcher);
        watcher.minRevision = Math.max(watcher.minRevision, main);
        this.#catchUp.add(watcher);
      }
    }
  }

  /** Takes a synced watcher out of its list. */
  #unsync(watcher: Watcher): void {
    watcher.interest.synced.remove(watcher);
    watcher.stream.behindCount++;
    this.#slowWatcherCount++;
  }

  /** Takes a watcher out of whatever list it is in, and out of the index. */
  #retire(watcher: Watcher): void {
    if (watcher.state === WatcherState.SYNCED) this.#unsync(watcher);
    else if (watcher.state === WatcherState.PARKED) watcher.stream.removeParked(watcher);
    else this.#catchUp.remove(watcher);
    this.#forget(watcher);
  }

  /** A watcher in no list gets no more events. */
  #forget(watcher: Watcher): void {
    if ((watcher.selection & SELECT_PREVIOUS) !== 0) watcher.interest.previousCount--;
    this.#index.release(watcher.interest);
    this.#watcherCount--;
    this.#slowWatcherCount--;
  }
}
