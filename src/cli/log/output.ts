/** Where lines of the log go: standard error, standard output or a file. */

import { closeSync, openSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LOG_WRITE_TRIES } from "../../base/limits.ts";

/**
 * A file descriptor that is written synchronously: the last lines before a crash are the ones that matter. An output
 * that takes nothing (a pipe nobody reads, a full disk) costs lines, which are counted, and never stops the server.
 */
export class Output {
  readonly descriptor: number;
  readonly #isOwned: boolean;
  /** Lines lost since the last one that was written. */
  #droppedCount = 0;
  /** The last line was cut off in its middle. */
  #isTorn = false;

  private constructor(descriptor: number, isOwned: boolean) {
    this.descriptor = descriptor;
    this.#isOwned = isOwned;
  }

  /** `target` is one of etcd's names or a path, whose file is appended to. Throws an Error that names it. */
  static open(target: string): Output {
    if (target === "default" || target === "stderr") return new Output(2, false);
    if (target === "stdout") return new Output(1, false);
    const path = target.startsWith("file:") ? fileURLToPath(target) : target;
    try {
      return new Output(openSync(path, "a", 0o644), true);
    } catch (error) {
      throw new Error(`open sink ${JSON.stringify(target)}: ${(error as Error).message}`);
    }
  }

  /** For lines that already are at hand as text, each with its end. `droppedLine` makes the line that owns up to losses. */
  write(line: string, droppedLine: (count: number) => string): void {
    let text = this.#droppedCount === 0 ? line : droppedLine(this.#droppedCount) + line;
    if (this.#isTorn) text = `\n${text}`;
    if (this.#writeAll(new TextEncoder().encode(text))) this.#droppedCount = 0;
    else this.#droppedCount++;
  }

  close(): void {
    if (this.#isOwned) closeSync(this.descriptor);
  }

  #writeAll(bytes: Uint8Array): boolean {
    let written = 0;
    // Waiting once is patience; waiting for every line would stop the server.
    let triesLeft = this.#droppedCount === 0 ? LOG_WRITE_TRIES : 1;
    while (written < bytes.length) {
      try {
        written += writeSync(this.descriptor, bytes, written);
      } catch (error) {
        triesLeft--;
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || triesLeft === 0) {
          if (written > 0) this.#isTorn = true;
          return false;
        }
        pause();
      }
    }
    this.#isTorn = false;
    return true;
  }
}

const pauseCell = new Int32Array(new SharedArrayBuffer(4));

/** A millisecond in which nothing else runs. */
function pause(): void {
  Atomics.wait(pauseCell, 0, 0, 1);
}
