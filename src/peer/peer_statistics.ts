/** What was sent and received, in plain numbers, for the metrics page. */

import { exponentialBounds, Histogram } from "../base/histogram.ts";
import { PEER_FIGURES_MAX } from "../base/limits.ts";

/** Of one peer, since this process started. */
export class PeerFigures {
  /** Of raft messages, and of snapshots that arrived. */
  sentBytes = 0;
  receivedBytes = 0;
  /** Messages and snapshots that were dropped or lost on their way, as far as this member knows. */
  sentFailures = 0;
  /** Requests and messages that made no sense, or came in the name of somebody else. */
  receivedFailures = 0;
  isActive = false;
  disconnectCount = 0;
  snapshotsSent = 0;
  snapshotsFailed = 0;
  snapshotsSending = 0;
  snapshotsReceived = 0;
  snapshotReceiveFailures = 0;
  snapshotsReceiving = 0;
  /** Of snapshots that arrived. */
  readonly snapshotSendSeconds = new Histogram(SNAPSHOT_SECONDS);
  readonly snapshotReceiveSeconds = new Histogram(SNAPSHOT_SECONDS);
  /** Smoothed, once for each probe that was answered. */
  readonly roundTripSeconds = new Histogram(ROUND_TRIP_SECONDS);
}

/** etcd's buckets. */
const SNAPSHOT_SECONDS = exponentialBounds(0.1, 2, 10);
const ROUND_TRIP_SECONDS = exponentialBounds(0.0001, 2, 16);

export class PeerStatistics {
  readonly #figures = new Map<bigint, PeerFigures>();
  /** Of those that there is no room for. */
  readonly #others = new PeerFigures();

  /** Those of one peer, from now on. */
  of(id: bigint): PeerFigures {
    let figures = this.#figures.get(id);
    if (figures !== undefined) return figures;
    if (this.#figures.size >= PEER_FIGURES_MAX) return this.#others;
    this.#figures.set(id, figures = new PeerFigures());
    return figures;
  }

  /** In the order in which they became known. Removed ones stay, as counters do not go backwards. */
  entries(): IterableIterator<[id: bigint, figures: PeerFigures]> {
    return this.#figures.entries();
  }
}
