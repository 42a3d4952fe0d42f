/** Whom streams that want a leader belong to is told so after so many election timeouts without one (etcd's figure). */
const ELECTIONS_MAX = 3;

/**
 * Tells who asked for it that there has been no leader for a while. Not at once: to open a stream again costs much more
 * than to ask again, and most elections are short.
 */
export class LeaderLoss {
  readonly #ticksMax: number;
  readonly #listeners = new Set<() => void>();
  #ticks = 0;

  constructor(electionTicks: number) {
    this.#ticksMax = ELECTIONS_MAX * electionTicks;
  }

  /** `listener` is called once at most, and not any more after the returned function was. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tick(hasLeader: boolean): void {
    this.#ticks = hasLeader ? 0 : this.#ticks + 1;
    if (this.#ticks < this.#ticksMax || this.#listeners.size === 0) return;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
