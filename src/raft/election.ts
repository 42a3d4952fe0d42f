/** Elections: who campaigns, who votes for whom, and what follows from the votes. */

import { utf8 } from "../base/bytes.ts";
import { VoteResult } from "./quorum/mod.ts";
import { replicate } from "./sending.ts";
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from "./roles.ts";
import type { State } from "./state.ts";
import { EntryType, type Message, MessageType, newMessage, NO_MEMBER } from "./types.ts";

/** Why a member campaigns: asking first, for good, or because the leader told it to. */
export type Campaign = "pre-election" | "election" | "transfer";

/** What a vote request carries when the leader itself wants to be replaced (frozen). */
const TRANSFER_CONTEXT = utf8("CampaignTransfer");

/** Starts an election, if this member may win one. */
export function campaign(state: State, kind: Campaign): void {
  if (state.role === "leader" || !state.isPromotable) return;
  // It would count its votes under a configuration that others may have left already.
  if (hasUnappliedConfChange(state)) return;
  requestVotes(state, kind);
}

/** What an election timeout starts. */
export function campaignByTimeout(state: State): void {
  campaign(state, state.settings.preVote ? "pre-election" : "election");
}

/** VOTE and PRE_VOTE, in any role. A pre-vote promises nothing: it only says what the vote would be. */
export function onVoteRequest(state: State, message: Message): void {
  const { from, term, index, logTerm } = message;
  const isPreVote = message.type === MessageType.PRE_VOTE;
  const response = newMessage(isPreVote ? MessageType.PRE_VOTE_RESPONSE : MessageType.VOTE_RESPONSE, from);
  const isGranted = canVoteFor(state, message) && state.log.isUpToDate(index, logTerm);
  response.reject = !isGranted;
  // The term of a vote that is granted is the candidate's; a rejection tells it ours.
  state.sendWhenDurable(response, isGranted ? term : state.term);
  if (!isGranted || isPreVote) return;
  state.electionElapsed = 0;
  state.vote = from;
}

/** VOTE_RESPONSE at a candidate, PRE_VOTE_RESPONSE at a pre-candidate. */
export function onVoteResponse(state: State, { from, reject }: Message): void {
  state.tracker.recordVote(from, !reject);
  const { result } = state.tracker.tallyVotes();
  if (result === VoteResult.LOST) becomeFollower(state, state.term, NO_MEMBER);
  if (result !== VoteResult.WON) return;
  if (state.role === "pre-candidate") return requestVotes(state, "election");
  becomeLeader(state);
  replicate(state);
}

/** TIMEOUT_NOW at a follower: the leader hands over to this member, so there is no need to ask first. */
export function onTimeoutNow(state: State): void {
  campaign(state, "transfer");
}

/** A leader that a quorum has not answered for an election timeout makes room for one that can. */
export function checkQuorum(state: State): void {
  const isActive = state.tracker.isQuorumActive();
  if (!isActive) becomeFollower(state, state.term, NO_MEMBER);
  for (const progress of state.tracker.members) if (progress.id !== state.id) progress.isRecentlyActive = false;
}

/** Whether the leader itself asked the candidate to campaign. */
export function isTransfer({ context }: Message): boolean {
  return context.length === TRANSFER_CONTEXT.length && context.every((byte, i) => byte === TRANSFER_CONTEXT[i]);
}

function canVoteFor(state: State, { type, from, term }: Message): boolean {
  // The same candidate asks again, perhaps as our answer was lost.
  if (state.vote === from) return true;
  if (state.vote === NO_MEMBER && state.leader === NO_MEMBER) return true;
  return type === MessageType.PRE_VOTE && term > state.term;
}

function requestVotes(state: State, kind: Campaign): void {
  const isPreElection = kind === "pre-election";
  if (isPreElection) becomePreCandidate(state);
  else becomeCandidate(state);
  const term = isPreElection ? state.term + 1 : state.term;
  for (const { id } of state.tracker.members) {
    if (!state.tracker.isVoter(id)) continue;
    // One's own vote counts like any other: once it is durable.
    if (id === state.id) {
      const type = isPreElection ? MessageType.PRE_VOTE_RESPONSE : MessageType.VOTE_RESPONSE;
      state.sendWhenDurable(newMessage(type, id), term);
    } else sendVoteRequest(state, id, term, kind);
  }
}

function sendVoteRequest(state: State, to: bigint, term: number, kind: Campaign): void {
  const message = newMessage(kind === "pre-election" ? MessageType.PRE_VOTE : MessageType.VOTE, to);
  message.index = state.log.lastIndex;
  message.logTerm = state.log.lastTerm;
  if (kind === "transfer") message.context = TRANSFER_CONTEXT;
  state.send(message);
  // A pre-vote asks for the next term.
  message.term = term;
}

function hasUnappliedConfChange(state: State): boolean {
  for (let index = state.apply.applied + 1; index <= state.commit; index++) {
    if (state.log.entry(index).type !== EntryType.NORMAL) return true;
  }
  return false;
}
