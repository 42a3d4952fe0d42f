/**
 * The body of a request that brings a snapshot (frozen: on the wire).
 *
 *   | size: 8, big-endian | Message: `size` bytes, at most 64 MiB | the database, to the end |
 */

import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { PEER_SNAPSHOT_HEAD_SIZE_MAX } from "../../base/limits.ts";
import type { WireWriter } from "../../base/varint.ts";
import type { Message } from "../../raft/mod.ts";
import { SizedFrameReader } from "./frame.ts";
import { decodeSnapshotMessage } from "./message.ts";
import { writeFramedMessage } from "./message_stream.ts";

/** Appends what comes before the database. Asserts that `message` carries a snapshot. */
export function writeSnapshotHead(writer: WireWriter, message: Message): void {
  assert(message.snapshot !== undefined, "a database follows on a snapshot");
  writeFramedMessage(writer, message);
}

/** Tells head and database apart, however the body was cut into chunks. */
export class SnapshotBodyDecoder {
  readonly #head = new SizedFrameReader(PEER_SNAPSHOT_HEAD_SIZE_MAX);
  /** A SNAPSHOT with `snapshot`, once its last byte was pushed; a body that ends before is not complete. */
  message: Message | undefined = undefined;

  /**
   * The next bytes of the body, not used after this returns. Returns those that belong to the database, a view of `chunk`:
   * none before the message is complete. Throws CodecError.
   */
  push(chunk: Uint8Array): Uint8Array {
    if (this.message !== undefined) return chunk;
    const end = this.#head.read(chunk, 0);
    const { frame } = this.#head;
    if (frame === undefined) return EMPTY_BYTES;
    this.message = decodeSnapshotMessage(frame);
    return chunk.subarray(end);
  }
}
