import { assert, AssertionError } from "../base/assert.ts";
import { ApplyProgress } from "./apply_progress.ts";
import { restoreConfiguration } from "./conf_change/mod.ts";
import type { RaftLog } from "./log.ts";
import type { Settings } from "./options.ts";
import { ReadQueue } from "./read_queue.ts";
import { StorageProgress } from "./storage_progress.ts";
import { ProgressTracker } from "./tracker/mod.ts";
import {
  type ConfState,
  type Draft,
  type HardState,
  type Message,
  NO_MEMBER,
  type ReadState,
  type Role,
  type Snapshot,
} from "./types.ts";

/** Everything one member knows. The handlers work on it; what belongs together changes in one of them. */
export class State {
  readonly settings: Settings;
  readonly id: bigint;
  readonly log: RaftLog;

  term: number;
  vote: bigint;
  commit: number;
  role: Role = "follower";
  /** The leader of `term`, or NO_MEMBER. */
  leader = NO_MEMBER;

  readonly storage: StorageProgress;
  readonly apply: ApplyProgress;
  readonly tracker: ProgressTracker;
  /** What a member gets whose log ends before ours begins. Undefined: there is none at present. */
  snapshot: Snapshot | undefined;

  /** Ticks since this member heard of the leader, or, as leader, since it last checked its quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Ticks without a leader after which this member campaigns; 0: not drawn yet in this term and role. */
  electionTimeout = 0;

  // What only a leader uses.
  /** The member that leadership is being handed to; no proposals meanwhile. */
  transferee = NO_MEMBER;
  /** Up to this position there may be a membership change that is not applied yet. */
  pendingConfIndex = 0;
  /** Bytes of data proposed and not yet applied. */
  uncommittedSize = 0;
  /** Entries were appended that no one has been sent yet. */
  isReplicationDue = false;
  reads: ReadQueue;

  // What leaves with the next Ready.
  messages: Message[] = [];
  /** What says that something is durable here, and so waits until it is. */
  appendResponses: Message[] = [];
  readStates: ReadState[] = [];

  constructor(settings: Settings) {
    const { log, hardState, applied } = settings;
    assert(hardState.commit >= log.offset && hardState.commit <= log.lastIndex, "the commit index lies within the log");
    assert(applied >= log.offset && applied <= hardState.commit, "only committed entries are applied");
    this.settings = settings;
    this.id = settings.id;
    this.log = log;
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.commit = hardState.commit;
    this.storage = new StorageProgress(log.lastIndex);
    this.apply = new ApplyProgress(applied, settings.committedSizeMax);
    this.tracker = new ProgressTracker({
      inflightsMax: settings.inflightMessagesMax,
      inflightBytesMax: settings.inflightBytesMax,
    });
    this.reads = new ReadQueue();
    this.installConfiguration(settings.confState);
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.commit };
  }

  /** Whether an entry of this term is committed: only then the commit index of a leader is that of the group. */
  get hasCommittedInTerm(): boolean {
    return this.log.matches(this.commit, this.term);
  }

  /** Whether no one else's vote is needed. The single voter may be another one than a leader that was just removed. */
  get isOnlyVoter(): boolean {
    return this.tracker.isSingleton && this.tracker.isVoter(this.id);
  }

  /** Whether this member may become leader. */
  get isPromotable(): boolean {
    const progress = this.tracker.progressOf(this.id);
    return progress !== undefined && !progress.isLearner && !this.storage.hasSnapshot;
  }

  /** The last entry that may be executed now. */
  get applicableIndex(): number {
    if (this.storage.hasSnapshot) return 0;
    return this.settings.appliesBeforeDurable ? this.commit : Math.min(this.commit, this.storage.durable);
  }

  /** Brings a configuration into force that the state machine began with, or that came with a snapshot. */
  installConfiguration(confState: ConfState): void {
    const change = restoreConfiguration(confState);
    assert(change.error === undefined, `the configuration is valid: ${change.error}`);
    this.tracker.install(change, this.log.lastIndex);
  }

  /** Raises the commit index, to what is known committed elsewhere. */
  commitTo(index: number): void {
    if (index <= this.commit) return;
    const { lastIndex } = this.log;
    if (index > lastIndex) {
      throw new AssertionError(
        `tocommit(${index}) is out of range [lastIndex(${lastIndex})]. Was the raft log corrupted, truncated, or lost?`,
      );
    }
    this.commit = index;
  }

  /** Sends in the name of this member and of its term; at once. */
  send(message: Draft): void {
    assert(message.to !== this.id, "a member does not send to itself");
    message.from = this.id;
    message.term = this.term;
    this.messages.push(message);
  }

  /** Passes on what belongs to no term, in the name of the member that asked first. */
  forward(message: Message, to: bigint): void {
    assert(to !== this.id, "a member does not send to itself");
    this.messages.push({ ...message, to, from: message.from === NO_MEMBER ? this.id : message.from });
  }

  /** Sends, also to this member, what is true only once everything before it is durable here. */
  sendWhenDurable(message: Draft, term: number = this.term): void {
    message.from = this.id;
    message.term = term;
    this.appendResponses.push(message);
  }
}
