/**
 * A state as the bytes of a database file of its own, as bbolt's `Tx.WriteTo` gives them: two metas of it, the second with
 * the transaction id before, then the pages as they are. There are no marks in it: it is not this file any more.
 */

import { BOLT_READ_SIZE } from "../../base/limits.ts";
import { encodeMeta, type Meta } from "./format.ts";
import { PageReader, type PageSource } from "./pages.ts";

/** One piece is being copied from while the next is read. */
const KEPT_SIZE = 2 * BOLT_READ_SIZE;

export class BoltSnapshot {
  readonly size: number;
  readonly #metas: Uint8Array;
  readonly #reader: PageReader;

  constructor(source: PageSource, meta: Meta) {
    this.size = source.size;
    this.#metas = new Uint8Array(2 * meta.pageSize);
    this.#metas.set(encodeMeta(0, meta, undefined));
    this.#metas.set(encodeMeta(1, { ...meta, txid: Math.max(0, meta.txid - 1) }, undefined), meta.pageSize);
    this.#reader = new PageReader(source, KEPT_SIZE);
  }

  /** Fills `target` from `position` on; returns the count, less than asked for only at the end. Throws BoltError. */
  async read(target: Uint8Array, position: number): Promise<number> {
    const count = Math.max(0, Math.min(target.length, this.size - position));
    const metas = this.#metas.subarray(position, position + count);
    target.set(metas);
    if (count > metas.length) {
      await this.#reader.read(target.subarray(metas.length, count), position + metas.length);
    }
    return count;
  }
}
