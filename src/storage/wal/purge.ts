import type { Disk } from "../../io/disk.ts";
import type { Logger } from "../../io/log.ts";
import { parseSegmentName } from "./segment.ts";

export interface PurgeOptions {
  readonly directory: string;
  /** Segments to keep, those in use included; 0: all. */
  readonly countMax: number;
  /** Sequence of the oldest segment that is still needed. */
  readonly firstNeeded: number;
  readonly log: Logger;
}

/**
 * Removes the oldest segments beyond `countMax`, except those still needed. Oldest first, so that what a crash leaves is a
 * log without a gap. Rejects with DiskError.
 */
export async function purgeSegments(disk: Disk, options: PurgeOptions): Promise<void> {
  const { directory, countMax, firstNeeded, log } = options;
  if (countMax === 0) return;
  const segments = (await disk.list(directory)).map(parseSegmentName).filter((name) => name !== undefined);
  for (const { name, sequence } of segments.slice(0, -countMax)) {
    if (sequence >= firstNeeded) return;
    const path = `${directory}/${name}`;
    await disk.remove(path);
    log.info("purged", { path });
  }
}
