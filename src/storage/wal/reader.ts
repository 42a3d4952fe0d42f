/**
 * Reads a log: verifies the chain of checksums record by record, and hands out each entry once a hard state behind it
 * shows that it is committed. Nothing of the log is kept but the entries that are not committed yet.
 *
 * Stricter than etcd: whatever is not exactly what a writer writes is refused, with file and byte offset. The one
 * exception is the torn tail of the last segment (tail.ts).
 */

import { EMPTY_BYTES } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { WAL_READ_BLOCK_SIZE } from "../../base/limits.ts";
import { WireError } from "../../base/varint.ts";
import type { File } from "../../io/disk.ts";
import type { Entry, HardState } from "../../raft/mod.ts";
import { damage, WalError } from "./error.ts";
import {
  FRAME_SIZE,
  paddingSize,
  RecordError,
  RecordReader,
  RecordType,
  type WalMetadata,
  type WalSnapshot,
} from "./record.ts";
import { judgeTail, requireZeros } from "./tail.ts";

/** The position that the reader's state already includes; entries up to it are passed over. */
export interface WalPosition {
  readonly index: number;
  readonly term: number;
}

export interface WalVisitor {
  /** Whose log it is; once, before the first entry. */
  metadata(metadata: WalMetadata): void;
  /** A committed entry, in the order of the log, each index once. */
  entry(entry: Entry): void;
}

export interface SegmentEnd {
  /** Where the next record goes. */
  readonly offset: number;
  readonly size: number;
  /** End of the bytes of a torn tail behind `offset`; undefined if there is none. */
  readonly tornEnd: number | undefined;
}

/** What stopped the decoding of a block. */
const Stop = { MORE: 0, END: 1, INVALID: 2 } as const;

export class LogReader {
  metadata: WalMetadata | undefined;
  hardState: HardState = { term: 0, vote: 0n, commit: 0 };
  readonly snapshots: WalSnapshot[] = [];
  /** The running checksum. */
  crc = 0;
  /** Index of the last entry, or of the start position; and the entry's term. */
  lastIndex: number;
  #lastTerm = 0;

  readonly #from: WalPosition;
  readonly #visitor: WalVisitor;
  readonly #records = new RecordReader();
  #block: Uint8Array = EMPTY_BYTES;

  /** Entries not yet committed, in order without gaps; those before #pendingHead have been handed out. */
  #pending: Entry[] = [];
  #pendingHead = 0;
  /** Everything up to here has been handed out, or is part of the start position. */
  #committed: number;
  /** 0 at the start position: its term is compared where its record is found. */
  #committedTerm = 0;
  #hasStart = false;
  /** The term of the newest entry read at the start position; 0: none. */
  #startTerm = 0;

  // The segment being read.
  #path = "";
  #size = 0;
  #isFirst = true;
  #recordCount = 0;
  #stop: number = Stop.MORE;
  /** With MORE: bytes of the record that goes on behind the block. */
  #needed = 0;
  #found = "";

  constructor(from: WalPosition, visitor: WalVisitor) {
    this.#from = from;
    this.#visitor = visitor;
    this.lastIndex = from.index;
    this.#committed = from.index;
  }

