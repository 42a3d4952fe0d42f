/**
 * Watches against the history: every watcher gets the events of its range from its start on, in their order, each once,
 * none left out, and not before they happened (etcd's guarantees: ordered, unique, reliable, atomic, resumable,
 * bookmarkable).
 */

import type { Event, KeyValue, Moment, Observations, WatchEvent, WatchRecord, WatchResponse } from "../observations.ts";
import { History } from "./history.ts";
import { isInRange } from "./kv_model.ts";
import { eventsMatch, optionsMatch } from "./match.ts";
import { Findings, type Report } from "./report.ts";
import { eventText } from "./text.ts";

/** An event that a watcher has to be sent. */
interface Due {
  readonly revision: number;
  readonly event: Event;
  readonly previous: KeyValue | undefined;
  readonly moment: Moment;
}

export function checkWatches(observations: Observations, history = new History(observations.applied)): Report {
  const { watches, operations } = observations;
  const findings = new Findings("watchers", "events", "progress notifications", "resumptions", "compacted");
  const compactions = operations.flatMap(({ request, invoked }) =>
    request.kind === "compact" ? [{ invoked, revision: request.revision }] : []
  );
  const compactedBefore = (moment: Moment) =>
    compactions.reduce((highest, { invoked, revision }) => invoked < moment ? Math.max(highest, revision) : highest, 0);
  const checks = watches.map((record, at) => {
    const fail = (why: string) => findings.violation(`watcher ${at} (client ${record.client}): ${why}`);
    return new WatchCheck(record, history, compactedBefore, findings, fail);
  });
  for (const check of checks) check.run();
  for (const check of checks) {
    const { resumes } = check.record;
    if (resumes !== undefined) check.checkResumption(checks[resumes]);
  }
  return findings.finish();
}

class WatchCheck {
  readonly record: WatchRecord;
  readonly #history: History;
  readonly #compactedBefore: (moment: Moment) => number;
  readonly #findings: Findings;
  readonly #fail: (why: string) => void;
  /** What is due from the start on; undefined while the start is not known. */
  #due: Due[] | undefined;
  #start = 0;
  #sent = 0;
  /** The last response said that more of its revision follows. */
  #isWithinRevision = false;
  #isEnded = false;

  constructor(
    record: WatchRecord,
    history: History,
    compactedBefore: (moment: Moment) => number,
    findings: Findings,
    fail: (why: string) => void,
  ) {
    this.record = record;
    this.#history = history;
    this.#compactedBefore = compactedBefore;
    this.#findings = findings;
    this.#fail = fail;
    if (record.startRevision > 0) this.#startAt(record.startRevision);
  }

