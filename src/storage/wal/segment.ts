/** Names of segment files: `<sequence>-<index of the first entry>.wal`, each as 16 hex digits (frozen: on disk). */

/** Preallocated size of a segment (frozen as etcd's: 64 MB, not MiB). The last record may end beyond it. */
export const SEGMENT_SIZE = 64_000_000;

export interface SegmentName {
  readonly name: string;
  readonly sequence: number;
  /** Index that the first entry written to the segment has, unless it overrides earlier ones. */
  readonly firstIndex: number;
}

export function segmentName(sequence: number, firstIndex: number): string {
  return `${sequence.toString(16).padStart(16, "0")}-${firstIndex.toString(16).padStart(16, "0")}.wal`;
}

/** Undefined for a name that is not a segment's. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/.exec(name);
  if (match === null) return undefined;
  const sequence = Number(`0x${match[1]}`);
  const firstIndex = Number(`0x${match[2]}`);
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(firstIndex)) return undefined;
  return { name, sequence, firstIndex };
}
