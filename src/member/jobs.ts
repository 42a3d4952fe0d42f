/** What a step of a job came to: more to do, nothing to do just now (a pin is in the way), or finished. */
export type JobState = "running" | "waiting" | "done";

/** Work too long for one turn. A step takes about a millisecond at most. */
export interface Job {
  step(): JobState;
}

/** Background work, a step of each job in turn. */
export class Jobs {
  #running: Job[] = [];
  #waiting: Job[] = [];

  add(job: Job): void {
    this.#running.push(job);
  }

  get hasWork(): boolean {
    return this.#running.length > 0;
  }

  /** Gives waiting jobs another try. */
  retryWaiting(): void {
    if (this.#waiting.length === 0) return;
    this.#running.push(...this.#waiting);
    this.#waiting = [];
  }

  /** Runs steps, job by job, until `isTimeUp`, at least one step. */
  run(isTimeUp: () => boolean): void {
    while (this.#running.length > 0) {
      const job = this.#running.shift()!;
      const state = job.step();
      if (state === "running") this.#running.push(job);
      else if (state === "waiting") this.#waiting.push(job);
      if (isTimeUp()) return;
    }
  }
}
