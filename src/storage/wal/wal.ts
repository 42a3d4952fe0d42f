/**
 * The log of one member: appended to while it runs, read once when it starts.
 *
 * Appending is one write and one sync per call. A hard state that needs no sync stays in the buffer and is written with
 * the next append: it is a hint, and losing it loses nothing. (It is never written on its own without a sync: the next
 * durable write would cover its own range only, and a hole before it would end the log there.)
 *
 * What a crash may leave, and why each step comes in its place:
 *
 *   create    <wal>.tmp/ with a durable segment, its name durable, then the rename and the parent's sync. A crash before
 *             the rename leaves a directory that the next start removes; after it, a complete log.
 *   append    write and sync at the end. A crash leaves a torn tail (tail.ts).
 *   cut       the append that fills a segment is written, the file truncated to its end, and both synced; the next
 *             one, preallocated as N.tmp, gets its first three records and is synced; only then is it renamed, and the
 *             directory synced before the append resolves. So a segment with a successor is complete, and one with a
 *             segment's name has its head.
 *   open      a torn tail is copied aside, cut off and that made durable before anything is appended; and the end of
 *             what is read is written again and synced, since after a mere kill, or a failed sync, it may be in the page
 *             cache only.
 */

import { assert } from "../../base/assert.ts";
import { WAL_BUFFER_SIZE, WAL_UNSYNCED_SIZE_MAX, WAL_WRITE_SIZE_MAX } from "../../base/limits.ts";
import type { Clock } from "../../io/clock.ts";
import { type Disk, DiskError, type File } from "../../io/disk.ts";
import type { Logger } from "../../io/log.ts";
import type { Entry, HardState } from "../../raft/mod.ts";
import { parentOf } from "../path.ts";
import { damage, WalError } from "./error.ts";
import { LogReader, type SegmentEnd, type WalPosition, type WalVisitor } from "./reader.ts";
import { RecordWriter, type WalMetadata, type WalSnapshot } from "./record.ts";
import { parseSegmentName, SEGMENT_SIZE, type SegmentName, segmentName } from "./segment.ts";
import { readFully } from "./tail.ts";

/** A sync that takes longer is worth a warning (etcd's threshold). */
const SLOW_SYNC_MS = 1000;
/** After the next segment could not be allocated, the current one goes on by this fraction before it is tried again. */
const CUT_RETRY_FRACTION = 16;
const COPY_BLOCK_SIZE = 1 << 20;

/** Told about every sync and write, for metrics. */
export interface WalObserver {
  /** A sync of the log took this long; as one operation with the write it follows. */
  synced(durationMs: number): void;
  written(size: number): void;
}

export interface WalOptions {
  /** Holds the segments and nothing else. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer?: WalObserver;
  /** Bytes preallocated per segment. Default: 64,000,000, as etcd. */
  readonly segmentSize?: number;
}

export interface WalCreateOptions extends WalOptions {
  readonly metadata: WalMetadata;
}

export interface WalOpenOptions extends WalOptions {
  /** What the state already includes: {0, 0} to read everything. The log must hold a snapshot record for it. */
  readonly from: WalPosition;
}

export interface OpenedWal {
  /** Ready to append. */
  readonly wal: Wal;
  readonly metadata: WalMetadata;
  /** The last one; all zero if none was ever written. */
  readonly hardState: HardState;
  /** The entries not known to be committed, which follow those that the visitor was given. */
  readonly tail: Entry[];
  readonly lastIndex: number;
  /** Every snapshot record read, in the order written. */
  readonly snapshots: readonly WalSnapshot[];
}

interface Segment {
  readonly name: SegmentName;
  readonly file: File;
}

interface WalState {
  readonly metadata: WalMetadata;
  readonly segments: Segment[];
  readonly hardState: HardState;
  readonly lastIndex: number;
  readonly offset: number;
  readonly crc: number;
}

export class Wal {
  readonly #disk: Disk;
  readonly #options: WalOptions;
  readonly #segmentSize: number;
  readonly #metadata: WalMetadata;
  readonly #writer: RecordWriter;
  /** Locked, oldest first; the last one is appended to. */
  #segments: Segment[];
  /** End of what was written to the last segment; the writer's buffer belongs there. */
  #offset: number;
  #hardState: HardState;
  #lastIndex: number;
  /** The next cut is not tried before this offset. */
  #cutOffset: number;
  #writtenSize = 0;
  /** The preallocated next segment. Rejections are held as values until a cut needs it. */
  #next: Promise<File | DiskError>;
  /** Number of segments preallocated, for their alternating names. */
  #nextCount = 0;
  #isBusy = false;
  #failure: Error | undefined;