  /** Reads one whole segment; segments come in order. Throws WalError. */
  async readSegment(file: File, path: string, isLast: boolean): Promise<SegmentEnd> {
    this.#path = path;
    this.#size = await file.size();
    this.#recordCount = 0;
    const blockSize = Math.min(WAL_READ_BLOCK_SIZE, this.#size);
    if (this.#block.length < blockSize) this.#block = new Uint8Array(blockSize);
    let base = 0;
    let start = 0;
    let end = 0;
    for (;;) {
      start = this.#decode(start, end, base);
      if (this.#stop !== Stop.MORE || base + end === this.#size) break;
      // What remains is the beginning of one record. It moves to the front.
      const rest = end - start;
      if (this.#needed > this.#block.length) {
        const grown = new Uint8Array(this.#needed);
        grown.set(this.#block.subarray(start, end));
        this.#block = grown;
      } else {
        this.#block.copyWithin(0, start, end);
      }
      base += start;
      const read = await file.read(this.#block.subarray(rest), base + rest);
      if (read === 0) throw damage(path, base + rest, "the file ends while it is read");
      start = 0;
      end = rest + read;
    }
    const offset = base + start;
    // The end of the file inside a length word.
    if (this.#stop === Stop.MORE && start < end) this.#invalid("an incomplete record");
    if (this.#recordCount < 2) {
      const found = this.#stop === Stop.INVALID ? this.#found : "a segment without its first two records";
      throw damage(path, offset, found);
    }
    this.#isFirst = false;
    return { offset, size: this.#size, tornEnd: await this.#judgeEnd(file, offset, isLast) };
  }

  async #judgeEnd(file: File, offset: number, isLast: boolean): Promise<number | undefined> {
    const path = this.#path;
    const found = this.#stop === Stop.INVALID ? this.#found : undefined;
    if (isLast) {
      return await judgeTail({ path, file, offset, size: this.#size, found, nextIndex: this.lastIndex + 1 });
    }
    if (found !== undefined) throw damage(path, offset, found);
    await requireZeros(path, file, offset, this.#size);
    return undefined;
  }

  /** After the last segment: checks that the log fits the start position; returns the entries not known committed. */
  finish(): Entry[] {
    const { index, term } = this.#from;
    if (!this.#hasStart) {
      throw new WalError(
        this.#path,
        this.#size,
        `the log has no snapshot record for index ${index}, term ${term}`,
        "the state and the log on this disk do not belong together: restore both from the same backup",
      );
    }
    if (this.hardState.commit > this.lastIndex) {
      throw damage(
        this.#path,
        this.#size,
        `the hard state commits entry ${this.hardState.commit} but the log ends with ${this.lastIndex}`,
      );
    }
    return this.#pending.slice(this.#pendingHead);
  }

  /** Decodes records of #block[start, end), which begins at `base` in the file. Returns where it stopped, sets #stop. */
  #decode(start: number, end: number, base: number): number {
    const block = this.#block;
    let at = start;
    this.#stop = Stop.MORE;
    for (;;) {
      if (end - at < FRAME_SIZE) {
        this.#needed = FRAME_SIZE;
        return at;
      }
      const size = (block[at] | block[at + 1] << 8 | block[at + 2] << 16 | block[at + 3] << 24) >>> 0;
      const high = (block[at + 4] | block[at + 5] << 8 | block[at + 6] << 16 | block[at + 7] << 24) >>> 0;
      if (size === 0 && high === 0) {
        this.#stop = Stop.END;
        return at;
      }
      const padding = paddingSize(size);
      if (high !== (padding === 0 ? 0 : (0x80 | padding) * 0x1000000) || size === 0) {
        return this.#invalid("an impossible length", at);
      }
      const total = FRAME_SIZE + size + padding;
      if (base + at + total > this.#size) {
        return this.#invalid(`a record of ${size} bytes, longer than the rest of the file`, at);
      }
      if (end - at < total) {
        this.#needed = total;
        return at;
      }

      let next = at + FRAME_SIZE;
      const payloadEnd = next + size;
      const type = block[next + 1];
      if (block[next] !== 0x08 || block[next + 2] !== 0x10) return this.#invalid("a record without type or crc", at);
      next += 3;
      let crc = 0;
      let shift = 0;
      for (;;) {
        const byte = block[next++];
        crc |= (byte & 0x7f) << shift;
        // The fifth byte holds the last four bits.
        if (shift === 28 && byte > 0x0f) return this.#invalid("a malformed crc", at);
        if (byte < 0x80) break;
        shift += 7;
      }
      crc >>>= 0;
      let dataStart = payloadEnd;
      if (type !== RecordType.CRC) {
        if (block[next++] !== 0x1a) return this.#invalid(`a record of type ${type} without data`, at);
        let dataSize = 0;
        shift = 0;
        for (;;) {
          const byte = block[next++];
          dataSize |= (byte & 0x7f) << shift;
          if (byte < 0x80) break;
          shift += 7;
          if (shift > 28) return this.#invalid("a malformed size", at);
        }
        dataStart = next;
        next += dataSize;
      }
      if (next !== payloadEnd) return this.#invalid("a record whose parts do not add up to its length", at);
      for (let i = 0; i < padding; i++) if (block[next + i] !== 0) return this.#invalid("padding that is not zero", at);

      if (type !== RecordType.CRC) {
        const computed = updateCrc32c(this.crc, block, dataStart, payloadEnd);
        if (computed !== crc) {
          return this.#invalid(`a record with crc ${crc.toString(16)} where ${computed.toString(16)} is right`, at);
        }
        this.crc = computed;
      }
      this.#record(type, crc, dataStart, payloadEnd, base + at);
      at += total;
    }
  }

  #invalid(found: string, at = 0): number {
    this.#stop = Stop.INVALID;
    this.#found = found;
    return at;
  }

  /** A record whose checksum is right: what is wrong with it now is no torn write. */
  #record(type: number, crc: number, start: number, end: number, offset: number): void {
    const number = this.#recordCount++;
    if (number === 0 && type !== RecordType.CRC) {
      throw damage(this.#path, offset, "a segment that starts without a crc");
    }
    if ((number === 1) !== (type === RecordType.METADATA)) {
      throw damage(this.#path, offset, `a record of type ${type} ${number === 1 ? "instead of" : "or"} metadata`);
    }
    try {
      switch (type) {
        case RecordType.ENTRY:
          this.#entry(this.#records.entry(this.#block, start, end), offset);
          return;
        case RecordType.STATE:
          this.#state(this.#records.state(this.#block, start, end));
          return;
        case RecordType.CRC:
          this.#chain(crc, number, offset);
          return;
        case RecordType.METADATA:
          this.#checkMetadata(this.#records.metadata(this.#block, start, end), offset);
          return;
        case RecordType.SNAPSHOT:
          this.#snapshot(this.#records.snapshot(this.#block, start, end), offset);
          return;
        default:
          throw new RecordError(`unknown record type ${type}`);
      }
    } catch (error) {
      if (!(error instanceof RecordError) && !(error instanceof WireError)) throw error;
      throw damage(this.#path, offset, error.message);
    }
  }

  #entry(entry: Entry, offset: number): void {
    const { index, term } = entry;
    if (index <= this.#from.index) return this.#earlierEntry(entry, offset);
    if (index <= this.#committed) {
      throw damage(this.#path, offset, `entry ${index} again, although entry ${this.#committed} is committed`);
    }
    if (index > this.lastIndex + 1) {
      throw damage(this.#path, offset, `entry ${index} behind entry ${this.lastIndex}: there is a gap`);
    }
    if (index <= this.lastIndex) this.#override(index);
    if (term < this.#lastTerm) {
      throw damage(this.#path, offset, `entry ${index} of term ${term} behind an entry of term ${this.#lastTerm}`);
    }
    this.#pending.push(entry);
    this.lastIndex = index;
    this.#lastTerm = term;
  }

  /** An entry that the start position includes; whatever was read before and lies behind it was replaced with it. */
  #earlierEntry({ index, term }: Entry, offset: number): void {
    this.#startTerm = index === this.#from.index ? term : 0;
    if (this.lastIndex > this.#from.index) this.#restart(offset, `entry ${index} again`);
  }

  /** The log goes on behind the start position. */
  #restart(offset: number, found: string): void {
    if (this.#committed > this.#from.index) {
      throw damage(this.#path, offset, `${found}, although entry ${this.#committed} is committed`);
    }
    this.#pending = [];
    this.#pendingHead = 0;
    this.lastIndex = this.#from.index;
    this.#lastTerm = 0;
  }

  /** Entries from `index` on were never committed and are replaced (Raft paper, figure 7). */
  #override(index: number): void {
    const kept = this.#pending.length - (this.lastIndex - index + 1);
    this.#pending.length = kept;
    this.#lastTerm = kept > this.#pendingHead ? this.#pending[kept - 1].term : this.#committedTerm;
  }

  #state(state: HardState): void {
    this.hardState = state;
    const pending = this.#pending;
    let head = this.#pendingHead;
    for (; head < pending.length && pending[head].index <= state.commit; head++) {
      const entry = pending[head];
      this.#visitor.entry(entry);
      this.#committed = entry.index;
      this.#committedTerm = entry.term;
    }
    // Moved to the front only when half of it is behind us, so that the cost per entry is constant.
    if (head * 2 >= pending.length) {
      pending.copyWithin(0, head);
      pending.length -= head;
      head = 0;
    }
    this.#pendingHead = head;
  }

  #chain(crc: number, number: number, offset: number): void {
    // The first segment read carries the checksum of those before it, which may be gone.
    const isSeed = number === 0 && this.#isFirst;
    if (!isSeed && crc !== this.crc) {
      throw damage(
        this.#path,
        offset,
        `the log goes on from crc ${crc.toString(16)}, but what is before it ends with ${this.crc.toString(16)}`,
      );
    }
    this.crc = crc;
  }

  #checkMetadata(metadata: WalMetadata, offset: number): void {
    const known = this.metadata;
    if (known !== undefined && (known.memberId !== metadata.memberId || known.clusterId !== metadata.clusterId)) {
      throw damage(this.#path, offset, "metadata of another member or cluster than in the segment before");
    }
    if (known !== undefined) return;
    this.metadata = metadata;
    this.#visitor.metadata(metadata);
  }

  #snapshot(snapshot: WalSnapshot, offset: number): void {
    this.snapshots.push(snapshot);
    if (snapshot.index !== this.#from.index) return;
    if (snapshot.term !== this.#from.term) {
      throw damage(
        this.#path,
        offset,
        `the snapshot at index ${snapshot.index} has term ${snapshot.term}, the state on this disk has ${this.#from.term}`,
      );
    }
    this.#hasStart = true;
    // One that was received takes the place of the log: entries behind it are not those that it is followed by.
    if (snapshot.index > 0 && snapshot.term !== this.#startTerm && this.lastIndex > snapshot.index) {
      this.#restart(offset, `a snapshot of term ${snapshot.term} in the place of entry ${snapshot.index}`);
    }
  }
}
