import { compareBytes } from "../base/bytes.ts";
import { RingBuffer } from "../base/ring_buffer.ts";
import { WATCH_OUTBOX_SIZE_MAX, WATCH_VIEWS_MAX } from "../base/limits.ts";
import { Block } from "./batch.ts";
import type { WatchHub } from "./hub.ts";
import { LargeResponse, type WatchBody } from "./large_response.ts";
import {
  type ControlFields,
  controlResponse,
  type HeaderWriter,
  NO_WATCH_ID,
  watchIdSize,
  writeWatchId,
} from "./response.ts";
import {
  SELECT_NO_DELETES,
  SELECT_NO_PUTS,
  SELECT_PREVIOUS,
  type Watcher,
  WatcherList,
  WatcherState,
} from "./watcher.ts";

/** The fields of a WatchCreateRequest. */
export interface WatchCreateRequest {
  /** Empty: one zero byte. */
  readonly key: Uint8Array;
  /** Empty: the single key. One zero byte: every key from `key` on. */
  readonly rangeEnd: Uint8Array;
  /** Clamped to the safe integers. 0: from now on. */
  readonly startRevision: number;
  readonly progressNotify: boolean;
  /** Filters. */
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly prevKv: boolean;
  /** 0: the stream chooses. */
  readonly watchId: bigint;
  readonly fragment: boolean;
}

/** Whoever takes the messages of a stream and hands them to a transport. */
export interface WatchOwner {
  /** Responses have been queued: take them with `next` while the transport accepts more. Must not throw. */
  drain(): void;
}

export interface WatchStreamOptions {
  readonly owner: WatchOwner;
  readonly header: HeaderWriter;
  /** A watcher that asked for fragments gets no larger message: max-request-bytes and 512 KiB. */
  readonly responseSizeMax: number;
  /** Between automatic progress notifications, the stream's own jitter (up to a tenth) included. */
  readonly progressIntervalMs: number;
  /** Monotonic milliseconds. */
  readonly now: number;
}

/** In `#queue` beside Block and LargeResponse: a message as it is. */
type Item = Block | LargeResponse | Uint8Array;

/** What an item counts for beside its events. */
const ITEM_OVERHEAD = 64;

const EMPTY_RANGE = "mvcc: watcher range is empty";
const DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream";
const COMPACTED = "etcdserver: mvcc: required revision has been compacted";

/**
 * One client's stream of watchers. Responses wait in its outbox, in order, until `next` takes them; while the outbox is
 * full its watchers fall behind and catch up later from the history.
 */
export class WatchStream {
  readonly owner: WatchOwner;
  readonly #hub: WatchHub;
  readonly #options: WatchStreamOptions;
  readonly #watchers = new Map<number | bigint, Watcher>();
  #nextId = 0;
  #isClosed = false;

  // The outbox: items, and beside each the watcher that it is for.
  readonly #queue = new RingBuffer<Item>();
  readonly #recipients = new RingBuffer<Watcher | undefined>();
  #queuedSize = 0;
  /** Watchers that found the outbox full. */
  readonly #parked = new WatcherList();

  /** Watchers that are not synced. */
  behindCount = 0;
  /** In the hub's list of streams that have something to send. */
  isReady = false;
  progressCount = 0;
  progressDueMs: number;

