/** Bringing a committed membership change into force. */

import { assert } from "../base/assert.ts";
import { changeConfiguration } from "./conf_change/mod.ts";
import { maybeCommit } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { broadcastAppend, sendNewEntries } from "./sending.ts";
import type { State } from "./state.ts";
import { abortTransfer } from "./transfer.ts";
import { type ConfChangeV2, NO_MEMBER } from "./types.ts";

export function applyConfChange(state: State, change: ConfChangeV2): void {
  const { tracker, log } = state;
  const next = changeConfiguration(tracker.configuration, change);
  assert(next.error === undefined, `a committed membership change is possible: ${next.error}`);
  tracker.install(next, log.lastIndex);
  if (state.role === "leader") adjustLeader(state);
}

function adjustLeader(state: State): void {
  const self = state.tracker.progressOf(state.id);
  if (self === undefined || self.isLearner) {
    if (state.settings.stepDownOnRemoval) becomeFollower(state, state.term, NO_MEMBER);
    return;
  }
  // A smaller quorum may have acknowledged more already.
  if (maybeCommit(state)) broadcastAppend(state);
  else {
    // New members learn at once what they lack.
    for (const progress of state.tracker.members) if (progress.id !== state.id) sendNewEntries(state, progress);
  }
  if (!state.tracker.isVoter(state.transferee)) abortTransfer(state);
}
