import { IntervalTree } from "../base/interval_tree.ts";
import { KeySet } from "../base/key_set.ts";
import type { Batch } from "./batch.ts";
import { WatcherList } from "./watcher.ts";

/** What is watched: a key or a range, once, however many watchers it has and wherever they stand. */
export class Interest {
  /** The watchers that are served as revisions are published. */
  readonly synced = new WatcherList();
  /** The watchers that the running sweep serves. */
  readonly swept = new WatcherList();
  /** Watchers of this interest in any state that still gets events. */
  watcherCount = 0;
  /** How many of them want prev_kv. */
  previousCount = 0;
  /** Events found for it, not yet given to its watchers: of the publication or the sweep that is at work. */
  published: Batch | undefined = undefined;
  gathered: Batch | undefined = undefined;
  /** Place among the interests of the sweep, -1 when it has no swept watcher. */
  sweepPosition = -1;
  /** No swept watcher wants events below this revision. */
  sweepMinRevision = 0;
  /** Of a single key: its entry in the index. */
  entry = -1;
  /** Of a range: its bounds. No end: to the end of all keys. */
  readonly start: Uint8Array | undefined;
  readonly end: Uint8Array | undefined;

  constructor(start: Uint8Array | undefined, end: Uint8Array | undefined) {
    this.start = start;
    this.end = end;
  }
}

/** All interests, found by key. */
export class InterestIndex {
  readonly #keys: KeySet;
  readonly #ofKeys: (Interest | undefined)[] = [];
  readonly #ranges = new IntervalTree<Interest>();

  constructor(hashSeed: number) {
    this.#keys = new KeySet(hashSeed);
  }

  get size(): number {
    return this.#keys.size + this.#ranges.size;
  }

  /** The interest in one key, for one more watcher. */
  takeKey(key: Uint8Array): Interest {
    const entry = this.#keys.insert(key, 0, key.length);
    let interest = this.#ofKeys[entry];
    if (interest === undefined) {
      interest = new Interest(undefined, undefined);
      interest.entry = entry;
      this.#ofKeys[entry] = interest;
    }
    interest.watcherCount++;
    return interest;
  }

  /** The interest in [start, end), for one more watcher. No end: to the end of all keys. The bounds are copied. */
  takeRange(start: Uint8Array, end: Uint8Array | undefined): Interest {
    let interest = this.#ranges.get(start, end);
    if (interest === undefined) {
      interest = new Interest(start.slice(), end?.slice());
      this.#ranges.set(interest.start!, interest.end, interest);
    }
    interest.watcherCount++;
    return interest;
  }

  /** One watcher less. The last one takes the interest with it. */
  release(interest: Interest): void {
    interest.watcherCount--;
    if (interest.watcherCount > 0) return;
    if (interest.entry < 0) {
      this.#ranges.delete(interest.start!, interest.end);
      return;
    }
    this.#keys.remove(interest.entry);
    this.#ofKeys[interest.entry] = undefined;
    if (this.#keys.size === 0) this.#ofKeys.length = 0;
  }

  /** Appends the interests that hold the key `bytes[start, end)` to `into`. */
  find(bytes: Uint8Array, start: number, end: number, into: Interest[]): void {
    const entry = this.#keys.find(bytes, start, end);
    if (entry >= 0) into.push(this.#ofKeys[entry]!);
    this.#ranges.stab(bytes, start, end, into);
  }
}
