import { type ConfChange, ConfChangeType, type ConfState } from "../types.ts";

/** A configuration while changes are made to it. */
export class Draft {
  readonly #voters: Set<bigint>;
  readonly #outgoing: Set<bigint>;
  readonly #learners: Set<bigint>;
  readonly #learnersNext: Set<bigint>;
  /** Members that were not there when they were last added: they start without a past, also if they were removed first. */
  readonly #added = new Set<bigint>();

  constructor({ voters, votersOutgoing, learners, learnersNext }: ConfState) {
    this.#voters = new Set(voters);
    this.#outgoing = new Set(votersOutgoing);
    this.#learners = new Set(learners);
    this.#learnersNext = new Set(learnersNext);
  }

  get hasVoters(): boolean {
    return this.#voters.size > 0;
  }

  /** Lets the voters of now take part in every decision until `leaveOutgoing`. */
  enterOutgoing(): void {
    for (const id of this.#voters) this.#outgoing.add(id);
  }

  /** Ends the say of the outgoing voters and makes learners of those that are staged. */
  leaveOutgoing(): void {
    for (const id of this.#learnersNext) this.#learners.add(id);
    this.#learnersNext.clear();
    this.#outgoing.clear();
  }

  /** Makes the changes in order; those that change nothing are fine, and those for member 0 were refused above. */
  make(changes: readonly ConfChange[]): void {
    for (const { type, memberId } of changes) {
      if (memberId === 0n) continue;
      if (type === ConfChangeType.ADD_NODE) this.#makeVoter(memberId);
      else if (type === ConfChangeType.ADD_LEARNER_NODE) this.#makeLearner(memberId);
      else if (type === ConfChangeType.REMOVE_NODE) this.#remove(memberId);
    }
  }

  /** How many members vote now and did not in `before`, or the other way round. */
  countChangedVoters(before: ConfState): number {
    const kept = before.voters.filter((id) => this.#voters.has(id)).length;
    return before.voters.length - kept + this.#voters.size - kept;
  }

  finish(autoLeave: boolean): { configuration: ConfState; added: bigint[] } {
    const configuration = {
      voters: ascending(this.#voters),
      learners: ascending(this.#learners),
      votersOutgoing: ascending(this.#outgoing),
      learnersNext: ascending(this.#learnersNext),
      autoLeave,
    };
    return { configuration, added: ascending(this.#added).filter((id) => this.#has(id)) };
  }

  #makeVoter(id: bigint): void {
    this.#noteIfNew(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    this.#voters.add(id);
  }

  #makeLearner(id: bigint): void {
    if (this.#learners.has(id)) return;
    this.#noteIfNew(id);
    this.#voters.delete(id);
    if (this.#outgoing.has(id)) this.#learnersNext.add(id);
    else this.#learners.add(id);
  }

  #remove(id: bigint): void {
    this.#voters.delete(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
  }

  #noteIfNew(id: bigint): void {
    if (!this.#has(id)) this.#added.add(id);
  }

  #has(id: bigint): boolean {
    return this.#voters.has(id) || this.#outgoing.has(id) || this.#learners.has(id);
  }
}

export function ascending(ids: Iterable<bigint>): bigint[] {
  return [...ids].sort((a, b) => a < b ? -1 : a > b ? 1 : 0);
}
