/** The leader's side of log replication. */

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { releaseEarlyReads, releaseReads } from "./read_index.ts";
import type { State } from "./state.ts";
import { type Progress, ProgressState } from "./tracker/mod.ts";
import { finishTransfer } from "./transfer.ts";
import { dataSize } from "./entry.ts";
import { isMember, type Message, MessageType, newMessage, NO_ENTRIES } from "./types.ts";

/** Sends what was appended since the last time, and lets this member acknowledge it like any other. */
export function replicate(state: State): void {
  if (!state.isReplicationDue) return;
  assert(state.role === "leader", "only a leader appends entries of its own");
  state.isReplicationDue = false;
  const message = newMessage(MessageType.APPEND_RESPONSE, state.id);
  message.index = state.log.lastIndex;
  state.sendWhenDurable(message);
  const { members } = state.tracker;
  for (let slot = 0; slot < members.length; slot++) {
    if (members[slot].id === state.id) continue;
    sendAppend(state, members[slot]);
    sendFurtherAppends(state, members[slot]);
  }
}

/** Sends everyone the entries that it lacks, or else the commit index. */
export function broadcastAppend(state: State): void {
  const { members } = state.tracker;
  for (let slot = 0; slot < members.length; slot++) {
    if (members[slot].id !== state.id) sendAppend(state, members[slot]);
  }
}

export function broadcastHeartbeat(state: State, context: Uint8Array): void {
  const { members } = state.tracker;
  for (let slot = 0; slot < members.length; slot++) {
    if (members[slot].id !== state.id) sendHeartbeat(state, members[slot], context);
  }
}

/** Sends the entries from `progress.next` on, if there are any; false if nothing was sent. */
export function sendNewEntries(state: State, progress: Progress): boolean {
  return maybeSendAppend(state, progress, false);
}

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

/** Sends the entries from `progress.next` on, or else the commit index alone. */
export function sendAppend(state: State, progress: Progress): void {
  maybeSendAppend(state, progress, true);
}

/** As many messages as there is room for. */
function sendFurtherAppends(state: State, progress: Progress): void {
  while (maybeSendAppend(state, progress, false));
}

function maybeSendAppend(state: State, progress: Progress, evenIfEmpty: boolean): boolean {
  if (progress.isPaused) return false;
  const { log, settings } = state;
  const previous = progress.next - 1;
  const previousTerm = log.termOrNone(previous);
  if (previousTerm < 0) return maybeSendSnapshot(state, progress);
  // A full pipeline still gets messages without entries: they carry the commit index, and find out what was lost.
  const mayCarry = progress.state !== ProgressState.REPLICATE || !progress.inflights.isFull;
  const entries = mayCarry ? log.sliceUpToSize(previous, log.lastIndex, settings.messageSizeMax) : NO_ENTRIES;
  if (entries.length === 0 && !evenIfEmpty) return false;
  const message = newMessage(MessageType.APPEND, progress.id);
  message.index = previous;
  message.logTerm = previousTerm;
  message.entries = entries;
  message.commit = state.commit;
  state.send(message);
  progress.recordSentEntries(entries.length, dataSize(entries));
  progress.recordSentCommit(state.commit);
  return true;
}

function maybeSendSnapshot(state: State, progress: Progress): boolean {
  const { snapshot } = state;
  // To one that does not answer, a snapshot would be made in vain.
  if (!progress.isRecentlyActive) return false;
  // There may be none at present, or an old one behind which our log no longer goes on.
  if (snapshot === undefined || snapshot.index < state.log.offset) return false;
  // A member that was added behind it would refuse it.
  if (!isMember(snapshot.confState, progress.id)) return false;
  progress.becomeSnapshot(snapshot.index);
  const message = newMessage(MessageType.SNAPSHOT, progress.id);
  message.snapshot = snapshot;
  state.send(message);
  return true;
}

function sendHeartbeat(state: State, progress: Progress, context: Uint8Array): void {
  const message = newMessage(MessageType.HEARTBEAT, progress.id);
  // No more than what is known to be in the member's log: it may hold other entries behind that.
  message.commit = Math.min(progress.match, state.commit);
  message.context = context.length > 0 ? context : EMPTY_BYTES;
  state.send(message);
  progress.recordSentCommit(message.commit);
}