  private constructor(disk: Disk, options: WalOptions, state: WalState) {
    this.#disk = disk;
    this.#options = options;
    this.#segmentSize = options.segmentSize ?? SEGMENT_SIZE;
    this.#metadata = state.metadata;
    this.#segments = state.segments;
    this.#hardState = state.hardState;
    this.#lastIndex = state.lastIndex;
    this.#offset = state.offset;
    this.#cutOffset = this.#segmentSize;
    this.#writer = new RecordWriter(state.crc, WAL_BUFFER_SIZE);
    this.#next = this.#allocateNext();
  }

  /** Whether a log exists in `directory`. */
  static async exists(disk: Disk, directory: string): Promise<boolean> {
    if (await disk.stat(directory) === undefined) return false;
    const names = await disk.list(directory);
    return names.some((name) => name.endsWith(".wal"));
  }

  /**
   * Creates a log; the parent of its directory exists. Rejects with WalError if the directory is there and not empty
   * (etcd would remove what is in it), or if the disk fails.
   */
  static async create(disk: Disk, options: WalCreateOptions): Promise<Wal> {
    const { directory, metadata, log } = options;
    const temporary = `${directory}.tmp`;
    const name = segmentName(0, 0);
    const writer = new RecordWriter(0, 4096);
    let file: File | undefined;
    try {
      if (await disk.stat(directory) !== undefined && (await disk.list(directory)).length > 0) {
        throw new WalError(directory, 0, "files in the way of a new log", "remove them, or choose another directory");
      }
      await disk.removeDirectory(temporary);
      await disk.makeDirectory(temporary);
      file = await disk.open(`${temporary}/${name}`, { write: true, create: true });
      await lock(file, `${temporary}/${name}`);
      await file.allocate(options.segmentSize ?? SEGMENT_SIZE);
      writer.chain();
      writer.metadata(metadata);
      writer.snapshot({ index: 0, term: 0, confState: undefined });
      await file.writeDurable(writer.bytes.subarray(0, writer.length), 0);
      await disk.syncDirectory(temporary);
      // An empty directory may be there.
      await disk.removeDirectory(directory);
      await disk.rename(temporary, directory);
      await disk.syncDirectory(parentOf(directory));
    } catch (error) {
      await file?.close();
      if (!(error instanceof DiskError)) throw error;
      throw new WalError(error.path, 0, `cannot create the log: ${error.message}`, adviceFor(error), { cause: error });
    }
    log.debug("created WAL", { "path": `${directory}/${name}` });
    return new Wal(disk, options, {
      metadata,
      segments: [{ name: { name, sequence: 0, firstIndex: 0 }, file }],
      hardState: { term: 0, vote: 0n, commit: 0 },
      lastIndex: 0,
      offset: writer.length,
      crc: writer.crc,
    });
  }

  /**
   * Locks and reads the log: `visitor` gets the committed entries behind `from`. Rejects with WalError if the log is
   * locked, damaged or does not fit `from`, or if the disk fails.
   */
  static async open(disk: Disk, options: WalOpenOptions, visitor: WalVisitor): Promise<OpenedWal> {
    const { directory, from } = options;
    const names = selectSegments(directory, await listSegments(disk, options), from.index);
    const segments: Segment[] = [];
    try {
      for (const name of names) {
        const file = await disk.open(`${directory}/${name.name}`, { write: true });
        segments.push({ name, file });
        await lock(file, `${directory}/${name.name}`);
      }
      const reader = new LogReader(from, visitor);
      let end: SegmentEnd = { offset: 0, size: 0, tornEnd: undefined };
      for (const [position, { name, file }] of segments.entries()) {
        end = await reader.readSegment(file, `${directory}/${name.name}`, position === segments.length - 1);
      }
      const tail = reader.finish();
      const { metadata, hardState, lastIndex, snapshots, crc } = reader;
      assert(metadata !== undefined, "every segment has metadata");
      await prepareTail(disk, options, segments[segments.length - 1], end);
      await disk.syncDirectory(directory);
      await disk.syncDirectory(parentOf(directory));
      const wal = new Wal(disk, options, { metadata, segments, hardState, lastIndex, offset: end.offset, crc });
      return { wal, metadata, hardState, tail, lastIndex, snapshots };
    } catch (error) {
      for (const { file } of segments) await file.close();
      if (!(error instanceof DiskError)) throw error;
      throw new WalError(error.path, 0, `cannot open the log: ${error.message}`, adviceFor(error), { cause: error });
    }
  }

