/**
 * Checkpoints: the state at one applied index, written to the database in the background, so that a restart replays little
 * and the log can be released. The order, and the crash that each step is for:
 *
 *   1. the state is captured between two entries; the store is pinned at its lowest, so that no row vanishes
 *   2. the database is durable: it may be ahead of the log's snapshots, never behind one
 *   3. the snapshot file is durable, and with its name that of the database: after a mere kill, a database that was
 *      written anew may have been found under a name that is not durable yet
 *   4. the log holds a commit index that covers the snapshot, and behind it the snapshot's record, both durable: only a
 *      record that is committed counts
 *   5. segments before it are released, and purged beyond what the operator keeps
 *
 * One is made at a time. A failure of the disk is told and tried again later, while the member goes on serving; what
 * is on the disk until then is enough for a restart. (A failure of the log ends the member, as always.)
 */

import { CHECKPOINT_LOG_SIZE, CHECKPOINT_RETRY_MS, CHECKPOINT_RETRY_MS_MAX, JOB_STEP_BUDGET } from "../base/limits.ts";
import { formatDuration } from "../base/duration.ts";
import { assert } from "../base/assert.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import { idText, type Membership } from "../membership/mod.ts";
import type { Pin } from "../mvcc/mod.ts";
import type { ConfState } from "../raft/mod.ts";
import { PAGE_SIZE } from "../storage/bolt/mod.ts";
import { type DatabaseView, WriteGivenUp, type WritePace, type Written } from "../storage/database.ts";
import type { DataDirectory } from "../storage/data_directory.ts";
import { purgeSegments, type Wal, type WalSnapshot } from "../storage/wal/mod.ts";
import { type CapturedState, captureState, KeyBucket, otherBuckets } from "./buckets.ts";
import { type FileSizes, freshSize, isCheckpointDue, isRewriteDue } from "./checkpoint_policy.ts";
import type { PositionedSnapshot } from "./database_snapshot.ts";
import { LeaseRows } from "./lease_rows.ts";
import type { AppliedEntry } from "./loop.ts";
import type { MemberOptions } from "./options.ts";
import { encodeV2Store } from "./v2_store.ts";

/** What the database file holds, and what the log knows of it. */
export interface CheckpointState {
  /** The last entry in the file, with what raft knows of it, and the newest revision. */
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly v2Store: Uint8Array;
  readonly revision: number;
  readonly storageVersion: string;
  /** As the file says: where its revisions have been compacted when it was last written anew. */
  readonly finishedCompactRevision: number;
  /** Bytes of the revisions in it. */
  readonly storedSize: number;
  /** The newest snapshot that the log has a record of. */
  readonly recordedIndex: number;
}

export interface CheckpointerParts {
  readonly options: MemberOptions;
  readonly memberId: bigint;
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  /** The last entry that the state holds: to be trusted while no entry is half applied. */
  readonly applied: () => AppliedEntry;
  readonly confState: () => ConfState;
  readonly wal: Wal;
  readonly directory: DataDirectory;
  readonly state: CheckpointState;
  /** Runs a callback when no entry is half applied. */
  readonly whenApplied: (callback: () => void) => void;
  /** What waits for pins may go on. */
  readonly onReleased: () => void;
  /** Has the log record a snapshot between two appends; durable once it resolves. */
  readonly recordSnapshot: (snapshot: WalSnapshot) => Promise<void>;
}

interface Capture {
  readonly state: CapturedState;
  /** The membership as etcd up to 3.6 reads it. */
  readonly v2Store: Uint8Array;
  readonly pin: Pin;
  /** Bytes written to the log when it was taken. */
  readonly logSize: number;
}

/** Bytes of a lease in the database, about. */
const LEASE_SIZE = 48;

