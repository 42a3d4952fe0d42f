import { exponentialBounds, Histogram } from "../base/histogram.ts";

/** What a member counts of its own work, for metrics; with etcd's buckets. Everything starts at zero with the process. */
export class Statistics {
  /** Milliseconds of one step of a compaction, in which nothing else runs. */
  readonly compactionPauseMs: Histogram = new Histogram(exponentialBounds(1, 2, 13));
  /** Milliseconds from the compaction's entry to its last deletion. */
  readonly compactionTotalMs: Histogram = new Histogram(exponentialBounds(100, 2, 14));
  /** Revisions removed by finished compactions. */
  compactedCount = 0;
  /** Wall-clock milliseconds of the last finished one; 0 if none. */
  lastCompactionMs = 0;
  /** Seconds taken by a checksum over everything, and over the revisions. */
  readonly hashSeconds: Histogram = new Histogram(exponentialBounds(0.01, 2, 15));
  readonly hashKvSeconds: Histogram = new Histogram(exponentialBounds(0.01, 2, 15));
  /** Seconds taken to write the database anew, and how many such passes are under way. */
  readonly defragmentSeconds: Histogram = new Histogram(exponentialBounds(0.1, 2, 13));
  defragmentingCount = 0;
  /** How often another leader was heard of, or the same one again. */
  leaderChangeCount = 0;
  leasesGrantedCount = 0;
  leasesRevokedCount = 0;
  /** How often the disk did not finish a write to the log in time, and how often this leader handed over for it. */
  diskStallCount = 0;
  diskHandOverCount = 0;
}
