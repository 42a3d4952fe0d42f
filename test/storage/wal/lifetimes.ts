/**
 * One member's log over several lifetimes of its process, each ended by a kill or a power loss at a chosen operation,
 * and what must be true of the log that the next lifetime finds. Everything follows from the seed.
 */

import { EMPTY_BYTES, equalBytes, hex } from "../../../src/base/bytes.ts";
import { silentLogger } from "../../../src/io/log.ts";
import type { Clock } from "../../../src/io/clock.ts";
import type { Entry, HardState } from "../../../src/raft/mod.ts";
import { DataDirectory } from "../../../src/storage/data_directory.ts";
import { type OpenedWal, Wal } from "../../../src/storage/wal/mod.ts";
import {
  type Fault,
  type Operation,
  SimulatedDisk,
  type SimulatedDiskOptions,
  SimulatedRandom,
} from "../../harness/simulated_disk.ts";

/** Time stands still: nothing here depends on it. */
export const stoppedClock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  after: () => ({ cancel() {} }),
  every: () => ({ cancel() {} }),
  defer: (callback) => queueMicrotask(callback),
};

/** A few appends fill a segment, so that cuts are as frequent as in years of operation. */
const SEGMENT_SIZE = 4096;
const METADATA = { memberId: 0x8e9e05c52164694dn, clusterId: 0xcdf818194e3a8c32n };
const CONF_STATE = {
  voters: [METADATA.memberId],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

export type Phase = "open" | "create" | "run";

/** Where a lifetime ends. */
export interface End {
  /** Number of the operation; beyond the last one: after all steps. */
  readonly operation: number;
  /** Or the operation fails, and the process with it. */
  readonly fault: Fault;
  readonly kind: "kill" | "power loss";
}

/** How a lifetime may end. */
export const FAULTS: readonly Fault[] = ["crash-before", "crash-after", { fail: "EIO" }];

export interface LifetimesOptions {
  readonly seed: number;
  /** The end of the first lifetime; those of the later ones follow from the seed. */
  readonly firstEnd: End;
  readonly skipSync?: (operation: Operation, phase: Phase, lastTrace: string) => boolean;
}

/** What was acknowledged, and what was under way when the lifetime ended. */
class Model {
  isCreated = false;
  log: Entry[] = [];
  /** Hard states that recovery may find: the last durable one, then those written without a sync. */
  states: HardState[] = [{ term: 0, vote: 0n, commit: 0 }];
  snapshotIndexes: number[] = [];
  underWay: { readonly entries: readonly Entry[]; readonly state: HardState | undefined } | undefined;

  get state(): HardState {
    return this.states[this.states.length - 1];
  }

  /** The current term. Of an append that was cut off, entries of a new term may be left without their hard state. */
  get term(): number {
    return Math.max(1, this.state.term, this.log.at(-1)?.term ?? 0);
  }

  /** Checks what recovery found and takes it for acknowledged: it was shown. */
  recover(opened: OpenedWal, delivered: readonly Entry[]): void {
    const { hardState, tail, metadata } = opened;
    require(metadata.memberId === METADATA.memberId && metadata.clusterId === METADATA.clusterId, "other metadata");
    const found = [...delivered, ...tail];
    const written = this.underWay?.entries ?? [];
    let count = 0;
    while (count <= written.length && !sameLog(found, withEntries(this.log, written.slice(0, count)))) count++;
    require(count <= written.length, `found ${describe(found)}, acknowledged ${describe(this.log)}`);

    const newState = this.underWay?.state;
    const isNewState = newState !== undefined &&
      (sameState(hardState, newState) || sameState(hardState, writtenState(newState, written)));
    const isKnownState = this.states.some((state) => sameState(state, hardState));
    require(isNewState || isKnownState, `found hard state ${stateText(hardState)}, not ${stateText(this.state)}`);
    require(isKnownState || count === written.length, "the hard state survived the entries written before it");

    const committed = found.filter((entry) => entry.index <= hardState.commit).length;
    require(committed === delivered.length, `${delivered.length} entries delivered of ${committed} committed`);
    const found_indexes = opened.snapshots.map((snapshot) => snapshot.index);
    for (const index of this.snapshotIndexes) {
      require(found_indexes.includes(index), `snapshot record ${index} is gone`);
    }

    this.log = found;
    this.states = [hardState];
    this.underWay = undefined;
  }
}

class Violation extends Error {}

function require(condition: boolean, message: string): void {
  if (!condition) throw new Violation(message);
}

/** Runs three lifetimes and a last recovery. Returns what was violated, or undefined; and the first one's operations. */
export async function runLifetimes(
  options: LifetimesOptions,
): Promise<{ violation: string | undefined; operationCount: number }> {
  const random = new SimulatedRandom(options.seed);
  const model = new Model();
  const walPath = random.chance(0.5) ? "" : "logs/wal";
  let end = options.firstEnd;
  let phase: Phase = "open";
  const diskOptions = (): SimulatedDiskOptions => {
    const { operation, fault } = end;
    const disk = {
      seed: random.below(2 ** 31),
      fault: ({ number }: Operation): Fault | undefined => number === operation ? fault : undefined,
      skipSync: (operation: Operation) => options.skipSync?.(operation, phase, current.trace.at(-1) ?? "") ?? false,
    };
    return disk;
  };
  let current = new SimulatedDisk(diskOptions());
  let operationCount = 0;
  for (let lifetime = 0; lifetime < 4; lifetime++) {
    const disk = current;
    const before = disk.contents();
    const running = live(disk, walPath, model, random, (next) => phase = next);
    let violation: string | undefined;
    await Promise.race([disk.crashed, running.catch((error) => violation = String(error))]);
    if (typeof end.fault === "object" && disk.operationCount >= end.operation) violation = undefined;
    if (violation !== undefined) return { violation, operationCount };
    if (lifetime === 0) operationCount = disk.operationCount;
    const { kind } = end;
    end = {
      operation: 1 + random.below(60),
      fault: FAULTS[random.below(FAULTS.length)],
      kind: random.chance(0.3) ? "kill" : "power loss",
    };
    // The last recovery is of what is durable, and nothing else.
    if (lifetime === 2) end = { operation: Infinity, fault: "crash-after", kind: "power loss" };
    phase = "open";
    if (kind === "kill") current = disk.kill(diskOptions());
    else current = lifetime === 2 ? disk.crash(diskOptions(), 0) : disk.crash(diskOptions());
    const isKept = tornBytesAreKept(before, disk.trace, current.contents());
    if (kind === "power loss" && !isKept) return { violation: "torn bytes were cut and not set aside", operationCount };
  }
  return { violation: undefined, operationCount };
}

/** Bytes that the start cut off a segment are still there, or in the copy beside it. */
function tornBytesAreKept(before: Map<string, Uint8Array>, trace: string[], after: Map<string, Uint8Array>): boolean {
  const repair = trace.findIndex((line) => line.startsWith("create ") && line.endsWith(".broken"));
  if (repair === -1) return true;
  const path = trace[repair].slice("create ".length, -".broken".length);
  const cut = trace.slice(repair).find((line) => line.startsWith(`truncate ${path} `));
  if (cut === undefined) return true;
  const start = Number(cut.split(" ")[2]);
  const torn = before.get(path)!;
  const end = torn.findLastIndex((byte) => byte !== 0) + 1;
  const isThere = (bytes: Uint8Array | undefined) =>
    bytes !== undefined && equalBytes(bytes.subarray(start, end), torn.subarray(start, end));
  return isThere(after.get(path)) || isThere(after.get(`${path}.broken`));
}

async function live(
  disk: SimulatedDisk,
  walPath: string,
  model: Model,
  random: SimulatedRandom,
  enter: (phase: Phase) => void,
): Promise<void> {
  enter("open");
  const directory = await DataDirectory.open(disk, { path: "data", walPath, log: silentLogger });
  const options = {
    directory: directory.walPath,
    segmentSize: SEGMENT_SIZE,
    clock: stoppedClock,
    log: silentLogger,
    metadata: METADATA,
    from: { index: 0, term: 0 },
  };
  let wal: Wal;
  if (directory.hasWal) {
    const delivered: Entry[] = [];
    const opened = await Wal.open(disk, options, { metadata() {}, entry: (entry) => delivered.push(entry) });
    model.recover(opened, delivered);
    model.isCreated = true;
    wal = opened.wal;
  } else {
    require(!model.isCreated, "the log is gone");
    enter("create");
    wal = await Wal.create(disk, options);
    model.isCreated = true;
  }
  enter("run");
  for (let step = 0; step < 14; step++) await act(wal, model, random);
}

/** One step of a member: what raft might hand to its log. */
async function act(wal: Wal, model: Model, random: SimulatedRandom): Promise<void> {
  const { log, state, term } = model;
  const choice = random.below(10);
  if (choice < 5) {
    const entries = makeEntries(log.length + 1, term, random);
    // A leader commits what was durable before; a follower may learn of the commit with the entries themselves.
    const last = log.length + (random.chance(0.3) ? entries.length : 0);
    await append(wal, model, entries, { ...state, term, commit: between(state.commit, last, random) });
  } else if (choice === 5) {
    await append(wal, model, makeEntries(log.length + 1, term, random), undefined);
  } else if (choice === 6) {
    // A new leader replaces what was not committed.
    const entries = makeEntries(between(state.commit, log.length, random) + 1, term + 1, random);
    await append(wal, model, entries, { term: term + 1, vote: BigInt(random.below(3)), commit: state.commit });
  } else if (choice === 7) {
    await append(wal, model, [], { term: term + 1, vote: BigInt(random.below(3)), commit: state.commit });
  } else if (choice === 8) {
    const next = { ...state, term, commit: between(state.commit, log.length, random) };
    model.states.push(next);
    await wal.append(next, [], false);
  } else if (state.commit > 0) {
    const { index, term } = log[state.commit - 1];
    await wal.saveSnapshot({ index, term, confState: CONF_STATE });
    model.states = [state];
    model.snapshotIndexes.push(index);
  }
}

async function append(wal: Wal, model: Model, entries: Entry[], state: HardState | undefined): Promise<void> {
  model.underWay = { entries, state };
  await wal.append(state, entries, true);
  model.underWay = undefined;
  model.log = withEntries(model.log, entries);
  model.states = state === undefined ? [model.state] : [writtenState(state, entries), state];
}

/** The hard state that is written with entries commits none of them; the one that does waits for the next write. */
function writtenState(state: HardState, entries: readonly Entry[]): HardState {
  return entries.length === 0 ? state : { ...state, commit: Math.min(state.commit, entries[0].index - 1) };
}

function between(low: number, high: number, random: SimulatedRandom): number {
  return low + random.below(high - low + 1);
}

function makeEntries(index: number, term: number, random: SimulatedRandom): Entry[] {
  const entries: Entry[] = [];
  const count = 1 + random.below(4);
  for (let i = 0; i < count; i++) {
    const size = random.chance(0.2) ? 0 : random.chance(0.2) ? 1500 : random.below(300);
    const data = size === 0 ? EMPTY_BYTES : new Uint8Array(size);
    // Without zero bytes: a sector of zeros inside a value is the one thing that looks like a torn write.
    for (let byte = 0; byte < size; byte++) data[byte] = 1 + random.below(255);
    entries.push({ term, index: index + i, type: 0, data });
  }
  return entries;
}

function withEntries(log: readonly Entry[], entries: readonly Entry[]): Entry[] {
  return entries.length === 0 ? [...log] : [...log.slice(0, entries[0].index - 1), ...entries];
}

function sameLog(a: readonly Entry[], b: readonly Entry[]): boolean {
  return a.length === b.length && a.every((entry, i) => {
    const other = b[i];
    return entry.index === other.index && entry.term === other.term && entry.type === other.type &&
      equalBytes(entry.data, other.data);
  });
}

function sameState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

function stateText({ term, vote, commit }: HardState): string {
  return `term ${term} vote ${vote} commit ${commit}`;
}

function describe(log: readonly Entry[]): string {
  const last = log.at(-1);
  return last === undefined
    ? "no entry"
    : `${log.length} entries up to ${last.term}/${last.index} ${hex(last.data).slice(0, 8)}`;
}
