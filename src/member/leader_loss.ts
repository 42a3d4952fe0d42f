/** So many election timeouts without a leader are a while (etcd's figure). */
const ELECTIONS_MAX = 3;

/**
 * Tells whoever asked for it that there has been no leader for a while. Not at once: most elections are short, and who is
 * told gives up what it has open.
 */
export class LeaderLoss {
  readonly #ticksMax: number;
  readonly #listeners: (() => void)[] = [];
  #ticks = 0;

  constructor(electionTicks: number) {
    this.#ticksMax = ELECTIONS_MAX * electionTicks;
  }

  /** `listener` is called once for each time that the leader is lost. */
  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  tick(hasLeader: boolean): void {
    this.#ticks = hasLeader ? 0 : this.#ticks + 1;
    if (this.#ticks === this.#ticksMax) { for (const listener of this.#listeners) listener(); }
  }
}
