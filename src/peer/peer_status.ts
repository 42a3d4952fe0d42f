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

  /** `version` where the peer has said one just now. */
  activate(version?: string): void {
    this.#version = version ?? this.#version;
    if (this.#sinceMs !== undefined) return;
    this.#log.info("peer became active", { "peer-id": idText(this.#id) });
    this.#sinceMs = this.#clock.monotonicMs();
    this.#figures.isActive = true;
  }

  /** `action` and `source` in etcd's words: "dial", "stream Message". */
  deactivate(action: string, source: string, reason: string): void {
    const fields = {
      "peer-id": idText(this.#id),
      "error": `failed to ${action} ${idText(this.#id)} on ${source} (${reason})`,
    };
    if (this.#sinceMs === undefined) return this.#log.debug("peer deactivated again", fields);
    this.#log.warn("peer became inactive (message send to peer failed)", fields);
    this.#sinceMs = undefined;
    this.#version = undefined;
    this.#figures.isActive = false;
    this.#figures.disconnectCount++;
  }

  /** The peer is no longer one. */
  end(): void {
    this.#sinceMs = undefined;
    this.#figures.isActive = false;
  }
}
