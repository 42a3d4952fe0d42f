/**
 * Leader completeness and state machine safety (Raft, figure 3): what was committed in a term is in the log of every leader
 * of a later term, and no two members commit different entries at one index. The commit index never falls in the life of a
 * process, nor does it pass the end of the log.
 */

import type { Observations, RaftRecord } from "../observations.ts";
import { RaftMirror } from "./raft_mirror.ts";
import { Findings, type Report } from "./report.ts";

interface Committed {
  readonly term: number;
  readonly digest: number;
  /** The lowest term in which it was known to be committed. */
  since: number;
  readonly member: bigint;
}

/** A leader's log as it was when it was elected. */
interface Election {
  readonly member: bigint;
  readonly term: number;
  readonly offset: number;
  readonly terms: readonly number[];
}

interface Follower {
  readonly mirror: RaftMirror;
  commit: number;
  leaderOf: number;
}

export function checkLeaderCompleteness({ raft }: Observations): Report {
  return new Checker().run(raft);
}

class Checker {
  readonly #findings = new Findings("elections", "entries committed");
  readonly #members = new Map<bigint, Follower>();
  readonly #committed = new Map<number, Committed>();
  readonly #elections: Election[] = [];

  run(records: readonly RaftRecord[]): Report {
    for (const record of records) this.#take(record);
    return this.#findings.finish();
  }

  #take(record: RaftRecord): void {
    const { member, isStart, commit, role, term, offset } = record;
    const state = this.#members.get(member) ?? { mirror: new RaftMirror(), commit: 0, leaderOf: 0 };
    this.#members.set(member, state);
    const { mirror } = state;
    mirror.apply(record, () => {});
    const fail = (why: string) => this.#findings.violation(`member ${member} in term ${term}: ${why}`);
    if (isStart) state.commit = state.leaderOf = 0;
    if (offset !== undefined) this.#checkOffset(record);
    if (commit < state.commit) fail(`its commit index went back from ${state.commit} to ${commit}`);
    if (commit > mirror.lastIndex) fail(`its commit index ${commit} is past the end of its log, ${mirror.lastIndex}`);
    // The log before the election counts, and an election may come in one record with the entry that it appends.
    if (role === "leader" && state.leaderOf !== term) {
      state.leaderOf = term;
      this.#elect(member, term, mirror);
    }
    for (let index = Math.max(state.commit, mirror.offset) + 1; index <= commit && index <= mirror.lastIndex; index++) {
      this.#commit(record, mirror, index);
    }
    state.commit = Math.max(state.commit, commit);
  }

  #elect(member: bigint, term: number, mirror: RaftMirror): void {
    this.#findings.judge("elections");
    const terms: number[] = [];
    for (let index = mirror.offset + 1; index <= mirror.lastIndex; index++) terms.push(mirror.term(index)!);
    const election = { member, term, offset: mirror.offset, terms };
    this.#elections.push(election);
    for (const [index, committed] of this.#committed) this.#checkContains(election, index, committed);
  }

  #commit({ member, term: since }: RaftRecord, mirror: RaftMirror, index: number): void {
    const { term, digest } = mirror.entry(index)!;
    const known = this.#committed.get(index);
    if (known === undefined) this.#findings.judge("entries committed");
    else if (known.term !== term || known.digest !== digest) {
      this.#findings.violation(
        `member ${member} committed entry ${index} of term ${term}, member ${known.member} one of term ${known.term}`,
      );
      return;
    }
    if (known !== undefined && known.since <= since) return;
    const committed = known ?? { term, digest, since, member };
    committed.since = since;
    this.#committed.set(index, committed);
    for (const election of this.#elections) this.#checkContains(election, index, committed);
  }

  #checkContains(election: Election, index: number, { term, since, member }: Committed): void {
    if (election.term <= since || index <= election.offset) return;
    if (election.terms[index - election.offset - 1] === term) return;
    this.#findings.violation(
      `member ${election.member} leads term ${election.term} without entry ${index} of term ${term}, ` +
        `which member ${member} committed in term ${since}`,
    );
  }

  /** A log only ever begins behind what is committed. */
  #checkOffset({ member, offset }: RaftRecord): void {
    const known = this.#committed.get(offset!.index);
    if (known === undefined || known.term === offset!.term) return;
    this.#findings.violation(
      `member ${member}'s log begins behind entry ${offset!.index} of term ${offset!.term}, ` +
        `member ${known.member} committed one of term ${known.term}`,
    );
  }
}