  /** Index of the last entry appended. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Sequence of the oldest segment that is not released. */
  get firstSequence(): number {
    return this.#segments[0].name.sequence;
  }

  /** Bytes written since this log was opened. */
  get writtenSize(): number {
    return this.#writtenSize;
  }

  /**
   * Appends `entries`, then `hardState` where there is one. With `mustSync` (entries, or a changed term or vote) both are
   * durable once this resolves; without, the hard state is durable with the next append that syncs. One at a time:
   * what is given must not change until this resolves.
   *
   * Rejects with WalError when the write or the sync failed, and always from then on: what is on disk is then unknown,
   * so nothing is tried again and the process must stop. The next start finds all that was acknowledged.
   */
  async append(hardState: HardState | undefined, entries: readonly Entry[], mustSync: boolean): Promise<void> {
    assert(entries.length === 0 || mustSync, "entries are always synced");
    this.#begin();
    try {
      const writer = this.#writer;
      let waiting: HardState | undefined;
      let firstIndex = Infinity;
      for (let i = 0; i < entries.length; i++) {
        writer.entry(entries[i]);
        // Later ones may replace earlier ones of the same write, from further back.
        if (entries[i].index < firstIndex) firstIndex = entries[i].index;
      }
      if (hardState !== undefined) {
        // A hard state never commits an entry of its own write: recovery tells a torn tail by that (tail.ts). A follower
        // may learn of both at once; the commit index then waits for the next write.
        const commitMax = Math.min(hardState.commit, firstIndex - 1);
        if (hardState.commit > commitMax) waiting = hardState;
        writer.state(waiting === undefined ? hardState : { ...hardState, commit: commitMax });
        this.#hardState = hardState;
      }
      if (entries.length > 0) this.#lastIndex = entries[entries.length - 1].index;
      if (!mustSync && writer.length < WAL_UNSYNCED_SIZE_MAX) return;
      await this.#flush();
      if (waiting !== undefined) writer.state(waiting);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#isBusy = false;
    }
  }

