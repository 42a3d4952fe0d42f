/** What a leader learns from the answers to what it sent. */

import { releaseEarlyReads, releaseReads } from "./read_index.ts";
import { broadcastAppend, sendAppend, sendFurtherAppends } from "./sending.ts";
import type { State } from "./state.ts";
import { type Progress, ProgressState } from "./tracker/mod.ts";
import { finishTransfer } from "./transfer.ts";
import type { Message } from "./types.ts";

/** Raises the commit index to what a quorum has; false if that is nothing new. */
export function maybeCommit(state: State): boolean {
  const index = state.tracker.committedIndex();
  if (index <= state.commit) return false;
  // Only entries of the current term commit by counting (Raft, section 5.4.2).
  if (!state.log.matches(index, state.term)) return false;
  state.commitTo(index);
  return true;
}

/** APPEND_RESPONSE */
export function onAppendResponse(state: State, message: Message): void {
  const progress = state.tracker.progressOf(message.from);
  if (progress === undefined) return;
  progress.isRecentlyActive = true;
  if (message.reject) onAppendRejected(state, progress, message);
  else onAppendAccepted(state, progress, message.index);
}

/** HEARTBEAT_RESPONSE */
export function onHeartbeatResponse(state: State, message: Message): void {
  const progress = state.tracker.progressOf(message.from);
  if (progress === undefined) return;
  progress.isRecentlyActive = true;
  // The member is reachable: one more append may find out where its log ends.
  progress.isAppendPaused = false;
  if (progress.match < state.log.lastIndex || progress.state === ProgressState.PROBE) sendAppend(state, progress);
  releaseReads(state, progress, message.context);
}

/** What was sent to the member last is probably lost. */
export function onUnreachable(state: State, id: bigint): void {
  const progress = state.tracker.progressOf(id);
  if (state.role === "leader" && progress?.state === ProgressState.REPLICATE) progress.becomeProbe();
}

/** The snapshot on its way to the member arrived, or did not. */
export function onSnapshotStatus(state: State, id: bigint, hasArrived: boolean): void {
  const progress = state.tracker.progressOf(id);
  if (state.role !== "leader" || progress?.state !== ProgressState.SNAPSHOT) return;
  if (!hasArrived) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  // Its acknowledgement, or the next heartbeat's, says where to go on.
  progress.isAppendPaused = true;
}

/**
 * A rejection carries the last position at which the member's log may agree with the append that it refused. Of what lies
 * before that in our log, only entries of at most that term can be in the member's log: a whole term is skipped at once.
 */
function onAppendRejected(state: State, progress: Progress, message: Message): void {
  const { index, rejectHint, logTerm } = message;
  const hint = logTerm > 0 ? state.log.lastIndexWithTermUpTo(rejectHint, logTerm) : rejectHint;
  if (!progress.maybeDecreaseTo(index, hint)) return;
  if (progress.state === ProgressState.REPLICATE) progress.becomeProbe();
  sendAppend(state, progress);
}

function onAppendAccepted(state: State, progress: Progress, index: number): void {
  // No sound member has more of this term's log than its leader.
  if (index > state.log.lastIndex) return;
  // A probe that was acknowledged at the known position still says that the member is there.
  const isProbed = progress.state === ProgressState.PROBE && progress.match === index;
  if (!progress.maybeUpdate(index) && !isProbed) return;
  advanceProgress(state, progress, index);
  const isOther = progress.id !== state.id;
  if (maybeCommit(state)) {
    releaseEarlyReads(state);
    broadcastAppend(state);
  } else if (isOther && progress.canBumpCommit(state.commit)) sendAppend(state, progress);
  if (!isOther) return;
  sendFurtherAppends(state, progress);
  finishTransfer(state, progress);
}

function advanceProgress(state: State, progress: Progress, index: number): void {
  if (progress.state === ProgressState.PROBE) progress.becomeReplicate();
  else if (progress.state === ProgressState.REPLICATE) progress.inflights.freeThrough(index);
  // However it got there: what it lacks now, our log still has.
  else if (progress.match >= state.log.offset) progress.becomeReplicate();
}
