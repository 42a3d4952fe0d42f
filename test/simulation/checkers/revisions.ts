/**
 * Holds every answer against the history, by the revision it names: the strictest check of a store like etcd's, and one
 * without any search. An operation has its place in the order of all operations by its response's revision, so
 * 1. its response must be what the model says at that place;
 * 2. a write must be the one that made its revision, within the time of its call;
 * 3. a revision must not lie before one that any client knew when the call began;
 * 4. a revision that no answered operation made must have been made by one whose outcome is unknown, or by a lease's end.
 */

import type { KvResponse, LeaseEnd, Moment, Observations, Operation } from "../observations.ts";
import { FIRST_REVISION, type HistoricRevision, History } from "./history.ts";
import type { Records } from "./kv_model.ts";
import { isKeyRequest, isOldRead, predictKeys } from "./kv_operation.ts";
import { eventsMatch, isKvResponse, responsesMatch } from "./match.ts";
import { Findings, type Report } from "./report.ts";
import { eventText, operationText, requestText } from "./text.ts";

export interface Attribution extends Report {
  /** The revisions that operations of unknown outcome turned out to have made. */
  readonly resolved: ReadonlyMap<Operation, number>;
}

/** The check, and what it finds out on the way. */
export function checkRevisions(observations: Observations, history = new History(observations.applied)): Attribution {
  return new Attributor(observations, history).run();
}

class Attributor {
  readonly #observations: Observations;
  readonly #history: History;
  readonly #findings = new Findings("answers", "writes", "old reads", "outcomes resolved", "lease ends");
  /** Who made a revision. */
  readonly #makers = new Map<number, Operation>();

  constructor(observations: Observations, history: History) {
    this.#observations = observations;
    this.#history = history;
  }

  run(): Attribution {
    const known = new KnownRevisions(this.#observations);
    for (const operation of this.#observations.operations) this.#judge(operation, known);
    const resolved = this.#resolve();
    return { ...this.#findings.finish(), resolved };
  }

  #judge(operation: Operation, known: KnownRevisions): void {
    const { outcome, request } = operation;
    if (outcome.kind !== "answered") return;
    const { response, returned } = outcome;
    const { revision } = response;
    const fail = (why: string) => this.#findings.violation(`${operationText(operation)}: ${why}`);
    this.#findings.judge("answers");
    if (revision < FIRST_REVISION || revision > this.#history.last) return fail("there is no such revision");
    const made = this.#history.at(revision);
    if (made !== undefined && made.moment > returned) return fail("the revision was made after the response");

    const floor = known.before(operation.invoked);
    // What happened before the call and shows in its answer may look like its own doing: a key that another has deleted
    // while the lease that is then revoked held it.
    const isLater = made !== undefined && made.moment < operation.invoked && this.#isReader(operation, made.after);
    const isWriter = made !== undefined && !isLater && this.#isMaker(operation, made) &&
      !this.#isIdleBeside(operation, made);
    if (isWriter) {
      this.#findings.judge("writes");
      const other = this.#makers.get(revision);
      if (other !== undefined && !this.#isReader(other, made.after)) {
        return fail(`the revision was made by another: ${operationText(other)}`);
      }
      this.#makers.set(revision, operation);
      if (made.moment < operation.invoked) return fail("the revision was made before the call");
    }
    if (isOldRead(operation)) return this.#judgeOldRead(operation, floor);
    // A keep-alive asks no quorum, and promises nothing about the store.
    if (request.kind === "leaseKeepAlive") return;
    if (revision < floor) return fail(`a client had seen revision ${floor} before the call`);
    if (!isWriter && isKeyRequest(request) && !this.#isReader(operation, this.#history.recordsAt(revision))) {
      fail(`not what is right at that revision; its events are [${made?.events.map(eventText).join(", ") ?? ""}]`);
    }
  }

  /** Whether the operation, at the place of that revision, does what the revision did, and was answered so. */
  #isMaker({ request, outcome }: Operation, made: HistoricRevision): boolean {
    if (!isKeyRequest(request)) return false;
    return predictKeys(request, made.before, made.revision).some(({ response, events }) =>
      events.length > 0 && eventsMatch(events, made.events) && isAnswer(response, outcome)
    );
  }

  /**
   * Whether another has made the revision, and the operation, right behind it, did nothing and was answered so: a lease
   * is revoked while its only key is deleted.
   */
  #isIdleBeside(operation: Operation, { revision, after }: HistoricRevision): boolean {
    return this.#makers.has(revision) && this.#isReader(operation, after);
  }

  /** Whether the operation changes nothing at that place, and was answered so. */
  #isReader({ request, outcome }: Operation, records: Records): boolean {
    if (!isKeyRequest(request)) return true;
    return predictKeys(request, records, 0).some(({ response, events }) =>
      events.length === 0 && isAnswer(response, outcome)
    );
  }

