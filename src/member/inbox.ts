import { INBOX_MESSAGES_MAX, INBOX_SIZE_MAX } from "../base/limits.ts";
import type { Message } from "../raft/mod.ts";

/** What became of a snapshot that was sent to a member. */
export interface SnapshotReport {
  readonly id: bigint;
  readonly hasArrived: boolean;
}

/** What came from other members, and of them, since the last turn. What finds it full is dropped, as if it had been lost. */
export class Inbox {
  #messages: Message[] = [];
  #next = 0;
  #size = 0;
  /** Messages that found it full. */
  droppedCount = 0;
  readonly #unreachable = new Set<bigint>();
  readonly #gone = new Set<bigint>();
  #snapshotReports: SnapshotReport[] = [];

  get isEmpty(): boolean {
    return this.#next === this.#messages.length && this.#unreachable.size === 0 && this.#gone.size === 0 &&
      this.#snapshotReports.length === 0;
  }

  add(message: Message): void {
    if (this.#messages.length - this.#next >= INBOX_MESSAGES_MAX || this.#size >= INBOX_SIZE_MAX) {
      this.droppedCount++;
      return;
    }
    if (this.#next >= INBOX_MESSAGES_MAX) {
      this.#messages = this.#messages.slice(this.#next);
      this.#next = 0;
    }
    this.#messages.push(message);
    this.#size += sizeOf(message);
  }

  /** The oldest message; undefined if there is none. */
  next(): Message | undefined {
    if (this.#next === this.#messages.length) {
      if (this.#next === 0) return undefined;
      this.#messages = [];
      this.#next = 0;
      return undefined;
    }
    const message = this.#messages[this.#next++];
    this.#size -= sizeOf(message);
    return message;
  }

  /** There are only as many members. */
  addUnreachable(id: bigint): void {
    this.#unreachable.add(id);
  }

  takeUnreachable(): readonly bigint[] {
    return takeAll(this.#unreachable);
  }

  /** Likewise. */
  addGone(id: bigint): void {
    this.#gone.add(id);
  }

  takeGone(): readonly bigint[] {
    return takeAll(this.#gone);
  }

  /** As many as snapshots were being sent. */
  addSnapshotReport(report: SnapshotReport): void {
    this.#snapshotReports.push(report);
  }

  takeSnapshotReports(): readonly SnapshotReport[] {
    const reports = this.#snapshotReports;
    if (reports.length > 0) this.#snapshotReports = [];
    return reports;
  }
}

function takeAll(ids: Set<bigint>): readonly bigint[] {
  if (ids.size === 0) return [];
  const taken = [...ids];
  ids.clear();
  return taken;
}

function sizeOf({ entries, context }: Message): number {
  let size = context.length;
  for (let i = 0; i < entries.length; i++) size += entries[i].data.length;
  return size;
}
