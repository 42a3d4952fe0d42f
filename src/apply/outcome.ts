import type { AuthError } from "../auth/mod.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import type { Part } from "../wire/mod.ts";

/** Why an entry had no effect. Every member reaches the same outcome. */
export type ApplyError =
  | "key_not_found"
  | "lease_not_found"
  | "lease_exists"
  | "lease_ttl_too_large"
  | "compacted"
  | "future_revision"
  | "no_space"
  | "corrupt"
  | AuthError;

/** What became of one entry. */
export interface Outcome {
  readonly error: ApplyError | undefined;
  /** The response header's revision. */
  readonly revision: number;
  /** The response after its header, in wire form; empty when nobody waits for it. */
  readonly body: readonly Part[];
  /** The history rows it wrote: [firstRow, endRow), for the watchers. */
  readonly firstRow: number;
  readonly endRow: number;
  /** A compaction that was scheduled and still has to be carried out. */
  readonly compaction: CompactionJob | undefined;
}

/**
 * What comes of a write that finds the quota used up: it is in the log, so it is carried out, here as on every member that
 * has more room, and its client is told that there was no space. etcd's rule; the alarm then refuses the next ones.
 */
export function withoutSpace(outcome: Outcome): Outcome {
  return { ...outcome, error: "no_space" };
}

/** An entry applied step by step: `undefined` is yielded wherever other work may run in between. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** The outcome of an entry that nothing else runs beside, as in a replay. */
export function finished(result: Outcome | Steps<Outcome>): Outcome {
  if (!("next" in result)) return result;
  for (let step = result.next();; step = result.next()) if (step.done === true) return step.value;
}

const NO_PARTS: readonly Part[] = [];

export function failed(error: ApplyError): Outcome {
  return { error, revision: 0, body: NO_PARTS, firstRow: 0, endRow: 0, compaction: undefined };
}

export function succeeded(revision: number, body: readonly Part[] = NO_PARTS): Outcome {
  return { error: undefined, revision, body, firstRow: 0, endRow: 0, compaction: undefined };
}
