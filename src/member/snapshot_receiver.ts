import { SNAPSHOT_RECEIVES_MAX } from "../base/limits.ts";
import { formatSize } from "../base/size.ts";
import type { File } from "../io/disk.ts";
import type { Logger } from "../io/log.ts";
import { idText } from "../membership/mod.ts";
import type { Message } from "../raft/mod.ts";
import { BoltDatabase } from "../storage/bolt/mod.ts";
import type { SnapshotDirectory } from "../storage/snapshot_directory.ts";
import { readMeta } from "./restore.ts";

export interface SnapshotReceiverParts {
  readonly log: Logger;
  readonly snapshots: SnapshotDirectory;
  /** Takes in the message, once its database is safe. */
  readonly receive: (message: Message) => void;
}

/** Takes in databases that other members send, before raft hears of the snapshots that they belong to. */
export class SnapshotReceiver {
  readonly #parts: SnapshotReceiverParts;
  #count = 0;

  constructor(parts: SnapshotReceiverParts) {
    this.#parts = parts;
  }

  /** See TransportHandler. */
  async receive(message: Message, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const { log, snapshots, receive } = this.#parts;
    const { snapshot, from } = message;
    if (snapshot === undefined || snapshot.index === 0) throw new Error("a snapshot without a position");
    if (this.#count >= SNAPSHOT_RECEIVES_MAX) {
      throw new Error("as many snapshots as possible are being received already");
    }
    this.#count++;
    const fields = { "from": idText(from), "snapshot-index": snapshot.index };
    try {
      log.info("receiving database snapshot", fields);
      const size = await snapshots.receive(snapshot.index, pieces, (file) => check(file, snapshot.index));
      log.info("received and saved database snapshot", { ...fields, "bytes": size, "size": formatSize(size) });
    } catch (error) {
      log.warn("failed to save received database snapshot", { ...fields, "error": (error as Error).message });
      throw error;
    } finally {
      this.#count--;
    }
    receive(message);
  }
}

/** Whether the file is a database at all, and the one that belongs to the snapshot. */
async function check(file: File, index: number): Promise<void> {
  const meta = await readMeta(await BoltDatabase.open(file));
  if (meta.index === index) return;
  throw new Error(`the database received holds the state after entry ${meta.index}, not after entry ${index}`);
}