  run(): void {
    this.#findings.judge("watchers");
    for (const response of this.record.responses) {
      if (this.#isEnded) this.#fail(`a response "${response.kind}" after the watcher's end`);
      // What follows the first offence says nothing more.
      if (!this.#take(response)) return;
    }
    if (!this.record.isOpenAtEnd || this.#isEnded || this.#due === undefined) return;
    const missing = this.#due[this.#sent];
    if (missing !== undefined) this.#fail(`never sent ${dueText(missing)}`);
    else if (this.#isWithinRevision) this.#fail("the last response promised more of its revision");
  }

  /** The watcher before this one must have left off where this one begins. */
  checkResumption(before: WatchCheck): void {
    this.#findings.judge("resumptions");
    const lastSent = before.#due?.[before.#sent - 1]?.revision ?? 0;
    const missing = before.#due?.[before.#sent];
    // A client resumes behind the last event it has, or behind a later bookmark.
    if (before.#due !== undefined && this.record.startRevision <= lastSent) {
      this.#fail(`resumes at revision ${this.record.startRevision}, which was sent before`);
    }
    if (missing !== undefined && missing.revision < this.record.startRevision) {
      this.#fail(`resumes at revision ${this.record.startRevision} without ${dueText(missing)}`);
    }
  }

  #take(response: WatchResponse): boolean {
    switch (response.kind) {
      case "created":
        if (this.#due === undefined) this.#startAt(response.revision + 1);
        return true;
      case "events":
        return this.#takeEvents(response);
      case "progress":
        return this.#takeProgress(response);
      case "compacted":
        return this.#takeCompacted(response);
      case "canceled":
        this.#isEnded = true;
        return true;
    }
  }

  #takeEvents(response: WatchResponse): boolean {
    const { events, revision, moment, isFragment } = response;
    if (this.#due === undefined) return this.#offend("events before it was created");
    const first = events[0];
    if (first === undefined) return this.#offend("a response without events");
    const previous = this.#due[this.#sent - 1];
    if (previous?.revision === first.revision && !this.#isWithinRevision) {
      return this.#offend(`revision ${first.revision} was torn into two responses`);
    }
    for (const event of events) if (!this.#takeEvent(event, moment)) return false;
    const last = events[events.length - 1];
    if (revision < last.revision) {
      return this.#offend(`a response at revision ${revision} with an event of revision ${last.revision}`);
    }
    this.#isWithinRevision = isFragment;
    const next = this.#due[this.#sent];
    if (!isFragment && next?.revision === last.revision) {
      return this.#offend(`revision ${last.revision} is not complete, ${dueText(next)} is missing`);
    }
    return true;
  }

  #takeEvent(actual: WatchEvent, moment: Moment): boolean {
    const due = this.#due![this.#sent];
    const text = `${eventText(actual.event)} of revision ${actual.revision}`;
    if (due === undefined || due.revision !== actual.revision || !eventsMatch([due.event], [actual.event])) {
      return this.#offend(`sent ${text} where ${due === undefined ? "nothing" : dueText(due)} was due`);
    }
    if (moment < due.moment) return this.#offend(`sent ${text} before it happened`);
    if (!this.#isRightPrevious(actual, due, moment)) return this.#offend(`sent ${text} with a wrong previous record`);
    this.#findings.judge("events");
    this.#sent++;
    return true;
  }

  /** What a compaction has removed may be missing. */
  #isRightPrevious({ previous, revision }: WatchEvent, due: Due, moment: Moment): boolean {
    if (!this.record.wantsPrevious) return previous === undefined;
    if (previous === undefined && revision - 1 < this.#compactedBefore(moment)) return true;
    return optionsMatch(due.previous, previous);
  }

  #takeProgress({ revision }: WatchResponse): boolean {
    this.#findings.judge("progress notifications");
    const missing = this.#due?.[this.#sent];
    if (missing !== undefined && missing.revision <= revision) {
      return this.#offend(`progress to revision ${revision} without ${dueText(missing)}`);
    }
    return true;
  }

  #takeCompacted({ compactRevision, moment }: WatchResponse): boolean {
    this.#findings.judge("compacted");
    this.#isEnded = true;
    const lastSent = this.#due?.[this.#sent - 1]?.revision ?? 0;
    const needed = Math.max(this.#start, lastSent + 1);
    if (compactRevision > this.#compactedBefore(moment)) {
      return this.#offend(`told of a compaction at ${compactRevision}, which nobody asked for`);
    }
    if (needed >= compactRevision) {
      return this.#offend(`ended by the compaction at ${compactRevision}, though it goes on from ${needed}`);
    }
    return true;
  }

  #offend(why: string): false {
    this.#fail(why);
    return false;
  }

  #startAt(start: number): void {
    const { key, rangeEnd, filters } = this.record;
    const due: Due[] = [];
    for (const { revision, moment, events, before } of this.#history.revisions) {
      if (revision < start) continue;
      for (const event of events) {
        const eventKey = event.kind === "put" ? event.kv.key : event.key;
        if (filters.includes(event.kind) || !isInRange(eventKey, key, rangeEnd)) continue;
        due.push({ revision, event, previous: before.get(eventKey), moment });
      }
    }
    this.#start = start;
    this.#due = due;
  }
}

function dueText({ event, revision }: Due): string {
  return `${eventText(event)} of revision ${revision}`;
}
