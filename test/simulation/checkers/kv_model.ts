/**
 * etcd's key-value semantics in their plainest form: a map of records, copied when it changes. Two checkers predict with
 * it what a response must have been.
 *
 * A write whose response never came may have got any revision: its records carry UNKNOWN_REVISION until a response shows
 * which it was.
 */

import type {
  Compare,
  DeleteRangeRequest,
  Event,
  KeyValue,
  KvRequest,
  KvResponse,
  PutRequest,
  RangeRequest,
  TxnOperation,
  TxnOperationResponse,
  TxnRequest,
} from "../observations.ts";

export const UNKNOWN_REVISION = -1;

export type Records = ReadonlyMap<string, KeyValue>;

/** What executing a request comes to. */
export interface Prediction {
  readonly response: KvResponse;
  readonly events: readonly Event[];
  readonly records: Records;
}

/** The keys of `keys` that a request for `key` and `rangeEnd` means, ascending. */
export function keysInRange(keys: Iterable<string>, key: string, rangeEnd: string): string[] {
  return [...keys].filter((candidate) => isInRange(candidate, key, rangeEnd)).sort();
}

export function isInRange(candidate: string, key: string, rangeEnd: string): boolean {
  if (rangeEnd === "") return candidate === key;
  return candidate >= key && (rangeEnd === "\0" || candidate < rangeEnd);
}

/**
 * Executes a request on `records`; what it writes gets `revision`. A transaction whose compares cannot be decided (of a
 * revision that is not known) has two predictions, everything else one.
 */
export function predict(request: KvRequest, records: Records, revision: number): Prediction[] {
  if (request.kind !== "txn") {
    const work = new Work(records, revision);
    return [work.finish(work.execute(request))];
  }
  return branches(request, records).map((succeeded) => {
    const work = new Work(records, revision);
    const responses = (succeeded ? request.success : request.failure).map((operation) => work.execute(operation));
    return work.finish({ kind: "txn", revision, succeeded, responses });
  });
}

/** What revoking a lease deletes. */
export function predictRevoke(lease: bigint, records: Records): { events: Event[]; records: Records } {
  const keys = [...records.values()].filter((record) => record.lease === lease).map(({ key }) => key).sort();
  if (keys.length === 0) return { events: [], records };
  const rest = new Map(records);
  for (const key of keys) rest.delete(key);
  return { events: keys.map((key) => ({ kind: "delete", key })), records: rest };
}

/** Records after the events of one revision. */
export function applyEvents(records: Records, events: readonly Event[]): Records {
  const changed = new Map(records);
  for (const event of events) {
    if (event.kind === "put") changed.set(event.kv.key, event.kv);
    else changed.delete(event.key);
  }
  return changed;
}

/** One request, or one transaction, being executed. */
class Work {
  readonly #revision: number;
  readonly #events: Event[] = [];
  #records: Records;
  #changed: Map<string, KeyValue> | undefined;

  constructor(records: Records, revision: number) {
    this.#records = records;
    this.#revision = revision;
  }

  finish(response: KvResponse): Prediction {
    return { response, events: this.#events, records: this.#records };
  }

  execute(operation: TxnOperation): TxnOperationResponse {
    if (operation.kind === "range") return this.#range(operation);
    return operation.kind === "put" ? this.#put(operation) : this.#deleteRange(operation);
  }

  #range({ key, rangeEnd, limit, isCountOnly }: RangeRequest): TxnOperationResponse {
    const found = this.#find(key, rangeEnd);
    const kept = limit > 0 ? found.slice(0, limit) : found;
    return {
      kind: "range",
      revision: this.#revision,
      kvs: isCountOnly ? [] : kept,
      count: found.length,
      more: !isCountOnly && kept.length < found.length,
    };
  }

  #put({ key, value, lease, wantsPrevious }: PutRequest): TxnOperationResponse {
    const previous = this.#records.get(key);
    const kv: KeyValue = {
      key,
      value,
      createRevision: previous === undefined ? this.#revision : previous.createRevision,
      modRevision: this.#revision,
      version: (previous?.version ?? 0) + 1,
      lease,
    };
    this.#writable().set(key, kv);
    this.#events.push({ kind: "put", kv });
    return { kind: "put", revision: this.#revision, previous: wantsPrevious ? previous : undefined };
  }

  #deleteRange({ key, rangeEnd, wantsPrevious }: DeleteRangeRequest): TxnOperationResponse {
    const found = this.#find(key, rangeEnd);
    for (const { key } of found) {
      this.#writable().delete(key);
      this.#events.push({ kind: "delete", key });
    }
    return {
      kind: "deleteRange",
      revision: this.#revision,
      deleted: found.length,
      previous: wantsPrevious ? found : [],
    };
  }

  #find(key: string, rangeEnd: string): KeyValue[] {
    if (rangeEnd !== "") return keysInRange(this.#records.keys(), key, rangeEnd).map((key) => this.#records.get(key)!);
    const record = this.#records.get(key);
    return record === undefined ? [] : [record];
  }

  #writable(): Map<string, KeyValue> {
    if (this.#changed === undefined) this.#records = this.#changed = new Map(this.#records);
    return this.#changed;
  }
}

function branches({ compares }: TxnRequest, records: Records): boolean[] {
  const verdicts = compares.map((compare) => holds(compare, records.get(compare.key)));
  if (verdicts.includes(false)) return [false];
  return verdicts.includes(undefined) ? [true, false] : [true];
}

/** Undefined if it depends on a revision that is not known. */
function holds({ target, relation, operand }: Compare, record: KeyValue | undefined): boolean | undefined {
  if (record === undefined && target === "value") return false;
  const actual = record === undefined ? (target === "lease" ? 0n : 0) : record[target];
  if (actual === UNKNOWN_REVISION) return undefined;
  switch (relation) {
    case "=":
      return actual === operand;
    case "!=":
      return actual !== operand;
    case "<":
      return actual < operand;
    case ">":
      return actual > operand;
  }
}
