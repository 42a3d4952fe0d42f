import { JOB_STEP_BUDGET } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import type { Job, JobState } from "./jobs.ts";

export interface Pace {
  readonly clock: Clock;
  /** History rows visited per step; 0: as many as a step may take. */
  readonly batchLimit: number;
  /** Pause after each step in milliseconds; 0: only other work comes in between. */
  readonly sleepMs: number;
  readonly wake: () => void;
  /** How long a step took, in milliseconds. */
  readonly onStep: (durationMs: number) => void;
}

/** The deletions of one compaction, at the operator's pace. */
export class PacedCompaction implements Job {
  readonly #job: CompactionJob;
  readonly #pace: Pace;
  #resumeMs = 0;
  #callbacks: (() => void)[] | undefined = [];

  constructor(job: CompactionJob, pace: Pace) {
    this.#job = job;
    this.#pace = pace;
  }

  whenDone(callback: () => void): void {
    if (this.#callbacks === undefined) callback();
    else this.#callbacks.push(callback);
  }

  step(): JobState {
    const { clock, batchLimit, sleepMs, onStep } = this.#pace;
    const startMs = clock.monotonicMs();
    if (sleepMs > 0 && startMs < this.#resumeMs) return "waiting";
    const state = this.#job.step(batchLimit > 0 ? batchLimit : JOB_STEP_BUDGET);
    onStep(clock.monotonicMs() - startMs);
    if (state === "done") {
      const callbacks = this.#callbacks ?? [];
      this.#callbacks = undefined;
      for (const callback of callbacks) callback();
      return state;
    }
    if (sleepMs > 0) {
      this.#resumeMs = clock.monotonicMs() + sleepMs;
      clock.after(sleepMs, this.#pace.wake);
      return "waiting";
    }
    return state;
  }
}
