/**
 * One running member: where the pure core meets disk, clock and peers. Proposals and reads come in from the api, go round
 * one loop, and are answered from it.
 *
 * It knows nothing of calls, wire formats of responses, or command-line flags.
 *
 * Invariants
 * 1. One turn of the loop at a time touches the core; nothing is handled on arrival.
 * 2. A proposal is settled only after its entry is durable (on a quorum), applied, and published to every watcher.
 * 3. One append is in flight; whatever arrives meanwhile goes into the next one. A failed append ends the process.
 * 4. The database is never behind a snapshot that the log has a record of, and no segment is purged that a restart from
 *    the database needs.
 * 5. No turn lasts longer than a few milliseconds: entries, jobs and catch-up stop at their share of TURN_MS_MAX.
 * 6. What says that something is durable here (an acknowledgement, a vote, asking for votes) leaves after its append;
 *    everything else leaves at once, so that heartbeats and reads do not wait for the disk.
 * 7. A received database is safe before raft hears of its snapshot. While it is read nothing is applied, and the state that
 *    it replaces answers reads that need no newer one; then it takes over within one turn.
 * 8. A leader decides by its clock only in its own log: what it proposes for leases is never passed on to another leader.
 *
 * Absent: how messages travel (peer).
 *
 * Read: options, request_ids, proposals (held_proposals), pending_reads, membership_changes (held_changes, reconfiguration_checks,
 * promotions), inbox, jobs, loop, peers (snapshot_sender, snapshot_receiver), peer_questions (peer_hash, peer_texts),
 * peer_answers (applied_waits), snapshot_install, disk_watch, duties, kv_hash, corruption, space_alarm, space_monitor
 * (prefix_survey), auto_compaction, versions, leader_transfer, leader_loss, checkpoints (buckets with lease_rows,
 * v2_store, checkpoint_policy, checkpointer, state_hash), starts (restore, database_start, bootstrap_defragment,
 * force_new_cluster, bootstrap), joining (peer_urls), member.
 */
export type { ClusterOrigin, ExistingCluster, InitialMember, MemberOptions } from "./options.ts";
export { beginNewCluster, joinExistingCluster, JoiningError, type JoiningParts } from "./joining.ts";
export { PeerUrlComparison, type PeerUrlParts } from "./peer_urls.ts";
export type { CompactionRetention } from "./auto_compaction.ts";
export { MEMBER_ERROR_TEXTS, type MemberError, type Settle } from "./proposals.ts";
export { type DowngradeError, type DowngradeSettle, shortVersion } from "./versions.ts";
export type { KvHashError, KvHashSettle } from "./kv_hash.ts";
export { CorruptionError, type CorruptionOptions } from "./corruption.ts";
export type { TransferError, TransferSettle } from "./leader_transfer.ts";
export type { Job, JobState } from "./jobs.ts";
export type { DatabaseSnapshot, MemberDatabase } from "./database_snapshot.ts";
export { Member, MemberRemovedError, type StopOptions } from "./member.ts";
export type { ReconfigurationError, ReconfigurationSettle } from "./membership_changes.ts";
export type { RenewalSettle } from "./duties.ts";
export { Bucket, MetaKey } from "./buckets.ts";
export { encodeAddMember } from "./bootstrap.ts";
export { encodeV2Store } from "./v2_store.ts";