  /**
   * Records that the state at `snapshot.index` is durable outside the log. Durable once this resolves. As `append`: one
   * at a time, and the same failures.
   */
  async saveSnapshot(snapshot: WalSnapshot): Promise<void> {
    assert(snapshot.index === 0 || snapshot.confState !== undefined, "a snapshot has a configuration");
    this.#begin();
    try {
      this.#writer.snapshot(snapshot);
      if (this.#lastIndex < snapshot.index) this.#lastIndex = snapshot.index;
      await this.#flush();
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#isBusy = false;
    }
  }

  /**
   * Gives up the locks of the segments that are not needed to read the log from `index` on, so that they may be purged.
   * As etcd, the last segment that may hold earlier entries is kept.
   */
  async releaseTo(index: number): Promise<void> {
    const later = this.#segments.findIndex((segment) => segment.name.firstIndex >= index);
    const kept = later === -1 ? this.#segments.length - 1 : later - 1;
    if (kept <= 0) return;
    const released = this.#segments.slice(0, kept);
    this.#segments = this.#segments.slice(kept);
    for (const { file } of released) await file.close();
  }

  /** Writes what waits, removes the preallocated segment and gives up the locks. */
  async close(): Promise<void> {
    assert(!this.#isBusy, "the log is closed when no append is under way");
    try {
      if (this.#failure === undefined) {
        this.#begin();
        await this.#flush();
      }
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#failure ??= new Error("the log is closed");
      this.#isBusy = false;
      const next = await this.#next;
      if (!(next instanceof DiskError)) {
        await next.close();
        await this.#disk.remove(next.path);
      }
      for (const { file } of this.#segments) await file.close();
    }
  }

  get #tail(): Segment {
    return this.#segments[this.#segments.length - 1];
  }

  #begin(): void {
    assert(!this.#isBusy, "one append at a time");
    if (this.#failure !== undefined) throw this.#failure;
    this.#isBusy = true;
  }

  #fail(cause: unknown): unknown {
    if (!(cause instanceof DiskError)) {
      this.#failure ??= cause as Error;
      return cause;
    }
    const path = `${this.#options.directory}/${this.#tail.name.name}`;
    // A segment's file keeps the temporary name under which it was opened.
    const reason = cause.path === this.#tail.file.path ? cause.message.replace(cause.path, path) : cause.message;
    this.#failure = new WalError(path, this.#offset, `cannot append: ${reason}`, adviceFor(cause), { cause });
    return this.#failure;
  }

  /** Makes the buffer durable at the end of the log, and cuts where the segment is full. */
  async #flush(): Promise<void> {
    const writer = this.#writer;
    if (writer.length === 0) return;
    const { file } = this.#tail;
    let start = 0;
    for (; writer.length - start > WAL_WRITE_SIZE_MAX; start += WAL_WRITE_SIZE_MAX) {
      const part = writer.bytes.subarray(start, start + WAL_WRITE_SIZE_MAX);
      await this.#timed(file.writeDurable(part, this.#offset + start));
    }
    const rest = writer.bytes.subarray(start, writer.length);
    const end = this.#offset + writer.length;
    const next = end < this.#cutOffset ? undefined : await this.#takeNext(end);
    if (next === undefined) {
      await this.#timed(file.writeDurable(rest, this.#offset + start));
    } else {
      await file.write(rest, this.#offset + start);
      await file.truncate(end);
      await this.#timed(file.syncData());
    }
    this.#writtenSize += writer.length;
    this.#options.observer?.written(writer.length);
    this.#offset = end;
    writer.reset(WAL_BUFFER_SIZE);
    if (next !== undefined) await this.#cut(next);
  }

  /** Measures a sync, and warns of a slow one as etcd does. */
  async #timed(sync: Promise<void>): Promise<void> {
    const { clock, log, observer } = this.#options;
    const startMs = clock.monotonicMs();
    await sync;
    const durationMs = clock.monotonicMs() - startMs;
    observer?.synced(durationMs);
    if (durationMs > SLOW_SYNC_MS) {
      log.warn("slow fdatasync", { "took": `${durationMs.toFixed(0)}ms`, "expected-duration": "1s" });
    }
  }

  /** The preallocated segment, or undefined if there is no room for one: then the present one grows beyond its size. */
  async #takeNext(end: number): Promise<File | undefined> {
    let next = await this.#next;
    if (next instanceof DiskError) {
      // Once more, now that no append competes for the space.
      next = await (this.#next = this.#allocateNext());
    }
    if (!(next instanceof DiskError)) return next;
    if (!isFull(next)) throw next;
    this.#cutOffset = end + Math.ceil(this.#segmentSize / CUT_RETRY_FRACTION);
    return undefined;
  }

  /** Goes on in the next segment: the present one is complete, and durable. */
  async #cut(next: File): Promise<void> {
    const { directory, log } = this.#options;
    const { name } = this.#tail;
    const writer = this.#writer;
    writer.chain();
    writer.metadata(this.#metadata);
    if (this.#hardState.term !== 0) writer.state(this.#hardState);
    await this.#timed(next.writeDurable(writer.bytes.subarray(0, writer.length), 0));

    const sequence = name.sequence + 1;
    const firstIndex = this.#lastIndex + 1;
    const path = `${directory}/${segmentName(sequence, firstIndex)}`;
    await this.#disk.rename(next.path, path);
    await this.#timed(this.#disk.syncDirectory(directory));

    this.#segments.push({ name: { name: segmentName(sequence, firstIndex), sequence, firstIndex }, file: next });
    this.#offset = writer.length;
    this.#cutOffset = this.#segmentSize;
    writer.reset(WAL_BUFFER_SIZE);
    this.#next = this.#allocateNext();
    log.info("created a new WAL segment", { "path": path });
  }

  /** Preallocates the next segment under a temporary name. Never rejects. */
  async #allocateNext(): Promise<File | DiskError> {
    const path = `${this.#options.directory}/${this.#nextCount % 2}.tmp`;
    let file: File | undefined;
    try {
      // One left by a crash may hold the head of a segment that was never renamed.
      await this.#disk.remove(path);
      file = await this.#disk.open(path, { write: true, create: true });
      await lock(file, path);
      await file.allocate(this.#segmentSize);
      this.#nextCount++;
      return file;
    } catch (error) {
      const cause = error instanceof DiskError ? error : new DiskError("EIO", "allocate", path, String(error));
      this.#options.log.error("failed to preallocate space when creating a new WAL", {
        "size": this.#segmentSize,
        "error": cause.message,
      });
      await this.#discard(file, path);
      return cause;
    }
  }

