import { LOG_SAMPLE_FIRST, LOG_SAMPLE_MESSAGES_MAX, LOG_SAMPLE_THEREAFTER } from "../../base/limits.ts";

/** Keeps one message from filling the log: of its lines within a second the first are written, then one in many. */
export class Sampler {
  readonly #counts = new Map<string, { secondStartMs: number; count: number }>();

  /** `nowMs` is monotonic. True if the line is to be written. */
  admits(level: string, message: string, nowMs: number): boolean {
    const key = `${level} ${message}`;
    let entry = this.#counts.get(key);
    if (entry === undefined) {
      if (this.#counts.size >= LOG_SAMPLE_MESSAGES_MAX) this.#counts.clear();
      entry = { secondStartMs: nowMs, count: 0 };
      this.#counts.set(key, entry);
    }
    if (nowMs - entry.secondStartMs >= 1000) {
      entry.secondStartMs = nowMs;
      entry.count = 0;
    }
    entry.count++;
    return entry.count <= LOG_SAMPLE_FIRST || (entry.count - LOG_SAMPLE_FIRST) % LOG_SAMPLE_THEREAFTER === 0;
  }
}
