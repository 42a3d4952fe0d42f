/** What the term of a message means, before anything else does. */

import { isTransfer } from "./election.ts";
import { becomeFollower } from "./roles.ts";
import type { State } from "./state.ts";
import { type Message, MessageType, newMessage, NO_MEMBER } from "./types.ts";

/** Whether the message is to be handled in the term that this member is in now, perhaps because of it. */
export function isForThisTerm(state: State, message: Message): boolean {
  const { term } = message;
  // Term 0: proposals and reads that were passed on, and what the driver asks for.
  if (term === 0 || term === state.term || isFromStorage(message)) return true;
  if (term < state.term) {
    answerEarlierTerm(state, message);
    return false;
  }
  if (isVoteRequest(message) && hasLease(state) && !isTransfer(message)) return false;
  if (startsTerm(message)) becomeFollower(state, term, isFromLeader(message) ? message.from : NO_MEMBER);
  return true;
}

/**
 * With quorum checks, a member that hears of its leader supports no other: one that was removed, or cut off for a while,
 * must not disturb a group that works (Raft's dissertation, section 4.2.3).
 */
function hasLease(state: State): boolean {
  const { checkQuorum, electionTicks } = state.settings;
  return checkQuorum && state.leader !== NO_MEMBER && state.electionElapsed < electionTicks;
}

/** Pre-votes name a term that no one is in yet. */
function startsTerm({ type, reject }: Message): boolean {
  return type !== MessageType.PRE_VOTE && (type !== MessageType.PRE_VOTE_RESPONSE || reject);
}

function answerEarlierTerm(state: State, { type, from }: Message): void {
  const { checkQuorum, preVote } = state.settings;
  if (type === MessageType.PRE_VOTE) {
    const response = newMessage(MessageType.PRE_VOTE_RESPONSE, from);
    response.reject = true;
    state.sendWhenDurable(response);
  } else if ((type === MessageType.HEARTBEAT || type === MessageType.APPEND) && (checkQuorum || preVote)) {
    // A leader that lags behind our term would otherwise never hear of it: we send it no votes, and it ignores them. Our
    // term makes it step down, and the group goes on with us.
    state.sendWhenDurable(newMessage(MessageType.APPEND_RESPONSE, from));
  }
}

function isVoteRequest({ type }: Message): boolean {
  return type === MessageType.VOTE || type === MessageType.PRE_VOTE;
}

function isFromLeader({ type }: Message): boolean {
  return type === MessageType.APPEND || type === MessageType.HEARTBEAT || type === MessageType.SNAPSHOT;
}

function isFromStorage({ type }: Message): boolean {
  return type === MessageType.STORAGE_APPEND_RESPONSE || type === MessageType.STORAGE_APPLY_RESPONSE;
}
