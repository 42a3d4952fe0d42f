import { formatSize } from "../base/size.ts";
import type { Logger } from "../io/log.ts";
import { QUOTA_SIZE_DEFAULT, QUOTA_SIZE_SUGGESTED_MAX } from "../keyspace/mod.ts";

/** Says at the start which quota is in force, in etcd's words. `setting` as `--quota-backend-bytes`. */
export function logQuota(log: Logger, setting: number): void {
  const name = { "quota-name": "v3-applier" };
  if (setting < 0) return log.info("disabled backend quota", { ...name, "quota-size-bytes": setting });
  const size = setting === 0 ? QUOTA_SIZE_DEFAULT : setting;
  const fields = { ...name, "quota-size-bytes": size, "quota-size": formatSize(size) };
  if (setting === 0) return log.info("enabled backend quota with default value", fields);
  if (setting > QUOTA_SIZE_SUGGESTED_MAX) {
    log.warn("quota exceeds the maximum value", {
      ...fields,
      "quota-maximum-size-bytes": QUOTA_SIZE_SUGGESTED_MAX,
      "quota-maximum-size": formatSize(QUOTA_SIZE_SUGGESTED_MAX),
    });
  }
  log.info("enabled backend quota", fields);
}
