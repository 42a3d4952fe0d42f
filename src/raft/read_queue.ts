import { RAFT_READS_MAX } from "../base/limits.ts";
import type { Message } from "./types.ts";

/** A read and the commit index at the time it was asked for. */
export interface PendingRead {
  readonly request: Message;
  readonly index: number;
}

/**
 * The reads of a leader. Each has a position, counted from 1 at the start of the term; a heartbeat carries the position
 * of the newest, and a member that answers it has confirmed its leader for all up to there. So one round of heartbeats
 * serves every read that came before it.
 */
export class ReadQueue {
  /** Reads that came before the first commit of the term: they have no index yet. */
  #early: Message[] = [];
  #unconfirmed: PendingRead[] = [];
  #confirmedCount = 0;

  get isFull(): boolean {
    return this.#early.length + this.#unconfirmed.length >= RAFT_READS_MAX;
  }

  /** Position of the newest read that waits, or 0. */
  get lastPosition(): number {
    return this.#unconfirmed.length === 0 ? 0 : this.#confirmedCount + this.#unconfirmed.length;
  }

  get hasEarly(): boolean {
    return this.#early.length > 0;
  }

  addEarly(request: Message): void {
    this.#early.push(request);
  }

  takeEarly(): readonly Message[] {
    const early = this.#early;
    this.#early = [];
    return early;
  }

  add(request: Message, index: number): void {
    this.#unconfirmed.push({ request, index });
  }

  /** Whether some read waits at `position` or behind it: no other position can have been sent in this term. */
  isWaitingAt(position: number): boolean {
    return position > this.#confirmedCount && position <= this.lastPosition;
  }

  /** Removes and returns the reads up to `position`. */
  confirm(position: number): readonly PendingRead[] {
    const count = Math.min(position - this.#confirmedCount, this.#unconfirmed.length);
    if (count <= 0) return NO_READS;
    this.#confirmedCount += count;
    return this.#unconfirmed.splice(0, count);
  }
}

const NO_READS: readonly PendingRead[] = [];
