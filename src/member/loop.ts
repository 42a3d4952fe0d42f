import type { Applier, Outcome, Steps } from "../apply/mod.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { LOG_HELD_SIZE_MAX, LOG_MEMORY_SIZE_MAX, TURN_MS_MAX } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import {
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  MessageType,
  NO_MEMBER,
  type Raft,
  type Ready,
  type Snapshot,
  type SoftState,
} from "../raft/mod.ts";
import { WriteGivenUp } from "../storage/database.ts";
import type { Wal, WalSnapshot } from "../storage/wal/mod.ts";
import { decodeRaftRequest, type RaftRequest } from "../wire/mod.ts";
import type { Inbox } from "./inbox.ts";
import { HeldChanges } from "./held_changes.ts";
import { HeldProposals } from "./held_proposals.ts";
import { Jobs } from "./jobs.ts";
import type { MembershipChanges } from "./membership_changes.ts";
import type { PendingReads } from "./pending_reads.ts";
import type { Proposals } from "./proposals.ts";

export interface LoopParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly wal: Wal;
  readonly applier: Applier;
  readonly proposals: Proposals;
  readonly changes: MembershipChanges;
  readonly reads: PendingReads;
  readonly inbox: Inbox;
  /** The last entry that the state holds, and its term. */
  readonly applied: AppliedEntry;
  /** The log ended here at the start: what is applied up to it was applied in an earlier life too. */
  readonly replayEndIndex: number;
  /** Applied entries kept in memory. */
  readonly snapshotCatchUpEntries: number;
  /** Messages for other members, in order. */
  readonly send: (messages: readonly Message[]) => void;
  /** True while a snapshot is on its way to some member, who will need the entries behind it. */
  readonly isLogHeld: () => boolean;
  /** Makes durable what stands before a snapshot's record in the log. */
  readonly saveSnapshot: (snapshot: Snapshot) => Promise<void>;
  /** Puts the received state in the place of the present one. A rejection ends the loop. */
  readonly installSnapshot: (snapshot: Snapshot) => Promise<void>;
  /** This member has another role, or another leader, than before. */
  readonly onSoftState: (state: SoftState) => void;
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

export interface AppliedEntry {
  readonly index: number;
  readonly term: number;
}

/** What the next append carries; several Readys may have been merged into it. */
interface Append {
  /** Takes the place of the log, before the entries. */
  snapshot: Snapshot | undefined;
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
  #appendCount = 0;
  #record: PendingRecord | undefined;
  /** The newest commit index that the log was given, and the newest that is durable there. */
  #loggedCommit: number;
  #durableCommit: number;
  /** What was committed at the last tick. */
  #commitAtTick = 0;

  #appliedIndex: number;
  #appliedTerm: number;
  /** A snapshot is known to come, or is taking the place of the state: no checkpoint is recorded meanwhile. */
  #isReplacing = false;
  /** The received state takes the place of the present one. Nothing is applied meanwhile. */
  #isInstalling = false;
  /** The term in which this member led when the first entry of that term was applied; 0: none. */
  #ledTerm = 0;
  /** Where the log ended when this member was left as the only voter: others may have answered for what is before. */
  #aloneFromIndex = 0;

  #committed: Entry[] = [];
  #committedNext = 0;
  #running: Running | undefined;

  readonly #heldChanges = new HeldChanges();
  readonly #heldProposals = new HeldProposals();

  /** Proposals that only a leader may make: dropped by any other. */
  #leaderProposals: Uint8Array[] = [];

  /** Readers of state that has no revisions, waiting for the entry that is half applied. */
  #whenApplied: (() => void)[] = [];

