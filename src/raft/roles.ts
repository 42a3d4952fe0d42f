/** How a member changes its role. What a new role sends is decided by the caller. */

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { appendToLog } from "./proposal.ts";
import { ReadQueue } from "./read_queue.ts";
import type { State } from "./state.ts";
import { EntryType, NO_MEMBER } from "./types.ts";

export function becomeFollower(state: State, term: number, leader: bigint): void {
  startTerm(state, term);
  state.role = "follower";
  state.leader = leader;
}

/** Asks for votes without taking part in the next term: neither term nor vote change. */
export function becomePreCandidate(state: State): void {
  assert(state.role !== "leader", "a leader does not campaign");
  state.tracker.resetVotes();
  state.role = "pre-candidate";
  state.leader = NO_MEMBER;
}

export function becomeCandidate(state: State): void {
  assert(state.role !== "leader", "a leader does not campaign");
  startTerm(state, state.term + 1);
  state.role = "candidate";
  state.vote = state.id;
}

export function becomeLeader(state: State): void {
  assert(state.role === "candidate", "only a candidate becomes leader");
  startTerm(state, state.term);
  state.role = "leader";
  state.leader = state.id;
  const self = state.tracker.progressOf(state.id);
  assert(self !== undefined, "a leader is a member of the configuration");
  self.becomeReplicate();
  self.isRecentlyActive = true;
  // Any entry not yet committed may be a membership change: none is proposed before all of them are applied.
  state.pendingConfIndex = state.log.lastIndex;
  // Entries of earlier terms commit only together with one of this term (Raft, section 5.4.2).
  appendToLog(state, EMPTY_BYTES, EntryType.NORMAL);
}

function startTerm(state: State, term: number): void {
  assert(term >= state.term, "terms only grow");
  if (state.term !== term) {
    state.term = term;
    state.vote = NO_MEMBER;
  }
  state.leader = NO_MEMBER;
  state.electionElapsed = 0;
  state.heartbeatElapsed = 0;
  state.electionTimeout = 0;
  state.transferee = NO_MEMBER;
  state.pendingConfIndex = 0;
  state.uncommittedSize = 0;
  state.isReplicationDue = false;
  state.reads = new ReadQueue();
  state.tracker.resetVotes();
  const { members } = state.tracker;
  const { lastIndex } = state.log;
  for (let slot = 0; slot < members.length; slot++) {
    members[slot].reset(lastIndex + 1);
    if (members[slot].id === state.id) members[slot].match = lastIndex;
  }
}
