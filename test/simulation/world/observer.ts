/**
 * Writes down what members do, from outside: a few doors of the core are wrapped, once for the process that runs the
 * simulation, and what goes through them belongs to the process that was entered last. The wrapped doors do what they did.
 */

import { fromBinary } from "@bufbuild/protobuf";
import { Applier, type Outcome, type Steps } from "../../../src/apply/mod.ts";
import { updateCrc32c } from "../../../src/base/crc32c.ts";
import { LeaseRevokeRequestSchema } from "../../../src/gen/etcdserverpb/lease_pb.ts";
import { hashState } from "../../../src/member/state_hash.ts";
import type { Member } from "../../../src/member/mod.ts";
import { RecordView, type Store } from "../../../src/mvcc/mod.ts";
import { PeerTransport, type SnapshotView } from "../../../src/peer/mod.ts";
import { type Entry, EntryType, type Message, MessageType, Raft } from "../../../src/raft/mod.ts";
import { WatchHub } from "../../../src/watch/mod.ts";
import { RaftOperation } from "../../../src/wire/mod.ts";
import type { Event, LogEntry, RaftRole } from "../observations.ts";
import { eventText } from "../checkers/text.ts";
import { toText } from "./requests.ts";
import type { World } from "./world.ts";

/** Every so many entries the whole state is hashed. */
const HASH_INTERVAL = 24;

const digests = new WeakMap<Entry, number>();

function digestOf(entry: Entry): number {
  const known = digests.get(entry);
  if (known !== undefined) return known;
  const digest = updateCrc32c(entry.type, entry.data);
  digests.set(entry, digest);
  return digest;
}

