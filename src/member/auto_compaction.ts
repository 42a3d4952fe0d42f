/**
 * Compaction without being asked, as etcd does it: the leader proposes an ordinary compaction, either to where the store
 * was some time ago or to so many revisions back.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { formatDuration } from "../base/duration.ts";
import { CompactionRequestSchema } from "../gen/etcdserverpb/kv_pb.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { LogFields, Logger } from "../io/log.ts";
import { RaftOperation } from "../wire/mod.ts";
import type { Settle } from "./proposals.ts";

/** How much history is kept. */
export type CompactionRetention =
  | { readonly mode: "periodic"; readonly periodMs: number }
  | { readonly mode: "revision"; readonly revisions: number };

export interface AutoCompactionParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly isLeader: () => boolean;
  /** The store's revision. */
  readonly revision: () => number;
  readonly propose: (operation: number, body: Uint8Array, settle: Settle) => void;
}

export interface AutoCompaction {
  start(): void;
  stop(): void;
}

export function autoCompaction(retention: CompactionRetention, parts: AutoCompactionParts): AutoCompaction {
  return retention.mode === "periodic"
    ? new PeriodicCompaction(retention.periodMs, parts)
    : new RevisionCompaction(retention.revisions, parts);
}

const HOUR_MS = 3_600_000;
/** Revisions noted in one interval, and so the tries that a compaction gets in it. */
const NOTES_PER_INTERVAL = 10;

/**
 * Keeps a period of history. The revision is noted ten times an interval, which is the period or an hour, whichever is
 * less; after the first whole period, and then once an interval, the store is compacted to the revision of a period ago.
 */
class PeriodicCompaction implements AutoCompaction {
  readonly #parts: AutoCompactionParts;
  readonly #periodMs: number;
  readonly #intervalMs: number;
  readonly #notesMax: number;
  /** The oldest first: as many as reach back one period. */
  #notes: number[] = [];
  #timer: Timer | undefined;
  #waitMs: number;
  #lastSuccessMs = 0;
  #lastRevision = 0;

  constructor(periodMs: number, parts: AutoCompactionParts) {
    this.#parts = parts;
    this.#periodMs = periodMs;
    this.#intervalMs = Math.min(periodMs, HOUR_MS);
    const intervals = periodMs > HOUR_MS ? periodMs / HOUR_MS : 1;
    this.#notesMax = Math.floor(intervals * NOTES_PER_INTERVAL) + 1;
    // The first compaction comes after a whole period.
    this.#waitMs = periodMs;
  }

  start(): void {
    this.#lastSuccessMs = this.#parts.clock.monotonicMs();
    this.#note();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #note(): void {
    const { clock, revision } = this.#parts;
    this.#notes.push(revision());
    if (this.#notes.length > this.#notesMax) this.#notes.shift();
    this.#timer = clock.after(this.#intervalMs / NOTES_PER_INTERVAL, () => this.#look());
  }

  #look(): void {
    const { clock, isLeader } = this.#parts;
    const revision = this.#notes[0];
    const sinceMs = clock.monotonicMs() - this.#lastSuccessMs;
    if (!isLeader() || sinceMs < this.#waitMs || revision === this.#lastRevision) return this.#note();
    this.#waitMs = this.#intervalMs;
    const fields = { "compact-period": formatDuration(this.#periodMs) };
    const retryMs = this.#intervalMs / NOTES_PER_INTERVAL;
    compact(this.#parts, "periodic", revision, fields, retryMs, (isDone) => {
      if (isDone) {
        this.#lastRevision = revision;
        this.#lastSuccessMs = clock.monotonicMs();
      }
      if (this.#timer !== undefined) this.#note();
    });
  }
}

const REVISION_INTERVAL_MS = 5 * 60_000;

/** Keeps so many revisions, looking every five minutes. */
class RevisionCompaction implements AutoCompaction {
  readonly #parts: AutoCompactionParts;
  readonly #revisions: number;
  #timer: Timer | undefined;
  #lastRevision = 0;

  constructor(revisions: number, parts: AutoCompactionParts) {
    this.#parts = parts;
    this.#revisions = revisions;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(REVISION_INTERVAL_MS, () => this.#look());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(): void {
    const { isLeader, revision } = this.#parts;
    const target = revision() - this.#revisions;
    if (!isLeader() || target <= 0 || target === this.#lastRevision) return this.start();
    const fields = { "revision-compaction-retention": this.#revisions };
    compact(this.#parts, "revision", target, fields, REVISION_INTERVAL_MS, (isDone) => {
      if (isDone) this.#lastRevision = target;
      if (this.#timer !== undefined) this.start();
    });
  }
}

/** Proposes a compaction and says so; it has succeeded as well when somebody else did it before. */
function compact(
  { clock, log, propose }: AutoCompactionParts,
  mode: "periodic" | "revision",
  revision: number,
  fields: LogFields,
  retryMs: number,
  onDone: (isDone: boolean) => void,
): void {
  log.info(`starting auto ${mode} compaction`, { revision, ...fields });
  const startMs = clock.monotonicMs();
  const request = create(CompactionRequestSchema, { revision: BigInt(revision) });
  propose(RaftOperation.COMPACTION, toBinary(CompactionRequestSchema, request), (outcome, memberError) => {
    const error = memberError ?? outcome?.error;
    const isDone = error === undefined || error === "compacted";
    if (isDone) {
      const took = formatDuration(clock.monotonicMs() - startMs);
      log.info(`completed auto ${mode} compaction`, { revision, ...fields, took });
    } else {
      const interval = formatDuration(retryMs);
      log.warn(`failed auto ${mode} compaction`, { revision, ...fields, "retry-interval": interval, error });
    }
    onDone(isDone);
  });
}
