import { HTTP2_OUTPUT_BUFFER_SIZE, HTTP2_OUTPUT_BUFFERS_KEPT_MAX } from "../../base/limits.ts";

/** Output buffers shared by the connections of a server: one is held only from the first byte of a turn to its flush. */
export class BufferPool {
  readonly #free: Uint8Array[] = [];

  /** At least `size` bytes, with whatever they held before. */
  take(size: number): Uint8Array {
    if (size > HTTP2_OUTPUT_BUFFER_SIZE) return new Uint8Array(size);
    return this.#free.pop() ?? new Uint8Array(HTTP2_OUTPUT_BUFFER_SIZE);
  }

  give(buffer: Uint8Array): void {
    if (buffer.length === HTTP2_OUTPUT_BUFFER_SIZE && this.#free.length < HTTP2_OUTPUT_BUFFERS_KEPT_MAX) {
      this.#free.push(buffer);
    }
  }
}
