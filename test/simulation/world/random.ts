/** The world's one source of chance. Each part draws from a branch of its own, so that a change in one leaves the others alone. */

import { SimulatedRandom } from "../../harness/simulated_disk.ts";

export class Random {
  readonly #random: SimulatedRandom;

  constructor(seed: number) {
    this.#random = new SimulatedRandom(seed);
  }

  /** An independent source, named by what it is for. */
  branch(name: string): Random {
    let seed = this.#random.below(0xffffffff);
    for (let i = 0; i < name.length; i++) seed = Math.imul(seed ^ name.charCodeAt(i), 0x01000193);
    return new Random(seed);
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return this.#random.below(bound);
  }

  /** An integer in [low, high]. */
  within(low: number, high: number): number {
    return low + this.#random.below(high - low + 1);
  }

  /** A number in [low, high), in steps of a thousandth of the difference. */
  between(low: number, high: number): number {
    return low + (high - low) * this.#random.below(1000) / 1000;
  }

  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)];
  }

  /** One of the names, each as likely as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const names = Object.keys(weights) as Name[];
    let left = this.#random.below(names.reduce((sum, name) => sum + weights[name], 0));
    for (const name of names) {
      left -= weights[name];
      if (left < 0) return name;
    }
    return names[names.length - 1];
  }

  /** Mostly short, rarely many times as long, with this mean. */
  exponential(mean: number): number {
    return -mean * Math.log((1 + this.#random.below(10_000)) / 10_001);
  }

  fill(target: Uint8Array): Uint8Array {
    for (let i = 0; i < target.length; i++) target[i] = this.#random.below(256);
    return target;
  }
}
