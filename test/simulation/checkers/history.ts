/**
 * The one history of the store that all members must agree upon: the events of every revision, in order. What it says is
 * taken as the truth by the checkers of responses and watches; here it is checked that there is such a truth.
 */

import type { AppliedRevision, Event, KeyValue, Moment, Observations } from "../observations.ts";
import { applyEvents, type Records } from "./kv_model.ts";
import { eventsMatch } from "./match.ts";
import { Findings, type Report } from "./report.ts";
import { eventText } from "./text.ts";

/** An empty store is at this revision. */
export const FIRST_REVISION = 1;

export interface HistoricRevision {
  readonly revision: number;
  /** When a member first executed it. */
  readonly moment: Moment;
  readonly events: readonly Event[];
  /** The keys' records before and after it. */
  readonly before: Records;
  readonly after: Records;
}

export class History {
  /** Without gaps from FIRST_REVISION + 1 on; ends before the first revision that nobody reported. */
  readonly revisions: readonly HistoricRevision[];

  constructor(applied: readonly AppliedRevision[]) {
    const firsts = new Map<number, AppliedRevision>();
    for (const report of applied) if (!firsts.has(report.revision)) firsts.set(report.revision, report);
    const revisions: HistoricRevision[] = [];
    let before: Records = new Map();
    for (let revision = FIRST_REVISION + 1; firsts.has(revision); revision++) {
      const { moment, events } = firsts.get(revision)!;
      const after = applyEvents(before, events);
      revisions.push({ revision, moment, events, before, after });
      before = after;
    }
    this.revisions = revisions;
  }

  get last(): number {
    return FIRST_REVISION + this.revisions.length;
  }

  at(revision: number): HistoricRevision | undefined {
    return this.revisions[revision - FIRST_REVISION - 1];
  }

  /** The records at a revision, which must not lie behind the last. */
  recordsAt(revision: number): Records {
    return this.at(revision)?.after ?? new Map<string, KeyValue>();
  }
}

/** All members execute the same revisions, in order, each once in the life of a process. */
export function checkHistory({ applied, raft }: Observations, history = new History(applied)): Report {
  const findings = new Findings("revisions executed");
  const starts = raft.filter(({ isStart }) => isStart);
  const lasts = new Map<bigint, AppliedRevision>();
  for (const report of applied) {
    findings.judge("revisions executed");
    const { member, moment, revision, events } = report;
    const where = `member ${member} executed revision ${revision}`;
    const agreed = history.at(revision);
    if (agreed === undefined) findings.violation(`${where}, but nobody reported the ones before it`);
    else if (!eventsMatch(agreed.events, events)) {
      findings.violation(
        `${where} as [${events.map(eventText).join(", ")}], others as [${agreed.events.map(eventText).join(", ")}]`,
      );
    }
    const last = lasts.get(member);
    lasts.set(member, report);
    if (last === undefined || last.revision + 1 === revision) continue;
    // Only a new process executes again what was executed, and only a snapshot makes up for what was not.
    const isNewProcess = starts.some((start) =>
      start.member === member && start.moment > last.moment && start.moment < moment
    );
    const isExcused = isNewProcess || (report.isAfterSnapshot && revision > last.revision);
    if (!isExcused) findings.violation(`${where} after revision ${last.revision}`);
  }
  return findings.finish();
}
