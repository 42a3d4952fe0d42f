/** `--auto-compaction-retention` as its mode reads it. */

import { durationProblem, parseDuration } from "../base/duration.ts";
import type { CompactionRetention } from "../member/mod.ts";

const HOUR_MS = 3_600_000;

/** Shorter periods would be looked at several times a millisecond. etcd accepts them, down to those that crash it. */
const PERIOD_MS_MIN = 10;

/**
 * What automatic compaction keeps; undefined: it is off. A number without a unit is one of hours, or of revisions; a
 * duration given where revisions are expected counts as many as it has nanoseconds, as in etcd. Throws an Error, with
 * etcd's text where etcd would refuse too.
 */
export function parseRetention(mode: "periodic" | "revision", text: string): CompactionRetention | undefined {
  const isNumber = /^\+?\d+$/.test(text) && BigInt(text) < 1n << 63n;
  const number = isNumber ? Number(text) : 0;
  const durationMs = isNumber ? number * HOUR_MS : text === "" ? 0 : readDuration(text);
  if (durationMs === 0) return undefined;
  if (durationMs < 0) throw new Error(`--auto-compaction-retention must not be negative (set to ${text})`);
  if (mode === "revision") return { mode, revisions: isNumber ? number : Math.round(durationMs * 1e6) };
  if (durationMs >= PERIOD_MS_MIN) return { mode, periodMs: durationMs };
  throw new Error(`--auto-compaction-retention must be at least ${PERIOD_MS_MIN}ms (set to ${text})`);
}

function readDuration(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) throw new Error(`error parsing CompactionRetention: ${durationProblem(text)}`);
  return durationMs;
}
