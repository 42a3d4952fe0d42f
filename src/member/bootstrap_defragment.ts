import { formatSize } from "../base/size.ts";
import type { Logger } from "../io/log.ts";
import type { MemberDatabase } from "./database_snapshot.ts";

/**
 * Writes the database file anew, in the background, if that frees as many bytes as the operator asked for. 0: never. etcd
 * does it before it serves anybody.
 */
export function defragmentAtStart(database: MemberDatabase, thresholdSize: number, log: Logger): void {
  if (thresholdSize === 0) return;
  const { databaseSize, databaseSizeInUse } = database;
  if (databaseSize - databaseSizeInUse < thresholdSize) {
    return log.info("Skipping defragmentation", {
      "current-db-size-bytes": databaseSize,
      "current-db-size": formatSize(databaseSize),
      "current-db-size-in-use-bytes": databaseSizeInUse,
      "current-db-size-in-use": formatSize(databaseSizeInUse),
      "bootstrap-defrag-threshold-bytes": thresholdSize,
      "bootstrap-defrag-threshold": formatSize(thresholdSize),
    });
  }
  database.defragment().catch((error: Error) => log.warn("failed to defragment", { error: error.message }));
}
