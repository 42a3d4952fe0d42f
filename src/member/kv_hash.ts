import { JOB_STEP_BUDGET } from "../base/limits.ts";
import type { KeyValueHash, Store } from "../mvcc/mod.ts";
import type { Job } from "./jobs.ts";
import type { Statistics } from "./statistics.ts";

/** Why there is no hash at a revision. */
export type KvHashError = "compacted" | "future_revision";
/** The hash, and the revision of the store when it was asked for; or why there is none. */
export type KvHashSettle = (hash: KeyValueHash | undefined, revision: number, error: KvHashError | undefined) => void;

export interface KvHashParts {
  readonly store: Store;
  readonly statistics: Statistics;
  readonly runJob: (job: Job) => void;
  readonly nowMs: () => number;
}

/** Hashes the revisions up to one (0 or less: the newest) in the background, or finds the hash that a compaction left. */
export function hashKv(parts: KvHashParts, upTo: number, isCancelled: () => boolean, settle: KvHashSettle): void {
  const { store, statistics, runJob, nowMs } = parts;
  const { revision } = store;
  const job = store.hashKv(upTo);
  if (job === "compacted") return settle(undefined, revision, "compacted");
  if (job === "future") return settle(undefined, revision, "future_revision");
  const startMs = nowMs();
  runJob({
    step: () => {
      const state = job.step(JOB_STEP_BUDGET);
      if (state === "running" && !isCancelled()) return state;
      if (state !== "done") {
        job.close();
        settle(undefined, revision, "compacted");
        return "done";
      }
      statistics.hashKvSeconds.observe((nowMs() - startMs) / 1000);
      settle(job.result, revision, undefined);
      return "done";
    },
  });
}
