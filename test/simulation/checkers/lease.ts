/**
 * Leases, neither early nor late:
 * 1. no lease expires before its time to live has passed since the last renewal that a client knows of was asked for;
 * 2. when a lease ends, all keys attached to it end with it, in that revision, and none is attached to it afterwards;
 * 3. a lease that nobody renews expires, at the latest its time to live after the last renewal, change of leader or fault;
 * 4. a lease that has ended is not kept alive.
 */

import type { FaultInterval, LeaseEnd, Observations, Operation } from "../observations.ts";
import { FIRST_REVISION, History } from "./history.ts";
import { Findings, type Report } from "./report.ts";

/** How exact clocks and duties are in the world at hand. */
export interface LeaseTolerance {
  /** How much faster or slower than the world's a member's clock may run: 0.1 for 10 %. */
  readonly clockDrift: number;
  /** From the time a lease is due to the execution of its revocation in a world at rest. */
  readonly revokeMs: number;
  /** What a new leader adds to every lease, since it does not know what the old one promised. */
  readonly extensionMs: number;
}

/** A time at which the lease was renewed, as far as a client knows. */
interface Renewal {
  readonly operation: Operation;
  readonly ttlMs: number;
  readonly invokedMs: number;
  /** Infinity if the outcome is not known. */
  readonly returnedMs: number;
  readonly returned: number;
}

export function checkLeases(
  observations: Observations,
  tolerance: LeaseTolerance,
  history = new History(observations.applied),
): Report {
  return new LeaseChecker(observations, tolerance, history).run();
}

class LeaseChecker {
  readonly #observations: Observations;
  readonly #tolerance: LeaseTolerance;
  readonly #history: History;
  readonly #findings = new Findings("leases", "expiries", "expiries judged late or not", "keys attached");
  readonly #renewals = new Map<bigint, Renewal[]>();
  readonly #ends = new Map<bigint, LeaseEnd>();
  readonly #electionsMs: number[];

  constructor(observations: Observations, tolerance: LeaseTolerance, history: History) {
    this.#observations = observations;
    this.#history = history;
    this.#tolerance = tolerance;
    this.#electionsMs = electionTimes(observations);
  }

  run(): Report {
    const { operations, leaseEnds } = this.#observations;
    for (const operation of operations) this.#noteRenewal(operation);
    for (const end of leaseEnds) {
      if (this.#ends.has(end.id)) this.#findings.violation(`lease ${end.id} ended twice`);
      this.#ends.set(end.id, end);
    }
    this.#findings.judge("leases", this.#renewals.size);
    for (const end of this.#ends.values()) if (!this.#wasRevoked(end)) this.#judgeExpiry(end);
    this.#judgeRemaining();
    this.#judgeKeys();
    for (const [id, renewals] of this.#renewals) this.#judgeKeepAlives(id, renewals);
    return this.#findings.finish();
  }

  #noteRenewal(operation: Operation): void {
    const { request, outcome, invokedMs } = operation;
    if ((request.kind !== "leaseGrant" && request.kind !== "leaseKeepAlive") || outcome.kind === "refused") return;
    const renewals = this.#renewals.get(request.id) ?? [];
    this.#renewals.set(request.id, renewals);
    if (outcome.kind === "unknown") {
      const ttlMs = request.kind === "leaseGrant" ? request.ttlMs : 0;
      renewals.push({ operation, ttlMs, invokedMs, returnedMs: Infinity, returned: Infinity });
      return;
    }
    const { response, returnedMs, returned } = outcome;
    if (!("ttlMs" in response) || response.ttlMs === 0) return;
    renewals.push({ operation, ttlMs: response.ttlMs, invokedMs, returnedMs, returned });
  }

  #wasRevoked({ id, moment }: LeaseEnd): boolean {
    return this.#observations.operations.some(({ request, invoked }) =>
      request.kind === "leaseRevoke" && request.id === id && invoked < moment
    );
  }

