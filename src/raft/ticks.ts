/** What time brings about. */

import { campaignByTimeout, checkQuorum } from "./election.ts";
import { heartbeatContext } from "./read_index.ts";
import { broadcastHeartbeat } from "./sending.ts";
import type { State } from "./state.ts";
import { abortTransfer } from "./transfer.ts";

export function tick(state: State): void {
  state.electionElapsed++;
  if (state.role === "leader") tickLeader(state);
  else tickFollower(state);
}

function tickFollower(state: State): void {
  if (state.electionTimeout === 0) drawElectionTimeout(state);
  if (!state.isPromotable || state.electionElapsed < state.electionTimeout) return;
  state.electionElapsed = 0;
  campaignByTimeout(state);
}

/** Different members wait for different times, so that votes are rarely split. */
function drawElectionTimeout(state: State): void {
  const { electionTicks, random } = state.settings;
  state.electionTimeout = electionTicks + random(electionTicks);
}

function tickLeader(state: State): void {
  const { electionTicks, heartbeatTicks } = state.settings;
  state.heartbeatElapsed++;
  if (state.electionElapsed >= electionTicks) {
    state.electionElapsed = 0;
    if (state.settings.checkQuorum) checkQuorum(state);
    // Whoever was to take over has not done so: proposals are taken again.
    abortTransfer(state);
  }
  if (state.role !== "leader" || state.heartbeatElapsed < heartbeatTicks) return;
  state.heartbeatElapsed = 0;
  broadcastHeartbeat(state, heartbeatContext(state));
}
