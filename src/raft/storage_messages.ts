/** What this member's own storage and state machine report. */

import type { StepOutcome } from "./outcome.ts";
import { proposeLeaveJoint } from "./proposal.ts";
import type { State } from "./state.ts";
import { APPEND_THREAD, APPLY_THREAD, type Message, MessageType, newMessage, type Snapshot } from "./types.ts";

/** What is to be stepped once everything handed out so far, `snapshot` included, is durable. Undefined: nothing waits. */
export function storageAppendResponse(state: State, snapshot: Snapshot | undefined): Message | undefined {
  const { storage, log } = state;
  const isWaiting = log.lastIndex > storage.durable;
  if (!isWaiting && snapshot === undefined) return undefined;
  const message = newMessage(MessageType.STORAGE_APPEND_RESPONSE, state.id);
  message.from = APPEND_THREAD;
  message.term = state.term;
  // Also when the entries left with an earlier Ready: if the term has changed since, that one's response no longer counts.
  if (isWaiting) {
    message.index = log.lastIndex;
    message.logTerm = log.lastTerm;
  }
  message.snapshot = snapshot;
  return message;
}

/**
 * STORAGE_APPEND_RESPONSE. An acknowledgement from an earlier term says nothing of entries: theirs may have been replaced
 * by others, and those again by the same ones, while the disk is still at the second step.
 */
export function onStorageAppended(state: State, message: Message): StepOutcome {
  const { from, term, index, logTerm, snapshot } = message;
  if (from !== APPEND_THREAD) return "local message";
  if (index > 0 && term === state.term && state.log.matches(index, logTerm)) state.storage.acknowledge(index);
  // A snapshot that another has replaced meanwhile is of no interest.
  if (snapshot === undefined || !state.storage.acknowledgeSnapshot(snapshot.index)) return "accepted";
  state.apply.restore(snapshot.index);
  state.installConfiguration(snapshot.confState);
  return "accepted";
}

/** STORAGE_APPLY_RESPONSE */
export function onStorageApplied(state: State, { from, entries }: Message): StepOutcome {
  if (from !== APPLY_THREAD) return "local message";
  if (entries.length > 0) advanceApplied(state, entries[entries.length - 1].index);
  return "accepted";
}

export function advanceApplied(state: State, index: number): void {
  const size = state.apply.advance(state.log, index);
  state.uncommittedSize = Math.max(state.uncommittedSize - size, 0);
  proposeLeaveJoint(state);
}
