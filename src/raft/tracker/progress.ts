import { assert } from "../../base/assert.ts";
import { Inflights } from "./inflights.ts";

/**
 * How a member is sent entries: one message per heartbeat until its last index is found, a stream of them ahead of the
 * acknowledgements, or none since it needs a snapshot first.
 */
export const ProgressState = { PROBE: 0, REPLICATE: 1, SNAPSHOT: 2 } as const;
export type ProgressState = typeof ProgressState[keyof typeof ProgressState];

/** One member as its leader sees it. The names of fields and transitions are those of etcd's raft, in our spelling. */
export class Progress {
  readonly id: bigint;
  isLearner: boolean;
  state: ProgressState = ProgressState.PROBE;
  /** The member's log is known to match the leader's up to here. */
  match = 0;
  /** The first index not yet sent. In SNAPSHOT it is the one behind the pending snapshot. */
  next: number;
  /** The greatest commit index on its way to the member. It falls where messages may have been lost. */
  sentCommit = 0;
  /** Last index of the snapshot on its way, in SNAPSHOT; else 0. */
  pendingSnapshot = 0;
  /** It was heard of since the leader last asked (`ProgressTracker.isQuorumActive`). */
  isRecentlyActive = false;
  /** No append until the next heartbeat response: a probe is out, or the inflights are full. */
  isAppendPaused = false;
  /** The last position in the leader's queue of reads that the member has confirmed it as leader for. */
  acknowledgedRead = 0;
  readonly inflights: Inflights;

  constructor(id: bigint, next: number, isLearner: boolean, inflights: Inflights) {
    this.id = id;
    this.next = next;
    this.isLearner = isLearner;
    this.inflights = inflights;
  }

  /** Forgets everything that was learned, as at the start of a term. */
  reset(next: number): void {
    this.#enter(ProgressState.PROBE);
    this.match = 0;
    this.next = next;
    this.sentCommit = 0;
    this.isRecentlyActive = false;
    this.acknowledgedRead = 0;
  }

  /** Goes back to asking where the member's log ends; behind the snapshot, if one was on its way and arrived. */
  becomeProbe(): void {
    const snapshot = this.pendingSnapshot;
    this.#enter(ProgressState.PROBE);
    this.next = Math.max(this.match, snapshot) + 1;
    this.#lowerSentCommit();
  }

  becomeReplicate(): void {
    this.#enter(ProgressState.REPLICATE);
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#enter(ProgressState.SNAPSHOT);
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** Takes note of an append that was sent, with `count` entries from `next` on, `bytes` in all; never in SNAPSHOT. */
  recordSentEntries(count: number, bytes: number): void {
    if (this.state === ProgressState.REPLICATE) {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      // With no room for another, this message was a probe as well.
      this.isAppendPaused = this.inflights.isFull;
      return;
    }
    assert(this.state === ProgressState.PROBE, "no append is sent while a snapshot is pending");
    if (count > 0) this.isAppendPaused = true;
  }

  /** Whether telling the member of `commit` could let it commit more than what it was already told. */
  canBumpCommit(commit: number): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  recordSentCommit(commit: number): void {
    this.sentCommit = commit;
  }

  /** An acknowledgement of `index`; false if it says nothing new. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    if (this.next <= index) this.next = index + 1;
    this.isAppendPaused = false;
    return true;
  }

  /**
   * A rejection of the append behind index `rejected`, with the index at which the member suggests to try again; false
   * if it is out of date. Else the next append goes further back.
   */
  maybeDecreaseTo(rejected: number, hint: number): boolean {
    if (this.state === ProgressState.REPLICATE) {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.#lowerSentCommit();
      return true;
    }
    // One append at a time is out: a rejection of another one is old.
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.#lowerSentCommit();
    this.isAppendPaused = false;
    return true;
  }

  /** Nothing but heartbeats may be sent. */
  get isPaused(): boolean {
    return this.isAppendPaused || this.state === ProgressState.SNAPSHOT;
  }

  #enter(state: ProgressState): void {
    this.isAppendPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  /** What was sent behind `next` is taken for lost. */
  #lowerSentCommit(): void {
    if (this.sentCommit >= this.next) this.sentCommit = this.next - 1;
  }
}
