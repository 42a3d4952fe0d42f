/**
 * The member's database, `snap/db`: a locked file, the newest state in it, and two ways to a newer one.
 *
 *   append    behind what is there; the file stays the same. A crash leaves the old state or the new one.
 *   rewrite   a new file under a temporary name, durable and locked before it takes the place of the old one; then the
 *             directory is synced. A crash leaves one file or the other under the name, and maybe the temporary one,
 *             which the next start removes (etcd removes it too, by its prefix).
 *
 * Whoever reads a state goes on reading it through the file as it was opened: an old file lives, without a name, until
 * the last reader closes it.
 */

import { assert } from "../base/assert.ts";
import { type Disk, DiskError, type File } from "../io/disk.ts";
import { BoltDatabase, type BoltSnapshot, BoltWriter, type BucketSource } from "./bolt/mod.ts";
import { DataDirectoryError } from "./error.ts";
import { parentOf } from "./path.ts";

/** etcd removes what begins so when it starts. */
export const TEMPORARY_PREFIX = "tmp";
const TEMPORARY_NAME = `${TEMPORARY_PREFIX}-db`;
const NAME = "db";

/** What goes on between two steps of writing. */
export interface WritePace {
  /** Lets others run. */
  turn(): Promise<void>;
  /** Throws to give up: the old state stays. */
  check(): void;
}

/** What `WritePace.check` throws: nothing has failed, the writing is not wanted any more. */
export class WriteGivenUp extends Error {}

/** What a writing came to. */
export interface Written {
  /** Bytes written. */
  readonly size: number;
  readonly isRewrite: boolean;
}

export class Database {
  readonly path: string;
  readonly #disk: Disk;
  readonly #directory: string;
  #file: SharedFile;
  #size = 0;
  #state: BoltDatabase | undefined;
  /** What is in the file is no longer known, after a failure: only a new file helps. */
  #isDoubtful = false;

  private constructor(disk: Disk, directory: string, file: File) {
    this.#disk = disk;
    this.#directory = directory;
    this.path = `${directory}/${NAME}`;
    this.#file = new SharedFile(file);
  }

  /** Opens the file in `directory`, or creates it empty, and locks it. Rejects with DataDirectoryError or DiskError. */
  static async open(disk: Disk, directory: string): Promise<Database> {
    return new Database(disk, directory, await openLocked(disk, `${directory}/${NAME}`));
  }

  /** The newest state, once `read` has found or a writing has left one. */
  get state(): BoltDatabase | undefined {
    return this.#state;
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#size;
  }

  /** Whether it can be appended to: only to what we wrote, and what is known to be there. */
  get isAppendable(): boolean {
    return this.#state !== undefined && !this.#isDoubtful && this.#state.checksums === "verified" &&
      this.#state.damage === undefined;
  }

  /** Reads the newest state; undefined where the file is empty. Rejects with BoltError where it is none. */
  async read(): Promise<BoltDatabase | undefined> {
    const { file } = this.#file;
    this.#size = await file.size();
    this.#state = this.#size === 0 ? undefined : await BoltDatabase.open(file);
    return this.#state;
  }

