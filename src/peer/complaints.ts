import { PEER_COMPLAINT_MS, PEER_COMPLAINTS_MAX, PEER_LOGGED_TEXT_MAX } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { LogFields, Logger } from "../io/log.ts";

/** Warns of what others do wrong, once in a while: they decide how often they do it. */
export class Complaints {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #loggedMs = new Map<string, number>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `who` and the message together are one complaint. */
  warn(who: string, message: string, fields: LogFields): void {
    const key = `${who.slice(0, PEER_LOGGED_TEXT_MAX)} ${message}`;
    const nowMs = this.#clock.monotonicMs();
    const loggedMs = this.#loggedMs.get(key);
    if (loggedMs !== undefined && nowMs - loggedMs < PEER_COMPLAINT_MS) return;
    if (this.#loggedMs.size >= PEER_COMPLAINTS_MAX) this.#loggedMs.clear();
    this.#loggedMs.set(key, nowMs);
    this.#log.warn(message, fields);
  }
}
