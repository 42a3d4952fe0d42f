/**
 * Responses as parts: runs of bytes already in wire form, and sources that copy large contents out of the store only when
 * there is room for them on the wire.
 */
import { WireWriter } from "../base/varint.ts";

/** A part of a response that is produced on demand. `size` is exact; `read` and `close` are as in io/rpc's MessageBody. */
export interface PartSource {
  readonly size: number;
  read(target: Uint8Array): number;
  close(): void;
}

export type Part = Uint8Array | PartSource;

/** A message made of parts, in order. It is itself a PartSource. */
export class Parts implements PartSource {
  readonly size: number;
  readonly #parts: readonly Part[];
  #next = 0;
  /** Bytes already read of a Uint8Array part, or of a source. */
  #consumed = 0;
  #isClosed = false;
  readonly #onClose: (() => void) | undefined;

  constructor(parts: readonly Part[], onClose?: () => void) {
    this.#parts = parts;
    this.#onClose = onClose;
    let size = 0;
    for (const part of parts) size += part instanceof Uint8Array ? part.length : part.size;
    this.size = size;
  }

  read(target: Uint8Array): number {
    let offset = 0;
    while (offset < target.length && this.#next < this.#parts.length) {
      const part = this.#parts[this.#next];
      const size = part instanceof Uint8Array ? part.length : part.size;
      if (this.#consumed < size) {
        const room = target.subarray(offset);
        let count: number;
        if (part instanceof Uint8Array) {
          count = Math.min(room.length, size - this.#consumed);
          room.set(part.subarray(this.#consumed, this.#consumed + count));
        } else count = part.read(room);
        this.#consumed += count;
        offset += count;
        if (count === 0) break;
      }
      if (this.#consumed >= size) {
        this.#next++;
        this.#consumed = 0;
      }
    }
    return offset;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const part of this.#parts) if (!(part instanceof Uint8Array)) part.close();
    this.#onClose?.();
  }
}

/** The members' and cluster's ids as they stand in every response header, encoded once: bigints are slow to write. */
export class HeaderIdentity {
  readonly bytes: Uint8Array;

  constructor(clusterId: bigint, memberId: bigint) {
    const writer = new WireWriter(32);
    writer.integer64Field(1, clusterId);
    writer.integer64Field(2, memberId);
    this.bytes = writer.finish();
  }
}

/** Writes etcdserverpb.ResponseHeader as field 1 of the response that follows. */
export function writeResponseHeader(
  writer: WireWriter,
  identity: HeaderIdentity,
  revision: number,
  raftTerm: number,
): void {
  const start = writer.position;
  // A header is shorter than 128 bytes: its length takes one byte, filled in afterwards.
  writer.reserve(2);
  writer.position = start + 2;
  writer.raw(identity.bytes);
  writer.integerField(3, revision);
  writer.integerField(4, raftTerm);
  writer.bytes[start] = 0x0a;
  writer.bytes[start + 1] = writer.position - start - 2;
}
