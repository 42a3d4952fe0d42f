/** Pins: what is readable at a pinned revision is not physically removed until the pin is released. */

import { assert } from "../base/assert.ts";

export class Pin {
  readonly revision: number;
  readonly #pins: Pins;
  /** Its place in the list, -1 once released or passed over. */
  position: number;
  #isValid = true;

  constructor(pins: Pins, revision: number, position: number) {
    this.#pins = pins;
    this.revision = revision;
    this.position = position;
  }

  /** False once a forced compaction has passed over it: what it protected may be gone. */
  get isValid(): boolean {
    return this.#isValid;
  }

  /** Releasing twice is the same as once. */
  release(): void {
    if (this.position >= 0) this.#pins.remove(this);
  }

  /** For Pins only. */
  invalidate(): void {
    this.#isValid = false;
  }
}

/** The pins of a store. How many there are and how long they last is bounded by those who open jobs, not here. */
export class Pins {
  readonly #pins: Pin[] = [];

  get count(): number {
    return this.#pins.length;
  }

  add(revision: number): Pin {
    const pin = new Pin(this, revision, this.#pins.length);
    this.#pins.push(pin);
    return pin;
  }

  remove(pin: Pin): void {
    assert(this.#pins[pin.position] === pin, "a pin is where it says");
    const last = this.#pins.pop()!;
    if (last !== pin) {
      this.#pins[pin.position] = last;
      last.position = pin.position;
    }
    pin.position = -1;
  }

  /** Whether a pin protects something that compaction at `revision` removes. */
  isBlocked(revision: number): boolean {
    for (const pin of this.#pins) if (pin.revision < revision) return true;
    return false;
  }

  /** Takes away the pins below `revision` for a compaction that does not wait. */
  breakBelow(revision: number): void {
    for (let i = this.#pins.length - 1; i >= 0; i--) {
      const pin = this.#pins[i];
      if (pin.revision >= revision) continue;
      pin.invalidate();
      this.remove(pin);
    }
  }
}
