/**
 * Writes observations of a store that makes no mistakes: the checkers' tests begin with one of these and tamper with it.
 * An operation is begun, executed and answered at moments of the test's choice.
 */

import {
  type Event,
  type LeaseGrantRequest,
  type LeaseKeepAliveRequest,
  type LogEntry,
  newObservations,
  type Observations,
  type Operation,
  type Put,
  type RaftRecord,
  type Request,
  type Response,
  type WatchRecord,
  type WatchResponse,
} from "../observations.ts";
import { FIRST_REVISION, History } from "./history.ts";
import { applyEvents, isInRange, type Records } from "./kv_model.ts";
import { isKeyRequest, isOldRead, predictKeys } from "./kv_operation.ts";

export class Scribe {
  readonly observations: Observations = newObservations();
  #moment = 0;
  ms = 0;
  #records: Records = new Map();
  #revision = FIRST_REVISION;
  /** Records at every revision, for reads of old ones. */
  readonly #past = new Map<number, Records>([[FIRST_REVISION, new Map()]]);
  readonly #responses = new Map<Operation, Response>();
  readonly #leases = new Map<bigint, number>();

  get revision(): number {
    return this.#revision;
  }

  moment(): number {
    return ++this.#moment;
  }

  begin(client: number, request: Request): Operation {
    const operation: Operation = {
      client,
      request,
      invoked: this.moment(),
      invokedMs: this.ms,
      outcome: { kind: "unknown" },
    };
    this.observations.operations.push(operation);
    return operation;
  }

  /** Lets it take effect now. */
  execute(operation: Operation): void {
    const { request } = operation;
    if (request.kind === "leaseGrant" || request.kind === "leaseKeepAlive") {
      return this.#executeLease(operation, request);
    }
    if (!isKeyRequest(request)) {
      this.#responses.set(operation, { kind: "compact", revision: this.#revision });
      return;
    }
    const records = isOldRead(operation) && request.kind === "range" && request.revision > 0
      ? this.#past.get(request.revision)!
      : this.#records;
    const [{ events, response }] = predictKeys(request, records, this.#revision + 1);
    if (events.length > 0) this.make(events);
    if (request.kind === "leaseRevoke") this.#endLease(request.id);
    this.#responses.set(operation, { ...(response ?? { kind: "leaseRevoke" }), revision: this.#revision } as Response);
  }

  answer(operation: Operation): void {
    const response = this.#responses.get(operation)!;
    operation.outcome = { kind: "answered", returned: this.moment(), returnedMs: this.ms, response };
  }

  /** All three at once. */
  do(client: number, request: Request): Operation {
    const operation = this.begin(client, request);
    this.execute(operation);
    this.answer(operation);
    return operation;
  }

  /** Executes the next revision at a member: of its own, or again what others have executed. */
  make(events: readonly Event[], member = 1n): void {
    this.#revision++;
    this.#records = applyEvents(this.#records, events);
    this.#past.set(this.#revision, this.#records);
    this.observations.applied.push({
      moment: this.moment(),
      member,
      revision: this.#revision,
      events,
      isAfterSnapshot: false,
    });
  }

  /** Lets another member execute everything. */
  follow(member: bigint): void {
    const reports = new History(this.observations.applied).revisions;
    for (const { revision, events } of reports) {
      this.observations.applied.push({ moment: this.moment(), member, revision, events, isAfterSnapshot: false });
    }
  }

  /** A lease comes to its end without a client. */
  expire(id: bigint): void {
    const [{ events }] = predictKeys({ kind: "leaseRevoke", id }, this.#records, this.#revision + 1);
    if (events.length > 0) this.make(events);
    this.#endLease(id);
  }

  /** A watcher on a range that is sent one response per revision, up to the last. */
  watch(key: string, rangeEnd: string, startRevision: number, options: Partial<WatchRecord> = {}): WatchRecord {
    const record: WatchRecord = {
      client: 1,
      key,
      rangeEnd,
      startRevision,
      wantsPrevious: false,
      filters: [],
      resumes: undefined,
      responses: [this.watchResponse({ kind: "created" })],
      isOpenAtEnd: true,
      ...options,
    };
    this.observations.watches.push(record);
    if (startRevision > 0) this.send(record, startRevision);
    return record;
  }

  /** Sends a watcher what its range has from a revision on. */
  send(record: WatchRecord, from: number, through = Infinity): void {
    for (const { revision, events, before } of new History(this.observations.applied).revisions) {
      if (revision < from || revision > through) continue;
      const keyOf = (event: Event) => event.kind === "put" ? event.kv.key : event.key;
      const due = events.filter((event) =>
        isInRange(keyOf(event), record.key, record.rangeEnd) && !record.filters.includes(event.kind)
      ).map((event) => ({
        event,
        revision,
        previous: record.wantsPrevious ? before.get(keyOf(event)) : undefined,
      }));
      if (due.length > 0) record.responses.push(this.watchResponse({ kind: "events", events: due }));
    }
  }

  watchResponse(response: Partial<WatchResponse>): WatchResponse {
    return {
      moment: this.moment(),
      kind: "events",
      revision: this.#revision,
      events: [],
      isFragment: false,
      compactRevision: 0,
      ...response,
    };
  }

  raft(member: bigint, record: Partial<RaftRecord>): void {
    this.observations.raft.push({
      moment: this.moment(),
      ms: this.ms,
      member,
      isStart: false,
      term: 1,
      vote: 0n,
      role: "follower",
      commit: 0,
      entries: [],
      offset: undefined,
      ...record,
    });
  }

  /** Ends the recording with everything as it should be. */
  end(members: readonly bigint[] = [1n]): Observations {
    const { end } = this.observations;
    end.moment = this.moment();
    end.ms = this.ms;
    end.leases = [...this.#leases.keys()];
    end.members = members.map((id) => ({ id, revision: this.#revision }));
    return this.observations;
  }

  #executeLease(operation: Operation, { kind, id, ...request }: LeaseGrantRequest | LeaseKeepAliveRequest): void {
    if ("ttlMs" in request) this.#leases.set(id, request.ttlMs);
    this.#responses.set(operation, { kind, revision: this.#revision, ttlMs: this.#leases.get(id) ?? 0 });
  }

  #endLease(id: bigint): void {
    this.#leases.delete(id);
    this.observations.leaseEnds.push({ moment: this.moment(), ms: this.ms, id, revision: this.#revision });
  }
}

/** Entries of one term from `first` on; what an entry holds is told by its digest. */
export function entriesOf(term: number, first: number, count: number, digest = 0): LogEntry[] {
  return Array.from(
    { length: count },
    (_, at) => ({ index: first + at, term, digest: term * 1000 + first + at + digest }),
  );
}

// Requests, as short as tests like them.

export function put(key: string, value: string, lease = 0n): Request & { kind: "put" } {
  return { kind: "put", key, value, lease, wantsPrevious: false };
}

export function get(key: string, rangeEnd = ""): Request & { kind: "range" } {
  return { kind: "range", key, rangeEnd, revision: 0, limit: 0, isSerializable: false, isCountOnly: false };
}

export function del(key: string, rangeEnd = ""): Request & { kind: "deleteRange" } {
  return { kind: "deleteRange", key, rangeEnd, wantsPrevious: false };
}

export function grant(id: bigint, ttlMs: number): LeaseGrantRequest {
  return { kind: "leaseGrant", id, ttlMs };
}

/** The event of a put of a key that was not there. */
export function putEvent(key: string, value: string, revision: number, lease = 0n): Put {
  const kv = { key, value, createRevision: revision, modRevision: revision, version: 1, lease };
  return { kind: "put", kv };
}
