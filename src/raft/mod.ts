/**
 * Consensus, as a pure state machine: inputs are `tick`, `step`, `propose`; all work leaves as one `Ready` value.
 * It knows nothing of disks, sockets, clocks, randomness or of what the entries mean.
 *
 * Invariants
 * 1. Indexes grow by one; an entry, once committed, never changes.
 * 2. Nothing counts as acknowledged by this member (its own vote and its own appends included) before the append that
 *    carries it was reported durable.
 * 3. Only entries of the leader's own term commit by counting acknowledgements.
 * 4. Entries are handed out for application in order, once, and only when committed and durable here.
 * 5. A term has at most one leader; its log holds everything that was committed before.
 * 6. Time and randomness are inputs: the same inputs give the same outputs.
 *
 * Absent: storage (the driver keeps it, and tells what is durable), retries (a message may be lost: heartbeats find out),
 * knowledge of which member is reachable, and any decision on who should be a member.
 *
 * Read: types; options, raft; state with log, storage_progress, apply_progress and tracker/; dispatch with terms, then the
 * families: ticks, election, roles, proposal, sending, replication, following, read_index, transfer, configuration with
 * conf_change/, storage_messages; last ready and text.
 */
export * from "./types.ts";
export { changeConfState, decodeConfChange } from "./conf_change/mod.ts";
export { RaftLog } from "./log.ts";
export type { RaftOptions } from "./options.ts";
export type { StepOutcome } from "./outcome.ts";
export { Raft } from "./raft.ts";
export { type Progress, ProgressState, type ProgressTracker } from "./tracker/mod.ts";
export {
  entriesText,
  entryText,
  messageText,
  messageTypeText,
  readyText,
  roleText,
  type StorageMessage,
} from "./text.ts";
export { configurationText, progressText, trackerText } from "./tracker/mod.ts";
