import { assert } from "../base/assert.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { changeConfState } from "./conf_change/mod.ts";
import { RaftLog } from "./log.ts";
import {
  type ConfChange,
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  MessageType,
  newMessage,
  NO_ENTRIES,
  type Ready,
  type Role,
} from "./types.ts";

export interface RaftOptions {
  /** This member. */
  readonly id: bigint;
  /** What the log on disk ended with; all of it durable. */
  readonly log: RaftLog;
  readonly hardState: HardState;
  readonly confState: ConfState;
  /** The last entry that the state machine already holds. */
  readonly applied: number;
  /** Ticks without a leader after which a voter campaigns. */
  readonly electionTicks: number;
  /** Most bytes of committed entries handed out in one Ready (at least one entry is). */
  readonly committedSizeMax: number;
}

/** The consensus state machine of one member. See mod.ts for its contract. */
export class Raft {
  readonly id: bigint;
  readonly log: RaftLog;
  readonly #options: RaftOptions;

  #term: number;
  #vote: bigint;
  #commit: number;
  #role: Role = "follower";
  #leader = 0n;
  #confState: ConfState;
  #ticksSinceElection = 0;

  /** Last index known durable here, and last index handed out to be made so. */
  #durable: number;
  #handedToStorage: number;
  /** Last index handed out to be applied, and last index reported applied. */
  #handedToApply: number;
  #applied: number;

  #readyHardState: HardState;
  #readyLeader = 0n;
  #readyRole: Role = "follower";
  #appendResponses: Message[] = [];

  constructor(options: RaftOptions) {
    assert(options.id !== 0n, "a member has an id");
    assert(options.hardState.commit <= options.log.lastIndex, "the commit index lies within the log");
    assert(options.applied <= options.hardState.commit, "only committed entries are applied");
    this.id = options.id;
    this.log = options.log;
    this.#options = options;
    this.#term = options.hardState.term;
    this.#vote = options.hardState.vote;
    this.#commit = options.hardState.commit;
    this.#confState = options.confState;
    this.#durable = this.#handedToStorage = options.log.lastIndex;
    this.#applied = this.#handedToApply = options.applied;
    this.#readyHardState = options.hardState;
  }