  #judgeExpiry(end: LeaseEnd): void {
    this.#findings.judge("expiries");
    const renewals = this.#renewals.get(end.id) ?? [];
    if (renewals.length === 0) {
      this.#findings.violation(`lease ${end.id} ended, but nobody was granted it`);
      return;
    }
    for (const { ttlMs, invokedMs, returned } of renewals) {
      if (returned > end.moment) continue;
      const earliest = invokedMs + ttlMs * (1 - this.#tolerance.clockDrift);
      if (end.ms >= earliest) continue;
      this.#findings.violation(
        `lease ${end.id} expired at ${end.ms} ms, but was renewed at ${invokedMs} ms for ${ttlMs} ms`,
      );
    }
    if (!isWithin(this.#observations.faults, end.ms)) this.#judgeLateness(end.id, renewals, end.ms, "expired");
  }

  /** Leases that are left in the end must not have been due. */
  #judgeRemaining(): void {
    const { end } = this.#observations;
    for (const id of end.leases) {
      if (this.#ends.has(id)) this.#findings.violation(`lease ${id} is there in the end, but had ended`);
      const renewals = this.#renewals.get(id);
      if (renewals === undefined) {
        this.#findings.violation(`lease ${id} is there in the end, but nobody was granted it`);
      } else this.#judgeLateness(id, renewals, end.ms, "was still there");
    }
  }

  #judgeLateness(id: bigint, renewals: readonly Renewal[], ms: number, what: string): void {
    const { clockDrift, revokeMs, extensionMs } = this.#tolerance;
    const { faults } = this.#observations;
    const healedMs = faults.reduce((last, { endMs }) => endMs <= ms ? Math.max(last, endMs) : last, 0);
    // What a client never heard of was done, if at all, before the world was healed.
    const sinceMs = renewals.reduce((last, { invokedMs, returnedMs }) => {
      return Math.max(last, returnedMs < Infinity ? returnedMs : Math.max(invokedMs, healedMs));
    }, healedMs);
    const elected = this.#electionsMs.findLast((at) => at <= ms) ?? 0;
    const ttlMs = Math.max(...renewals.map((renewal) => renewal.ttlMs));
    const latest = Math.max(sinceMs, elected + extensionMs) + ttlMs * (1 + clockDrift) + revokeMs;
    this.#findings.judge("expiries judged late or not");
    if (ms <= latest) return;
    this.#findings.violation(
      `lease ${id} ${what} at ${ms} ms, but its ${ttlMs} ms were counted from ${
        Math.max(sinceMs, elected)
      } ms on at the latest`,
    );
  }

  #judgeKeys(): void {
    const history = this.#history;
    for (const { id, revision } of this.#ends.values()) {
      if (revision > history.last || revision < FIRST_REVISION) {
        this.#findings.violation(`lease ${id} ended at revision ${revision}, which does not exist`);
        continue;
      }
      for (const { key, lease } of history.recordsAt(revision).values()) {
        if (lease === id) this.#findings.violation(`key ${key} outlasted lease ${id}, which ended at ${revision}`);
      }
    }
    for (const { revision, events } of history.revisions) {
      for (const event of events) {
        if (event.kind === "delete" || event.kv.lease === 0n) continue;
        this.#findings.judge("keys attached");
        const end = this.#ends.get(event.kv.lease);
        if (end === undefined || revision <= end.revision) continue;
        this.#findings.violation(
          `key ${event.kv.key} was attached at revision ${revision} to lease ${end.id} after its end`,
        );
      }
    }
  }

  /** A leader that is slow or cut off may not know of the end yet; in a world at rest it must. */
  #judgeKeepAlives(id: bigint, renewals: readonly Renewal[]): void {
    const end = this.#ends.get(id);
    if (end === undefined) return;
    for (const { invokedMs, returnedMs } of renewals) {
      if (returnedMs === Infinity || invokedMs <= end.ms + this.#tolerance.revokeMs) continue;
      if (isWithin(this.#observations.faults, invokedMs)) continue;
      this.#findings.violation(`lease ${id} was kept alive at ${invokedMs} ms, but had ended at ${end.ms} ms`);
    }
  }
}

function isWithin(faults: readonly FaultInterval[], ms: number): boolean {
  return faults.some(({ startMs, endMs }) => startMs <= ms && ms <= endMs);
}

/** When members became leaders, ascending. */
function electionTimes({ raft }: Observations): number[] {
  const terms = new Set<number>();
  const times: number[] = [];
  for (const { role, term, ms } of raft) {
    if (role !== "leader" || terms.has(term)) continue;
    terms.add(term);
    times.push(ms);
  }
  return times;
}
