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
 *
 * Absent: elections and replication among several voters. The interface is the one they will use; a configuration with
 * more than one voter is refused by `member` until then.
 *
 * Read: types, log, conf_change, raft.
 */
export * from "./types.ts";
export { changeConfState } from "./conf_change/mod.ts";
export { RaftLog } from "./log.ts";
export { Raft, type RaftOptions } from "./raft.ts";