  /** Returns the space that a failed allocation took. The first failure is the one that counts. */
  async #discard(file: File | undefined, path: string): Promise<void> {
    try {
      await file?.close();
      await this.#disk.remove(path);
    } catch (error) {
      this.#options.log.warn("cannot remove a temporary WAL file", { "path": path, "error": String(error) });
    }
  }
}

function isFull(error: DiskError): boolean {
  return error.code === "ENOSPC" || error.code === "EDQUOT";
}

function adviceFor(error: DiskError): string {
  return isFull(error)
    ? "make room and start again, nothing that was acknowledged is lost"
    : "check the disk before starting again, nothing that was acknowledged is lost if it can still be read";
}

async function lock(file: File, path: string): Promise<void> {
  if (await file.tryLock()) return;
  throw new WalError(path, 0, "locked by another process", "stop it, or choose another data directory");
}

/** The segments of a directory in order; other files are named in the log, but for leftovers of preallocation. */
async function listSegments(disk: Disk, { directory, log }: WalOptions): Promise<SegmentName[]> {
  const segments: SegmentName[] = [];
  for (const name of await disk.list(directory)) {
    const segment = parseSegmentName(name);
    if (segment !== undefined) segments.push(segment);
    else if (!name.endsWith(".tmp")) log.warn("ignored file in WAL directory", { "path": name });
  }
  return segments;
}

/** The segments needed to read from `index` on: the last one that starts at or before it, and all after. */
function selectSegments(directory: string, all: SegmentName[], index: number): SegmentName[] {
  let start = all.length - 1;
  while (start >= 0 && all[start].firstIndex > index) start--;
  if (start < 0) {
    throw damage(directory, 0, all.length === 0 ? "no segment" : `no segment that holds entry ${index + 1}`);
  }
  const selected = all.slice(start);
  for (let i = 1; i < selected.length; i++) {
    const { name, sequence } = selected[i];
    const previous = selected[i - 1];
    if (sequence !== previous.sequence + 1) {
      throw damage(`${directory}/${name}`, 0, `segment ${previous.sequence + 1} before this one is missing`);
    }
  }
  return selected;
}

/** Makes the last segment ready to be appended to: a torn tail is cut off, and all that was read is durable. */
async function prepareTail(disk: Disk, options: WalOptions, segment: Segment, end: SegmentEnd): Promise<void> {
  const { directory, log } = options;
  const { file, name } = segment;
  const path = `${directory}/${name.name}`;
  if (end.tornEnd !== undefined) {
    log.info("repairing", { "path": path, "offset": end.offset });
    await copyAside(disk, file, `${path}.broken`, end.tornEnd);
    await disk.syncDirectory(directory);
    await file.truncate(end.offset);
  }
  // A sync that failed before this start has marked as clean what never reached the disk: no later sync writes it, only a
  // new write does. It can be no more than what one write carried.
  const start = Math.max(0, end.offset - WAL_WRITE_SIZE_MAX);
  const last = new Uint8Array(end.offset - start);
  await readFully(file, last, start);
  await file.writeDurable(last, start);
  if (end.tornEnd !== undefined) log.info("repaired", { "path": path, "offset": end.offset, "size": end.size });

  const segmentSize = options.segmentSize ?? SEGMENT_SIZE;
  if (end.offset >= segmentSize || (end.tornEnd === undefined && end.size >= segmentSize)) return;
  try {
    await file.allocate(segmentSize);
  } catch (error) {
    // Appends find out by themselves whether there is room.
    if (!(error instanceof DiskError)) throw error;
    log.warn("cannot preallocate the WAL segment", { "path": path, "error": error.message });
    await file.truncate(end.offset);
  }
}

/** Keeps what a torn tail looked like, as etcd's repair does; without the zeros behind it. */
async function copyAside(disk: Disk, source: File, path: string, size: number): Promise<void> {
  await disk.remove(path);
  const copy = await disk.open(path, { write: true, create: true });
  try {
    const block = new Uint8Array(Math.min(size, COPY_BLOCK_SIZE));
    for (let position = 0; position < size; position += block.length) {
      const part = block.subarray(0, Math.min(block.length, size - position));
      await readFully(source, part, position);
      await copy.write(part, position);
    }
    await copy.syncData();
  } finally {
    await copy.close();
  }
}
