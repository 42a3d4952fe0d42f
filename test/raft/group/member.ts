import { EMPTY_BYTES } from "../../../src/base/bytes.ts";
import {
  decodeConfChange,
  type Entry,
  EntryType,
  type Message,
  Raft,
  type RaftOptions,
  type Ready,
  type Snapshot,
} from "../../../src/raft/mod.ts";
import type { Checker } from "./checker.ts";
import { Disk } from "./disk.ts";
import type { Random } from "./random.ts";

export type GroupMemberOptions = Omit<RaftOptions, "id" | "log" | "hardState" | "confState" | "applied" | "random">;

/** A member with its disk and state machine; the latter is the list of what it applied. */
export class GroupMember {
  readonly id: bigint;
  readonly disk: Disk;
  readonly #options: GroupMemberOptions;
  readonly #random: Random;
  readonly #checker: Checker;
  readonly #send: (message: Message) => void;
  #raft: Raft;
  #toApply: Entry[] = [];
  #state: Snapshot;
  #isLeader = false;
  #commit: number;
  /** Reads asked for here, and what was committed at the time. */
  readonly #reads = new Map<number, number>();
  #readCount = 0;
  answeredReads = 0;

  constructor(
    id: bigint,
    disk: Disk,
    options: GroupMemberOptions,
    random: Random,
    checker: Checker,
    send: (message: Message) => void,
  ) {
    this.id = id;
    this.disk = disk;
    this.#options = options;
    this.#random = random;
    this.#checker = checker;
    this.#send = send;
    this.#state = disk.snapshot;
    this.#raft = this.#start();
    this.#commit = this.#raft.commitIndex;
  }

  get raft(): Raft {
    return this.#raft;
  }

  get canApply(): boolean {
    return this.#toApply.length > 0;
  }

  /** Forgets all that is not on disk, and begins anew from what is. */
  restart(): void {
    this.disk.crash();
    this.#toApply = [];
    this.#state = this.disk.snapshot;
    this.#reads.clear();
    this.#raft = this.#start();
    this.#isLeader = false;
    this.#commit = this.#raft.commitIndex;
  }

  /** Gives the member an input, and looks at what became of it. */
  input(action: (raft: Raft) => void): void {
    action(this.#raft);
    this.#observe();
  }

  read(): void {
    const number = ++this.#readCount;
    this.#reads.set(number, this.#checker.lastCommitted);
    this.input((raft) => raft.readIndex(Uint8Array.of(number >> 8, number & 255)));
  }

  takeReady(): void {
    const ready = this.#raft.ready();
    this.#checker.onEntries(this, ready.entries);
    this.#checkReads(ready);
    this.disk.enqueue(ready);
    this.#toApply.push(...ready.committedEntries);
    for (const message of ready.messages) this.#send(message);
    this.#observe();
  }

  finishAppend(): void {
    const { responses, snapshot } = this.disk.finishOne();
    if (snapshot !== undefined) {
      this.#state = snapshot;
      this.#toApply = this.#toApply.filter(({ index }) => index > snapshot.index);
      this.#raft.offerSnapshot(snapshot);
    }
    for (const message of responses) {
      if (message.to === this.id) this.input((raft) => raft.step(message));
      else this.#send(message);
    }
  }

  applyOne(): void {
    const entry = this.#toApply.shift()!;
    this.#checker.onApply(this, entry, this.#state.index);
    let { confState } = this.#state;
    if (entry.type !== EntryType.NORMAL) {
      this.input((raft) => confState = raft.applyConfChange(decodeConfChange(entry)));
    }
    this.#state = { index: entry.index, term: entry.term, confState, data: EMPTY_BYTES };
    this.input((raft) => raft.applied(entry.index));
    // A member that was just added needs a snapshot that knows it.
    if (entry.type !== EntryType.NORMAL) this.#raft.offerSnapshot(this.#state);
  }

  /** Saves the state machine and forgets the log before it, but for a few entries. */
  compact(): void {
    this.disk.saveSnapshot(this.#state);
    this.#raft.offerSnapshot(this.#state);
    this.#raft.log.compact(Math.max(this.#state.index - this.#random.below(5), this.#raft.log.offset));
  }

  #start(): Raft {
    const { snapshot, hardState } = this.disk;
    const raft = new Raft({
      ...this.#options,
      id: this.id,
      log: this.disk.readLog(),
      hardState,
      confState: snapshot.confState,
      applied: snapshot.index,
      random: (limit) => this.#random.below(limit),
    });
    if (snapshot.index > 0) raft.offerSnapshot(snapshot);
    return raft;
  }

  #observe(): void {
    const isLeader = this.#raft.role === "leader";
    if (isLeader && !this.#isLeader) this.#checker.onLeader(this);
    this.#isLeader = isLeader;
    const { commitIndex } = this.#raft;
    if (commitIndex < this.#commit) throw new Error(`member ${this.id} takes back its commit index`);
    this.#checker.onCommit(this, this.#commit, commitIndex);
    this.#commit = commitIndex;
  }

  #checkReads({ readStates }: Ready): void {
    for (const { index, context } of readStates) {
      const number = context[0] << 8 | context[1];
      const committed = this.#reads.get(number);
      // Messages are doubled now and then, and with them answers.
      if (committed === undefined) continue;
      this.#reads.delete(number);
      this.answeredReads++;
      this.#checker.onRead(this, index, committed);
    }
  }
}
