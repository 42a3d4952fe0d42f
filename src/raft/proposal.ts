/** Proposals: a leader appends them, a follower passes them on, everyone else drops them. */

import { EMPTY_BYTES } from "../base/bytes.ts";
import { decodeConfChange, isLeaveJoint } from "./conf_change/mod.ts";
import { dataSize } from "./entry.ts";
import type { StepOutcome } from "./outcome.ts";
import type { State } from "./state.ts";
import { type Entry, EntryType, type Message, NO_MEMBER } from "./types.ts";

/** PROPOSAL at the leader. Terms and indexes of the proposed entries are given here. */
export function appendProposal(state: State, { entries }: Message): StepOutcome {
  if (!mayAppend(state, dataSize(entries))) return "proposal dropped";
  for (let i = 0; i < entries.length; i++) appendProposed(state, entries[i].data, entries[i].type);
  return "accepted";
}

/** As `appendProposal`, for one entry that did not travel. */
export function appendOwnProposal(state: State, data: Uint8Array, type: EntryType): StepOutcome {
  if (!mayAppend(state, data.length)) return "proposal dropped";
  appendProposed(state, data, type);
  return "accepted";
}

/** PROPOSAL at a follower. Whether it arrives is not known to the one who asked. */
export function forwardProposal(state: State, message: Message): StepOutcome {
  if (state.leader === NO_MEMBER || !state.settings.forwardsProposals) return "proposal dropped";
  state.forward(message, state.leader);
  return "accepted";
}

export function dropProposal(): StepOutcome {
  return "proposal dropped";
}

/** Appends an entry of this term. Sending and acknowledging it is left to `replicate`, for all that come together. */
export function appendToLog(state: State, data: Uint8Array, type: EntryType): void {
  state.log.append({ term: state.term, index: state.log.lastIndex + 1, type, data });
  state.uncommittedSize += data.length;
  state.isReplicationDue = true;
}

/** Leaves a joint configuration that asked for it, once the change that entered it is applied. */
export function proposeLeaveJoint(state: State): void {
  if (!state.tracker.configuration.autoLeave || state.role !== "leader") return;
  if (state.apply.applied < state.pendingConfIndex) return;
  appendOwnProposal(state, EMPTY_BYTES, EntryType.CONF_CHANGE_V2);
}

function mayAppend(state: State, size: number): boolean {
  // A leader that was removed goes on only until the entries that it has are replicated.
  if (state.tracker.slotOf(state.id) < 0) return false;
  // The member that takes over has to reach the end of the log.
  if (state.transferee !== NO_MEMBER) return false;
  // One proposal is always taken, and so is what has no data: a leader's first entry, leaving a joint configuration.
  const { uncommittedSize, settings } = state;
  return uncommittedSize === 0 || size === 0 || uncommittedSize + size <= settings.uncommittedSizeMax;
}

function appendProposed(state: State, data: Uint8Array, type: EntryType): void {
  if (type === EntryType.NORMAL) return appendToLog(state, data, type);
  if (isConfChangeRefused(state, { data, type })) return appendToLog(state, EMPTY_BYTES, EntryType.NORMAL);
  appendToLog(state, data, type);
  state.pendingConfIndex = state.log.lastIndex;
}

/** A refused change becomes an empty entry: its proposer sees that it was not applied. */
function isConfChangeRefused(state: State, entry: Pick<Entry, "data" | "type">): boolean {
  if (!state.settings.checksConfChanges) return false;
  const change = decodeConfChange(entry);
  if (state.pendingConfIndex > state.apply.applied) return true;
  return state.tracker.isJoint ? !isLeaveJoint(change) : change.changes.length === 0;
}
