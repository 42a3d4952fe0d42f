/**
 * Linearizability of the operations on keys, by a search for an order (see search.ts) in each group of keys that belong
 * together. It takes nothing from the members but their answers: a second opinion beside revisions.ts, which believes the
 * reported history.
 *
 * Etcd's revisions make the search short: they never fall along a valid order. Operations of unknown outcome are the hard
 * part. Where the history tells what became of one (`resolved`), it has a revision like any other, or did not happen.
 */

import type { KvResponse, LeaseEnd, Observations, Operation, Request } from "../observations.ts";
import { type Records, UNKNOWN_REVISION } from "./kv_model.ts";
import { isKeyRequest, isOldRead, type KeyRequest, predictKeys } from "./kv_operation.ts";
import { isKvResponse, learn, recordsOf, responsesMatch } from "./match.ts";
import { keysOf, partitionByKeys } from "./partition.ts";
import { Findings, type Report } from "./report.ts";
import { type Candidate, search, type SequentialModel } from "./search.ts";
import { operationText } from "./text.ts";

/** Steps of the model after which the search for an order in one group of keys is given up, which is a violation. */
export const STEPS_MAX = 200_000;

/** One operation, as the search sees it. */
export interface KeyOperation {
  readonly request: KeyRequest;
  /** Undefined where nothing of it is known, or where it says nothing of keys. */
  readonly response: KvResponse | undefined;
  readonly revision: number | undefined;
  readonly text: string;
  /** All that it touches. */
  keys: ReadonlySet<string>;
}

interface State {
  readonly records: Records;
  /** The last revision that is known to have been passed. */
  readonly revision: number;
}

type KeyCandidate = Candidate<KeyOperation>;

/** With the outcomes that the history tells: `resolved` as `attributeRevisions` finds them. */
export function checkLinearizability(observations: Observations, resolved: ReadonlyMap<Operation, number>): Report {
  return judge(candidatesOf(observations, (operation) => {
    const revision = resolved.get(operation);
    return revision === undefined ? "never" : { revision };
  }));
}

/**
 * From the clients' answers alone: what is unknown may have happened at any time, or never, unless an answer shows one of
 * its values.
 */
export function checkLinearizabilityOfAnswers(observations: Observations, stepsMax = STEPS_MAX): Report {
  const shown = shownRevisions(observations);
  return judge(
    candidatesOf(observations, ({ request }) => {
      const value = valuesOf(request).find((value) => shown.has(value));
      return value === undefined ? "unknown" : { revision: shown.get(value)! };
    }),
    stepsMax,
  );
}

/** The revision that wrote each value that an answer shows: values are unique. */
function shownRevisions({ operations }: Observations): Map<string, number> {
  const shown = new Map<string, number>();
  for (const { outcome } of operations) {
    if (outcome.kind !== "answered" || !isKvResponse(outcome.response)) continue;
    for (const { value, modRevision } of recordsOf(outcome.response)) shown.set(value, modRevision);
  }
  return shown;
}

function valuesOf(request: Request): string[] {
  if (request.kind === "txn") return [...request.success, ...request.failure].flatMap(valuesOf);
  return request.kind === "put" ? [request.value] : [];
}

function judge(candidates: readonly KeyCandidate[], stepsMax = STEPS_MAX): Report {
  const findings = new Findings("operations", "groups of keys", "steps");
  for (const group of groupsOf(candidates)) {
    findings.judge("groups of keys");
    findings.judge("operations", group.length);
    const result = search(MODEL, group, stepsMax);
    findings.judge("steps", result.steps);
    if (result.verdict === "gave up") {
      findings.violation(`gave up the search for an order of ${group.length} operations after ${result.steps} steps`);
    } else if (result.verdict === "impossible") {
      const stuck = result.stuck.map(({ text }) => `\n  ${text}`).join("");
      findings.violation(
        `no order explains ${group.length} operations: after ${result.placed} of them none of these can follow${stuck}`,
      );
    }
  }
  return findings.finish();
}