/** What one process of a member does. */
export class MemberObserver {
  readonly #world: World;
  #raft: Raft | undefined;
  #member: Member | undefined;
  #reportedRevision = 0;
  /** Whose revisions were looked for last, and whether it has taken the place of the one that the last report was of. */
  #store: Store | undefined;
  #isAfterSnapshot = false;
  // What the last record said of raft.
  #term = -1;
  #vote = 0n;
  #role: RaftRole = "follower";
  #commit = 0;
  #offset = 0;
  #entries: Entry[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  get raft(): Raft | undefined {
    return this.#raft;
  }

  /** The hash of all that the member holds, with the index it is at. */
  hash(member: Member): { applied: number; hash: number } {
    const raft = this.#raft!;
    const steps = hashState({ keyspace: member.keyspace, membership: member.membership, confState: raft.confState });
    for (let step = steps.next();; step = steps.next()) {
      if (step.done === true) return { applied: raft.appliedIndex, hash: step.value };
    }
  }

  onReady(member: Member): void {
    this.#member = member;
    if (this.#raft !== undefined) this.#onStarted(member, this.#raft);
  }

  /** Ready, and known to the checkers as a new process. */
  #onStarted(member: Member, raft: Raft): void {
    const world = this.#world;
    const { store } = member.keyspace;
    this.reportApplied();
    const { voters } = raft.confState;
    world.observations.starts.push({
      moment: world.nextMoment(),
      member: member.id,
      isAlone: voters.length === 1 && voters[0] === member.id,
      revision: store.revision,
    });
  }

  onPublish(): void {
    const member = this.#member;
    if (member === undefined || this.#raft === undefined) return;
    this.reportApplied();
    if (this.#raft.appliedIndex % HASH_INTERVAL !== 0) return;
    const { applied, hash } = this.hash(member);
    const world = this.#world;
    world.observations.hashes.push({ moment: world.nextMoment(), member: member.id, applied, kind: "state", hash });
  }

  onSend(messages: readonly Message[]): void {
    const { votes, coverage } = this.#world;
    for (const message of messages) {
      if (message.type === MessageType.VOTE_RESPONSE && !message.reject) votes.onVote(message.from, message);
      else if (message.type === MessageType.TIMEOUT_NOW) coverage.count("transfers under way");
    }
    coverage.count("messages sent", messages.length);
  }

  onSendSnapshot({ from, to }: Message): void {
    this.#world.onSendSnapshot(from, to);
  }

  onOutcome(operation: number, body: Uint8Array, outcome: Outcome): void {
    if (outcome.error !== undefined) return;
    if (operation === RaftOperation.LEASE_REVOKE) {
      this.#world.leaseEnded(fromBinary(LeaseRevokeRequestSchema, body).ID, outcome.revision);
    } else if (operation === RaftOperation.COMPACTION) this.#world.coverage.count("compactions applied");
    else if (operation === RaftOperation.LEASE_CHECKPOINT) this.#world.coverage.count("lease checkpoints applied");
    else if (operation === RaftOperation.ALARM) this.#world.violation("an alarm was raised, though nothing is wrong");
  }

  /** Reports the revisions that are new here, as far as the store still has all of their rows. */
  reportApplied(): void {
    const world = this.#world;
    const member = this.#member!;
    const { store } = member.keyspace;
    let from = Math.max(this.#reportedRevision, store.compactRevision, 1) + 1;
    if (this.#reportedRevision > 0 && from > this.#reportedRevision + 1) world.coverage.count("states installed");
    // A state is replaced as a whole, and nothing else replaces a store.
    if (this.#store !== undefined && this.#store !== store) this.#isAfterSnapshot = true;
    this.#store = store;
    for (let row = store.rowAtOrAfter(from); row < store.endRow;) {
      const events: Event[] = [];
      from = store.rowMain(row);
      for (; row < store.endRow && store.rowMain(row) === from; row++) events.push(eventOf(member, row));
      world.observations.applied.push({
        moment: world.nextMoment(),
        member: member.id,
        revision: from,
        events,
        isAfterSnapshot: this.#isAfterSnapshot,
      });
      this.#isAfterSnapshot = false;
      world.story.tell(() =>
        `${world.nameOf(member.id)} executed revision ${from}: ${events.map(eventText).join(", ")}`
      );
    }
    this.#reportedRevision = Math.max(this.#reportedRevision, store.revision);
  }

  onRaft(raft: Raft): void {
    const isStart = this.#raft === undefined;
    if (isStart) this.#raft = raft;
    else if (this.#raft !== raft) return;
    const { term, vote, commit } = raft.hardState;
    const { role, log } = raft;
    const firstNew = this.#firstNewEntry(raft);
    const isMoved = log.offset !== this.#offset;
    if (
      !isStart && !isMoved && firstNew > log.lastIndex && term === this.#term && vote === this.#vote &&
      role === this.#role && commit === this.#commit
    ) return;
    const entries: LogEntry[] = [];
    this.#entries.length = Math.max(0, firstNew - log.offset - 1);
    for (let index = firstNew; index <= log.lastIndex; index++) {
      const entry = log.entry(index);
      this.#entries.push(entry);
      entries.push({ index, term: entry.term, digest: digestOf(entry) });
      if (entry.type !== EntryType.NORMAL) this.#world.coverage.count("membership changes in a log");
    }
    const world = this.#world;
    if (isStart) world.votes.onStart(raft.id, term, vote);
    else this.#countRole(role, term);
    world.observations.raft.push({
      moment: world.nextMoment(),
      ms: world.scheduler.nowMs,
      member: raft.id,
      isStart,
      term,
      vote,
      role,
      commit,
      entries,
      offset: isStart || isMoved ? { index: log.offset, term: log.term(log.offset) } : undefined,
    });
    if (role !== this.#role || term !== this.#term) {
      world.story.tell(() => `${world.nameOf(raft.id)} is ${role} in term ${term}, its log ends at ${log.lastIndex}`);
    }
    this.#term = term;
    this.#vote = vote;
    this.#role = role;
    this.#commit = commit;
    this.#offset = log.offset;
    if (isStart && this.#member !== undefined) this.#onStarted(this.#member, raft);
  }

  /** The first index whose entry is not the one in the last record; aligns what is remembered with the log's beginning. */
  #firstNewEntry({ log }: Raft): number {
    const known = this.#entries;
    if (log.offset > this.#offset) {
      if (log.offset - this.#offset >= known.length) known.length = 0;
      else known.splice(0, log.offset - this.#offset);
    } else if (log.offset < this.#offset) known.length = 0;
    let index = Math.min(log.lastIndex, log.offset + known.length);
    while (index > log.offset && log.entry(index) !== known[index - log.offset - 1]) index--;
    return index + 1;
  }

  #countRole(role: RaftRole, term: number): void {
    const { coverage } = this.#world;
    if (role !== this.#role || term !== this.#term) {
      if (role === "leader") coverage.count("elections won");
      if (role === "candidate") coverage.count("elections begun");
      if (role === "pre-candidate") coverage.count("pre-votes begun");
    }
    if (role === "follower" && this.#role === "pre-candidate") coverage.count("pre-votes lost");
    if (role === "follower" && this.#role === "leader") coverage.count("leaders that stepped down");
  }
}

const view = new RecordView();

function eventOf(member: Member, row: number): Event {
  const { store } = member.keyspace;
  const key = toText(store.key(row));
  if (store.isTombstone(row)) return { kind: "delete", key };
  store.readRecord(row, view);
  return {
    kind: "put",
    kv: {
      key,
      value: toText(view.bytes.subarray(view.valueStart, view.valueEnd)),
      createRevision: view.createRevision,
      modRevision: view.modRevision,
      version: view.version,
      lease: view.lease,
    },
  };
}

let current: World | undefined;

/** From now on what members do belongs to this world; undefined: to none. */
export function observe(world: World | undefined): void {
  current = world;
}

function wrapDoors(): void {
  const { ready } = Raft.prototype;
  Raft.prototype.ready = function (this: Raft) {
    current?.entered?.observer.onRaft(this);
    return ready.call(this);
  };
  const { send, sendSnapshot } = PeerTransport.prototype;
  PeerTransport.prototype.send = function (this: PeerTransport, messages: readonly Message[]) {
    current?.entered?.observer.onSend(messages);
    send.call(this, messages);
  };
  PeerTransport.prototype.sendSnapshot = function (this: PeerTransport, message: Message, view: SnapshotView) {
    current?.entered?.observer.onSendSnapshot(message);
    return sendSnapshot.call(this, message, view);
  };
  const { publish } = WatchHub.prototype;
  WatchHub.prototype.publish = function (this: WatchHub, firstRow: number, endRow: number) {
    current?.entered?.observer.onPublish();
    return publish.call(this, firstRow, endRow);
  };
  const { apply } = Applier.prototype;
  Applier.prototype.apply = function (this: Applier, operation, body, context) {
    const observer = current?.entered?.observer;
    const result = apply.call(this, operation, body, context);
    if (observer === undefined) return result;
    if ("next" in result) return observed(result, (outcome) => observer.onOutcome(operation, body, outcome));
    observer.onOutcome(operation, body, result);
    return result;
  };
}

function* observed(steps: Steps<Outcome>, done: (outcome: Outcome) => void): Steps<Outcome> {
  const outcome = yield* steps;
  done(outcome);
  return outcome;
}

wrapDoors();
