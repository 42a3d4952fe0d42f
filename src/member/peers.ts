import { checkConfChange, checkProposal } from "../apply/mod.ts";
import { PROPOSAL_COMPLAINT_MS } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import { idText, type Member as ClusterMember, type Membership } from "../membership/mod.ts";
import type { Answer, Question, Transport, TransportHandler } from "../peer/mod.ts";
import { APPLY_THREAD, type Entry, EntryType, type Message, MessageType, NO_MEMBER } from "../raft/mod.ts";
import type { SnapshotDirectory } from "../storage/snapshot_directory.ts";
import type { PositionedSnapshot } from "./database_snapshot.ts";
import type { Inbox } from "./inbox.ts";
import { textAnswer } from "./peer_answers.ts";
import { SnapshotReceiver } from "./snapshot_receiver.ts";
import { SnapshotSender } from "./snapshot_sender.ts";

export interface PeersParts {
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined: there is no way to others. */
  readonly transport: Transport | undefined;
  readonly memberId: bigint;
  readonly membership: Membership;
  readonly inbox: Inbox;
  /** Of the last entry in this member's log. */
  readonly lastIndex: () => number;
  /** That this member is in. */
  readonly term: () => number;
  readonly snapshots: SnapshotDirectory;
  readonly openSnapshot: () => Promise<PositionedSnapshot>;
  /** Somebody told this member that it was removed. */
  readonly onRemoved: () => void;
  /** See TransportHandler. */
  readonly answer: (question: Question) => Promise<Answer>;
  /** Asks for a turn. */
  readonly wake: () => void;
}

/** The other members: what goes to them and comes from them, and who they are. */
export class Peers implements TransportHandler {
  readonly #parts: PeersParts;
  readonly #sender: SnapshotSender | undefined;
  readonly #receiver: SnapshotReceiver;
  /** Those that the transport knows, with their URLs as one text. */
  readonly #known = new Map<bigint, string>();
  #isRunning = false;
  /** The last heartbeat was one that this member's log is too short for. */
  #isBehindHeartbeats = false;
  /** Monotonic milliseconds at which a proposal was last complained of. */
  #complainedMs = -Infinity;

