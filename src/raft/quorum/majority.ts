/** What one voter has said. */
export const Vote = { MISSING: 0, GRANTED: 1, REJECTED: 2 } as const;
export type Vote = typeof Vote[keyof typeof Vote];

/** How a vote stands; pending while the votes that are missing can still turn it. */
export const VoteResult = { PENDING: 1, LOST: 2, WON: 3 } as const;
export type VoteResult = typeof VoteResult[keyof typeof VoteResult];

const VOTE_RESULT_TEXTS = ["", "VotePending", "VoteLost", "VoteWon"] as const;

export function voteResultText(result: VoteResult): string {
  return VOTE_RESULT_TEXTS[result];
}

/** The greatest index that a majority of `voters` (slots of `acknowledged`) has acknowledged; Infinity without voters. */
export function majorityCommittedIndex(voters: readonly number[], acknowledged: ArrayLike<number>): number {
  const count = voters.length;
  if (count === 0) return Infinity;
  const needed = (count >>> 1) + 1;
  let committed = 0;
  // Groups are small: counting for every candidate beats sorting a copy, and needs no memory.
  for (let i = 0; i < count; i++) {
    const candidate = acknowledged[voters[i]];
    if (candidate <= committed) continue;
    let reached = 0;
    for (let j = 0; j < count; j++) if (acknowledged[voters[j]] >= candidate) reached++;
    if (reached >= needed) committed = candidate;
  }
  return committed;
}

/** How the vote of `voters` (slots of `votes`) stands; won without voters. */
export function majorityVoteResult(voters: readonly number[], votes: ArrayLike<Vote>): VoteResult {
  const count = voters.length;
  if (count === 0) return VoteResult.WON;
  let granted = 0;
  let missing = 0;
  for (let i = 0; i < count; i++) {
    const vote = votes[voters[i]];
    if (vote === Vote.GRANTED) granted++;
    else if (vote === Vote.MISSING) missing++;
  }
  const needed = (count >>> 1) + 1;
  if (granted >= needed) return VoteResult.WON;
  return granted + missing >= needed ? VoteResult.PENDING : VoteResult.LOST;
}