  #turnStartMs = 0;
  #turnLongestMs = 0;
  #idle: (() => void) | undefined;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    this.#appliedIndex = parts.applied.index;
    this.#appliedTerm = parts.applied.term;
    this.#loggedCommit = this.#durableCommit = parts.raft.commitIndex;
    this.offerSnapshot();
  }

  /** The last entry that the state holds. */
  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get appliedTerm(): number {
    return this.#appliedTerm;
  }

  /** A write to the log is under way. */
  get isAppending(): boolean {
    return this.#isAppending;
  }

  /** Writes to the log that were begun. */
  get appendCount(): number {
    return this.#appendCount;
  }

  /** This member leads, and its state holds all that was committed before its term. */
  get isLeading(): boolean {
    const { raft } = this.#parts;
    return raft.role === "leader" && this.#ledTerm === raft.term;
  }

  /** A read at the applied state is linearizable without asking anyone. */
  get canReadAlone(): boolean {
    return this.#parts.raft.canReadAlone && this.isLeading && this.#appliedIndex >= this.#aloneFromIndex;
  }

  /** An entry is half applied, or a snapshot installed: the head must not be read, the revisions below it may. */
  get isApplying(): boolean {
    return this.#running !== undefined || this.#isInstalling;
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
    if (!this.isApplying) callback();
    else this.#whenApplied.push(callback);
  }

  /** The membership has changed in a way that may leave this member alone. */
  onConfState({ voters }: ConfState): void {
    if (voters.length === 1) this.#aloneFromIndex = this.#parts.raft.log.lastIndex;
    this.offerSnapshot();
  }

  /** Tells raft what a member gets whose log ends before ours begins: a snapshot that is made when it is sent. */
  offerSnapshot(): void {
    const { raft } = this.#parts;
    if (this.#appliedIndex === 0) return;
    raft.offerSnapshot({
      index: this.#appliedIndex,
      term: this.#appliedTerm,
      confState: raft.confState,
      data: EMPTY_BYTES,
    });
  }

  /**
   * Records in the log that the state at an applied index is durable elsewhere, between two appends, and releases the
   * segments that nobody needs any more. One at a time. Rejects if the log fails, which ends the loop too.
   */
  recordSnapshot(snapshot: WalSnapshot): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) return reject(new Error("the member is being stopped"));
      if (this.#isReplacing) return reject(replaced());
      this.#record = { snapshot, resolve, reject };
      this.wake();
    });
  }

  /** Proposes at the next turn if this member leads then; else it was not meant to be. */
  proposeAsLeader(data: Uint8Array): void {
    this.#leaderProposals.push(data);
    this.wake();
  }

  /** One unit of raft's time. */
  tick(): void {
    this.#parts.raft.tick();
    this.#considerCommit();
    this.jobs.retryWaiting();
    this.wake();
  }

  /**
   * A commit index that no sync has taken along for a whole tick is worth one of its own. A restart does not need it, but
   * whoever forces a new cluster out of this log keeps what it is known to have committed, and no more (etcd's database
   * holds the applied index after as long).
   */
  #considerCommit(): void {
    const { raft } = this.#parts;
    if (this.#durableCommit < this.#commitAtTick && !this.#isAppending) {
      this.#next.hardState ??= raft.hardState;
      this.#next.mustSync = true;
    }
    this.#commitAtTick = raft.commitIndex;
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
    const { clock, raft, reads, inbox } = this.#parts;
    this.#turnStartMs = clock.monotonicMs();
    try {
      this.#takeInbox();
      this.#propose();
      if (!reads.isEmpty && raft.leader !== NO_MEMBER) reads.ask(this.#turnStartMs, raft.leader);
      this.#takeReady();
      // The disk works on the next append while the entries of the last one are applied.
      this.#startAppend();
      this.#apply();
      reads.release(this.#appliedIndex);
      const isBehind = this.#parts.serveWatchers();
      // At least a step, however long an entry takes: who reads below it does not wait for it.
      this.jobs.run(this.#isTimeUp);
      // What waits for an append goes on with it.
      const hasToApply = !this.#isInstalling &&
        (this.#running !== undefined || (this.#hasCommitted && !this.#isCommitAwaited));
      if (isBehind || this.jobs.hasWork || hasToApply || raft.hasReady || !inbox.isEmpty) this.wake();
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

  #takeInbox(): void {
    const { raft, inbox } = this.#parts;
    if (inbox.isEmpty) return;
    for (const { id, hasArrived } of inbox.takeSnapshotReports()) raft.reportSnapshot(id, hasArrived);
    for (const id of inbox.takeUnreachable()) raft.reportUnreachable(id);
    for (const id of inbox.takeGone()) raft.reportGone(id);
    for (let count = 1;; count++) {
      const message = inbox.next();
      if (message === undefined) return;
      if (!this.#hold(message)) raft.step(message);
      if (count % MESSAGES_PER_CLOCK_READING === 0 && this.#isTimeUp()) return;
    }
  }

  /** Whether a message is kept for later, since raft would refuse it now. */
  #hold(message: Message): boolean {
    const nowMs = this.#turnStartMs;
    if (this.#hasLeader) return this.#parts.raft.isChangePending && this.#heldChanges.hold(message, nowMs);
    return this.#heldProposals.hold(message, nowMs) || this.#heldChanges.hold(message, nowMs);
  }

  /** There is a leader, here or elsewhere, that takes proposals. */
  get #hasLeader(): boolean {
    const { leader, transferee } = this.#parts.raft;
    return leader !== NO_MEMBER && transferee === NO_MEMBER;
  }

  /** What clients ask for waits for a leader that takes it. */
  #propose(): void {
    const { raft, proposals, changes } = this.#parts;
    if (this.#leaderProposals.length > 0) {
      const leaderProposals = this.#leaderProposals;
      this.#leaderProposals = [];
      if (this.isLeading) { for (const data of leaderProposals) raft.propose(data); }
    }
    if (!this.#hasLeader) return proposals.hold();
    this.#heldProposals.release(this.#turnStartMs, (data) => raft.propose(data));
    this.#heldChanges.release(
      this.#turnStartMs,
      () => raft.isChangePending,
      (data, type) => raft.propose(data, type),
    );
    proposals.drain((data) => raft.propose(data));
    changes.drain((data) => !raft.isChangePending && raft.propose(data, EntryType.CONF_CHANGE));
  }

  #takeReady(): void {
    const { raft, reads } = this.#parts;
    while (raft.hasReady) {
      const ready = raft.ready();
      if (ready.softState !== undefined) this.#parts.onSoftState(ready.softState);
      if (ready.messages.length > 0) this.#send(ready.messages);
      if (ready.snapshot !== undefined) this.#mergeSnapshot(ready.snapshot);
      this.#mergeAppend(ready);
      if (ready.committedEntries.length > 0) this.#takeCommitted(ready.committedEntries);
      for (const state of ready.readStates) reads.confirm(state);
    }
  }

  /**
   * A candidate asks for votes only once its term, and its own vote, are durable. Others alone may make it the leader, and
   * after a crash it would ask for the same term again, and give its entries a second meaning.
   */
  #send(messages: readonly Message[]): void {
    if (this.#parts.raft.role === "leader" || !messages.some(isVote)) return this.#parts.send(messages);
    for (const message of messages) if (isVote(message)) this.#next.responses.push(message);
    this.#parts.send(messages.filter((message) => !isVote(message)));
  }

  /** The entries that were waiting to be written are not part of the log any more. What they were to be answered stays. */
  #mergeSnapshot(snapshot: Snapshot): void {
    this.#isReplacing = true;
    this.#dropRecord(replaced());
    this.#next.entries = [];
    this.#next.snapshot = snapshot;
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
    if (append.snapshot !== undefined) return this.#startReplacing(append, append.snapshot);
    // A commit index alone is a hint and not worth a write at once: it goes with the next append.
    if (!append.mustSync && append.responses.length === 0) return;
    this.#next = newAppend();
    this.#isAppending = true;
    this.#appendCount++;
    this.#noteLogged(append);
    this.#parts.wal.append(append.hardState, append.entries, append.mustSync).then(
      () => this.#onAppended(append),
      (error) => this.#onAppendFailed(error as Error),
    );
  }

  /**
   * The log goes on behind a snapshot whose database is safe already. What it replaces is not touched before a hard state
   * commits the record: a crash before that leaves the old state and its log, one after it the new.
   */
  #startReplacing(append: Append, snapshot: Snapshot): void {
    // The one before has to be in its place first.
    if (this.#isInstalling) return;
    const { wal, saveSnapshot } = this.#parts;
    this.#next = newAppend();
    this.#isAppending = true;
    this.#appendCount++;
    this.#noteLogged(append);
    const save = async (): Promise<void> => {
      await saveSnapshot(snapshot);
      await wal.saveSnapshot(snapshot);
      // With an empty append the commit index would not be synced.
      await wal.append(append.hardState, append.entries, true);
      await wal.releaseTo(snapshot.index);
    };
    save().then(
      () => this.#onReplaced(append, snapshot),
      (error) => this.#onAppendFailed(error as Error),
    );
  }

  #onReplaced(append: Append, snapshot: Snapshot): void {
    if (!this.#isStopped) {
      // What was handed out before is part of the snapshot, however far it had come.
      this.#committed = [];
      this.#committedNext = 0;
      this.#running = undefined;
      this.#isInstalling = true;
      this.#parts.installSnapshot(snapshot).then(
        () => this.#onInstalled(snapshot),
        (error) => this.#isStopped || this.#fail(error as Error),
      );
    }
    this.#onAppended(append);
  }

  #onInstalled({ index, term }: Snapshot): void {
    if (this.#isStopped) return;
    this.#isInstalling = false;
    this.#isReplacing = this.#next.snapshot !== undefined;
    this.#appliedIndex = index;
    this.#appliedTerm = term;
    this.offerSnapshot();
    this.#callWhenApplied();
    this.wake();
  }

  #noteLogged({ hardState }: Append): void {
    if (hardState !== undefined) this.#loggedCommit = hardState.commit;
  }

  #noteDurable({ hardState, entries, mustSync }: Append): void {
    if (hardState === undefined || !mustSync) return;
    // The log does not commit an entry by the write that brings it.
    this.#durableCommit = Math.min(hardState.commit, entries.length > 0 ? entries[0].index - 1 : Infinity);
  }

  /** A snapshot counts for a reader of the log once it is committed there, so the commit index goes before it. */
  #saveRecord(record: PendingRecord): void {
    const { raft, wal } = this.#parts;
    this.#record = undefined;
    this.#isAppending = true;
    this.#appendCount++;
    // What is applied is durable, in the form in which it was committed; of what follows that is not sure.
    const hardState = { ...raft.hardState, commit: Math.max(this.#loggedCommit, this.#appliedIndex) };
    this.#loggedCommit = hardState.commit;
    const save = async (): Promise<void> => {
      // A member that has just joined, and heard of nothing yet, has no hard state and nothing to release.
      if (record.snapshot.index === 0) return;
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
    this.#noteDurable(append);
    this.#idle?.();
    if (this.#isStopped) return;
    try {
      this.#deliver(append.responses);
    } catch (error) {
      return this.#fail(error as Error);
    }
    this.#turn();
  }

  /** To this member itself, or to others. */
  #deliver(responses: readonly Message[]): void {
    const { raft } = this.#parts;
    let toOthers: Message[] | undefined;
    for (const message of responses) {
      if (message.to === raft.id) raft.step(message);
      else (toOthers ??= []).push(message);
    }
    if (toOthers !== undefined) this.#parts.send(toOthers);
  }

  #onAppendFailed(error: Error): void {
    this.#isAppending = false;
    this.#idle?.();
    this.#fail(error);
  }

  #apply(): void {
    if (this.#isInstalling) return;
    for (let count = 1;; count++) {
      if (this.#running !== undefined) {
        // However short its last step was: one entry of steps may be as much work as hundreds of others.
        if (!this.#continueRunning() || this.#isApplyTimeUp()) break;
      } else {
        if (!this.#hasCommitted) break;
        if (this.#isCommitAwaited) {
          this.#syncCommit();
          break;
        }
        this.#applyEntry(this.#committed[this.#committedNext++]);
      }
      // Reading the clock costs as much as a small entry does.
      if (count % ENTRIES_PER_CLOCK_READING === 0 && this.#isApplyTimeUp()) break;
    }
    this.#compactLog();
    this.#parts.onProgress(this.#turnStartMs);
  }

  /**
   * A change of the membership is applied once it is known for ever to be committed: a member that forgot it would ask those
   * who have left for their votes, and they may be gone.
   */
  get #isCommitAwaited(): boolean {
    if (!this.#hasCommitted) return false;
    const { type, index } = this.#committed[this.#committedNext];
    return type !== EntryType.NORMAL && this.#durableCommit < index;
  }

  #syncCommit(): void {
    this.#next.hardState = this.#parts.raft.hardState;
    this.#next.mustSync = true;
    this.#startAppend();
  }

  /** False: the entry needs another turn. */
  #continueRunning(): boolean {
    const { entry, request, startMs, steps } = this.#running!;
    for (let step = steps.next();; step = steps.next()) {
      if (step.done === true) {
        this.#running = undefined;
        this.#finish(entry, request, startMs, step.value);
        this.#callWhenApplied();
        return true;
      }
      if (this.#isApplyTimeUp()) return false;
    }
  }

  #applyEntry(entry: Entry): void {
    const { applier, proposals, clock } = this.#parts;
    if (entry.type !== EntryType.NORMAL) {
      this.#parts.applyConfChange(entry);
      // The next one may be made.
      this.wake();
      return this.#advance(entry);
    }
    if (entry.data.length === 0) {
      this.#advance(entry);
      return this.#considerLeading(entry);
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

  #callWhenApplied(): void {
    const callbacks = this.#whenApplied;
    this.#whenApplied = [];
    for (const callback of callbacks) callback();
  }

  #advance(entry: Entry): void {
    this.#appliedIndex = entry.index;
    this.#appliedTerm = entry.term;
    this.#parts.raft.applied(entry.index);
  }

  /** A leader's first entry is empty; refused changes of the membership become empty entries too. */
  #considerLeading(entry: Entry): void {
    const { raft } = this.#parts;
    if (raft.role !== "leader" || entry.term !== raft.term || this.#ledTerm === raft.term) return;
    this.#ledTerm = raft.term;
    this.#parts.onLeading();
  }

  #finish(entry: Entry, request: RaftRequest, startMs: number, outcome: Outcome): void {
    this.#advance(entry);
    if (outcome.endRow > outcome.firstRow) this.#parts.publish(outcome.firstRow, outcome.endRow);
    if (outcome.compaction !== undefined) this.#parts.startCompaction(outcome.compaction);
    this.#parts.onApplied(request.operation, request.body, outcome, this.#parts.clock.monotonicMs() - startMs);
    if (outcome.error === "no_space") {
      this.#parts.onNoSpace(() => this.#parts.proposals.settle(request.member, request.sequence, outcome));
    } else this.#parts.proposals.settle(request.member, request.sequence, outcome);
  }

  /** Applied entries beyond what followers may still ask for leave memory. */
  #compactLog(): void {
    const { raft, snapshotCatchUpEntries, isLogHeld } = this.#parts;
    const { log } = raft;
    const isLarge = log.size > LOG_MEMORY_SIZE_MAX;
    const index = this.#appliedIndex - snapshotCatchUpEntries;
    if (!isLarge && index - log.offset <= LOG_COMPACTION_SLACK) return;
    if (isLogHeld() && log.size < LOG_HELD_SIZE_MAX) return;
    this.offerSnapshot();
    // Of large entries the newest half stays, for members that are only a little behind.
    if (isLarge) this.#compactToSize(LOG_MEMORY_SIZE_MAX / 2);
    else log.compact(index);
  }

  #compactToSize(sizeMax: number): void {
    const { log } = this.#parts.raft;
    let { size, offset: index } = log;
    while (size > sizeMax && index < this.#appliedIndex) size -= log.entry(++index).data.length;
    log.compact(index);
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
const MESSAGES_PER_CLOCK_READING = 32;

/** The log in memory is cut back once per this many entries. */
const LOG_COMPACTION_SLACK = 100;

function newAppend(): Append {
  return { snapshot: undefined, entries: [], hardState: undefined, mustSync: false, responses: [] };
}

function replaced(): WriteGivenUp {
  return new WriteGivenUp("a snapshot from the leader takes the place of the state");
}

function isVote({ type }: Message): boolean {
  return type === MessageType.VOTE;
}