  /** Puts another file of the directory in the place of this one, durably. */
  async replaceBy(name: string): Promise<void> {
    const file = await openLocked(this.#disk, `${this.#directory}/${name}`);
    try {
      await this.#takePlace(`${this.#directory}/${name}`, file, undefined, 0);
    } catch (error) {
      if (this.#file.file !== file) await file.close();
      throw error;
    }
  }

  /**
   * Appends: `growing` holds only rows behind the last one of its bucket, `others` are written whole. After a rejection
   * the old state can still be read, and is what a restart finds, or the new one.
   */
  async append(growing: BucketSource, others: readonly BucketSource[], pace: WritePace): Promise<Written> {
    assert(this.isAppendable, "only a file of ours is appended to");
    const { file } = this.#file;
    let writer: BoltWriter | undefined;
    try {
      writer = await BoltWriter.append(this.#state!, growing, others);
      await run(writer, pace);
    } catch (error) {
      // Where there was no room, or nobody wants it any more, nothing that counts has changed. After any other failure
      // nobody knows what is on the disk.
      const isUnchanged = writer?.isCommitting !== true && (isFull(error) || error instanceof WriteGivenUp);
      if (!isUnchanged) this.#isDoubtful = true;
      else await file.truncate(this.#size).catch(() => void (this.#isDoubtful = true));
      throw error;
    }
    this.#state = writer.written;
    this.#size = writer.fileSize;
    return { size: writer.writeSize, isRewrite: false };
  }

  /** Writes a whole new file. After a rejection the old state can still be read, and is what a restart finds, or the new one. */
  async rewrite(buckets: readonly BucketSource[], pace: WritePace): Promise<Written> {
    const path = `${this.#directory}/${TEMPORARY_NAME}`;
    await this.#disk.remove(path);
    const file = await openLocked(this.#disk, path);
    try {
      const writer = BoltWriter.create(file, buckets);
      await run(writer, pace);
      await this.#takePlace(path, file, writer.written, writer.fileSize);
      return { size: writer.writeSize, isRewrite: true };
    } catch (error) {
      if (this.#file.file !== file) {
        await file.close();
        await this.#disk.remove(path).catch(() => {});
      }
      throw error;
    }
  }

  /** Opens the newest state for reading. */
  openView(): DatabaseView {
    assert(this.#state !== undefined, "there is a state to be read");
    return new DatabaseView(this.#file, this.#state.snapshot());
  }

  /** Gives up the lock, once nobody reads any more. */
  close(): Promise<void> {
    return this.#file.release();
  }

  /** Gives the file at `path` the database's name; it is locked already, so that nobody else finds it without a lock. */
  async #takePlace(path: string, file: File, state: BoltDatabase | undefined, size: number): Promise<void> {
    await this.#disk.rename(path, this.path);
    const previous = this.#file;
    this.#file = new SharedFile(file);
    this.#state = state;
    this.#size = size;
    // Until the name is durable the next checkpoint has to be a new file again.
    this.#isDoubtful = true;
    await previous.release();
    await this.#disk.syncDirectory(this.#directory);
    this.#isDoubtful = false;
  }
}

/** One state, for a reader who may be slow. */
export class DatabaseView {
  readonly size: number;
  readonly #file: SharedFile;
  readonly #snapshot: BoltSnapshot;
  #isClosed = false;

  constructor(file: SharedFile, snapshot: BoltSnapshot) {
    file.retain();
    this.#file = file;
    this.#snapshot = snapshot;
    this.size = snapshot.size;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#snapshot.read(target, position);
  }

  /** Closing twice is the same as once. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#file.release();
  }
}

/** An open file with several users, closed by the last. */
class SharedFile {
  readonly file: File;
  #users = 1;

  constructor(file: File) {
    this.file = file;
  }

  retain(): void {
    this.#users++;
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.file.close();
  }
}

async function run(writer: BoltWriter, pace: WritePace): Promise<void> {
  while (!writer.plan()) {
    await pace.turn();
    pace.check();
  }
  for (;;) {
    if (!writer.isCommitting) pace.check();
    if (await writer.step()) return;
    await pace.turn();
  }
}

async function openLocked(disk: Disk, path: string): Promise<File> {
  const file = await disk.open(path, { write: true, create: true });
  try {
    if (await file.tryLock()) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  throw new DataDirectoryError(
    `data directory ${dataDirectoryOf(path)} is in use by another process (${path} is locked); ` +
      "stop that process, or choose another data directory",
  );
}

/** `<data-dir>/member/snap/db`. */
function dataDirectoryOf(path: string): string {
  return parentOf(parentOf(parentOf(path)));
}

function isFull(error: unknown): boolean {
  return error instanceof DiskError && (error.code === "ENOSPC" || error.code === "EDQUOT");
}
