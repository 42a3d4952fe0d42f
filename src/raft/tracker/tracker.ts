import {
  EMPTY_QUORUM,
  jointCommittedIndex,
  type JointQuorum,
  jointVoteResult,
  Vote,
  VoteResult,
} from "../quorum/mod.ts";
import { type ConfState, EMPTY_CONF_STATE } from "../types.ts";
import { Inflights } from "./inflights.ts";
import { Progress } from "./progress.ts";

export interface TrackerOptions {
  /** Most appends on their way to one member. */
  readonly inflightsMax: number;
  /** Most bytes of entries on their way to one member (soft, see `Inflights`); 0: without a bound. */
  readonly inflightBytesMax: number;
}

/** A configuration to be brought into force, and which of its members start without a past. */
export interface TrackerChange {
  /** Lists ascend, without repetition. */
  readonly configuration: ConfState;
  readonly added: readonly bigint[];
}

/** How the votes for this member stand. */
export interface Tally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

/** All members as their leader sees them, under the configuration in force. See mod.ts for its contract. */
export class ProgressTracker {
  readonly #options: TrackerOptions;
  #configuration: ConfState = EMPTY_CONF_STATE;
  #members: readonly Progress[] = [];
  #quorum: JointQuorum = EMPTY_QUORUM;
  readonly #votes = new Map<bigint, boolean>();
  /** One number per slot, for questions to the quorum. */
  #indexes = new Float64Array(0);
  #said: Vote[] = [];

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  /** The configuration in force; its lists ascend. */
  get configuration(): ConfState {
    return this.#configuration;
  }

  /** Every member, voters and learners, ascending by id: the position is the slot. */
  get members(): readonly Progress[] {
    return this.#members;
  }

  /** The voters' slots. */
  get quorum(): JointQuorum {
    return this.#quorum;
  }

  /** True when one voter decides alone. */
  get isSingleton(): boolean {
    return this.#quorum.incoming.length === 1 && this.#quorum.outgoing.length === 0;
  }

  get isJoint(): boolean {
    return this.#quorum.outgoing.length > 0;
  }

  /** The slot of a member, or -1. */
  slotOf(id: bigint): number {
    const members = this.#members;
    for (let slot = 0; slot < members.length; slot++) if (members[slot].id === id) return slot;
    return -1;
  }

  progressOf(id: bigint): Progress | undefined {
    const slot = this.slotOf(id);
    return slot < 0 ? undefined : this.#members[slot];
  }

  /** Whether it votes, on either side of a joint configuration. */
  isVoter(id: bigint): boolean {
    return this.#configuration.voters.includes(id) || this.#configuration.votersOutgoing.includes(id);
  }

  /** The greatest index that the voters have acknowledged; Infinity without voters. */
  committedIndex(): number {
    const members = this.#members;
    const indexes = this.#indexes;
    for (let slot = 0; slot < members.length; slot++) indexes[slot] = members[slot].match;
    return jointCommittedIndex(this.#quorum, indexes);
  }

  /** The position in the queue of reads up to which the voters have confirmed their leader; Infinity without voters. */
  confirmedReads(): number {
    const members = this.#members;
    const indexes = this.#indexes;
    for (let slot = 0; slot < members.length; slot++) indexes[slot] = members[slot].acknowledgedRead;
    return jointCommittedIndex(this.#quorum, indexes);
  }

  /** Whether enough voters were heard of since they were last marked inactive. */
  isQuorumActive(): boolean {
    const said = this.#members.map(({ isRecentlyActive }) => isRecentlyActive ? Vote.GRANTED : Vote.REJECTED);
    return jointVoteResult(this.#quorum, said) === VoteResult.WON;
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** The first vote of a member counts. */
  recordVote(id: bigint, isGranted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, isGranted);
  }

  /** Counts the votes of those who are voters now. */
  tallyVotes(): Tally {
    const said = this.#said;
    let granted = 0;
    let rejected = 0;
    for (let slot = 0; slot < this.#members.length; slot++) {
      const { id, isLearner } = this.#members[slot];
      const vote = isLearner ? undefined : this.#votes.get(id);
      said[slot] = vote === undefined ? Vote.MISSING : vote ? Vote.GRANTED : Vote.REJECTED;
      if (vote === true) granted++;
      if (vote === false) rejected++;
    }
    return { granted, rejected, result: jointVoteResult(this.#quorum, said) };
  }

  /** Brings a configuration into force. Members it adds are probed at `lastIndex`, the last index of the leader's log. */
  install(change: TrackerChange, lastIndex: number): void {
    const { configuration, added } = change;
    const members = memberIds(configuration).map((id) => {
      const isLearner = configuration.learners.includes(id);
      const known = added.includes(id) ? undefined : this.progressOf(id);
      if (known === undefined) return this.#newProgress(id, lastIndex, isLearner);
      known.isLearner = isLearner;
      return known;
    });
    this.#members = members;
    this.#configuration = configuration;
    this.#quorum = {
      incoming: configuration.voters.map((id) => this.slotOf(id)),
      outgoing: configuration.votersOutgoing.map((id) => this.slotOf(id)),
    };
    this.#indexes = new Float64Array(members.length);
    this.#said = members.map(() => Vote.MISSING);
  }

  #newProgress(id: bigint, lastIndex: number, isLearner: boolean): Progress {
    const { inflightsMax, inflightBytesMax } = this.#options;
    const progress = new Progress(
      id,
      Math.max(lastIndex, 1),
      isLearner,
      new Inflights(inflightsMax, inflightBytesMax),
    );
    // Else a check of the quorum could depose the leader before the newcomer had a chance to answer.
    progress.isRecentlyActive = true;
    return progress;
  }
}

/** Every id of the configuration, ascending. Staged learners are voters on the outgoing side still. */
function memberIds({ voters, votersOutgoing, learners }: ConfState): bigint[] {
  const ids = new Set([...voters, ...votersOutgoing, ...learners]);
  return [...ids].sort((a, b) => a < b ? -1 : 1);
}
