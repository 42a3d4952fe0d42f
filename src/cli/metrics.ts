/** What a scrape finds: the figures that operators of etcd look for first, and those of our own promises. */

import process from "node:process";
import { ETCD_VERSION } from "../base/version.ts";
import { AlarmType } from "../keyspace/mod.ts";
import { type Member, shortVersion } from "../member/mod.ts";
import { idText } from "../membership/mod.ts";
import type { Budget } from "../rpc/http2/mod.ts";
import type { PeerStatistics } from "../peer/mod.ts";
import { peerMetrics } from "./peer_metrics.ts";
import { type Metric, metricsText } from "./metrics_text.ts";

/** The body of /metrics. */
export function memberMetricsText(member: Member, peers: PeerStatistics, budget: Budget): string {
  return metricsText([
    ...serverMetrics(member),
    ...peerMetrics({ memberId: member.id, membership: member.membership, statistics: peers }),
    ...storeMetrics(member),
    ...spaceMetrics(member),
    ...compactionMetrics(member),
    ...ownMetrics(member, budget),
  ]);
}

function serverMetrics(member: Member): Metric[] {
  const { leader, commitIndex, appliedIndex } = member.raftStatus;
  const { clusterVersion } = member.membership;
  return [
    {
      name: "etcd_server_has_leader",
      type: "gauge",
      help: "Whether or not a leader exists. 1 is existence, 0 is not.",
      value: leader === 0n ? 0 : 1,
    },
    {
      name: "etcd_server_is_leader",
      type: "gauge",
      help: "Whether or not this member is a leader. 1 if is, 0 otherwise.",
      value: leader === member.id ? 1 : 0,
    },
    {
      name: "etcd_server_leader_changes_seen_total",
      type: "counter",
      help: "The number of leader changes seen.",
      value: member.statistics.leaderChangeCount,
    },
    {
      name: "etcd_server_proposals_committed_total",
      type: "gauge",
      help: "The total number of consensus proposals committed.",
      value: commitIndex,
    },
    {
      name: "etcd_server_proposals_applied_total",
      type: "gauge",
      help: "The total number of consensus proposals applied.",
      value: appliedIndex,
    },
    {
      name: "etcd_server_proposals_pending",
      type: "gauge",
      help: "The current number of pending proposals to commit.",
      value: member.pendingProposalCount,
    },
    {
      name: "etcd_server_is_learner",
      type: "gauge",
      help: "Whether or not this member is a learner. 1 if is, 0 otherwise.",
      value: member.membership.get(member.id)?.isLearner === true ? 1 : 0,
    },
    {
      name: "etcd_server_id",
      type: "gauge",
      help: "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
      value: [{ labels: { server_id: idText(member.id) }, value: 1 }],
    },
    {
      name: "etcd_server_version",
      type: "gauge",
      help: "Which version is running. 1 for 'server_version' label with current version.",
      value: [{ labels: { server_version: ETCD_VERSION }, value: 1 }],
    },
    {
      name: "etcd_cluster_version",
      type: "gauge",
      help: "Which version is running. 1 for 'cluster_version' label with current cluster version",
      value: clusterVersion === "" ? [] : [{ labels: { cluster_version: shortVersion(clusterVersion) }, value: 1 }],
    },
  ];
}

function storeMetrics({ keyspace, statistics }: Member): Metric[] {
  const { store, watchHub } = keyspace;
  return [
    {
      name: "etcd_debugging_mvcc_keys_total",
      type: "gauge",
      help: "Total number of keys.",
      value: store.keyCount,
    },
    {
      name: "etcd_debugging_mvcc_current_revision",
      type: "gauge",
      help: "The current revision of store.",
      value: store.revision,
    },
    {
      name: "etcd_debugging_mvcc_compact_revision",
      type: "gauge",
      help: "The revision of the last compaction in store.",
      value: store.compactRevision,
    },
    {
      name: "etcd_debugging_mvcc_watch_stream_total",
      type: "gauge",
      help: "Total number of watch streams.",
      value: watchHub.streamCount,
    },
    {
      name: "etcd_debugging_mvcc_watcher_total",
      type: "gauge",
      help: "Total number of watchers.",
      value: watchHub.watcherCount,
    },
    {
      name: "etcd_debugging_mvcc_slow_watcher_total",
      type: "gauge",
      help: "Total number of unsynced slow watchers.",
      value: watchHub.slowWatcherCount,
    },
    {
      name: "etcd_mvcc_range_total",
      type: "counter",
      help: "Total number of ranges seen by this member.",
      value: store.operations.ranges,
    },
    {
      name: "etcd_mvcc_put_total",
      type: "counter",
      help: "Total number of puts seen by this member.",
      value: store.operations.puts,
    },
    {
      name: "etcd_mvcc_delete_total",
      type: "counter",
      help: "Total number of deletes seen by this member.",
      value: store.operations.deletes,
    },
    {
      name: "etcd_mvcc_txn_total",
      type: "counter",
      help: "Total number of txns seen by this member.",
      value: store.operations.txns,
    },
    {
      name: "etcd_debugging_mvcc_total_put_size_in_bytes",
      type: "gauge",
      help: "The total size of put kv pairs seen by this member.",
      value: store.operations.putSize,
    },
    {
      name: "etcd_debugging_lease_granted_total",
      type: "counter",
      help: "The total number of granted leases.",
      value: statistics.leasesGrantedCount,
    },
    {
      name: "etcd_debugging_lease_revoked_total",
      type: "counter",
      help: "The total number of revoked leases.",
      value: statistics.leasesRevokedCount,
    },
    {
      name: "etcd_mvcc_hash_duration_seconds",
      type: "histogram",
      help: "The latency distribution of storage hash operation.",
      value: statistics.hashSeconds,
    },
    {
      name: "etcd_mvcc_hash_rev_duration_seconds",
      type: "histogram",
      help: "The latency distribution of storage hash by revision operation.",
      value: statistics.hashKvSeconds,
    },
  ];
}