  /** Streams are opened by the hub. */
  constructor(hub: WatchHub, options: WatchStreamOptions) {
    this.owner = options.owner;
    this.#hub = hub;
    this.#options = options;
    this.progressDueMs = options.now + options.progressIntervalMs;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Bytes waiting in the outbox, nearly. */
  get queuedSize(): number {
    return this.#queuedSize;
  }

  /** The outbox is over its bound. The owner reads no further requests while it is, as those are always answered. */
  get isFull(): boolean {
    return this.#queuedSize >= WATCH_OUTBOX_SIZE_MAX;
  }

  // --- requests

  /**
   * Creates a watcher and answers with its id, or with the reason why not. `denied` is the reason of an authorization
   * that failed; it is looked at where etcd does.
   */
  create(request: WatchCreateRequest, denied?: string): void {
    if (this.#isClosed) return;
    const { startRevision } = request;
    if (startRevision < 0) return this.#reject(COMPACTED);
    if (denied !== undefined) return this.#reject(denied);
    const key = request.key.length === 0 ? Uint8Array.of(0) : request.key;
    const { rangeEnd } = request;
    const isFromKey = rangeEnd.length === 1 && rangeEnd[0] === 0;
    if (rangeEnd.length > 0 && !isFromKey && compareBytes(key, rangeEnd) >= 0) return this.#reject(EMPTY_RANGE);
    const id = request.watchId === 0n ? this.#chooseId() : watcherId(request.watchId);
    if (this.#watchers.has(id)) return this.#reject(DUPLICATE_ID);

    // Before it is added: it may find at once that it was compacted.
    this.#control(id, this.#hub.revision, { created: true });
    const watcher = this.#hub.addWatcher(
      this,
      key,
      rangeEnd.length === 0 ? "key" : isFromKey ? "from_key" : rangeEnd,
      id,
      (request.prevKv ? SELECT_PREVIOUS : 0) + (request.noPut ? SELECT_NO_PUTS : 0) +
        (request.noDelete ? SELECT_NO_DELETES : 0),
      request.fragment,
      request.progressNotify,
      startRevision,
    );
    this.#watchers.set(id, watcher);
    if (request.progressNotify) this.progressCount++;
  }

  /** Cancels a watcher. Of one that is not there, or no longer, nothing is said. */
  cancel(watchId: bigint): void {
    const id = watcherId(watchId);
    const watcher = this.#watchers.get(id);
    if (watcher === undefined) return;
    this.#watchers.delete(id);
    if (watcher.wantsProgress) this.progressCount--;
    this.#hub.dropWatcher(watcher);
    this.#control(id, this.#hub.revision, { canceled: true });
  }

  /** Answers how far the watchers have come, with watch id -1, if all of them are synced. Otherwise nothing is said. */
  requestProgress(): void {
    if (this.#watchers.size === 0 || this.behindCount > 0 || this.isFull) return;
    const revision = this.#hub.publishedRevision;
    for (const watcher of this.#watchers.values()) if (revision < watcher.startRevision) return;
    this.#control(NO_WATCH_ID, revision, {});
  }

  /** The client is gone: nothing more is queued or given. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const watcher of this.#watchers.values()) this.#hub.dropWatcher(watcher);
    this.#watchers.clear();
    this.progressCount = 0;
    this.#queue.clear();
    this.#recipients.clear();
    this.#hub.queuedSize -= this.#queuedSize;
    this.#queuedSize = 0;
    this.#hub.removeStream(this);
  }

  // --- the outbox

  /**
   * Takes the oldest response: a message, valid until the next call on any stream, or the body of a large one; undefined
   * when there is none. To be called while the transport accepts more. Watchers that found the outbox full go on once
   * half of it was taken; `hub.hasWork` says that a step is to be made for them.
   */
  next(): Uint8Array | WatchBody | undefined {
    for (;;) {
      const item = this.#queue.peek();
      if (item === undefined) return undefined;
      const recipient = this.#recipients.peek();
      const message = recipient !== undefined && recipient.isAborted ? this.#take() : this.#give(item, recipient);
      if (message !== undefined) return message;
    }
  }

  #give(item: Item, recipient: Watcher | undefined): Uint8Array | WatchBody | undefined {
    if (item instanceof Block) {
      this.#take();
      this.#hub.sentEventCount += item.eventCount;
      return this.#assemble(item, recipient!);
    }
    if (item instanceof LargeResponse) return this.#giveLarge(item);
    this.#take();
    return item;
  }

  #giveLarge(large: LargeResponse): Uint8Array | WatchBody | undefined {
    if (!large.checkIntact()) {
      this.#take();
      const { watcher } = large;
      // What follows in the outbox would leave a gap.
      watcher.isAborted = true;
      return watcher.state === WatcherState.CLOSED ? undefined : this.#hub.compactWatcher(watcher);
    }
    const header = this.#options.header(large.revision);
    const { responseSizeMax } = this.#options;
    if (!large.isFragmented(header, responseSizeMax)) {
      this.#take();
      this.#hub.sentEventCount += large.eventCount;
      return large.body(header);
    }
    const fragment = large.nextFragment(header, responseSizeMax);
    if (large.isDone) {
      this.#take();
      this.#hub.sentEventCount += large.eventCount;
    }
    return fragment;
  }

  #take(): undefined {
    this.#recipients.shift();
    const size = itemSize(this.#queue.shift()!);
    this.#queuedSize -= size;
    this.#hub.queuedSize -= size;
    if (!this.#parked.isEmpty && this.#queuedSize <= WATCH_OUTBOX_SIZE_MAX / 2) this.#unpark();
  }

  /** The one copy of an event's bytes for each watcher: straight into the buffer that the transport reads. */
  #assemble(block: Block, watcher: Watcher): Uint8Array {
    const header = this.#options.header(block.revision);
    const size = header.length + watchIdSize(watcher.id) + block.events.length;
    const scratch = this.#hub.scratch(size);
    scratch.set(header);
    scratch.set(block.events, writeWatchId(watcher.id, scratch, header.length));
    if (size >= WATCH_VIEWS_MAX) return scratch.subarray(0, size);
    return this.#hub.views[size] ??= scratch.subarray(0, size);
  }

  // --- the hub's

  /** Whether a response may be queued. While watchers wait, no other of this stream overtakes them. */
  get hasRoom(): boolean {
    if (this.#queuedSize >= WATCH_OUTBOX_SIZE_MAX || !this.#parked.isEmpty) return false;
    // Over the common bound a stream that keeps up goes on, one response at a time.
    return this.#queuedSize === 0 || !this.#hub.isOverfull;
  }

  push(watcher: Watcher, item: Block | LargeResponse): void {
    watcher.isProgressDue = false;
    this.#enqueue(item, watcher);
  }

  /** A watcher, in no list now, found the outbox full. Something is in it, so the watcher will be called again. */
  park(watcher: Watcher): void {
    watcher.state = WatcherState.PARKED;
    this.#parked.add(watcher);
  }

  removeParked(watcher: Watcher): void {
    this.#parked.remove(watcher);
  }

  /** Queues a response without events for a watcher. */
  control(watcher: Watcher, revision: number, fields: ControlFields): void {
    this.#control(watcher.id, revision, fields);
  }

  controlMessage(watcher: Watcher, revision: number, fields: ControlFields): Uint8Array {
    return controlResponse(this.#options.header(revision), watcher.id, fields);
  }

  /** The progress interval has passed: synced watchers that had nothing to report since the last time do so. */
  notifyProgress(now: number): void {
    const { progressIntervalMs } = this.#options;
    this.progressDueMs += progressIntervalMs;
    if (this.progressDueMs <= now) this.progressDueMs = now + progressIntervalMs;
    if (this.progressCount === 0) return;
    const revision = this.#hub.publishedRevision;
    for (const watcher of this.#watchers.values()) {
      if (!watcher.wantsProgress) continue;
      const isSynced = watcher.state === WatcherState.SYNCED && revision >= watcher.startRevision;
      if (watcher.isProgressDue && isSynced && this.hasRoom) {
        this.#enqueue(this.controlMessage(watcher, revision, {}), watcher);
      }
      watcher.isProgressDue = true;
    }
  }

  watchers(): IterableIterator<Watcher> {
    return this.#watchers.values();
  }

  #unpark(): void {
    for (let watcher = this.#parked.first; watcher !== undefined; watcher = this.#parked.first) {
      this.#parked.remove(watcher);
      this.#hub.resumeWatcher(watcher);
    }
  }

  #reject(reason: string): void {
    this.#control(NO_WATCH_ID, this.#hub.revision, { created: true, canceled: true, cancelReason: reason });
  }

  #chooseId(): number {
    while (this.#watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  #control(id: number | bigint, revision: number, fields: ControlFields): void {
    this.#enqueue(controlResponse(this.#options.header(revision), id, fields), undefined);
  }

  #enqueue(item: Item, recipient: Watcher | undefined): void {
    if (this.#isClosed) return;
    this.#queue.push(item);
    this.#recipients.push(recipient);
    const size = itemSize(item);
    this.#queuedSize += size;
    this.#hub.queuedSize += size;
    if (!this.isReady) this.#hub.addReady(this);
  }
}

/** Watch ids in the form in which they are map keys. */
function watcherId(id: bigint): number | bigint {
  return id >= 0n && id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : id;
}

function itemSize(item: Item): number {
  if (item instanceof Block) return item.events.length + ITEM_OVERHEAD;
  return (item instanceof LargeResponse ? item.size : item.length) + ITEM_OVERHEAD;
}
