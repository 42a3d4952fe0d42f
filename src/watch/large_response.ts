import { type Batch, isSelected, selectedSize, writeSelected } from "./batch.ts";
import type { History } from "./history.ts";
import { FRAGMENT_MARK_SIZE, watchIdSize, writeFragmentMark, writeWatchId } from "./response.ts";
import { SELECT_PREVIOUS, type Watcher } from "./watcher.ts";

/** A message that is produced while it is sent, so that it is never whole in memory. */
export interface WatchBody {
  /** Exact size of the message in bytes. */
  readonly size: number;
  /** Writes the next bytes at the start of `target`; 0 only at the end. Throws CompactedError when they are gone. */
  read(target: Uint8Array): number;
  close(): void;
}

/** Compaction took away what was left to send of a message whose size had been announced: the stream cannot go on. */
export class CompactedError extends Error {
  constructor() {
    super("the revisions of a response were compacted while it was being sent");
    this.name = "CompactedError";
  }
}

/**
 * A response too large to be encoded at once: the rows are remembered, and encoded when the client takes them. Nothing
 * is pinned for it. A compaction that passes it ends the watcher as one that passes a slow watcher does.
 */
export class LargeResponse {
  readonly watcher: Watcher;
  /** The header's revision. */
  readonly revision: number;
  /** Size of the encoded events when it was queued. */
  readonly size: number;
  readonly eventCount: number;
  readonly #history: History;
  #batch: Batch;
  #compactRevision: number;
  #isStarted = false;
  // The next row to send.
  #position = 0;

  constructor(history: History, watcher: Watcher, batch: Batch, revision: number) {
    this.watcher = watcher;
    this.revision = revision;
    this.size = batch.size(watcher.selection);
    this.eventCount = batch.eventCount(watcher.selection);
    this.#history = history;
    this.#batch = batch;
    this.#compactRevision = history.compactRevision;
    this.#skipFiltered();
  }

  /**
   * Whether everything it is made of is still there. A compaction at its first revision takes only what those keys were
   * before: if nothing was sent yet, it goes on without.
   */
  checkIntact(): boolean {
    const { compactRevision } = this.#history;
    const { firstMain } = this.#batch;
    if (compactRevision === this.#compactRevision || compactRevision < firstMain) return true;
    if (compactRevision > firstMain) return false;
    if ((this.watcher.selection & SELECT_PREVIOUS) === 0) return true;
    if (this.#isStarted) return false;
    this.#batch = this.#batch.compacted(this.#history, compactRevision);
    this.#compactRevision = compactRevision;
    return true;
  }

  get isDone(): boolean {
    return this.#position === this.#batch.rows.length;
  }

  /** Whether a client that asked for fragments gets more than one, which must be smaller than `sizeMax`. */
  isFragmented(header: Uint8Array, sizeMax: number): boolean {
    const size = header.length + watchIdSize(this.watcher.id) + this.#batch.size(this.watcher.selection);
    return this.watcher.wantsFragments && size >= sizeMax && this.eventCount > 1;
  }

  /** The next fragment: as many events as fit below `sizeMax`, at least one. The sizes are counted as etcd counts them. */
  nextFragment(header: Uint8Array, sizeMax: number): WatchBody {
    const { rows } = this.#batch;
    const { id, selection } = this.watcher;
    let size = header.length + watchIdSize(id) + FRAGMENT_MARK_SIZE;
    let end = this.#position;
    for (let count = 0; end < rows.length; end++) {
      if (!isSelected(this.#history, rows[end], selection)) continue;
      const grown = size + selectedSize(this.#history, rows[end], selection);
      if (count > 0 && grown >= sizeMax) break;
      size = grown;
      count++;
    }
    const isLast = end === rows.length;
    return this.#bodyUntil(end, header, !isLast, isLast ? size - FRAGMENT_MARK_SIZE : size);
  }

  /** The whole response as one message. */
  body(header: Uint8Array): WatchBody {
    const size = header.length + watchIdSize(this.watcher.id) + this.#batch.size(this.watcher.selection);
    return this.#bodyUntil(this.#batch.rows.length, header, false, size);
  }

  /**
   * A message of the rows from here to `end`, which are then given away: the next message may be asked for while this one
   * is still read.
   */
  #bodyUntil(end: number, header: Uint8Array, isFragment: boolean, size: number): WatchBody {
    this.#isStarted = true;
    const { rows } = this.#batch;
    const { id, selection } = this.watcher;
    const history = this.#history;
    let position = this.#position;
    this.#position = end;
    this.#skipFiltered();
    // Bytes encoded and not yet read.
    let piece = new Uint8Array(header.length + watchIdSize(id) + (isFragment ? FRAGMENT_MARK_SIZE : 0));
    piece.set(header);
    const headEnd = writeWatchId(id, piece, header.length);
    if (isFragment) writeFragmentMark(piece, headEnd);
    return {
      size,
      read: (target) => {
        let at = 0;
        while (at < target.length) {
          if (piece.length > 0) {
            const taken = piece.subarray(0, target.length - at);
            target.set(taken, at);
            at += taken.length;
            piece = piece.subarray(taken.length);
          } else if (position === end) break;
          else if (!this.checkIntact()) throw new CompactedError();
          else {
            const row = rows[position];
            const eventSize = selectedSize(history, row, selection);
            if (eventSize <= target.length - at) at = writeSelected(history, row, selection, target, at);
            else if (at > 0) break;
            else writeSelected(history, row, selection, piece = new Uint8Array(eventSize), 0);
            do position++; while (position < end && !isSelected(history, rows[position], selection));
          }
        }
        return at;
      },
      close: () => {
        piece = new Uint8Array(0);
        position = end;
      },
    };
  }

  #skipFiltered(): void {
    const { rows } = this.#batch;
    while (this.#position < rows.length && !isSelected(this.#history, rows[this.#position], this.watcher.selection)) {
      this.#position++;
    }
  }
}
