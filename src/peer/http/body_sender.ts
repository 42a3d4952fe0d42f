import { PEER_HTTP_BLOCK_SIZE } from "../../base/limits.ts";
import type { HttpBodySource } from "./call.ts";
import type { Output } from "./output.ts";

/** Sends a body from its source: one block is read while the one before is sent. */
export class BodySender {
  readonly #source: HttpBodySource;
  readonly #output: Output;
  /** Made when they are needed: most bodies fit into one. */
  readonly #blocks: Uint8Array[] = [];
  #position = 0;
  #isStopped = false;
  #wake: (() => void) | undefined;

  constructor(source: HttpBodySource, output: Output) {
    this.#source = source;
    this.#output = output;
  }

  /** True once all of it is with the output, false if it was stopped. Rejects as the source does. */
  async run(): Promise<boolean> {
    const { size } = this.#source;
    for (let turn = 0; this.#position < size; turn ^= 1) {
      const buffer = this.#blocks[turn] ??= new Uint8Array(Math.min(PEER_HTTP_BLOCK_SIZE, size - this.#position));
      const block = buffer.subarray(0, Math.min(buffer.length, size - this.#position));
      const count = await this.#source.read(block, this.#position);
      if (this.#isStopped) return false;
      if (!(count >= 1 && count <= block.length)) {
        throw new Error(`the body ends after ${this.#position} of ${size} bytes`);
      }
      this.#position += count;
      this.#output.give(block.subarray(0, count));
      // The other block is free when nothing is pending but this one.
      if (this.#output.pendingSize > count) await this.#drain(count);
      if (this.#isStopped) return false;
    }
    return true;
  }

  /** The output has drained as far as it was asked to. */
  onDrained(): void {
    this.#wake?.();
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
  }

  #drain(size: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#output.awaitDrain(size);
    });
  }
}
