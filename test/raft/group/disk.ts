import { EMPTY_BYTES } from "../../../src/base/bytes.ts";
import {
  type ConfState,
  type Entry,
  type HardState,
  type Message,
  RaftLog,
  type Ready,
  type Snapshot,
} from "../../../src/raft/mod.ts";

interface Append {
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly mustSync: boolean;
  readonly responses: readonly Message[];
}

/** One member's disk: appends are carried out later, one after the other, and a crash forgets those that were not. */
export class Disk {
  #snapshot: Snapshot;
  #entries: Entry[] = [];
  #hardState: HardState;
  /** Written, but not synced since: only ever a commit index. */
  #unsyncedHardState: HardState;
  #queue: Append[] = [];

  constructor(index: number, term: number, confState: ConfState) {
    this.#snapshot = { index, term, confState, data: EMPTY_BYTES };
    this.#hardState = this.#unsyncedHardState = { term: 0, vote: 0n, commit: index };
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  get isBusy(): boolean {
    return this.#queue.length > 0;
  }

  /** Whether this very entry is durable. */
  holds({ index, term }: Entry): boolean {
    return index <= this.#snapshot.index || this.#entries[index - this.#snapshot.index - 1]?.term === term;
  }

  /** The log as a restart finds it. */
  readLog(): RaftLog {
    const log = new RaftLog(this.#snapshot.index, this.#snapshot.term);
    for (const entry of this.#entries) log.append(entry);
    return log;
  }

  /** What the state machine saved of itself; the log before it is no longer needed. */
  saveSnapshot(snapshot: Snapshot): void {
    if (snapshot.index <= this.#snapshot.index) return;
    this.#entries = this.#entries.slice(snapshot.index - this.#snapshot.index);
    this.#snapshot = snapshot;
  }

  enqueue({ entries, hardState, snapshot, mustSync, appendResponses }: Ready): void {
    const hasWork = entries.length > 0 || hardState !== undefined || snapshot !== undefined ||
      appendResponses.length > 0;
    if (hasWork) this.#queue.push({ entries, hardState, snapshot, mustSync, responses: appendResponses });
  }

  /** Carries out the next append; returns what may be said now, and the snapshot that was installed. */
  finishOne(): Pick<Append, "responses" | "snapshot"> {
    const { entries, hardState, snapshot, mustSync, responses } = this.#queue.shift()!;
    if (snapshot !== undefined) {
      this.#snapshot = snapshot;
      this.#entries = [];
    }
    if (entries.length > 0) this.#entries.length = entries[0].index - this.#snapshot.index - 1;
    this.#entries.push(...entries);
    if (hardState !== undefined) this.#unsyncedHardState = hardState;
    if (mustSync || snapshot !== undefined) this.#hardState = this.#unsyncedHardState;
    return { responses, snapshot };
  }

  crash(): void {
    this.#queue = [];
    this.#unsyncedHardState = this.#hardState;
    // What is committed is known to be so only from what was synced with it.
    const commit = Math.max(this.#hardState.commit, this.#snapshot.index);
    this.#hardState = this.#unsyncedHardState = { ...this.#hardState, commit };
  }
}
