import { PROGRESS_INTERVAL_MS } from "../../base/limits.ts";
import type { Console } from "../command_line/mod.ts";
import { formatSize } from "../../base/size.ts";

const BAR_WIDTH = 30;
/** Goes to the start of the line and clears it. */
const CLEAR = "\r\x1b[K";

/** A line on the terminal that says how far something is, how fast it goes and how long it will take; nothing elsewhere. */
export class Progress {
  readonly #console: Console;
  readonly #what: string;
  readonly #beganMs = performance.now();
  #shownMs = 0;

  constructor(console: Console, what: string) {
    this.#console = console;
    this.#what = what;
  }

  /** Draws the line anew, at most every PROGRESS_INTERVAL_MS. */
  show(done: number, total: number): void {
    const nowMs = performance.now();
    if (!this.#console.isTerminal || nowMs - this.#shownMs < PROGRESS_INTERVAL_MS) return;
    this.#shownMs = nowMs;
    this.#console.error(CLEAR + progressText(this.#what, done, total, nowMs - this.#beganMs));
  }

  /** Takes the line away, before anything else is written. */
  clear(): void {
    if (this.#shownMs > 0) this.#console.error(CLEAR);
    this.#shownMs = 0;
  }
}

/** "saving [=====>    ] 51% 210 MB of 410 MB, 180 MB/s, 1s left" */
export function progressText(what: string, done: number, total: number, elapsedMs: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = `${"=".repeat(filled)}${filled < BAR_WIDTH ? ">" : ""}`.padEnd(BAR_WIDTH);
  const bytesPerSecond = elapsedMs === 0 ? 0 : done / elapsedMs * 1000;
  const left = bytesPerSecond === 0 ? "" : `, ${Math.ceil((total - done) / bytesPerSecond)}s left`;
  return `${what} [${bar}] ${Math.floor(share * 100)}% ${formatSize(done)} of ${formatSize(total)}, ` +
    `${formatSize(bytesPerSecond)}/s${left}`;
}