  constructor(parts: PeersParts) {
    const { clock, log, transport, snapshots, openSnapshot } = parts;
    this.#parts = parts;
    this.#sender = transport && new SnapshotSender({
      clock,
      log,
      transport,
      openSnapshot,
      report: (id, hasArrived) => this.#report(id, hasArrived),
    });
    this.#receiver = new SnapshotReceiver({ log, snapshots, receive: (message) => this.#take(message) });
  }

  /** Begins to take in what others send. `others` are reached too, as long as the membership itself is empty. */
  start(clusterId: bigint, others: readonly ClusterMember[]): void {
    const { transport, memberId, membership } = this.#parts;
    if (transport === undefined) return;
    this.#isRunning = true;
    transport.start(memberId, clusterId, this);
    if (membership.list().length > 0) return this.update();
    for (const { id, peerUrls } of others) if (id !== memberId) this.#know(transport, id, peerUrls);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#sender?.stop();
    await this.#parts.transport?.stop();
  }

  /** The membership has changed. */
  update(): void {
    const { transport, memberId, membership } = this.#parts;
    if (transport === undefined || !this.#isRunning) return;
    for (const { id, peerUrls } of membership.list()) if (id !== memberId) this.#know(transport, id, peerUrls);
    for (const id of this.#known.keys()) {
      // One that the log has not come to yet is not gone.
      if (!membership.isRemoved(id)) continue;
      this.#known.delete(id);
      transport.removePeer(id);
    }
  }

  send(messages: readonly Message[]): void {
    const { transport } = this.#parts;
    if (transport === undefined) return;
    if (!messages.some(isSnapshot)) return transport.send(messages);
    for (const message of messages) if (isSnapshot(message)) this.#sender?.send(message);
    transport.send(messages.filter((message) => !isSnapshot(message)));
  }

  /** Entries have to stay in the log for a member that a snapshot is on its way to. */
  get holdsLog(): boolean {
    return this.#sender?.holdsLog ?? false;
  }

  /** What every member's program says it is; this one's is `own`. */
  versions(own: string): (string | undefined)[] {
    const { transport, memberId, membership } = this.#parts;
    return membership.list().map(({ id }) => id === memberId ? own : transport?.versionOf(id));
  }

  /** How many others can be reached. */
  get activeCount(): number {
    let count = 0;
    for (const id of this.#known.keys()) if (this.#parts.transport?.activeSinceMs(id) !== undefined) count++;
    return count;
  }

  isActiveSince(id: bigint, sinceMs: number): boolean {
    const activeSinceMs = this.#parts.transport?.activeSinceMs(id);
    return activeSinceMs !== undefined && activeSinceMs < sinceMs;
  }

  /** This member and enough others to make a quorum could reach each other all the time. */
  isQuorumActiveSince(sinceMs: number): boolean {
    const members = this.#parts.membership.list();
    const active = members.filter(({ id }) => id === this.#parts.memberId || this.isActiveSince(id, sinceMs));
    return active.length >= Math.floor(members.length / 2) + 1;
  }

  /** The one of these that has been reachable without a break for the longest time; undefined: none is. */
  longestActive(ids: readonly bigint[]): bigint | undefined {
    let longest: bigint | undefined;
    let longestSinceMs = Infinity;
    for (const id of ids) {
      const sinceMs = id === this.#parts.memberId ? undefined : this.#parts.transport?.activeSinceMs(id);
      if (sinceMs === undefined || sinceMs >= longestSinceMs) continue;
      longest = id;
      longestSinceMs = sinceMs;
    }
    return longest;
  }

  // --- what the transport tells

  receive(message: Message): void {
    // A snapshot without its database is of no use, and nobody speaks in this member's own name.
    if (isSnapshot(message) || !this.#isForThisMember(message) || this.#isFromTheFuture(message)) return;
    // It may have voted for, and acknowledged, what it does not know of any more: it must not make a leader without that.
    if (this.#isBehindHeartbeats && asksForVote(message)) return;
    if (message.type === MessageType.PROPOSAL && !this.#canBeCarriedOut(message)) return;
    this.#take(message);
  }

  async receiveSnapshot(message: Message, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    if (!isSnapshot(message) || !this.#isForThisMember(message)) throw new Error("not a snapshot for this member");
    await this.#receiver.receive(message, pieces);
  }

  reportUnreachable(id: bigint): void {
    if (!this.#isRunning) return;
    this.#parts.inbox.addUnreachable(id);
    this.#parts.wake();
  }

  reportGone(id: bigint): void {
    if (!this.#isRunning) return;
    this.#parts.inbox.addGone(id);
    this.#parts.wake();
  }

  answer(question: Question): Promise<Answer> {
    return this.#isRunning ? this.#parts.answer(question) : Promise.resolve(textAnswer(503, "the member is stopped"));
  }

  isRemoved(id: bigint): boolean {
    return this.#parts.membership.isRemoved(id);
  }

  reportRemoved(): void {
    if (this.#isRunning) this.#parts.onRemoved();
  }

  #report(id: bigint, hasArrived: boolean): void {
    this.#parts.inbox.addSnapshotReport({ id, hasArrived });
    this.#parts.wake();
  }

  #isForThisMember({ to, from }: Message): boolean {
    const { memberId, membership } = this.#parts;
    const isMember = from !== NO_MEMBER && from < APPLY_THREAD;
    return to === memberId && from !== memberId && isMember && !membership.isRemoved(from);
  }

  /** What it asks to have put into the log has to be something that every member can apply: else all of them would end. */
  #canBeCarriedOut({ from, entries }: Message): boolean {
    try {
      for (let i = 0; i < entries.length; i++) this.#checkEntry(entries[i]);
      return true;
    } catch (error) {
      const { clock, log } = this.#parts;
      const nowMs = clock.monotonicMs();
      if (nowMs - this.#complainedMs >= PROPOSAL_COMPLAINT_MS) {
        this.#complainedMs = nowMs;
        log.error(
          "refused a proposal that no member could carry out: a program that is no member speaks in a member's name, or " +
            "a member is of a version that this one does not know",
          { "from": idText(from), "error": (error as Error).message },
        );
      }
      return false;
    }
  }

  /** Throws why it cannot be. */
  #checkEntry({ type, data }: Entry): void {
    if (type === EntryType.NORMAL) checkProposal(this.#parts.membership, data);
    else if (type === EntryType.CONF_CHANGE) checkConfChange(data);
    else throw new Error(`entries of type ${type} are not proposed`);
  }

  /**
   * A leader tells a follower to commit what the follower has acknowledged, and no more. Whoever says otherwise is no
   * leader, or speaks to a member that has lost a part of its log: raft, as etcd, would end the process.
   */
  #isFromTheFuture({ type, from, term, commit }: Message): boolean {
    // That of an earlier term raft does not heed, nor is it a reason not to vote.
    if (type !== MessageType.HEARTBEAT || term < this.#parts.term()) return false;
    const lastIndex = this.#parts.lastIndex();
    const isAhead = commit > lastIndex;
    if (isAhead && !this.#isBehindHeartbeats) {
      this.#parts.log.error(
        "ignored a heartbeat that commits entries which this member does not have: its log has lost them, or another " +
          "program speaks in the leader's name; until another heartbeat comes it does not vote; if this stays so, remove " +
          "the member, and add it again with an empty data directory",
        { "from": idText(from), "term": term, "commit": commit, "last-index": lastIndex },
      );
    }
    this.#isBehindHeartbeats = isAhead;
    return isAhead;
  }

  #take(message: Message): void {
    if (!this.#isRunning) return;
    this.#parts.inbox.add(message);
    this.#parts.wake();
  }

  #know(transport: Transport, id: bigint, peerUrls: readonly string[]): void {
    const urls = peerUrls.join(",");
    const known = this.#known.get(id);
    if (known === urls) return;
    this.#known.set(id, urls);
    if (known === undefined) transport.addPeer(id, peerUrls);
    else transport.updatePeer(id, peerUrls);
  }
}

function asksForVote({ type }: Message): boolean {
  return type === MessageType.VOTE || type === MessageType.PRE_VOTE;
}

function isSnapshot({ type }: Message): boolean {
  return type === MessageType.SNAPSHOT;
}
