import { EMPTY_BYTES } from "../../../src/base/bytes.ts";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  decodeConfChange,
  type Entry,
  EntryType,
  type Message,
  MessageType,
  newMessage,
  Raft,
  RaftLog,
  type RaftOptions,
  type Ready,
  type Snapshot,
  type StorageMessage,
} from "../../../src/raft/mod.ts";

export interface GroupMemberOptions {
  readonly raft: Omit<RaftOptions, "log" | "hardState" | "applied" | "random" | "electionTicks">;
  /** What its log begins behind; index 0: nothing. */
  readonly snapshot: Snapshot;
  /** Appending and applying are steps of their own, instead of being done with each Ready. */
  readonly isAsync: boolean;
}

export const ELECTION_TICKS = 3;

/** One member of a script's group: the core with a storage and a state machine in memory. */
export class GroupMember {
  readonly id: bigint;
  readonly isAsync: boolean;
  readonly raft: Raft;
  /** What is on disk. */
  readonly storage: RaftLog;
  appendWork: StorageMessage[] = [];
  applyWork: StorageMessage[] = [];
  /** The core draws its next election timeout from this. */
  electionTimeout = ELECTION_TICKS;
  #snapshot: Snapshot;

  constructor({ raft, snapshot, isAsync }: GroupMemberOptions) {
    const { index, term } = snapshot;
    this.id = raft.id;
    this.isAsync = isAsync;
    this.storage = new RaftLog(index, term);
    this.raft = new Raft({
      ...raft,
      log: new RaftLog(index, term),
      hardState: { term: 0, vote: 0n, commit: index },
      applied: index,
      electionTicks: ELECTION_TICKS,
      appliesBeforeDurable: !isAsync,
      random: () => this.electionTimeout - ELECTION_TICKS,
    });
    this.#snapshot = snapshot;
    this.raft.offerSnapshot(snapshot);
  }

  /** The state machine's newest state: all that a snapshot of it shows is how far it is. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** What leaves with a Ready, local messages included. */
  outgoing(ready: Ready): Message[] {
    if (!this.isAsync) return [...ready.messages, ...ready.appendResponses.filter(({ to }) => to !== this.id)];
    return [...ready.messages, ...this.#appendMessages(ready), ...this.#applyMessages(ready)];
  }

  /** Does all that a Ready asks for, for a member that is not asynchronous. */
  carryOut(ready: Ready): void {
    this.append(ready.entries, ready.snapshot);
    this.apply(ready.committedEntries);
  }

  /** After `carryOut`, once the messages are sent: everything is durable and applied. */
  advance(ready: Ready): void {
    for (const message of ready.appendResponses) if (message.to === this.id) this.raft.step(message);
    const last = ready.committedEntries.at(-1);
    if (last !== undefined) this.raft.applied(last.index);
  }

  append(entries: readonly Entry[], snapshot: Snapshot | undefined): void {
    if (snapshot !== undefined) {
      this.storage.restore(snapshot.index, snapshot.term);
      this.#snapshot = snapshot;
      this.raft.offerSnapshot(snapshot);
    }
    if (entries.length > 0) this.storage.truncate(entries[0].index - 1);
    for (const entry of entries) this.storage.append(entry);
  }

  apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      let { confState } = this.#snapshot;
      if (entry.type !== EntryType.NORMAL) confState = this.raft.applyConfChange(decodeConfChange(entry));
      this.#snapshot = { index: entry.index, term: entry.term, confState, data: EMPTY_BYTES };
      this.raft.offerSnapshot(this.#snapshot);
    }
  }

  #appendMessages({ hardState, entries, snapshot, appendResponses }: Ready): StorageMessage[] {
    if (hardState === undefined && snapshot === undefined && entries.length + appendResponses.length === 0) return [];
    return [{
      ...newMessage(MessageType.STORAGE_APPEND, APPEND_THREAD),
      from: this.id,
      term: hardState?.term ?? 0,
      vote: hardState?.vote ?? 0n,
      commit: hardState?.commit ?? 0,
      entries,
      snapshot,
      responses: appendResponses,
    }];
  }

  #applyMessages({ committedEntries }: Ready): StorageMessage[] {
    if (committedEntries.length === 0) return [];
    const response = { ...newMessage(MessageType.STORAGE_APPLY_RESPONSE, this.id), from: APPLY_THREAD };
    return [{
      ...newMessage(MessageType.STORAGE_APPLY, APPLY_THREAD),
      from: this.id,
      vote: 0n,
      entries: committedEntries,
      responses: [{ ...response, entries: committedEntries }],
    }];
  }
}
