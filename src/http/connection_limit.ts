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

  /** False: it is one too many. Otherwise it counts until `release`. */
  tryTake(): boolean {
    if (this.#count >= this.max) {
      this.#onRefused();
      return false;
    }
    this.#count++;
    return true;
  }

  release(): void {
    this.#count--;
  }
}