function groupsOf(candidates: readonly KeyCandidate[]): KeyCandidate[][] {
  const keys = keysOf(candidates.map(({ operation }) => operation.request));
  candidates.forEach(({ operation }, at) => operation.keys = keys[at]);
  return partitionByKeys(candidates.map((candidate, at) => ({ candidate, keys: keys[at] })))
    .map((group) => group.map(({ candidate }) => candidate));
}

type Fate = "never" | "unknown" | { readonly revision: number };

function candidatesOf(observations: Observations, fateOf: (operation: Operation) => Fate): KeyCandidate[] {
  const candidates: KeyCandidate[] = [];
  for (const operation of observations.operations) {
    const { request, invoked, outcome } = operation;
    if (!isKeyRequest(request) || outcome.kind === "refused" || isOldRead(operation)) continue;
    const text = operationText(operation);
    if (outcome.kind === "answered") {
      const { response, returned } = outcome;
      const { revision } = response;
      const shown = isKvResponse(response) ? response : undefined;
      candidates.push(candidate({ request, response: shown, revision, text }, invoked, returned));
      continue;
    }
    const fate = fateOf(operation);
    if (fate === "never") continue;
    const revision = fate === "unknown" ? undefined : fate.revision;
    candidates.push(candidate({ request, response: undefined, revision, text }, invoked, Infinity));
  }
  return [...candidates, ...observations.leaseEnds.filter((end) => !wasRevoked(end, observations)).map(expiry)];
}

function candidate(parts: Omit<KeyOperation, "keys">, invoked: number, returned: number): KeyCandidate {
  const operation = { ...parts, keys: NO_KEYS };
  const isCertain = returned < Infinity || parts.revision !== undefined;
  return { operation, invoked, returned, isCertain, rank: rankOf(operation) };
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** What makes a revision comes before what only sees it. */
function rankOf({ request, response, revision }: KeyOperation): number | undefined {
  if (revision === undefined || request.kind === "leaseRevoke") return revision;
  return response === undefined || wrote(response) ? revision - 0.5 : revision;
}

function wrote(response: KvResponse): boolean {
  if (response.kind === "txn") return response.responses.some(wrote);
  return response.kind === "put" || (response.kind === "deleteRange" && response.deleted > 0);
}

/** A client's revocation is an operation already. */
function wasRevoked({ id, moment }: LeaseEnd, { operations }: Observations): boolean {
  return operations.some(({ request, outcome, invoked }) =>
    request.kind === "leaseRevoke" && request.id === id && outcome.kind === "answered" && invoked < moment
  );
}

/** Nobody called for an expiry: only its place among the revisions is known. */
function expiry({ id, revision }: LeaseEnd): KeyCandidate {
  const request = { kind: "leaseRevoke", id } as const;
  const text = `lease ${id} expired at revision ${revision}`;
  return candidate({ request, response: undefined, revision, text }, 0, Infinity);
}

const MODEL: SequentialModel<State, KeyOperation> = {
  initial: { records: new Map(), revision: 0 },

  step(state, { request, response, revision }) {
    if (revision !== undefined && revision < state.revision) return [];
    const states: State[] = [];
    for (const predicted of predictKeys(request, state.records, revision ?? UNKNOWN_REVISION)) {
      // A write makes a revision that was not there before it.
      if (predicted.events.length > 0 && revision === state.revision) continue;
      // What nobody heard of and what changes nothing might as well not have happened.
      if (predicted.events.length === 0 && revision === undefined) continue;
      const next = { records: predicted.records, revision: revision ?? state.revision };
      if (response === undefined || predicted.response === undefined) states.push(next);
      else if (responsesMatch(predicted.response, response)) {
        states.push({ ...next, records: learn(next.records, predicted.response, response) });
      }
    }
    return states;
  },

  isRelated(a, b) {
    const [few, many] = a.keys.size < b.keys.size ? [a.keys, b.keys] : [b.keys, a.keys];
    for (const key of few) if (many.has(key)) return true;
    return false;
  },

  text({ records, revision }) {
    let text = String(revision);
    for (const key of [...records.keys()].sort()) {
      const { value, createRevision, modRevision, version, lease } = records.get(key)!;
      text += `|${key}=${value},${createRevision},${modRevision},${version},${lease}`;
    }
    return text;
  },
};
