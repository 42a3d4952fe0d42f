/** What lies in `member/snap` beside the database: snapshot files, databases received from others, leftovers. */

import { SNAPSHOT_RECEIVE_BLOCK_SIZE } from "../base/limits.ts";
import { type Disk, DiskError, type File } from "../io/disk.ts";
import type { Logger } from "../io/log.ts";
import { BoltDatabase } from "./bolt/mod.ts";
import { TEMPORARY_PREFIX } from "./database.ts";
import {
  encodeSnapshotFile,
  isSnapshotFileName,
  type RaftSnapshot,
  snapshotFileFault,
  snapshotFileName,
} from "./snapshot_file.ts";

const RECEIVED_SUFFIX = ".snap.db";
/** Where a defragmentation by etcd was interrupted. */
const DEFRAGMENTATION_PREFIX = "db.tmp";
/** Snapshot files are a few KiB; a larger one is not read to be checked. */
const CHECKED_SIZE_MAX = 16 << 20;

export class SnapshotDirectory {
  readonly path: string;
  readonly #disk: Disk;
  readonly #log: Logger;
  #receivedCount = 0;

  constructor(disk: Disk, path: string, log: Logger) {
    this.#disk = disk;
    this.path = path;
    this.#log = log;
  }

  /** Removes what was never finished, and sets damaged snapshot files aside, as etcd does. Rejects with DiskError. */
  async tidy(): Promise<void> {
    for (const name of await this.#disk.list(this.path)) {
      const path = `${this.path}/${name}`;
      if (name.startsWith(TEMPORARY_PREFIX)) await this.#disk.remove(path);
      else if (name.startsWith(DEFRAGMENTATION_PREFIX)) {
        this.#log.info("found orphaned defragmentation file; deleting", { path });
        await this.#disk.remove(path);
      } else if (isSnapshotFileName(name)) await this.#check(path);
    }
  }

  /** Writes a snapshot file; durable once this resolves. Rejects with DiskError. */
  async save(snapshot: RaftSnapshot): Promise<void> {
    const name = snapshotFileName(snapshot.term, snapshot.index);
    const temporary = `${this.path}/${TEMPORARY_PREFIX}-${name}`;
    try {
      await this.#disk.remove(temporary);
      const file = await this.#disk.open(temporary, { write: true, create: true });
      try {
        await file.writeDurable(encodeSnapshotFile(snapshot), 0);
      } finally {
        await file.close();
      }
      await this.#disk.rename(temporary, `${this.path}/${name}`);
      await this.#disk.syncDirectory(this.path);
    } catch (error) {
      await this.#disk.remove(temporary).catch(() => {});
      throw error;
    }
  }

  /**
   * Writes a database that comes piece by piece for the snapshot at `index`, and lets `check` look at it; under its name,
   * and durable, once this resolves. Rejects with what the pieces or `check` threw, or with DiskError; nothing is left
   * then. Resolves with its size.
   */
  async receive(
    index: number,
    pieces: AsyncIterable<Uint8Array>,
    check: (file: File) => Promise<void>,
  ): Promise<number> {
    const name = receivedName(index);
    const temporary = `${this.path}/${TEMPORARY_PREFIX}-${++this.#receivedCount}-${name}`;
    try {
      await this.#disk.remove(temporary);
      const file = await this.#disk.open(temporary, { write: true, create: true });
      let size: number;
      try {
        size = await writePieces(file, pieces);
        await file.syncData();
        await check(file);
      } finally {
        await file.close();
      }
      await this.#disk.rename(temporary, `${this.path}/${name}`);
      await this.#disk.syncDirectory(this.path);
      return size;
    } catch (error) {
      await this.#disk.remove(temporary).catch(() => {});
      throw error;
    }
  }

  /** The name of the database that was received for the snapshot at `index`; undefined if there is none. */
  async receivedDatabase(index: number): Promise<string | undefined> {
    const name = receivedName(index);
    return await this.#disk.stat(`${this.path}/${name}`) === undefined ? undefined : name;
  }

  /**
   * Removes the oldest snapshot files beyond `countMax` (0: none), and databases received for snapshots before `index`,
   * which is the newest one. Rejects with DiskError.
   */
  async purge(countMax: number, index: number): Promise<void> {
    const names = await this.#disk.list(this.path);
    for (const name of names) {
      if (!name.endsWith(RECEIVED_SUFFIX) || name >= receivedName(index)) continue;
      const path = `${this.path}/${name}`;
      this.#log.info("found orphaned .snap.db file; deleting", { path });
      await this.#disk.remove(path);
    }
    if (countMax === 0) return;
    for (const name of names.filter(isSnapshotFileName).slice(0, -countMax)) {
      const path = `${this.path}/${name}`;
      await this.#disk.remove(path);
      this.#log.info("purged", { path });
    }
  }

  async #check(path: string): Promise<void> {
    const file = await this.#disk.open(path);
    let fault: string | undefined;
    try {
      const size = await file.size();
      const bytes = new Uint8Array(Math.min(size, CHECKED_SIZE_MAX));
      await file.read(bytes, 0);
      fault = size > CHECKED_SIZE_MAX ? undefined : snapshotFileFault(bytes);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      fault = error.message;
    } finally {
      await file.close();
    }
    if (fault === undefined) return;
    const broken = `${path}.broken`;
    this.#log.warn("failed to read a snap file", { path, "error": fault });
    await this.#disk.rename(path, broken);
    this.#log.warn("renamed to a broken snap file", { path, "broken-path": broken });
  }
}

/**
 * Gathers small pieces into blocks. Members send a database as long as its first page says it is; what has none there, or goes
 * on behind its end, is refused before it fills the disk.
 */
async function writePieces(file: File, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const block = new Uint8Array(SNAPSHOT_RECEIVE_BLOCK_SIZE);
  let used = 0;
  let size = 0;
  let sizeMax = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const count = Math.min(piece.length - at, block.length - used);
      block.set(piece.subarray(at, at + count), used);
      used += count;
      at += count;
      if (used < block.length) continue;
      if (size === 0) sizeMax = announcedSize(block);
      if (size + used > sizeMax) {
        throw new Error(`the database goes on behind the ${sizeMax} bytes that it says it has`);
      }
      await file.write(block, size);
      size += used;
      used = 0;
    }
  }
  if (used > 0) await file.write(block.subarray(0, used), size);
  return size + used;
}

function announcedSize(head: Uint8Array): number {
  const size = BoltDatabase.announcedSize(head);
  if (typeof size === "string") throw new Error(`what was received is no database: ${size}`);
  return size;
}

function receivedName(index: number): string {
  return `${index.toString(16).padStart(16, "0")}${RECEIVED_SUFFIX}`;
}
