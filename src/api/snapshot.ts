/**
 * Maintenance.Snapshot: the database as a stream of messages, from a file that does not change meanwhile. A block of it is
 * read when the client has taken enough of the one before, so that a slow client holds a file and two blocks.
 *
 *   SnapshotResponse { 10 remaining_bytes  1a size blob  22 size version }     32 KiB of the file in each
 *   ...
 *   SnapshotResponse { 1a 20 SHA-256 of it all  22 size version }
 */

import { SNAPSHOT_BLOCK_SIZE, SNAPSHOT_STALL_MS, SNAPSHOT_STREAMS_MAX } from "../base/limits.ts";
import { formatDuration } from "../base/duration.ts";
import { formatSize } from "../base/size.ts";
import { utf8 } from "../base/bytes.ts";
import { WireWriter } from "../base/varint.ts";
import { SnapshotRequestSchema } from "../gen/etcdserverpb/maintenance_pb.ts";
import type { Clock } from "../io/clock.ts";
import type { Crypto, DigestStream } from "../io/crypto.ts";
import type { Logger } from "../io/log.ts";
import { Code, type Method, RpcError, type StreamCall } from "../io/rpc.ts";
import type { DatabaseSnapshot, MemberDatabase } from "../member/mod.ts";
import { decodeStreamMessage } from "./request.ts";

/** etcd's: bytes of the file in one message. */
const CHUNK_SIZE = 32 * 1024;

export interface SnapshotOptions {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Logger;
}

export function snapshotMethod(
  member: Pick<MemberDatabase, "openSnapshot">,
  path: string,
  options: SnapshotOptions,
): Method {
  let openCount = 0;
  return {
    kind: "server_streaming",
    path,
    handle: async (call, request) => {
      decodeStreamMessage(SnapshotRequestSchema, request);
      if (openCount === SNAPSHOT_STREAMS_MAX) {
        throw new RpcError(
          Code.RESOURCE_EXHAUSTED,
          `keelson: ${SNAPSHOT_STREAMS_MAX} snapshots are being sent already; retry when one of them has ended`,
        );
      }
      openCount++;
      try {
        const snapshot = await member.openSnapshot();
        try {
          await new SnapshotStream(call, snapshot, options).run();
        } finally {
          await snapshot.close();
        }
      } finally {
        openCount--;
      }
    },
  };
}

class SnapshotStream {
  readonly #call: StreamCall;
  readonly #snapshot: DatabaseSnapshot;
  readonly #options: SnapshotOptions;
  readonly #version: Uint8Array;
  readonly #digest: DigestStream;
  readonly #writer = new WireWriter(CHUNK_SIZE + 64);
  /** Ends the wait for the client, if there is one. */
  #wake: () => void = () => {};

  constructor(call: StreamCall, snapshot: DatabaseSnapshot, options: SnapshotOptions) {
    this.#call = call;
    this.#snapshot = snapshot;
    this.#options = options;
    this.#version = utf8(snapshot.storageVersion);
    this.#digest = options.crypto.sha256Stream();
    call.onDrain(() => this.#wake());
    call.onCancel(() => this.#wake());
  }

  /** Resolves when the call has ended, one way or another. Rejects with what is to be answered. */
  async run(): Promise<void> {
    const { clock, log } = this.#options;
    const { size, storageVersion } = this.#snapshot;
    const startMs = clock.monotonicMs();
    const fields = { "total-bytes": size, size: formatSize(size), "storage-version": storageVersion };
    log.info("sending database snapshot to client", fields);
    if (!await this.#sendFile()) return;
    const digest = this.#digest.digest();
    log.info("sending database sha256 checksum to client", { "total-bytes": size, "checksum-size": digest.length });
    this.#send(0, digest);
    this.#call.end();
    log.info("successfully sent database snapshot to client", {
      ...fields,
      took: formatDuration(clock.monotonicMs() - startMs),
    });
  }

  /** False if the call has ended before. */
  async #sendFile(): Promise<boolean> {
    const { size } = this.#snapshot;
    let block = new Uint8Array(Math.min(SNAPSHOT_BLOCK_SIZE, size));
    let spare = new Uint8Array(block.length);
    let reading = this.#snapshot.read(block, 0);
    for (let position = 0; position < size;) {
      const count = await reading;
      if (count === 0) throw new RpcError(Code.INTERNAL, `the database file ends at ${position} of ${size} bytes`);
      const filled = block.subarray(0, count);
      [block, spare] = [spare, block];
      // The next block is read while this one is sent; if that fails it is found out when its turn comes.
      const end = position + count;
      reading = end < size ? this.#snapshot.read(block, end) : Promise.resolve(0);
      reading.catch(() => {});
      if (!await this.#sendBlock(filled, position)) {
        // The caller closes the file next.
        await reading.catch(() => {});
        return false;
      }
      position = end;
    }
    return true;
  }

  async #sendBlock(block: Uint8Array, position: number): Promise<boolean> {
    const { size } = this.#snapshot;
    for (let offset = 0; offset < block.length; offset += CHUNK_SIZE) {
      const chunk = block.subarray(offset, offset + CHUNK_SIZE);
      this.#digest.update(chunk);
      const isFlowing = this.#send(size - position - offset - chunk.length, chunk);
      if (!isFlowing && !this.#call.isClosed) await this.#untilDrained();
      if (this.#call.isClosed) return false;
    }
    return true;
  }

  /** False: the client has not taken enough yet. */
  #send(remaining: number, blob: Uint8Array): boolean {
    const writer = this.#writer;
    writer.reset();
    writer.integerField(2, remaining);
    writer.bytesField(3, blob);
    writer.bytesField(4, this.#version);
    return this.#call.send(writer.view());
  }

  /** Rejects when the client takes nothing for too long. */
  async #untilDrained(): Promise<void> {
    const isStalled = await new Promise<boolean>((resolve) => {
      const timer = this.#options.clock.after(SNAPSHOT_STALL_MS, () => resolve(true));
      this.#wake = () => {
        timer.cancel();
        resolve(false);
      };
    });
    this.#wake = () => {};
    if (!isStalled || this.#call.isClosed) return;
    throw new RpcError(
      Code.UNAVAILABLE,
      `keelson: the client has taken nothing of the snapshot for ${
        formatDuration(SNAPSHOT_STALL_MS)
      }; ask for it again`,
    );
  }
}
