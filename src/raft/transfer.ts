/** Handing leadership to another member (Raft's dissertation, section 3.10). */

import { sendAppend } from "./sending.ts";
import type { State } from "./state.ts";
import type { Progress } from "./tracker/mod.ts";
import { type Message, MessageType, newMessage, NO_MEMBER } from "./types.ts";

/** TRANSFER_LEADER at the leader: `from` is the member that takes over. It first gets whatever it lacks. */
export function onTransferLeader(state: State, { from: transferee }: Message): void {
  const progress = state.tracker.progressOf(transferee);
  if (progress === undefined || progress.isLearner || transferee === state.transferee) return;
  // A new wish takes the place of an older one, even if there is nothing to do for it.
  abortTransfer(state);
  if (transferee === state.id) return;
  // It should be done within an election timeout; else it is given up.
  state.electionElapsed = 0;
  state.transferee = transferee;
  if (progress.match === state.log.lastIndex) sendTimeoutNow(state, transferee);
  else sendAppend(state, progress);
}

/** TRANSFER_LEADER at a follower; without a leader it is lost. */
export function forwardTransferLeader(state: State, message: Message): void {
  if (state.leader === NO_MEMBER) return;
  state.messages.push({ ...message, to: state.leader, term: state.term });
}

export function abortTransfer(state: State): void {
  state.transferee = NO_MEMBER;
}

/** A member has acknowledged something: perhaps it is the one to take over, and has everything now. */
export function finishTransfer(state: State, progress: Progress): void {
  if (progress.id !== state.transferee || progress.match !== state.log.lastIndex) return;
  sendTimeoutNow(state, progress.id);
}

function sendTimeoutNow(state: State, to: bigint): void {
  state.send(newMessage(MessageType.TIMEOUT_NOW, to));
}

/**
 * FORGET_LEADER at a follower: it has reason to believe that the leader is gone, so that it may vote for another at once.
 * With reads by lease that is not safe: the leader counts on this member's promise to wait.
 */
export function forgetLeader(state: State): void {
  if (state.settings.readMode !== "lease") state.leader = NO_MEMBER;
}
