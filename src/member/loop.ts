import type { Applier, Outcome, Steps } from "../apply/mod.ts";
import { LOG_MEMORY_SIZE_MAX, TURN_MS_MAX } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import { type Entry, EntryType, type HardState, type Message, type Raft, type Ready } from "../raft/mod.ts";
import type { Wal, WalSnapshot } from "../storage/wal/mod.ts";
import { decodeRaftRequest, type RaftRequest } from "../wire/mod.ts";
import { Jobs } from "./jobs.ts";
import type { Proposals } from "./proposals.ts";

export interface LoopParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly wal: Wal;
  readonly applier: Applier;
  readonly proposals: Proposals;
  /** The log ended here at the start: what is applied up to it was applied in an earlier life too. */
  readonly replayEndIndex: number;
  /** Applied entries kept in memory. */
  readonly snapshotCatchUpEntries: number;
  /** A membership change was committed. */
  readonly applyConfChange: (entry: Entry) => void;
  /** Rows [firstRow, endRow) are visible now: every watcher gets them queued before their writer hears. */
  readonly publish: (firstRow: number, endRow: number) => void;
  /** Brings slow watchers forward, a step, and hands their streams what is to be sent; true while some are behind. */
  readonly serveWatchers: () => boolean;
  /** A compaction was scheduled: its deletions are to be carried out in the background. */
  readonly startCompaction: (job: CompactionJob) => void;
  /** This member became leader and its own term's first entry is applied. */
  readonly onLeading: () => void;
  /** An operation was applied, from its first step to its last, in so many milliseconds. */
  readonly onApplied: (operation: number, body: Uint8Array, outcome: Outcome, durationMs: number) => void;
  /** An entry was answered that there is no space; calls back when its client may hear of it. */
  readonly onNoSpace: (done: () => void) => void;
  /** Once a turn, when entries may have been applied; with the turn's beginning on the monotonic clock. */
  readonly onProgress: (nowMs: number) => void;
  readonly onFatal: (reason: Error) => void;
}

/** What the next append carries; several Readys may have been merged into it. */
interface Append {
  entries: Entry[];
  hardState: HardState | undefined;
  mustSync: boolean;
  responses: Message[];
}

/** A snapshot that waits for its record in the log. */
interface PendingRecord {
  readonly snapshot: WalSnapshot;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** An entry that is applied step by step. */
interface Running {
  readonly entry: Entry;
  readonly request: RaftRequest;
  readonly startMs: number;
  readonly steps: Steps<Outcome>;
}

/**
 * The member's loop. A turn is a straight list: take proposals, take what raft hands out, start an append, apply, publish
 * and settle, work on jobs. While one append is being made durable everything that arrives goes into the next.
 */
export class Loop {
  readonly jobs = new Jobs();
  readonly #parts: LoopParts;
  #isScheduled = false;
  #isStopped = false;
  #hasFailed = false;

  #next: Append = newAppend();
  #isAppending = false;
  #record: PendingRecord | undefined;

  #committed: Entry[] = [];
  #committedNext = 0;
  #running: Running | undefined;

  /** Readers of state that has no revisions, waiting for the entry that is half applied. */
  #whenApplied: (() => void)[] = [];

  #turnStartMs = 0;
  #turnLongestMs = 0;
  #idle: (() => void) | undefined;

  constructor(parts: LoopParts) {
    this.#parts = parts;
  }

  /** An entry is half applied: the head must not be read, the revisions below it may. */
  get isApplying(): boolean {
    return this.#running !== undefined;
  }

  /** No more turns are taken: it was stopped, or has failed. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** The longest turn so far, in milliseconds. */
  get turnLongestMs(): number {
    return this.#turnLongestMs;
  }

  /** Asks for a turn, after the input that is there has been read. */
  wake(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    this.#parts.clock.defer(this.#scheduledTurn);
  }