  get term(): number {
    return this.#term;
  }
  get commitIndex(): number {
    return this.#commit;
  }
  get appliedIndex(): number {
    return this.#applied;
  }
  get leader(): bigint {
    return this.#leader;
  }
  get role(): Role {
    return this.#role;
  }
  get confState(): ConfState {
    return this.#confState;
  }
  get hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.#commit };
  }

  /** True when a read at the applied state is linearizable without asking anyone: leader, alone, own term committed. */
  get canReadAlone(): boolean {
    return this.#role === "leader" && this.#confState.voters.length === 1 && this.#commit >= this.log.offset &&
      this.log.term(this.#commit) === this.#term;
  }

  /** One unit of logical time. */
  tick(): void {
    if (this.#role === "leader") return;
    this.#ticksSinceElection++;
    if (this.#ticksSinceElection >= this.#options.electionTicks) this.campaign();
  }

  /** Starts an election, if this member is a voter. */
  campaign(): void {
    this.#ticksSinceElection = 0;
    if (this.#role === "leader" || !this.#isVoter(this.id)) return;
    this.#role = "candidate";
    this.#leader = 0n;
    this.#term++;
    this.#vote = this.id;
    // The vote for oneself counts as any other: only once it is durable.
    this.#respondAfterAppend(MessageType.VOTE_RESPONSE, 0);
  }

  /**
   * Appends a proposal to the log. False: dropped, since this member does not lead; the caller answers its client.
   */
  propose(data: Uint8Array, type: EntryType = EntryType.NORMAL): boolean {
    if (this.#role !== "leader") return false;
    this.#append(data, type);
    return true;
  }

  /** Takes in a message from a peer or from this member's own storage. */
  step(message: Message): void {
    switch (message.type) {
      case MessageType.STORAGE_APPEND_RESPONSE:
        this.#stepStorageAppendResponse(message);
        return;
      case MessageType.VOTE_RESPONSE:
        this.#stepVoteResponse(message);
        return;
      case MessageType.APPEND_RESPONSE:
        this.#stepAppendResponse(message);
        return;
    }
  }

  /** Brings a committed membership change into force and returns the new configuration. */
  applyConfChange(change: ConfChange): ConfState {
    this.#confState = changeConfState(this.#confState, change);
    return this.#confState;
  }

  /** Reports that the entries up to `index` have been executed. */
  applied(index: number): void {
    assert(index >= this.#applied && index <= this.#handedToApply, `applied index ${index} was handed out`);
    this.#applied = index;
  }

  /** True when `ready` would return something to do. */
  get hasReady(): boolean {
    return this.#appendResponses.length > 0 || this.log.lastIndex > this.#handedToStorage ||
      this.#applyLimit() > this.#handedToApply || this.#hardStateChanged() || this.#leader !== this.#readyLeader ||
      this.#role !== this.#readyRole;
  }

  /** Hands out everything there is to do; what it contains is not handed out again. */
  ready(): Ready {
    const entries = this.log.slice(this.#handedToStorage, this.log.lastIndex);
    this.#handedToStorage = this.log.lastIndex;

    const previous = this.#readyHardState;
    const hardState = this.#hardStateChanged() ? this.hardState : undefined;
    const mustSync = entries.length > 0 || this.#term !== previous.term || this.#vote !== previous.vote;
    if (hardState !== undefined) this.#readyHardState = hardState;

    const softStateChanged = this.#leader !== this.#readyLeader || this.#role !== this.#readyRole;
    this.#readyLeader = this.#leader;
    this.#readyRole = this.#role;

    const appendResponses = this.#appendResponses;
    if (appendResponses.length > 0) this.#appendResponses = [];
    if (entries.length > 0) {
      const last = entries[entries.length - 1];
      appendResponses.unshift(this.#message(MessageType.STORAGE_APPEND_RESPONSE, last.index, last.term));
    }
    return {
      softState: softStateChanged ? { leader: this.#leader, role: this.#role } : undefined,
      hardState,
      entries,
      snapshot: undefined,
      mustSync,
      messages: [],
      appendResponses,
      committedEntries: this.#takeCommitted(),
      readStates: [],
    };
  }

  #takeCommitted(): readonly Entry[] {
    const limit = this.#applyLimit();
    if (limit <= this.#handedToApply) return NO_ENTRIES;
    const entries = this.log.slice(this.#handedToApply, limit);
    let size = 0;
    let count = 0;
    while (count < entries.length && (count === 0 || size < this.#options.committedSizeMax)) {
      size += entries[count++].data.length;
    }
    entries.length = count;
    this.#handedToApply += count;
    return entries;
  }

  #append(data: Uint8Array, type: EntryType): void {
    const index = this.log.lastIndex + 1;
    this.log.append({ term: this.#term, index, type, data });
    // The leader acknowledges its own append like a follower does: after its disk, never before.
    const responses = this.#appendResponses;
    const last = responses.length > 0 ? responses[responses.length - 1] : undefined;
    if (last?.type === MessageType.APPEND_RESPONSE) responses.pop();
    this.#respondAfterAppend(MessageType.APPEND_RESPONSE, index);
  }

  #stepStorageAppendResponse(message: Message): void {
    // An acknowledgement of entries that were since overwritten says nothing of those that took their place.
    if (message.index > this.log.lastIndex || message.index < this.log.offset) return;
    if (this.log.term(message.index) !== message.logTerm) return;
    if (message.index > this.#durable) this.#durable = message.index;
  }

  #stepVoteResponse(message: Message): void {
    if (this.#role !== "candidate" || message.term !== this.#term) return;
    // A single voter is its own quorum; counting the votes of others comes with the cluster.
    this.#role = "leader";
    this.#leader = this.id;
    this.#append(EMPTY_BYTES, EntryType.NORMAL);
  }

  #stepAppendResponse(message: Message): void {
    if (this.#role !== "leader" || message.term !== this.#term) return;
    if (!this.#isVoter(message.from) || message.index <= this.#commit) return;
    // Only entries of the current term commit by counting (Raft, section 5.4.2).
    if (this.log.term(message.index) === this.#term) this.#commit = message.index;
  }

  #applyLimit(): number {
    return this.#commit < this.#durable ? this.#commit : this.#durable;
  }

  #hardStateChanged(): boolean {
    const previous = this.#readyHardState;
    return this.#commit !== previous.commit || this.#term !== previous.term || this.#vote !== previous.vote;
  }

  #isVoter(id: bigint): boolean {
    return this.#confState.voters.includes(id);
  }

  #respondAfterAppend(type: MessageType, index: number): void {
    this.#appendResponses.push(this.#message(type, index, 0));
  }

  #message(type: MessageType, index: number, logTerm: number): Message {
    return { ...newMessage(type, this.id), from: this.id, term: this.#term, index, logTerm };
  }
}
