/** What a scrape finds: the figures that operators of etcd look for first, and those of our own promises. */

import process from "node:process";
import type { Member } from "../member/mod.ts";
import type { Budget } from "../rpc/http2/mod.ts";

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly value: number;
}

/** Prometheus' text format. */
export function metricsText(member: Member, budget: Budget): string {
  const { store, lessor, watchHub } = member.keyspace;
  const { leader, commitIndex, appliedIndex } = member.raftStatus;
  const sizes = store.sizes();
  const metrics: Metric[] = [
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
    { name: "keelson_leases", type: "gauge", help: "Leases granted and not revoked.", value: lessor.leaseCount },
    {
      name: "keelson_loop_turn_longest_seconds",
      type: "gauge",
      help: "The longest turn of the member's loop since it started.",
      value: member.turnLongestMs / 1000,
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
  return metrics.map(({ name, type, help, value }) =>
    `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`
  )
    .join("");
}
