/** A bound on the connections of all listeners together: each takes a file descriptor, and the log needs some too. */

export class ConnectionLimit {
  readonly max: number;
  readonly #onRefused: () => void;
  #count = 0;

  /** `onRefused` hears of every connection that was closed because there were `max` already. */
  constructor(max: number, onRefused: () => void = () => {}) {
    this.max = max;
    this.#onRefused = onRefused;
  }

  /** Counts a connection until `release`. False: it is one too many and must be closed. */
  take(): boolean {
    if (++this.#count <= this.max) return true;
    this.#onRefused();
    return false;
  }

  release(): void {
    this.#count--;
  }
}
