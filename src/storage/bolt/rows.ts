/** Rows on their way into a file. */

import { compareBytes } from "../../base/bytes.ts";
import type { Node } from "./node.ts";

/** Rows in strictly ascending order of their keys; keys are 1 to 32768 bytes, and synchronously at hand. */
export interface RowCursor {
  /** Goes to the next row, at first to the first one; false behind the last. */
  next(): boolean;
  readonly keySize: number;
  readonly valueSize: number;
  copyKey(target: Uint8Array, offset: number): void;
  /** Copies the bytes [start, end) of the value to `target` at `offset`: a large value is asked for in pieces. */
  copyValue(target: Uint8Array, offset: number, start: number, end: number): void;
}

/** A bucket to be written. `open` is called twice, for sizes and for bytes; both must give the same rows. */
export interface BucketSource {
  readonly name: Uint8Array;
  open(): RowCursor;
}

export interface BoltRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A small bucket from rows in memory, in any order. */
export function bucketOfRows(name: Uint8Array, rows: readonly BoltRow[]): BucketSource {
  const sorted = [...rows].sort((a, b) => compareBytes(a.key, b.key));
  return { name, open: () => new ArrayCursor(sorted) };
}

export class ArrayCursor implements RowCursor {
  keySize = 0;
  valueSize = 0;
  readonly #rows: readonly BoltRow[];
  #next = 0;

  constructor(rows: readonly BoltRow[]) {
    this.#rows = rows;
  }

  next(): boolean {
    if (this.#next === this.#rows.length) return false;
    const row = this.#rows[this.#next++];
    this.keySize = row.key.length;
    this.valueSize = row.value.length;
    return true;
  }

  copyKey(target: Uint8Array, offset: number): void {
    target.set(this.#rows[this.#next - 1].key, offset);
  }

  copyValue(target: Uint8Array, offset: number, start: number, end: number): void {
    target.set(this.#rows[this.#next - 1].value.subarray(start, end), offset);
  }
}

/** The rows of a leaf, copied. */
export function rowsOfLeaf(node: Node): BoltRow[] {
  const rows: BoltRow[] = [];
  for (let i = 0; i < node.count; i++) {
    const key = node.key(i).slice();
    rows.push({ key, value: node.bytes.slice(node.valueStart, node.valueStart + node.valueSize) });
  }
  return rows;
}

/** The rows of a leaf that is filled up, then the new ones. */
export class ContinuedCursor implements RowCursor {
  keySize = 0;
  valueSize = 0;
  #present: RowCursor;
  #following: RowCursor | undefined;

  constructor(present: RowCursor, following: RowCursor) {
    this.#present = present;
    this.#following = following;
  }

  next(): boolean {
    while (!this.#present.next()) {
      if (this.#following === undefined) return false;
      this.#present = this.#following;
      this.#following = undefined;
    }
    this.keySize = this.#present.keySize;
    this.valueSize = this.#present.valueSize;
    return true;
  }

  copyKey(target: Uint8Array, offset: number): void {
    this.#present.copyKey(target, offset);
  }

  copyValue(target: Uint8Array, offset: number, start: number, end: number): void {
    this.#present.copyValue(target, offset, start, end);
  }
}
