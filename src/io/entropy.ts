/** Randomness that differs between runs. The simulation supplies a seeded one. */
export interface Entropy {
  /** Fills `target` with random bytes and returns it. */
  fill(target: Uint8Array): Uint8Array;
}
