import { RAFT_READS_MAX } from "../base/limits.ts";
import type { ReadState } from "../raft/mod.ts";
import type { RequestId } from "../wire/mod.ts";
import type { MemberError } from "./proposals.ts";

/** Called once: without an error when the read may go ahead at the applied state. */
export type Read = (error: MemberError | undefined) => void;

export interface PendingReadsParts {
  readonly nextId: () => RequestId;
  /** Asks the leader for the index at which a read with this context is linearizable. It may get lost. */
  readonly readIndex: (context: Uint8Array) => void;
}

/** A round without an answer is asked for again after this long (etcd's figure). */
const RETRY_MS = 500;

interface Waiting {
  readonly read: Read;
  readonly sinceMs: number;
}

/** Reads that share one question to the leader. */
interface Round {
  readonly reads: Waiting[];
  /** Sequences of the contexts sent for it: an answer to any of them will do. */
  readonly asked: number[];
  askedMs: number;
  /** The leader that was asked. */
  leader: bigint;
}

/** Reads that may go ahead once this index is applied here. */
interface Confirmed {
  readonly index: number;
  readonly reads: Waiting[];
}

/**
 * Linearizable reads that this member cannot answer alone. All that wait when a round begins share it; the next round
 * begins when this one is confirmed. A confirmed index is never older than the reads of its round.
 */
export class PendingReads {
  readonly #parts: PendingReadsParts;
  /** All of these in the order of arrival, the oldest first. */
  #confirmed: Confirmed[] = [];
  #round: Round | undefined;
  #waiting: Waiting[] = [];
  #count = 0;

  constructor(parts: PendingReadsParts) {
    this.#parts = parts;
  }

  add(read: Read, nowMs: number): void {
    if (this.#count >= RAFT_READS_MAX) return read("too_many_requests");
    this.#count++;
    this.#waiting.push({ read, sinceMs: nowMs });
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /**
   * Begins a round where one is due, or asks again where the answer is overdue. One whose leader is not the leader any
   * more fails, as in etcd.
   */
  ask(nowMs: number, leader: bigint): void {
    if (this.#round !== undefined && this.#round.leader !== leader) this.#failRound("leader_changed");
    if (this.#round === undefined) {
      if (this.#waiting.length === 0) return;
      this.#round = { reads: this.#waiting, asked: [], askedMs: nowMs, leader };
      this.#waiting = [];
    } else if (nowMs - this.#round.askedMs < RETRY_MS) return;
    this.#send(this.#round, nowMs);
  }

  /** The question may have come too early: asks again, with a fresh context. */
  askAgain(nowMs: number): void {
    if (this.#round !== undefined) this.#send(this.#round, nowMs);
  }

  /** An answer of raft. One that comes too late, or twice, says nothing. */
  confirm({ context, index }: ReadState): void {
    const round = this.#round;
    if (round === undefined || !round.asked.includes(sequenceOf(context))) return;
    this.#round = undefined;
    this.#confirmed.push({ index, reads: round.reads });
  }

  /** Lets those go ahead that see everything once `appliedIndex` is applied. */
  release(appliedIndex: number): void {
    while (this.#confirmed.length > 0 && this.#confirmed[0].index <= appliedIndex) {
      this.#settle(this.#confirmed.shift()!.reads, undefined);
    }
  }

  failAll(error: MemberError): void {
    const confirmed = this.#confirmed;
    const waiting = this.#waiting;
    this.#confirmed = [];
    this.#waiting = [];
    for (const { reads } of confirmed) this.#settle(reads, error);
    this.#failRound(error);
    this.#settle(waiting, error);
  }

  /** `error` says why a read that came at `sinceMs` got no answer in time. */
  expire(nowMs: number, timeoutMs: number, error: (sinceMs: number) => MemberError): void {
    if (this.#count === 0) return;
    for (const { reads } of this.#confirmed) this.#expireOf(reads, nowMs - timeoutMs, error);
    if (this.#round !== undefined) {
      this.#expireOf(this.#round.reads, nowMs - timeoutMs, error);
      if (this.#round.reads.length === 0) this.#round = undefined;
    }
    this.#expireOf(this.#waiting, nowMs - timeoutMs, error);
  }

  #failRound(error: MemberError): void {
    const round = this.#round;
    this.#round = undefined;
    if (round !== undefined) this.#settle(round.reads, error);
  }

  #expireOf(reads: Waiting[], beforeMs: number, error: (sinceMs: number) => MemberError): void {
    let count = 0;
    while (count < reads.length && reads[count].sinceMs <= beforeMs) count++;
    if (count === 0) return;
    this.#count -= count;
    for (const { read, sinceMs } of reads.splice(0, count)) read(error(sinceMs));
  }

  #settle(reads: readonly Waiting[], error: MemberError | undefined): void {
    this.#count -= reads.length;
    for (const { read } of reads) read(error);
  }

  #send(round: Round, nowMs: number): void {
    const { nextId, readIndex } = this.#parts;
    const id = nextId();
    round.asked.push(id.sequence);
    round.askedMs = nowMs;
    readIndex(contextOf(id));
  }
}

/** 8 bytes, big-endian, as etcd's (frozen: the leader hands them back). */
function contextOf({ member, sequence }: RequestId): Uint8Array {
  const context = new Uint8Array(8);
  const view = new DataView(context.buffer);
  view.setUint16(0, member);
  view.setUint16(2, Math.floor(sequence / 2 ** 32));
  view.setUint32(4, sequence % 2 ** 32);
  return context;
}

/** -1: not one of ours. (The answer comes to the member that asked, so that its own part need not be compared.) */
function sequenceOf(context: Uint8Array): number {
  if (context.length !== 8) return -1;
  const view = new DataView(context.buffer, context.byteOffset);
  return view.getUint16(2) * 2 ** 32 + view.getUint32(4);
}
