import { applyConfChange } from "./configuration.ts";
import { dispatch } from "./dispatch.ts";
import { campaignByTimeout } from "./election.ts";
import type { RaftLog } from "./log.ts";
import { completeOptions, type RaftOptions } from "./options.ts";
import type { StepOutcome } from "./outcome.ts";
import { appendOwnProposal } from "./proposal.ts";
import { Outbox } from "./ready.ts";
import { onSnapshotStatus, onUnreachable } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { replicate } from "./sending.ts";
import { State } from "./state.ts";
import { advanceApplied } from "./storage_messages.ts";
import { tick } from "./ticks.ts";
import type { ProgressTracker } from "./tracker/mod.ts";
import {
  type ConfChange,
  ConfChangeTransition,
  type ConfChangeV2,
  type ConfState,
  EntryType,
  type HardState,
  type Message,
  MessageType,
  newMessage,
  NO_MEMBER,
  type Ready,
  type Role,
  type Snapshot,
} from "./types.ts";

/**
 * The consensus state machine of one member. See mod.ts for its contract.
 *
 * Proposals that come one after the other travel together: the other members are sent what was appended with the next
 * Ready, or before any other input is handled.
 */
export class Raft {
  readonly id: bigint;
  readonly log: RaftLog;
  readonly #state: State;
  readonly #outbox: Outbox;

  constructor(options: RaftOptions) {
    this.id = options.id;
    this.log = options.log;
    this.#state = new State(completeOptions(options));
    becomeFollower(this.#state, this.#state.term, NO_MEMBER);
    this.#outbox = new Outbox(this.#state);
  }

  get term(): number {
    return this.#state.term;
  }
  get commitIndex(): number {
    return this.#state.commit;
  }
  get appliedIndex(): number {
    return this.#state.apply.applied;
  }
  /** The leader of this term as far as this member knows, or NO_MEMBER. */
  get leader(): bigint {
    return this.#state.leader;
  }
  get role(): Role {
    return this.#state.role;
  }
  get confState(): ConfState {
    return this.#state.tracker.configuration;
  }
  get hardState(): HardState {
    return this.#state.hardState;
  }
  /** The member that leadership is being handed to, or NO_MEMBER. */
  get transferee(): bigint {
    return this.#state.transferee;
  }
  /** This member leads, and would refuse a change of the configuration: one is not applied yet. */
  get isChangePending(): boolean {
    const { role, pendingConfIndex, apply } = this.#state;
    return role === "leader" && pendingConfIndex > apply.applied;
  }
  /** What is known of every member; up to date only at the leader. To look at, never to change. */
  get progress(): ProgressTracker {
    return this.#state.tracker;
  }

  /** True when a read at the applied state is linearizable without asking anyone: leader, alone, own term committed. */
  get canReadAlone(): boolean {
    const { role, isOnlyVoter, hasCommittedInTerm } = this.#state;
    return role === "leader" && isOnlyVoter && hasCommittedInTerm;
  }

  /** One unit of logical time. */
  tick(): void {
    replicate(this.#state);
    tick(this.#state);
  }

  /** Starts an election now, if this member may win one. */
  campaign(): void {
    replicate(this.#state);
    campaignByTimeout(this.#state);
  }

  /**
   * Appends a proposal to the log, or passes it on to the leader. False: dropped, since there is no leader, leadership is
   * being handed over, or too much is uncommitted; the caller answers its client. True promises nothing yet.
   */
  propose(data: Uint8Array, type: EntryType = EntryType.NORMAL): boolean {
    if (this.#state.role === "leader") return appendOwnProposal(this.#state, data, type) === "accepted";
    const message = newMessage(MessageType.PROPOSAL, NO_MEMBER);
    message.from = this.id;
    message.entries = [{ term: 0, index: 0, type, data }];
    return this.step(message) === "accepted";
  }

  /**
   * Takes in a message from another member, or from this member's own storage. The former must say who really sent it:
   * never this member, nor its storage.
   */
  step(message: Message): StepOutcome {
    if (message.type !== MessageType.PROPOSAL) replicate(this.#state);
    return dispatch(this.#state, message);
  }

  /** Asks for the index at which a read is linearizable: a later Ready has it, with `context`, in `readStates`, or none has. */
  readIndex(context: Uint8Array): void {
    const message = newMessage(MessageType.READ_INDEX, NO_MEMBER);
    message.entries = [{ term: 0, index: 0, type: EntryType.NORMAL, data: context }];
    this.step(message);
  }

  /** Asks the leader to hand over to `transferee`. Proposals are dropped until it has, or an election timeout has passed. */
  transferLeader(transferee: bigint): void {
    const message = newMessage(MessageType.TRANSFER_LEADER, NO_MEMBER);
    message.from = transferee;
    this.step(message);
  }

  /** The leader is known to be gone: this follower need not wait before it votes for another. */
  forgetLeader(): void {
    this.step(newMessage(MessageType.FORGET_LEADER, NO_MEMBER));
  }

  /** What was sent to this member last could not be delivered. */
  reportUnreachable(id: bigint): void {
    replicate(this.#state);
    onUnreachable(this.#state, id);
  }

  /**
   * This member has most likely ended. If it is our leader, its lease is over, and those who are left wait only for the
   * part of the election timeout that is drawn by lot. (etcd waits for the whole of it. Who campaigns for nothing is told
   * so by those who still hear of the leader, as ever.)
   */
  reportGone(id: bigint): void {
    const state = this.#state;
    if (state.role !== "follower" || state.leader !== id) return;
    state.electionElapsed = Math.max(state.electionElapsed, state.settings.electionTicks);
  }

  /** The snapshot sent to this member has arrived, or could not be delivered. Until one is said nothing else is sent to it. */
  reportSnapshot(id: bigint, hasArrived: boolean): void {
    replicate(this.#state);
    onSnapshotStatus(this.#state, id, hasArrived);
  }

  /**
   * The newest snapshot there is, for members whose log ends before ours begins; undefined: none at present. Only one that
   * is not older than what the log is compacted to, and that knows the member, is sent: offer a new one after a change of
   * the membership, and before a compaction.
   */
  offerSnapshot(snapshot: Snapshot | undefined): void {
    this.#state.snapshot = snapshot;
  }

  /** Brings a committed membership change into force and returns the new configuration. */
  applyConfChange(change: ConfChange | ConfChangeV2): ConfState {
    replicate(this.#state);
    applyConfChange(
      this.#state,
      "changes" in change ? change : { transition: ConfChangeTransition.AUTO, changes: [change] },
    );
    return this.confState;
  }

  /** Reports that the entries up to `index` have been executed. */
  applied(index: number): void {
    advanceApplied(this.#state, index);
  }

  /** Sends what was proposed since the last time. `ready`, and every other input, does it by itself. */
  replicate(): void {
    replicate(this.#state);
  }

  /** True when `ready` would return something to do. */
  get hasReady(): boolean {
    return this.#outbox.hasReady;
  }

  /** Hands out everything there is to do; what it contains is not handed out again. */
  ready(): Ready {
    replicate(this.#state);
    return this.#outbox.take();
  }
}
