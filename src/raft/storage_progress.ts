import { assert } from "../base/assert.ts";
import type { Snapshot } from "./types.ts";

/**
 * How far this member's own disk is.
 *
 *     durable        handedOut       last
 *        |  being written |  to be    |
 *        |                |  written  |
 */
export class StorageProgress {
  /** Entries up to here are known durable, in the form in which they are in the log now. */
  durable: number;
  /** Entries up to here were handed out to be made durable. */
  handedOut: number;
  /** Takes the place of the whole log; until it is installed nothing is applied and no campaign begun. */
  #snapshot: Snapshot | undefined;
  #isSnapshotHandedOut = false;

  constructor(durable: number) {
    this.durable = durable;
    this.handedOut = durable;
  }

  get hasSnapshot(): boolean {
    return this.#snapshot !== undefined;
  }

  get hasSnapshotToHandOut(): boolean {
    return this.#snapshot !== undefined && !this.#isSnapshotHandedOut;
  }

  takeSnapshot(): Snapshot | undefined {
    if (!this.hasSnapshotToHandOut) return undefined;
    this.#isSnapshotHandedOut = true;
    return this.#snapshot;
  }

  /** The entries after `index` were taken back: what the disk holds there no longer counts. */
  truncate(index: number): void {
    if (index < this.durable) this.durable = index;
    if (index < this.handedOut) this.handedOut = index;
  }

  /** The entries up to `index`, as they are in the log now, are durable. */
  acknowledge(index: number): void {
    assert(index <= this.handedOut, "only what was handed out can become durable");
    if (index > this.durable) this.durable = index;
  }

  restore(snapshot: Snapshot): void {
    this.durable = snapshot.index;
    this.handedOut = snapshot.index;
    this.#snapshot = snapshot;
    this.#isSnapshotHandedOut = false;
  }

  /** False if it is not the snapshot that this member waits for. */
  acknowledgeSnapshot(index: number): boolean {
    if (this.#snapshot?.index !== index) return false;
    this.#snapshot = undefined;
    this.#isSnapshotHandedOut = false;
    return true;
  }
}
