import { majorityCommittedIndex, majorityVoteResult, type Vote, VoteResult } from "./majority.ts";

/** Slots of the voters on either side of a configuration change; `outgoing` is empty outside of one. */
export interface JointQuorum {
  readonly incoming: readonly number[];
  readonly outgoing: readonly number[];
}

export const EMPTY_QUORUM: JointQuorum = { incoming: [], outgoing: [] };

/** The greatest index that both halves have acknowledged; Infinity without voters. */
export function jointCommittedIndex(quorum: JointQuorum, acknowledged: ArrayLike<number>): number {
  const incoming = majorityCommittedIndex(quorum.incoming, acknowledged);
  const outgoing = majorityCommittedIndex(quorum.outgoing, acknowledged);
  return incoming < outgoing ? incoming : outgoing;
}

/** Lost as soon as one half has lost, won once both have won. */
export function jointVoteResult(quorum: JointQuorum, votes: ArrayLike<Vote>): VoteResult {
  const incoming = majorityVoteResult(quorum.incoming, votes);
  const outgoing = majorityVoteResult(quorum.outgoing, votes);
  if (incoming === outgoing) return incoming;
  if (incoming === VoteResult.LOST || outgoing === VoteResult.LOST) return VoteResult.LOST;
  return VoteResult.PENDING;
}
