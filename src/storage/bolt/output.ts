/**
 * The pages of a file on their way to the disk, in order: gathered in a buffer while another one is being written, and
 * included in the checksums.
 */

import { assert } from "../../base/assert.ts";
import { BOLT_WRITE_SIZE } from "../../base/limits.ts";
import type { File } from "../../io/disk.ts";
import type { ChecksumBuilder } from "./checksums.ts";
import { viewOf } from "./format.ts";

export class Output {
  /** The buffer that is being filled, from `offset` on. */
  bytes: Uint8Array = new Uint8Array(BOLT_WRITE_SIZE);
  view: DataView = viewOf(this.bytes);
  offset = 0;
  readonly pageSize: number;
  readonly #file: File;
  readonly #checksums: ChecksumBuilder;
  /** Position in the file of the start of the buffer. */
  #position: number;
  /** The other buffer; a small file never needs it. */
  #other: Uint8Array | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: File, pageSize: number, position: number, checksums: ChecksumBuilder) {
    this.#file = file;
    this.pageSize = pageSize;
    this.#position = position;
    this.#checksums = checksums;
  }

  /** Bytes that the buffer has room for. */
  get room(): number {
    return BOLT_WRITE_SIZE - this.offset;
  }

  /** Id of the page that begins at `offset`. */
  get page(): number {
    return (this.#position + this.offset) / this.pageSize;
  }

  /** Fills up the page that `offset` is in, so that the next one begins. */
  padPage(): void {
    const end = Math.ceil(this.offset / this.pageSize) * this.pageSize;
    this.bytes.fill(0, this.offset, end);
    this.offset = end;
  }

  /** Starts to write what has been gathered; resolves when there is an empty buffer. */
  async flush(): Promise<void> {
    const { bytes, offset } = this;
    this.#checksums.add(bytes, 0, offset);
    const before = this.#writing;
    const writing = this.#file.write(bytes.subarray(0, offset), this.#position);
    // Its error comes with the next flush; that of the one before may come first.
    writing.catch(() => {});
    this.#writing = writing;
    await before;
    this.#position += offset;
    this.bytes = this.#other ?? new Uint8Array(BOLT_WRITE_SIZE);
    this.view = viewOf(this.bytes);
    this.#other = bytes;
    this.offset = 0;
  }

  /** Writes the rest. Returns where it ended. */
  async finish(): Promise<number> {
    const { bytes, offset } = this;
    this.#checksums.add(bytes, 0, offset);
    await this.#writing;
    await this.#file.write(bytes.subarray(0, offset), this.#position);
    this.#position += offset;
    assert(this.#position % this.pageSize === 0, "a file ends with a whole page");
    return this.#position;
  }
}
