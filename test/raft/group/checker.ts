import type { Entry } from "../../../src/raft/mod.ts";
import type { GroupMember } from "./member.ts";

interface Committed {
  readonly entry: Entry;
  /** The term of the leader that committed it. */
  readonly term: number;
}

/** The properties of Raft (the paper's figure 3), checked as members go along. Every method throws when one does not hold. */
export class Checker {
  readonly #leaders = new Map<number, bigint>();
  /** Every entry that any member ever had, and the term before it, by "term/index". */
  readonly #entries = new Map<string, { readonly entry: Entry; readonly previousTerm: number }>();
  readonly #committed = new Map<number, Committed>();
  #firstCommitted = Infinity;
  #lastCommitted = 0;

  /** The greatest index that any leader has committed. */
  get lastCommitted(): number {
    return this.#lastCommitted;
  }

  /** Election safety: a term has at most one leader. Leader completeness: it has all that was committed before. */
  onLeader({ id, raft }: GroupMember): void {
    const { term, log } = raft;
    const other = this.#leaders.get(term);
    expectThat(other === undefined || other === id, `term ${term} has the leaders ${other} and ${id}`);
    this.#leaders.set(term, id);
    for (let index = Math.max(this.#firstCommitted, log.offset + 1); index <= this.#lastCommitted; index++) {
      const committed = this.#committed.get(index)!;
      if (committed.term >= term) continue;
      const hasIt = index <= log.lastIndex && log.term(index) === committed.entry.term;
      expectThat(hasIt, `leader ${id} of term ${term} lacks the committed entry ${committed.entry.term}/${index}`);
    }
  }

  /** Log matching: equal index and term mean equal entries, and so all the way back. */
  onEntries({ raft }: GroupMember, entries: readonly Entry[]): void {
    for (const [i, entry] of entries.entries()) {
      const key = `${entry.term}/${entry.index}`;
      const previousTerm = i > 0 ? entries[i - 1].term : raft.log.term(entry.index - 1);
      const known = this.#entries.get(key);
      if (known === undefined) this.#entries.set(key, { entry, previousTerm });
      else {
        expectThat(known.entry === entry, `two entries are ${key}`);
        expectThat(
          known.previousTerm === previousTerm,
          `${key} follows terms ${known.previousTerm} and ${previousTerm}`,
        );
      }
    }
  }

  /** State machine safety: whoever takes an entry for committed, takes the same one. */
  onCommit({ raft }: GroupMember, after: number, through: number): void {
    for (let index = Math.max(after, raft.log.offset) + 1; index <= through; index++) {
      const entry = raft.log.entry(index);
      const known = this.#committed.get(index);
      if (known === undefined) this.#committed.set(index, { entry, term: raft.term });
      else {expectThat(
          known.entry === entry,
          `${known.entry.term}/${index} and ${entry.term}/${index} are both committed`,
        );}
      this.#firstCommitted = Math.min(this.#firstCommitted, index);
      this.#lastCommitted = Math.max(this.#lastCommitted, index);
    }
  }

  onApply({ id, disk }: GroupMember, entry: Entry, applied: number): void {
    expectThat(entry.index === applied + 1, `member ${id} applies ${entry.index} after ${applied}`);
    expectThat(this.#committed.get(entry.index)?.entry === entry, `member ${id} applies ${entry.index} uncommitted`);
    expectThat(disk.holds(entry), `member ${id} applies ${entry.index} before it is durable there`);
  }

  /** A read sees all that was committed when it was asked. */
  onRead({ id }: GroupMember, index: number, committedWhenAsked: number): void {
    expectThat(index >= committedWhenAsked, `member ${id} reads at ${index} what began at ${committedWhenAsked}`);
  }
}

export function expectThat(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