  /** Runs `callback` when no entry is half applied: at once, or right after that entry. */
  whenApplied(callback: () => void): void {
    if (this.#running === undefined) callback();
    else this.#whenApplied.push(callback);
  }

  /**
   * Records in the log that the state at an applied index is durable elsewhere, between two appends, and releases the
   * segments that nobody needs any more. One at a time. Rejects if the log fails, which ends the loop too.
   */
  recordSnapshot(snapshot: WalSnapshot): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) return reject(new Error("the member is being stopped"));
      this.#record = { snapshot, resolve, reject };
      this.wake();
    });
  }

  /** One unit of raft's time. */
  tick(): void {
    this.#parts.raft.tick();
    this.jobs.retryWaiting();
    this.wake();
  }

  /** Stops taking turns once the append in flight has finished. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#dropRecord(new Error("the member is being stopped"));
    if (!this.#isAppending) return Promise.resolve();
    return new Promise((resolve) => this.#idle = resolve);
  }

  readonly #scheduledTurn = (): void => {
    this.#isScheduled = false;
    this.#turn();
  };

  #turn(): void {
    if (this.#isStopped) return;
    const { clock, raft, proposals } = this.#parts;
    this.#turnStartMs = clock.monotonicMs();
    try {
      proposals.drain((data) => raft.propose(data));
      this.#takeReady();
      // The disk works on the next append while the entries of the last one are applied.
      this.#startAppend();
      this.#apply();
      const isBehind = this.#parts.serveWatchers();
      // At least a step, however long an entry takes: who reads below it does not wait for it.
      this.jobs.run(this.#isTimeUp);
      if (isBehind || this.jobs.hasWork || this.#hasCommitted || this.#running !== undefined || raft.hasReady) {
        this.wake();
      }
    } catch (error) {
      this.#fail(error as Error);
    }
    const turnMs = clock.monotonicMs() - this.#turnStartMs;
    if (turnMs > this.#turnLongestMs) this.#turnLongestMs = turnMs;
  }

  readonly #isTimeUp = (): boolean => this.#parts.clock.monotonicMs() - this.#turnStartMs > TURN_MS_MAX;

  /** Entries leave half of a turn to the jobs, if there are any. */
  #isApplyTimeUp(): boolean {
    const shareMs = this.jobs.hasWork ? TURN_MS_MAX / 2 : TURN_MS_MAX;
    return this.#parts.clock.monotonicMs() - this.#turnStartMs > shareMs;
  }

  get #hasCommitted(): boolean {
    return this.#committedNext < this.#committed.length;
  }

  #takeReady(): void {
    const { raft } = this.#parts;
    while (raft.hasReady) {
      const ready = raft.ready();
      this.#mergeAppend(ready);
      if (ready.committedEntries.length > 0) this.#takeCommitted(ready.committedEntries);
    }
  }

  #mergeAppend(ready: Ready): void {
    const next = this.#next;
    for (const entry of ready.entries) next.entries.push(entry);
    for (const message of ready.appendResponses) next.responses.push(message);
    if (ready.hardState !== undefined) next.hardState = ready.hardState;
    if (ready.mustSync) next.mustSync = true;
  }

  #takeCommitted(entries: readonly Entry[]): void {
    if (!this.#hasCommitted) {
      this.#committed = entries as Entry[];
      this.#committedNext = 0;
    } else {
      for (const entry of entries) this.#committed.push(entry);
    }
  }

  #startAppend(): void {
    if (this.#isAppending) return;
    if (this.#record !== undefined) return this.#saveRecord(this.#record);
    const append = this.#next;
    // A commit index alone is a hint and not worth a write: it goes with the next append.
    if (!append.mustSync && append.responses.length === 0) return;
    this.#next = newAppend();
    this.#isAppending = true;
    this.#parts.wal.append(append.hardState, append.entries, append.mustSync).then(
      () => this.#onAppended(append),
      (error) => this.#onAppendFailed(error as Error),
    );
  }

  /** A snapshot counts for a reader of the log once it is committed there, so the commit index goes before it. */
  #saveRecord(record: PendingRecord): void {
    const { raft, wal } = this.#parts;
    this.#record = undefined;
    this.#isAppending = true;
    // No append is in flight, so that everything in the log is durable.
    const hardState = { ...raft.hardState, commit: Math.min(raft.commitIndex, wal.lastIndex) };
    const save = async (): Promise<void> => {
      await wal.append(hardState, [], false);
      await wal.saveSnapshot(record.snapshot);
      await wal.releaseTo(record.snapshot.index);
    };
    save().then(
      () => {
        this.#isAppending = false;
        this.#idle?.();
        record.resolve();
        this.#turn();
      },
      (error) => {
        record.reject(error as Error);
        this.#onAppendFailed(error as Error);
      },
    );
  }

  #dropRecord(reason: Error): void {
    this.#record?.reject(reason);
    this.#record = undefined;
  }

  #onAppended(append: Append): void {
    this.#isAppending = false;
    this.#idle?.();
    if (this.#isStopped) return;
    try {
      for (const message of append.responses) this.#parts.raft.step(message);
    } catch (error) {
      return this.#fail(error as Error);
    }
    this.#turn();
  }

  #onAppendFailed(error: Error): void {
    this.#isAppending = false;
    this.#idle?.();
    this.#fail(error);
  }

  #apply(): void {
    for (let count = 1;; count++) {
      if (this.#running !== undefined) {
        // However short its last step was: one entry of steps may be as much work as hundreds of others.
        if (!this.#continueRunning() || this.#isApplyTimeUp()) break;
      } else {
        if (!this.#hasCommitted) break;
        this.#applyEntry(this.#committed[this.#committedNext++]);
      }
      // Reading the clock costs as much as a small entry does.
      if (count % ENTRIES_PER_CLOCK_READING === 0 && this.#isApplyTimeUp()) break;
    }
    this.#compactLog();
    this.#parts.onProgress(this.#turnStartMs);
  }

  /** False: the entry needs another turn. */
  #continueRunning(): boolean {
    const { entry, request, startMs, steps } = this.#running!;
    for (let step = steps.next();; step = steps.next()) {
      if (step.done === true) {
        this.#running = undefined;
        this.#finish(entry, request, startMs, step.value);
        const callbacks = this.#whenApplied;
        this.#whenApplied = [];
        for (const callback of callbacks) callback();
        return true;
      }
      if (this.#isApplyTimeUp()) return false;
    }
  }

  #applyEntry(entry: Entry): void {
    const { applier, proposals, clock } = this.#parts;
    if (entry.type !== EntryType.NORMAL) {
      this.#parts.applyConfChange(entry);
      this.#parts.raft.applied(entry.index);
      return;
    }
    if (entry.data.length === 0) {
      this.#parts.raft.applied(entry.index);
      if (entry.term === this.#parts.raft.term && this.#parts.raft.role === "leader") this.#parts.onLeading();
      return;
    }
    const request = decodeRaftRequest(entry.data);
    const isWaitedFor = proposals.isWaitedFor(request.member, request.sequence);
    const startMs = clock.monotonicMs();
    const result = applier.apply(request.operation, request.body, {
      nowMs: startMs,
      isWaitedFor,
      isReplay: entry.index <= this.#parts.replayEndIndex,
      requester: request,
    });
    if ("next" in result) this.#running = { entry, request, startMs, steps: result };
    else this.#finish(entry, request, startMs, result);
  }

  #finish(entry: Entry, request: RaftRequest, startMs: number, outcome: Outcome): void {
    this.#parts.raft.applied(entry.index);
    if (outcome.endRow > outcome.firstRow) this.#parts.publish(outcome.firstRow, outcome.endRow);
    if (outcome.compaction !== undefined) this.#parts.startCompaction(outcome.compaction);
    this.#parts.onApplied(request.operation, request.body, outcome, this.#parts.clock.monotonicMs() - startMs);
    if (outcome.error === "no_space") {
      this.#parts.onNoSpace(() => this.#parts.proposals.settle(request.sequence, outcome));
    } else this.#parts.proposals.settle(request.sequence, outcome);
  }

  /** Applied entries beyond what followers may still ask for leave memory. */
  #compactLog(): void {
    const { raft, snapshotCatchUpEntries } = this.#parts;
    const { log, appliedIndex } = raft;
    if (log.size > LOG_MEMORY_SIZE_MAX) log.compact(appliedIndex);
    else if (appliedIndex - log.offset > snapshotCatchUpEntries + LOG_COMPACTION_SLACK) {
      log.compact(appliedIndex - snapshotCatchUpEntries);
    }
  }

  /** Ends the loop for good; the reason is told once. */
  #fail(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#isStopped = true;
    this.#dropRecord(error);
    this.#parts.onFatal(error);
  }
}

const ENTRIES_PER_CLOCK_READING = 32;

/** The log in memory is cut back once per this many entries. */
const LOG_COMPACTION_SLACK = 100;

function newAppend(): Append {
  return { entries: [], hardState: undefined, mustSync: false, responses: [] };
}
