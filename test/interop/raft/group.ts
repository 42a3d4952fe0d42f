import {
  APPEND_THREAD,
  entriesText,
  type Message,
  messageText,
  MessageType,
  readyText,
  type StepOutcome,
  type StorageMessage,
} from "../../../src/raft/mod.ts";
import { ELECTION_TICKS, GroupMember, type GroupMemberOptions } from "./group_member.ts";
import { Output } from "./output.ts";

export interface Delivery {
  readonly to: bigint;
  readonly isDropped: boolean;
  /** Undefined: any. */
  readonly type?: MessageType;
}

/** A script's members and the messages between them; says what it does on `output`. */
export class Group {
  readonly output = new Output();
  readonly members: GroupMember[] = [];
  #messages: Message[] = [];

  add(count: number, options: GroupMemberOptions): void {
    for (let i = 0; i < count; i++) {
      const id = BigInt(this.members.length + 1);
      this.members.push(new GroupMember({ ...options, raft: { ...options.raft, id } }));
    }
  }

  member(id: bigint): GroupMember {
    const member = this.members[Number(id) - 1];
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }

  tick(member: GroupMember, count: number): void {
    for (let i = 0; i < count; i++) member.raft.tick();
  }

  tickElection(member: GroupMember): void {
    this.tick(member, ELECTION_TICKS);
  }

  send(message: Message): void {
    this.#messages.push(message);
  }

  /** Returns how many messages there were. */
  deliver(deliveries: readonly Delivery[]): number {
    let count = 0;
    for (const delivery of deliveries) {
      const messages = this.#messages.filter((message) => isMeant(message, delivery));
      this.#messages = this.#messages.filter((message) => !isMeant(message, delivery));
      count += messages.length;
      for (const message of messages) {
        this.output.write(`${delivery.isDropped ? "dropped: " : ""}${messageText(message)}\n`);
        if (!delivery.isDropped) this.#step(this.member(delivery.to), message);
      }
    }
    return count;
  }

  processReady(member: GroupMember): void {
    const ready = member.raft.ready();
    const messages = member.outgoing(ready);
    this.output.write(readyText(ready, messages));
    if (!member.isAsync) member.carryOut(ready);
    for (const message of messages) {
      if (message.type === MessageType.STORAGE_APPEND) member.appendWork.push(message as StorageMessage);
      else if (message.type === MessageType.STORAGE_APPLY) member.applyWork.push(message as StorageMessage);
      else this.#messages.push(message);
    }
    if (!member.isAsync) member.advance(ready);
    member.raft.replicate();
  }

  processAppend(member: GroupMember): void {
    const work = member.appendWork.shift();
    if (work === undefined) return this.output.write("no append work to perform");
    this.#process(work, () => member.append(work.entries, work.snapshot));
  }

  processApply(member: GroupMember): void {
    const work = member.applyWork.shift();
    if (work === undefined) return this.output.write("no apply work to perform");
    this.#process(work, () => member.apply(work.entries));
    member.raft.replicate();
  }

  /** Lets the members do all there is to do, in rounds, until there is nothing left. */
  stabilize(members: readonly GroupMember[]): void {
    while (this.#round(members));
  }

  printLog({ storage }: GroupMember): void {
    const { offset, lastIndex } = storage;
    if (lastIndex > offset) this.output.write(entriesText(storage.slice(offset, lastIndex)));
    else this.output.write(`log is empty: first index=${offset + 1}, last index=${lastIndex}`);
  }

  /** One round of everything: true if something was done. */
  #round(members: readonly GroupMember[]): boolean {
    const phases: [what: string, hasWork: (member: GroupMember) => boolean, work: (member: GroupMember) => void][] = [
      ["handling Ready", ({ raft }) => raft.hasReady, (member) => this.processReady(member)],
      [
        "receiving messages",
        ({ id }) => this.#messages.some(({ to }) => to === id),
        ({ id }) => void this.deliver([{ to: id, isDropped: false }]),
      ],
      [
        "processing append thread",
        ({ appendWork }) => appendWork.length > 0,
        (member) => {
          while (member.appendWork.length > 0) this.processAppend(member);
        },
      ],
      [
        "processing apply thread",
        ({ applyWork }) => applyWork.length > 0,
        (member) => {
          while (member.applyWork.length > 0) this.processApply(member);
        },
      ],
    ];
    let isBusy = false;
    for (const [what, hasWork, work] of phases) {
      for (const member of members.filter(hasWork)) {
        this.output.write(`> ${member.id} ${what}\n`);
        this.output.indent(() => work(member));
        isBusy = true;
      }
    }
    return isBusy;
  }

  #process(work: StorageMessage, action: () => void): void {
    this.output.write(`Processing:\n${messageText({ ...work, responses: [] })}\n`);
    action();
    this.output.write("Responses:\n");
    for (const response of work.responses) this.output.write(`${messageText(response)}\n`);
    this.#messages.push(...work.responses);
  }

  #step(member: GroupMember, message: Message): void {
    const outcome = member.raft.step(message);
    // The scripts expect each proposal to be sent on its own, not together with those that follow.
    member.raft.replicate();
    if (outcome !== "accepted") this.output.write(`${outcomeText(outcome)}\n`);
  }
}

/** A script can drop what is on its way between members, not what a member tells itself. */
function isMeant(message: Message, { to, isDropped, type }: Delivery): boolean {
  if (message.to !== to || (type !== undefined && message.type !== type)) return false;
  return !isDropped || (message.from !== to && message.from < APPEND_THREAD - 1n);
}

/** etcd's raft's words. */
export function outcomeText(outcome: Exclude<StepOutcome, "accepted">): string {
  switch (outcome) {
    case "proposal dropped":
      return "raft proposal dropped";
    case "local message":
      return "raft: cannot step raft local message";
    case "unknown member":
      return "raft: cannot step as peer not found";
  }
}
