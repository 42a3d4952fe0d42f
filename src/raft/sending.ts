/** What a leader sends of its own accord. */

import { assert } from "../base/assert.ts";
import { dataSize } from "./entry.ts";
import type { State } from "./state.ts";
import { type Progress, ProgressState } from "./tracker/mod.ts";
import { isMember, MessageType, newMessage, NO_ENTRIES } from "./types.ts";

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

/** Sends the entries from `progress.next` on, or else the commit index alone. */
export function sendAppend(state: State, progress: Progress): void {
  maybeSendAppend(state, progress, true);
}

/** Sends the entries that are left, as many messages as may be on their way. */
export function sendFurtherAppends(state: State, progress: Progress): void {
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
  message.context = context;
  state.send(message);
  progress.recordSentCommit(message.commit);
}
