/** What a checker found. */
export interface Report {
  /** One text per violation, each enough to begin the search with. None: all that was judged was right. */
  readonly violations: string[];
  /** How much of each kind was judged. A simulation in which one of these stays 0 has stopped testing something. */
  readonly judged: Record<string, number>;
}

/** Violations told by one checker; the rest is only counted, since the first ones say what is wrong. */
const VIOLATIONS_MAX = 20;

/** A report while it is being written. */
export class Findings {
  readonly #violations: string[] = [];
  readonly #judged: Record<string, number>;
  #left = 0;

  constructor(...kinds: string[]) {
    this.#judged = Object.fromEntries(kinds.map((kind) => [kind, 0]));
  }

  judge(kind: string, count = 1): void {
    this.#judged[kind] += count;
  }

  violation(text: string): void {
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(text);
    else this.#left++;
  }

  finish(): Report {
    if (this.#left > 0) this.#violations.push(`and ${this.#left} more`);
    return { violations: this.#violations, judged: this.#judged };
  }
}
