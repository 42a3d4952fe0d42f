import { formatDuration } from "../base/duration.ts";
import type { Logger } from "../io/log.ts";
import { idText } from "../membership/mod.ts";
import type { ProgressTracker } from "../raft/mod.ts";
import type { Statistics } from "./statistics.ts";

/** What the watch looks at in raft. */
export interface WatchedRaft {
  readonly id: bigint;
  readonly commitIndex: number;
  readonly transferee: bigint;
  readonly progress: ProgressTracker;
}

export interface DiskWatchParts {
  readonly log: Logger;
  readonly raft: WatchedRaft;
  readonly statistics: Statistics;
  readonly isLeader: () => boolean;
  /** How many appends to the log were begun so far, and whether the last of them is still under way. */
  readonly appendCount: () => number;
  readonly isAppending: () => boolean;
  /** The peer can be reached now. */
  readonly isActive: (id: bigint) => boolean;
  readonly transfer: (target: bigint) => void;
  readonly tickMs: number;
  readonly electionTicks: number;
}

/**
 * Notices that the disk does not finish a write to the log. A leader goes on sending and being heard meanwhile, so nobody
 * else would take over; but its own clients wait for its disk. Where the others have made durable what it has not, it
 * hands over to one of them.
 *
 * Time is counted in ticks: after a standstill of the whole process, the disk has not had that time either.
 */
export class DiskWatch {
  readonly #parts: DiskWatchParts;
  readonly #ticksMax: number;
  #appendCount = 0;
  /** Ticks since the write under way was first seen. */
  #ticks = 0;
  #isStalled = false;

  constructor(parts: DiskWatchParts) {
    this.#parts = parts;
    this.#ticksMax = Math.max(2, Math.floor(parts.electionTicks / 2));
  }

  /** Milliseconds for which the disk has not finished a write, at least; 0: it works. */
  get stalledMs(): number {
    return this.#isStalled ? this.#ticks * this.#parts.tickMs : 0;
  }

  tick(): void {
    const { isAppending, appendCount } = this.#parts;
    const isSame = isAppending() && appendCount() === this.#appendCount;
    if (!isSame) {
      if (this.#isStalled) this.#onRecovered();
      this.#appendCount = appendCount();
      this.#ticks = 0;
      return;
    }
    if (++this.#ticks < this.#ticksMax) return;
    if (!this.#isStalled) this.#onStalled();
    this.#handOver();
  }

  #onStalled(): void {
    const { log, statistics, raft } = this.#parts;
    this.#isStalled = true;
    statistics.diskStallCount++;
    log.warn("the disk has not finished a write to the log; what needs it waits", {
      "local-member-id": idText(raft.id),
      "since": formatDuration(this.stalledMs),
    });
  }

  #onRecovered(): void {
    const { log, raft } = this.#parts;
    log.info("the disk has finished the write to the log", {
      "local-member-id": idText(raft.id),
      "took": formatDuration(this.stalledMs),
    });
    this.#isStalled = false;
  }

  #handOver(): void {
    const { log, raft, statistics, isLeader, transfer } = this.#parts;
    if (!isLeader() || raft.transferee !== 0n) return;
    const own = raft.progress.progressOf(raft.id);
    // Else the others' disks are no better, or nobody waits for ours.
    if (own === undefined || raft.commitIndex <= own.match) return;
    const target = this.#bestVoter();
    if (target === undefined) return;
    statistics.diskHandOverCount++;
    log.warn("handing over leadership because the disk is stalled", {
      "local-member-id": idText(raft.id),
      "transferee-member-id": idText(target),
      "since": formatDuration(this.stalledMs),
    });
    transfer(target);
  }

  /** The voter within reach that lacks least of the log. */
  #bestVoter(): bigint | undefined {
    const { raft, isActive } = this.#parts;
    let best: { readonly id: bigint; readonly match: number } | undefined;
    for (const progress of raft.progress.members) {
      if (progress.isLearner || progress.id === raft.id || !isActive(progress.id)) continue;
      if (best === undefined || progress.match > best.match) best = progress;
    }
    return best?.id;
  }
}
