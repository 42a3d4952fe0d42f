/** The votes that members have sent: what no member may go back on, whatever happens to it meanwhile. */

import type { Message } from "../../../src/raft/mod.ts";

interface Vote {
  readonly term: number;
  readonly candidate: bigint;
}

export class Votes {
  readonly #last = new Map<bigint, Vote>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** A member tells a candidate that it has its vote. */
  onVote(member: bigint, { term, to }: Message): void {
    const last = this.#last.get(member);
    if (last !== undefined && (term < last.term || (term === last.term && to !== last.candidate))) {
      this.#violation(
        `member ${member} votes for ${to} in term ${term}, after it voted for ${last.candidate} in term ${last.term}`,
      );
    }
    this.#last.set(member, { term, candidate: to });
  }

  /** A process finds this on its disk. */
  onStart(member: bigint, term: number, vote: bigint): void {
    const last = this.#last.get(member);
    if (last === undefined || term > last.term || (term === last.term && vote === last.candidate)) return;
    this.#violation(
      `member ${member} starts in term ${term} with its vote for ${vote}, but had voted for ${last.candidate} in ` +
        `term ${last.term}`,
    );
  }
}