  #judgeOldRead(operation: Operation, floor: number): void {
    const { request, outcome } = operation;
    if (request.kind !== "range" || outcome.kind !== "answered") return;
    this.#findings.judge("old reads");
    const fail = (why: string) => this.#findings.violation(`${operationText(operation)}: ${why}`);
    const { revision } = outcome.response;
    const at = request.revision > 0 ? request.revision : revision;
    if (at > revision) return fail(`read at revision ${at}, which the member did not have`);
    if (!request.isSerializable && revision < floor) return fail(`a client had seen revision ${floor} before the call`);
    if (!this.#isReader(operation, this.#history.recordsAt(at))) fail(`not what is right at revision ${at}`);
  }

  /** Finds an origin for every revision that no answered operation has made. */
  #resolve(): Map<Operation, number> {
    const { operations, leaseEnds } = this.#observations;
    // Leases without keys end at a revision that another has made.
    const ends = new Map<number, LeaseEnd[]>();
    for (const end of leaseEnds) ends.set(end.revision, [...ends.get(end.revision) ?? [], end]);
    const unknown = operations.filter(({ outcome }) => outcome.kind === "unknown");
    const orphans: { made: HistoricRevision; origins: Operation[] }[] = [];
    for (const made of this.#history.revisions) {
      if (this.#makers.has(made.revision)) continue;
      if (ends.get(made.revision)?.some((end) => hasMade(end, made))) {
        this.#findings.judge("lease ends");
        continue;
      }
      orphans.push({ made, origins: unknown.filter((operation) => this.#mayHaveMade(operation, made)) });
    }
    const assigned = assign(orphans.map(({ origins }) => origins));
    const resolved = new Map<Operation, number>();
    orphans.forEach(({ made, origins }, at) => {
      const operation = assigned[at];
      if (operation !== undefined) {
        this.#findings.judge("outcomes resolved");
        resolved.set(operation, made.revision);
        return;
      }
      const rivals = origins.length === 0 ? "" : `; candidates that made others: ${origins.map(originText).join("; ")}`;
      this.#findings.violation(
        `revision ${made.revision} [${made.events.map(eventText).join(", ")}] was made by no operation${rivals}`,
      );
    });
    return resolved;
  }

  #mayHaveMade({ request, invoked }: Operation, made: HistoricRevision): boolean {
    return isKeyRequest(request) && invoked < made.moment &&
      predictKeys(request, made.before, made.revision).some(({ events }) =>
        events.length > 0 && eventsMatch(events, made.events)
      );
  }
}

function hasMade({ id }: LeaseEnd, { before, revision, events }: HistoricRevision): boolean {
  const [predicted] = predictKeys({ kind: "leaseRevoke", id }, before, revision);
  return predicted.events.length > 0 && eventsMatch(predicted.events, events);
}

function originText({ client, request }: Operation): string {
  return `client ${client}, ${requestText(request)}`;
}

/** Whether the response is the one that was given; a revocation's says nothing of keys. */
function isAnswer(predicted: KvResponse | undefined, outcome: Operation["outcome"]): boolean {
  if (outcome.kind !== "answered") return false;
  if (predicted === undefined) return outcome.response.kind === "leaseRevoke";
  const { response } = outcome;
  return isKvResponse(response) && responsesMatch(predicted, response);
}

/** Gives every revision an operation of its own, if that is possible (augmenting paths: there are few of either). */
function assign(origins: readonly (readonly Operation[])[]): (Operation | undefined)[] {
  const owners = new Map<Operation, number>();
  const claim = (at: number, refused: Set<Operation>): boolean => {
    for (const operation of origins[at]) {
      if (refused.has(operation)) continue;
      refused.add(operation);
      const owner = owners.get(operation);
      if (owner !== undefined && !claim(owner, refused)) continue;
      owners.set(operation, at);
      return true;
    }
    return false;
  };
  for (let at = 0; at < origins.length; at++) claim(at, new Set());
  const assigned = new Array<Operation | undefined>(origins.length).fill(undefined);
  for (const [operation, at] of owners) assigned[at] = operation;
  return assigned;
}

/** The greatest revision that any client had been told of before a moment. */
class KnownRevisions {
  readonly #moments: number[] = [];
  readonly #revisions: number[] = [];

  constructor({ operations, watches }: Observations) {
    const told: { moment: Moment; revision: number }[] = [];
    for (const { outcome } of operations) {
      if (outcome.kind === "answered") told.push({ moment: outcome.returned, revision: outcome.response.revision });
    }
    for (const { responses } of watches) {
      for (const { moment, events } of responses) {
        if (events.length > 0) told.push({ moment, revision: events[events.length - 1].revision });
      }
    }
    told.sort((a, b) => a.moment - b.moment);
    let greatest = FIRST_REVISION;
    for (const { moment, revision } of told) {
      if (revision <= greatest) continue;
      greatest = revision;
      this.#moments.push(moment);
      this.#revisions.push(revision);
    }
  }

  before(moment: Moment): number {
    let low = 0;
    let high = this.#moments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#moments[middle] < moment) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? FIRST_REVISION : this.#revisions[low - 1];
  }
}
