import type { Clock, Timer } from "../../io/clock.ts";

/** A silence is told of after its bound at the earliest, and a quarter of it later at the latest. */
const PARTS = 4;

/** Notices a silence. `progress` costs an assignment, so that what is hot can call it for every piece. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #onSilence: () => void;
  #timer: Timer | undefined;
  #partMs = 0;
  #silentParts = 0;
  #hasMoved = false;

  constructor(clock: Clock, onSilence: () => void) {
    this.#clock = clock;
    this.#onSilence = onSilence;
  }

  /** Begins anew. `onSilence` is called once, unless there is progress every so many milliseconds, or `stop`. */
  start(ms: number): void {
    this.stop();
    if (ms === Infinity) return;
    this.#partMs = ms / PARTS;
    this.#silentParts = 0;
    this.#hasMoved = false;
    this.#wait();
  }

  progress(): void {
    this.#hasMoved = true;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wait(): void {
    this.#timer = this.#clock.after(this.#partMs, () => {
      this.#silentParts = this.#hasMoved ? 0 : this.#silentParts + 1;
      this.#hasMoved = false;
      if (this.#silentParts < PARTS) return this.#wait();
      this.#timer = undefined;
      this.#onSilence();
    });
  }
}