/** How much is stored, how much may be, and what was done about it. */
function spaceMetrics(member: Member): Metric[] {
  const { space, statistics } = member;
  const { quota, alarms } = member.keyspace;
  return [
    {
      name: "etcd_mvcc_db_total_size_in_bytes",
      type: "gauge",
      help: "Total size of the underlying database physically allocated in bytes.",
      value: member.databaseSize,
    },
    {
      name: "etcd_mvcc_db_total_size_in_use_in_bytes",
      type: "gauge",
      help: "Total size of the underlying database logically in use in bytes.",
      value: member.databaseSizeInUse,
    },
    {
      name: "etcd_server_quota_backend_bytes",
      type: "gauge",
      help: "Current backend storage quota size in bytes.",
      value: quota.limit === Infinity ? quota.setting : quota.limit,
    },
    {
      name: "keelson_quota_used_bytes",
      type: "gauge",
      help: "Bytes that count against the quota: live keys, their history and leases.",
      value: quota.used,
    },
    {
      name: "keelson_quota_warning_ratio",
      type: "gauge",
      help: "The part of the quota that was warned of in the log and is still used: 0, 0.8 or 0.9.",
      value: space.warningRatio,
    },
    {
      name: "keelson_quota_prefix_bytes",
      type: "gauge",
      help: "What the largest key prefixes needed when that was warned of.",
      value: space.largestPrefixes.map(({ prefix, size }) => ({ labels: { prefix }, value: size })),
    },
    {
      name: "etcd_debugging_server_alarms",
      type: "gauge",
      help: "Alarms for every member in cluster. 1 for 'server_id' label with current ID. " +
        "2 for 'alarm_type' label with type of this alarm",
      value: alarms.list().map(({ memberId, type }) => ({
        labels: { server_id: idText(memberId), alarm_type: type === AlarmType.NOSPACE ? "NOSPACE" : "CORRUPT" },
        value: 1,
      })),
    },
    {
      name: "etcd_disk_backend_defrag_duration_seconds",
      type: "histogram",
      help: "The latency distribution of backend defragmentation.",
      value: statistics.defragmentSeconds,
    },
    {
      name: "etcd_disk_defrag_inflight",
      type: "gauge",
      help: "Whether or not defrag is active on the member. 1 means active, 0 means not.",
      value: statistics.defragmentingCount > 0 ? 1 : 0,
    },
  ];
}

function compactionMetrics({ statistics }: Member): Metric[] {
  return [
    {
      name: "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
      type: "histogram",
      help: "Bucketed histogram of db compaction pause duration.",
      value: statistics.compactionPauseMs,
    },
    {
      name: "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
      type: "histogram",
      help: "Bucketed histogram of db compaction total duration.",
      value: statistics.compactionTotalMs,
    },
    {
      name: "etcd_debugging_mvcc_db_compaction_last",
      type: "gauge",
      help: "The unix time of the last db compaction. Resets to 0 on start.",
      value: Math.floor(statistics.lastCompactionMs / 1000),
    },
    {
      name: "etcd_debugging_mvcc_db_compaction_keys_total",
      type: "counter",
      help: "Total number of db keys compacted.",
      value: statistics.compactedCount,
    },
  ];
}

function ownMetrics(member: Member, budget: Budget): Metric[] {
  const { lessor, store } = member.keyspace;
  const sizes = store.sizes();
  return [
    { name: "keelson_leases", type: "gauge", help: "Leases granted and not revoked.", value: lessor.leaseCount },
    {
      name: "keelson_loop_turn_longest_seconds",
      type: "gauge",
      help: "The longest turn of the member's loop since it started.",
      value: member.turnLongestMs / 1000,
    },
    {
      name: "keelson_disk_stalled_seconds",
      type: "gauge",
      help: "For how long the disk has not finished a write to the log; 0 while it works.",
      value: member.diskStalledMs / 1000,
    },
    {
      name: "keelson_disk_stalls_total",
      type: "counter",
      help: "How often the disk did not finish a write to the log in time.",
      value: member.statistics.diskStallCount,
    },
    {
      name: "keelson_disk_stall_leader_transfers_total",
      type: "counter",
      help: "How often this member handed over its leadership because its disk was stalled.",
      value: member.statistics.diskHandOverCount,
    },
    {
      name: "keelson_buffered_bytes",
      type: "gauge",
      help: "Bytes held for clients: requests not yet complete and responses not yet sent.",
      value: budget.used,
    },
    {
      name: "keelson_buffered_peak_bytes",
      type: "gauge",
      help: "The most that was ever held for clients at once.",
      value: budget.peak,
    },
    {
      name: "keelson_buffered_limit_bytes",
      type: "gauge",
      help: "The bound on what is held for clients.",
      value: budget.limit,
    },
    {
      name: "keelson_slab_allocated_bytes",
      type: "gauge",
      help: "Memory of the slabs that hold revisions.",
      value: sizes.slabAllocated,
    },
    {
      name: "keelson_slab_live_bytes",
      type: "gauge",
      help: "Bytes of revisions that can be read.",
      value: sizes.slabLive,
    },
    {
      name: "process_resident_memory_bytes",
      type: "gauge",
      help: "Resident memory size in bytes.",
      value: process.memoryUsage.rss(),
    },
  ];
}
