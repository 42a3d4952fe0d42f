import { bytesFromLatin1, latin1, utf8Text } from "../base/bytes.ts";
import { JOB_STEP_BUDGET, SURVEY_PREFIXES_MAX } from "../base/limits.ts";
import { RecordView, type Store } from "../mvcc/mod.ts";
import type { Job, JobState } from "./jobs.ts";

/** Keys that begin alike, and what their records need together. */
export interface PrefixSize {
  /** Up to a "/", that included; empty for keys without one. */
  readonly prefix: string;
  /** Bytes, as the quota counts them: live keys and history. */
  readonly size: number;
}

/** "/registry/events/": where keys are paths, this many slashes tell what they are about. */
const SLASHES_MAX = 3;
/** Of a longer prefix only the beginning is looked at. */
const PREFIX_SIZE_MAX = 64;
/** Reading a row costs several units of a job's budget. */
const ROWS_PER_STEP = JOB_STEP_BUDGET / 8;
/** Beside a KeyValue: its key in etcd's database and the header of the element. */
const ROW_OVERHEAD = 17 + 16;

interface Counter {
  size: number;
}

/**
 * Finds out which prefixes hold the most bytes: one pass over the history, in steps. Where there are more prefixes than
 * can be counted the small ones are forgotten now and then, so that the sizes given are at least that.
 */
export class PrefixSurvey implements Job {
  readonly #store: Store;
  readonly #onDone: (largest: readonly PrefixSize[]) => void;
  readonly #count: number;
  readonly #endRow: number;
  readonly #record = new RecordView();
  #sizes = new Map<string, Counter>();
  // The last row visited: it may be gone by the next step.
  #row = 0;

  /** `onDone` gets the `count` largest, the largest first. */
  constructor(store: Store, count: number, onDone: (largest: readonly PrefixSize[]) => void) {
    this.#store = store;
    this.#count = count;
    this.#onDone = onDone;
    this.#endRow = store.endRow;
  }

  step(): JobState {
    const store = this.#store;
    const record = this.#record;
    for (let visited = 0; visited < ROWS_PER_STEP; visited++) {
      const row = store.nextRow(this.#row);
      if (row >= this.#endRow) {
        this.#onDone(this.#largest(this.#count));
        return "done";
      }
      this.#row = row;
      store.readRecord(row, record);
      this.#add(record);
    }
    return "running";
  }

  #add(record: RecordView): void {
    const { bytes, keyStart } = record;
    const prefix = latin1(bytes.subarray(keyStart, prefixEnd(bytes, keyStart, record.keyEnd)));
    const size = record.end - record.start + ROW_OVERHEAD;
    const counter = this.#sizes.get(prefix);
    if (counter !== undefined) {
      counter.size += size;
      return;
    }
    if (this.#sizes.size === SURVEY_PREFIXES_MAX) this.#forgetSmall();
    this.#sizes.set(prefix, { size });
  }

  #forgetSmall(): void {
    const sorted = [...this.#sizes].sort((a, b) => b[1].size - a[1].size);
    this.#sizes = new Map(sorted.slice(0, SURVEY_PREFIXES_MAX / 2));
  }

  #largest(count: number): PrefixSize[] {
    return [...this.#sizes].sort((a, b) => b[1].size - a[1].size).slice(0, count)
      .map(([prefix, { size }]) => ({ prefix: utf8Text(bytesFromLatin1(prefix)), size }));
  }
}

function prefixEnd(bytes: Uint8Array, keyStart: number, keyEnd: number): number {
  const end = Math.min(keyEnd, keyStart + PREFIX_SIZE_MAX);
  let prefixEnd = keyStart;
  let slashes = 0;
  for (let i = keyStart; i < end && slashes < SLASHES_MAX; i++) {
    if (bytes[i] !== SLASH) continue;
    prefixEnd = i + 1;
    slashes++;
  }
  return prefixEnd;
}

const SLASH = 0x2f;
