import { create, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../../../src/base/bytes.ts";
import { ConfChangeV2Schema } from "../../../src/gen/raftpb/raft_pb.ts";
import { changeConfiguration } from "../../../src/raft/conf_change/mod.ts";
import {
  type ConfChange,
  ConfChangeTransition,
  ConfChangeType,
  type ConfChangeV2,
  EMPTY_CONF_STATE,
  EntryType,
  type Message,
  MessageType,
} from "../../../src/raft/mod.ts";
import { Checker } from "./checker.ts";
import { Disk } from "./disk.ts";
import { GroupMember, type GroupMemberOptions } from "./member.ts";
import { Random } from "./random.ts";

const MEMBERS = 6;
const FIRST_VOTERS = 3;
const FIRST_INDEX = 10;
const SNAPSHOT_LAG = 40;

/** What happened, to see that a seed tests something. */
export interface Counts {
  committed: number;
  elections: number;
  restarts: number;
  snapshots: number;
  membershipChanges: number;
  transfers: number;
  reads: number;
  lost: number;
}

/**
 * A group under faults: one seed decides what happens next, message by message and append by append. Members beyond the
 * first voters begin empty, and join through membership changes.
 */
export class Group {
  readonly #random: Random;
  readonly #checker = new Checker();
  readonly #members: GroupMember[] = [];
  #network: Message[] = [];
  /** Members that hear nothing from each other at present: those on one side of a partition. */
  #isolated = new Set<bigint>();
  #proposals = 0;
  /** Whether voters are removed or made learners. */
  readonly mayLoseVoters: boolean;
  readonly counts: Counts = {
    committed: 0,
    elections: 0,
    restarts: 0,
    snapshots: 0,
    membershipChanges: 0,
    transfers: 0,
    reads: 0,
    lost: 0,
  };

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.mayLoseVoters = this.#random.chance(50);
    const voters = Array.from({ length: FIRST_VOTERS }, (_, i) => BigInt(i + 1));
    const options = this.#randomOptions();
    for (let id = 1n; id <= MEMBERS; id++) {
      const disk = id <= FIRST_VOTERS
        ? new Disk(FIRST_INDEX, 1, { ...EMPTY_CONF_STATE, voters })
        : new Disk(0, 0, EMPTY_CONF_STATE);
      const send = (message: Message) => this.#send(message);
      this.#members.push(new GroupMember(id, disk, options, this.#random, this.#checker, send));
    }
  }

  /** Lets things happen, `count` of them. */
  run(count: number): void {
    for (let i = 0; i < count; i++) this.#step();
    this.counts.committed = this.#checker.lastCommitted - FIRST_INDEX;
    this.counts.reads = this.#members.reduce((sum, { answeredReads }) => sum + answeredReads, 0);
  }

  /**
   * Ends all faults and stops who is no member. True once there is a leader, and everyone holds and applies the same.
   *
   * That is certain only in a group that never lost a voter. Those that remain may not know yet that the change is
   * committed, and need the vote of one that knows it, holds more, and can therefore neither give it nor lead.
   */
  heal(): boolean {
    this.#isolated.clear();
    for (let round = 0; round < HEALING_ROUNDS_MAX; round++) {
      const leader = this.#leader();
      if (leader !== undefined && this.#isAtRest(leader)) return true;
      const active = leader === undefined ? this.#members : this.#current(leader);
      for (const member of active) member.input((raft) => raft.tick());
      for (let i = 0; i < DELIVERIES_PER_TICK; i++) this.#settleOnce(active);
      if (leader?.raft.progress.isJoint) this.#proposeChange(leader, LEAVE_JOINT);
    }
    return false;
  }

  #isAtRest(leader: GroupMember): boolean {
    const { log, progress } = leader.raft;
    return !progress.isJoint &&
      this.#current(leader).every(({ raft }) => raft.appliedIndex === log.lastIndex && raft.leader === leader.id);
  }

  #step(): void {
    const member = this.#random.pick(this.#members);
    const what = this.#random.below(1000);
    if (what < 400) this.#deliverOne();
    else if (what < 600) this.#oneOf(({ raft }) => raft.hasReady)?.takeReady();
    else if (what < 750) this.#oneOf(({ disk }) => disk.isBusy)?.finishAppend();
    else if (what < 850) this.#oneOf(({ canApply }) => canApply)?.applyOne();
    else if (what < 880) member.input((raft) => raft.tick());
    else if (what < 920) this.#propose(member);
    else if (what < 950) member.read();
    else if (what < 960) member.compact();
    else if (what < 970) this.#changeMembership();
    else if (what < 975) this.#transfer();
    else if (what < 980) member.input((raft) => raft.reportUnreachable(this.#random.pick(this.#members).id));
    else if (what < 983) member.input((raft) => raft.reportGone(this.#random.pick(this.#members).id));
    else if (what < 985) member.input((raft) => raft.forgetLeader());
    else if (what < 988) this.#restart(member);
    else if (what < 990) this.#repartition();
    else if (what < 993) member.input((raft) => raft.campaign());
  }

  #oneOf(hasWork: (member: GroupMember) => boolean): GroupMember | undefined {
    const members = this.#members.filter(hasWork);
    return members.length === 0 ? undefined : this.#random.pick(members);
  }

  #randomOptions(): GroupMemberOptions {
    const random = this.#random;
    return {
      electionTicks: 10,
      preVote: random.chance(50),
      checkQuorum: random.chance(50),
      stepDownOnRemoval: random.chance(50),
      committedSizeMax: random.pick([1, 50, 1000]),
      messageSizeMax: random.pick([1, 30, 1000]),
      inflightMessagesMax: random.pick([1, 3, 256]),
      inflightBytesMax: random.pick([0, 100]),
      uncommittedSizeMax: random.pick([20, Infinity]),
    };
  }

  #send(message: Message): void {
    this.#network.push(message);
    if (message.type === MessageType.SNAPSHOT) this.counts.snapshots++;
    if (message.type === MessageType.VOTE) this.counts.elections++;
  }

  /** Any of the messages on their way, to be lost, doubled, or delivered. */
  #deliverOne(): void {
    if (this.#network.length === 0) return;
    const at = this.#random.below(this.#random.chance(80) ? 1 : this.#network.length);
    const message = this.#network[at];
    if (!this.#random.chance(3)) this.#network.splice(at, 1);
    const isCut = this.#isolated.has(message.from) !== this.#isolated.has(message.to);
    if (isCut || this.#random.chance(3)) this.#lose(message);
    else this.#deliver(message);
  }

  #deliver(message: Message): void {
    this.#member(message.to).input((raft) => raft.step(message));
    if (message.type === MessageType.SNAPSHOT) this.#reportSnapshot(message, true);
  }

  #lose(message: Message): void {
    this.counts.lost++;
    if (message.type === MessageType.SNAPSHOT) this.#reportSnapshot(message, false);
  }

  #reportSnapshot({ from, to }: Message, hasArrived: boolean): void {
    this.#member(from).input((raft) => raft.reportSnapshot(to, hasArrived));
  }

  #propose(member: GroupMember): void {
    const data = utf8(`proposal ${++this.#proposals}`);
    member.input((raft) => raft.propose(data));
  }

  #changeMembership(): void {
    const leader = this.#leader();
    if (leader === undefined) return;
    const changes = Array.from({ length: 1 + this.#random.below(3) }, () => this.#randomChange(leader));
    const transition = this.#random.pick(Object.values(ConfChangeTransition));
    const change = leader.raft.progress.isJoint ? LEAVE_JOINT : { transition, changes };
    // What could not be applied is the application's to refuse.
    if (changeConfiguration(leader.raft.confState, change).error === undefined) this.#proposeChange(leader, change);
  }

  #randomChange(leader: GroupMember): ConfChange {
    const { id } = this.#random.pick(this.#members);
    const type = this.#random.pick(CHANGES);
    const keepsVoter = !this.mayLoseVoters && leader.raft.progress.isVoter(id);
    return { type: keepsVoter ? ConfChangeType.ADD_NODE : type, memberId: id };
  }

  #proposeChange(leader: GroupMember, { transition, changes }: ConfChangeV2): void {
    const singles = changes.map(({ type, memberId }) => ({ type, nodeId: memberId }));
    const data = toBinary(ConfChangeV2Schema, create(ConfChangeV2Schema, { transition, changes: singles }));
    leader.input((raft) => raft.propose(data, EntryType.CONF_CHANGE_V2));
    this.counts.membershipChanges++;
  }

  #transfer(): void {
    const member = this.#random.pick(this.#members);
    member.input((raft) => raft.transferLeader(this.#random.pick(this.#members).id));
    this.counts.transfers++;
  }

  #restart(member: GroupMember): void {
    member.restart();
    this.counts.restarts++;
  }

  #repartition(): void {
    this.#isolated.clear();
    if (this.#random.chance(60)) return;
    for (const { id } of this.#members) if (this.#random.chance(40)) this.#isolated.add(id);
  }

  #settleOnce(active: readonly GroupMember[]): void {
    const ids = new Set(active.map(({ id }) => id));
    for (const member of active) {
      if (member.raft.hasReady) member.takeReady();
      while (member.disk.isBusy) member.finishAppend();
      while (member.canApply) member.applyOne();
      if (member.raft.appliedIndex - member.disk.snapshot.index > SNAPSHOT_LAG) member.compact();
    }
    const messages = this.#network;
    this.#network = [];
    for (const message of messages) {
      if (ids.has(message.to)) this.#deliver(message);
      else this.#lose(message);
    }
  }

  /** The leader of the latest term, if it has one. */
  #leader(): GroupMember | undefined {
    return this.#members.filter(({ raft }) => raft.role === "leader").sort((a, b) => b.raft.term - a.raft.term)[0];
  }

  /** The members of the leader's configuration. */
  #current(leader: GroupMember): GroupMember[] {
    const { voters, votersOutgoing, learners } = leader.raft.confState;
    return this.#members.filter(({ id }) => [...voters, ...votersOutgoing, ...learners].includes(id));
  }

  #member(id: bigint): GroupMember {
    return this.#members[Number(id) - 1];
  }
}

const CHANGES = [ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE, ConfChangeType.REMOVE_NODE];
const LEAVE_JOINT: ConfChangeV2 = { transition: ConfChangeTransition.AUTO, changes: [] };
const HEALING_ROUNDS_MAX = 500;
const DELIVERIES_PER_TICK = 20;