export class Checkpointer {
  readonly #parts: CheckpointerParts;
  #state: CheckpointState;
  #running: Promise<void> | undefined;
  #isStopped = false;
  /** Gives up a capture that waits for the end of an entry. */
  #dropCapture: (reason: WriteGivenUp) => void = () => {};
  /** Another state takes the place of this one; who waits for the end of that. */
  #waitingForState: (() => void)[] | undefined;
  // Since when, and from where in the log, growth is counted.
  #sinceMs: number;
  #sinceLogSize = 0;
  #retryAtMs = 0;
  #failureCount = 0;

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
    this.#state = parts.state;
    this.#sinceMs = parts.options.clock.monotonicMs();
  }

  /** Bytes of the database file. */
  get databaseSize(): number {
    return this.#parts.directory.database.size;
  }

  /** Bytes of it that would be left if it were written anew, about. */
  get databaseSizeInUse(): number {
    const size = freshSize(this.#fileSizes(), this.#parts.keyspace.store.storedSize);
    return Math.min(this.databaseSize, Math.ceil(size / PAGE_SIZE) * PAGE_SIZE);
  }

  /** To be called often: begins a checkpoint where one is due. `nowMs` is on the monotonic clock. */
  consider(nowMs: number): void {
    const { options, applied, wal, keyspace } = this.#parts;
    if (this.#isBusy || this.#isStopped) return;
    const growth = {
      entryCount: applied().index - this.#state.recordedIndex,
      logSize: wal.writtenSize - this.#sinceLogSize,
      ageMs: nowMs - this.#sinceMs,
    };
    const isDue = isCheckpointDue(growth, {
      snapshotCount: options.snapshotCount,
      logSize: options.checkpointLogSize ?? CHECKPOINT_LOG_SIZE,
      wholeSize: keyspace.lessor.leaseCount * LEASE_SIZE,
    });
    // Its failure has been told, and it is tried again.
    if (isDue && nowMs >= this.#retryAtMs) this.#start(false).catch(() => {});
  }

  /** See MemberDatabase. */
  async openSnapshot(): Promise<PositionedSnapshot> {
    const { applied, directory } = this.#parts;
    const { index } = applied();
    while (this.#isBusy) await this.#rest();
    this.#checkGoesOn();
    if (this.#state.index < index || directory.database.state === undefined) await this.#start(false);
    return new OpenedSnapshot(directory.database.openView(), this.#state);
  }

  /** See MemberDatabase. */
  async defragment(): Promise<void> {
    const { options, directory } = this.#parts;
    const { path } = directory.database;
    options.log.info("defragmenting", { path, "current-db-size-bytes": directory.database.size });
    while (this.#isBusy) await this.#rest();
    this.#checkGoesOn();
    await this.#start(true);
    options.log.info("finished defragmenting directory", {
      path,
      "current-db-size-bytes-after": directory.database.size,
    });
  }

  /** Removes released segments and old snapshot files beyond what is to be kept. */
  async purge(): Promise<void> {
    const { options, directory, wal } = this.#parts;
    try {
      await directory.snapshots.purge(options.snapshotsMax, this.#state.recordedIndex);
      await purgeSegments(options.disk, {
        directory: directory.walPath,
        countMax: options.walsMax,
        firstNeeded: wal.firstSequence,
        log: options.log,
      });
    } catch (error) {
      options.log.warn("cannot purge old files; they are tried again later", { "error": (error as Error).message });
    }
  }

  /** Another state is about to take the place of this one: gives up the checkpoint that is being written. */
  async giveWay(): Promise<void> {
    this.#waitingForState = [];
    await this.#running?.catch(() => {});
  }

  /** The database holds this state now. */
  takeState(state: CheckpointState): void {
    this.#state = state;
    this.#sinceMs = this.#parts.options.clock.monotonicMs();
    this.#sinceLogSize = this.#parts.wal.writtenSize;
    this.#retryAtMs = this.#failureCount = 0;
    this.#letGoOn();
  }

  /** Gives up the checkpoint that is being written, if any; resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    // An entry that is half applied when the member fails stays so.
    this.#dropCapture(stopped());
    this.#letGoOn();
    await this.#running?.catch(() => {});
  }

  #letGoOn(): void {
    const waiting = this.#waitingForState ?? [];
    this.#waitingForState = undefined;
    for (const callback of waiting) callback();
  }

  get #isBusy(): boolean {
    return this.#running !== undefined || this.#waitingForState !== undefined;
  }

  /** Resolves when what makes it busy is over. Others wait too: whoever goes on looks again, and then does not wait. */
  async #rest(): Promise<void> {
    if (this.#running !== undefined) await this.#running.catch(() => {});
    else await new Promise<void>((resolve) => this.#waitingForState!.push(resolve));
  }

  #checkGoesOn(): void {
    if (this.#isStopped) throw stopped();
  }

  #start(isRewrite: boolean): Promise<void> {
    assert(this.#running === undefined, "one checkpoint at a time");
    const running = this.#checkpoint(isRewrite).finally(() => {
      this.#running = undefined;
      this.consider(this.#parts.options.clock.monotonicMs());
    });
    this.#running = running;
    return running;
  }

  async #checkpoint(isRewrite: boolean): Promise<void> {
    const { options } = this.#parts;
    const { log, clock } = options;
    const startMs = clock.monotonicMs();
    try {
      const capture = await this.#capture();
      let written: Written;
      try {
        written = await this.#write(capture, isRewrite);
      } finally {
        capture.pin.release();
        this.#parts.onReleased();
      }
      await this.#record(capture);
      this.#sinceMs = startMs;
      this.#sinceLogSize = capture.logSize;
      this.#failureCount = this.#retryAtMs = 0;
      log.info("saved snapshot to disk", {
        "snapshot-index": capture.state.index,
        "written-bytes": written.size,
        "rewritten": written.isRewrite,
        "took": formatDuration(clock.monotonicMs() - startMs),
      });
    } catch (error) {
      if (!(error instanceof WriteGivenUp)) this.#tellFailure(error as Error);
      throw error;
    }
    await this.purge();
  }

  #capture(): Promise<Capture> {
    const { options, memberId, keyspace, membership, applied, confState, wal } = this.#parts;
    return new Promise((resolve, reject) => {
      this.#dropCapture = reject;
      this.#parts.whenApplied(() => {
        if (this.#isStopped) return reject(stopped());
        if (this.#waitingForState !== undefined) return reject(replaced());
        const { index, term } = applied();
        const state = captureState({ keyspace, membership, confState: confState(), index, term });
        options.log.info("triggering snapshot", {
          "local-member-id": idText(memberId),
          "local-member-applied-index": index,
          "local-member-snapshot-index": this.#state.recordedIndex,
          "local-member-snapshot-count": options.snapshotCount,
        });
        const pin = keyspace.store.pin(Math.max(state.compactRevision, 1));
        resolve({ state, v2Store: encodeV2Store(membership), pin, logSize: wal.writtenSize });
      });
    });
  }

  async #write({ state, pin, v2Store }: Capture, isRewriteAsked: boolean): Promise<Written> {
    const { keyspace, directory } = this.#parts;
    const { database } = directory;
    const { store } = keyspace;
    const pace = this.#pace(pin);
    const leases = new LeaseRows(state.leases);
    while (!leases.prepare(JOB_STEP_BUDGET)) await pace.turn();
    const isRewrite = isRewriteAsked || !database.isAppendable || this.#isCompactedBehind(state) ||
      isRewriteDue(this.#fileSizes(), store.storedSize);
    // Appending leaves in the file what compactions have removed since; whoever loads it carries them out again.
    const finished = isRewrite ? state.compactRevision : this.#state.finishedCompactRevision;
    const keys = new KeyBucket(store, state, isRewrite ? 0 : this.#state.revision);
    const others = otherBuckets(state, leases, finished);
    const written = isRewrite
      ? await database.rewrite([keys, ...others], pace)
      : await database.append(keys, others, pace);
    this.#state = {
      index: state.index,
      term: state.term,
      confState: state.confState,
      v2Store,
      revision: state.revision,
      storageVersion: state.storageVersion,
      finishedCompactRevision: finished,
      storedSize: keys.passedSize + (isRewrite ? 0 : this.#state.storedSize),
      recordedIndex: this.#state.recordedIndex,
    };
    return written;
  }

  /**
   * A compaction has removed rows that the file was never told of, while it still holds earlier ones of the same keys. If
   * one were missing between two others, a deleted key would live again, and etcd, which counts the versions of a key from
   * row to row, would give its next put another version than every other member.
   */
  #isCompactedBehind({ compactRevision }: CapturedState): boolean {
    return compactRevision > this.#state.revision;
  }

  async #record({ state, v2Store }: Capture): Promise<void> {
    const { directory, recordSnapshot } = this.#parts;
    const { index, term, confState } = state;
    await directory.snapshots.save({ index, term, confState, data: v2Store });
    await recordSnapshot({ index, term, confState });
    this.#state = { ...this.#state, recordedIndex: index };
  }

  #pace(pin: Pin): WritePace {
    const { clock } = this.#parts.options;
    return {
      turn: () => new Promise((resolve) => clock.defer(resolve)),
      check: () => {
        if (this.#isStopped) throw stopped();
        if (this.#waitingForState !== undefined) throw replaced();
        if (!pin.isValid) throw new WriteGivenUp("a compaction has passed over the revisions being written");
      },
    };
  }

  #fileSizes(): FileSizes {
    const { size, state } = this.#parts.directory.database;
    const { storedSize } = this.#state;
    const livePages = state?.livePages;
    // The two meta pages are no part of any tree.
    return { size, liveSize: livePages === undefined ? size : (livePages + 2) * state!.pageSize, storedSize };
  }

  #tellFailure(error: Error): void {
    const { log, clock } = this.#parts.options;
    const waitMs = Math.min(CHECKPOINT_RETRY_MS * 2 ** this.#failureCount++, CHECKPOINT_RETRY_MS_MAX);
    this.#retryAtMs = clock.monotonicMs() + waitMs;
    log.error("cannot write a checkpoint; nothing is lost, but the log grows and a restart takes longer", {
      "error": error.message,
      "advice": "make room on the disk of the data directory, or check it",
      "retry-in": formatDuration(waitMs),
    });
  }
}

function stopped(): WriteGivenUp {
  return new WriteGivenUp("the member is being stopped");
}

function replaced(): WriteGivenUp {
  return new WriteGivenUp("a snapshot from the leader takes the place of the state");
}

class OpenedSnapshot implements PositionedSnapshot {
  readonly size: number;
  readonly revision: number;
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly v2Store: Uint8Array;
  readonly storageVersion: string;
  readonly #view: DatabaseView;

  constructor(view: DatabaseView, state: CheckpointState) {
    this.#view = view;
    this.size = view.size;
    this.revision = state.revision;
    this.index = state.index;
    this.term = state.term;
    this.confState = state.confState;
    this.v2Store = state.v2Store;
    this.storageVersion = state.storageVersion;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#view.read(target, position);
  }

  close(): Promise<void> {
    return this.#view.close();
  }
}
