import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import { idText } from "../membership/mod.ts";
import type { PeerFigures } from "./peer_statistics.ts";

/** Whether a peer can be reached, since when, and what it says it is. */
export class PeerStatus {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #id: bigint;
  readonly #figures: PeerFigures;
  #sinceMs: number | undefined;
  #version: string | undefined;
  #streamCount = 0;

  constructor(clock: Clock, log: Logger, id: bigint, figures: PeerFigures) {
    this.#clock = clock;
    this.#log = log;
    this.#id = id;
    this.#figures = figures;
  }

  /** Monotonic milliseconds; undefined: it cannot be reached. */
  get activeSinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** Of a peer that cannot be reached it is not known: it may come back as another one. */
  get version(): string | undefined {
    return this.#sinceMs === undefined ? undefined : this.#version;
  }

  /** A stream to the peer or from it stands; `version` is what the peer says it is. */
  streamOpened(version: string | undefined): void {
    this.#streamCount++;
    this.#version = version;
    this.#activate();
  }

  /** It does not stand any more, for whatever reason. */
  streamClosed(): void {
    this.#streamCount--;
  }

  /** A stream broke, or could not be opened. `action` and `source` in etcd's words: "dial", "stream Message". */
  streamFailed(action: string, source: string, reason: string): void {
    this.#deactivate(action, source, reason);
  }

  /** The peer has taken something that was posted. */
  postArrived(): void {
    this.#activate();
  }

  /**
   * It has not. While there are streams, these say whether the peer can be reached: of a post it may be told long after the
   * network is well again, and nothing would come after that to set it right.
   */
  postFailed(action: string, source: string, reason: string): void {
    if (this.#streamCount === 0) this.#deactivate(action, source, reason);
  }

  /** The peer is no longer one. */
  end(): void {
    this.#sinceMs = undefined;
    this.#figures.isActive = false;
  }

  #activate(): void {
    if (this.#sinceMs !== undefined) return;
    this.#log.info("peer became active", { "peer-id": idText(this.#id) });
    this.#sinceMs = this.#clock.monotonicMs();
    this.#figures.isActive = true;
  }

  #deactivate(action: string, source: string, reason: string): void {
    const id = idText(this.#id);
    const fields = { "peer-id": id, "error": `failed to ${action} ${id} on ${source} (${reason})` };
    if (this.#sinceMs === undefined) return this.#log.debug("peer deactivated again", fields);
    this.#log.warn("peer became inactive (message send to peer failed)", fields);
    this.#sinceMs = undefined;
    this.#version = undefined;
    this.#figures.isActive = false;
    this.#figures.disconnectCount++;
  }
}
