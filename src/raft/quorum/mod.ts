/**
 * What a quorum has decided: which index it has acknowledged, and how a vote stands, for a majority and for two
 * majorities that must agree (joint consensus). Voters are slots, positions in arrays that the caller keeps, so that
 * nothing is looked up or allocated where it is asked once per message.
 * It knows nothing of terms, logs, progress or who the voters are.
 *
 * Invariants
 * 1. The empty majority agrees to everything: it has acknowledged every index and won every vote. So a joint quorum whose
 *    outgoing half is empty is the same as its incoming half.
 * 2. A voter that has not been heard of has acknowledged 0.
 * 3. What a joint quorum has decided, both of its halves have decided.
 *
 * Read: majority, joint, text.
 */
export { majorityCommittedIndex, majorityVoteResult, Vote, VoteResult, voteResultText } from "./majority.ts";
export { EMPTY_QUORUM, jointCommittedIndex, type JointQuorum, jointVoteResult } from "./joint.ts";
export { acknowledgementsText, indexText, jointText, majorityText } from "./text.ts";
