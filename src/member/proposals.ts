import type { Outcome } from "../apply/mod.ts";
import { PROPOSALS_SIZE_MAX, UNAPPLIED_ENTRIES_MAX } from "../base/limits.ts";
import { encodeRaftRequest } from "../wire/mod.ts";
import type { RequestIds } from "./request_ids.ts";

/** Why a proposal or a read got no answer from the state machine. */
export type MemberError =
  | "no_leader"
  | "leader_changed"
  | "timeout"
  /** It came while an election was going on, and may have been lost with the previous leader. */
  | "timeout_leader_failure"
  /** This member has not been in touch with the leader, or with a quorum, all the time. */
  | "timeout_connection_lost"
  | "stopped"
  | "too_many_requests"
  | "request_too_large";

/** How etcd puts these errors where they reach people (clients get them with a code). */
export const MEMBER_ERROR_TEXTS: Readonly<Record<MemberError, string>> = {
  no_leader: "etcdserver: no leader",
  leader_changed: "etcdserver: leader changed",
  timeout: "etcdserver: request timed out",
  timeout_leader_failure: "etcdserver: request timed out, possibly due to previous leader failure",
  timeout_connection_lost: "etcdserver: request timed out, possibly due to connection lost",
  stopped: "etcdserver: server stopped",
  too_many_requests: "etcdserver: too many requests",
  request_too_large: "etcdserver: request is too large",
};

/** Called exactly once: with an outcome, or with the reason why there is none. */
export type Settle = (outcome: Outcome | undefined, error: MemberError | undefined) => void;

interface Pending {
  readonly settle: Settle;
  readonly sinceMs: number;
}

/** Encoded entries on their way into the log, and the callers that wait for what becomes of them. */
export class Proposals {
  readonly #ids: RequestIds;
  readonly #requestSizeMax: number;
  /** By sequence; a Map keeps the order of insertion, so the oldest is the first. */
  readonly #pending = new Map<number, Pending>();
  #queue: Uint8Array[] = [];
  #queueSequences: number[] = [];
  #queueSize = 0;
  /** Some of the queue has waited for a leader, and may have been given up meanwhile. */
  #hasWaited = false;
  #isStopped = false;

  constructor(ids: RequestIds, requestSizeMax: number) {
    this.#ids = ids;
    this.#requestSizeMax = requestSizeMax;
  }

  /** Proposals accepted and not yet settled. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  get isQueueEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /**
   * Encodes and queues an operation. `body` is copied. `unapplied` is the number of committed entries that wait to be
   * applied: beyond etcd's bound nothing more is taken in.
   */
  add(operation: number, body: Uint8Array, unapplied: number, nowMs: number, settle: Settle): void {
    if (this.#isStopped) return settle(undefined, "stopped");
    if (unapplied > UNAPPLIED_ENTRIES_MAX || this.#queueSize > PROPOSALS_SIZE_MAX) {
      return settle(undefined, "too_many_requests");
    }
    const id = this.#ids.next();
    const data = encodeRaftRequest(operation, body, id);
    if (data.length > this.#requestSizeMax) return settle(undefined, "request_too_large");
    this.#pending.set(id.sequence, { settle, sinceMs: nowMs });
    this.#queue.push(data);
    this.#queueSequences.push(id.sequence);
    this.#queueSize += data.length;
  }

  /** Hands out everything queued; what `propose` returns false for stays in the queue, for a leader that takes it. */
  drain(propose: (data: Uint8Array) => boolean): void {
    const queue = this.#queue;
    const sequences = this.#queueSequences;
    if (queue.length === 0) return;
    const hasWaited = this.#hasWaited;
    this.#queue = [];
    this.#queueSequences = [];
    this.#queueSize = 0;
    this.#hasWaited = false;
    for (let i = 0; i < queue.length; i++) {
      if (hasWaited && !this.#pending.has(sequences[i])) continue;
      if (!propose(queue[i])) this.#keep(queue[i], sequences[i]);
    }
  }

  /** There is no leader that would take the queue. */
  hold(): void {
    this.#hasWaited = true;
  }

  /** True when somebody here waits for the outcome of this request. */
  isWaitedFor(member: number, sequence: number): boolean {
    return member === this.#ids.member && this.#pending.has(sequence);
  }

  /** An entry was applied. Other members' requests may have the same sequence. */
  settle(member: number, sequence: number, outcome: Outcome): void {
    if (member !== this.#ids.member) return;
    const pending = this.#pending.get(sequence);
    if (pending === undefined) return;
    this.#pending.delete(sequence);
    pending.settle(outcome, undefined);
  }

  /**
   * Gives up on proposals older than `timeoutMs`; `error` says why one that came at `sinceMs` got no answer. They may
   * still be applied later: the client cannot know.
   */
  expire(nowMs: number, timeoutMs: number, error: (sinceMs: number) => MemberError): void {
    for (const [sequence, { sinceMs }] of this.#pending) {
      if (nowMs - sinceMs < timeoutMs) return;
      this.#fail(sequence, error(sinceMs));
    }
  }

  /** Fails everything pending and refuses what comes. */
  stop(): void {
    this.#isStopped = true;
    for (const sequence of [...this.#pending.keys()]) this.#fail(sequence, "stopped");
  }

  #keep(data: Uint8Array, sequence: number): void {
    this.#hasWaited = true;
    this.#queue.push(data);
    this.#queueSequences.push(sequence);
    this.#queueSize += data.length;
  }

  #fail(sequence: number, error: MemberError): void {
    const pending = this.#pending.get(sequence);
    if (pending === undefined) return;
    this.#pending.delete(sequence);
    pending.settle(undefined, error);
  }
}
