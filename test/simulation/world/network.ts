/**
 * The network between members: a link for each direction of each pair, which delays, loses, doubles and reorders, or is
 * cut. Snapshots travel over the same links in pieces, as on a connection: in order or not at all.
 */

import type { Answer, Question, SnapshotView, Transport, TransportHandler } from "../../../src/peer/mod.ts";
import type { Message } from "../../../src/raft/mod.ts";
import { MessageType } from "../../../src/raft/mod.ts";
import type { ProcessTime } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Votes } from "./votes.ts";
import { SnapshotTransfer } from "./snapshot_transfer.ts";

/** How messages fare from one member to another. */
export interface LinkState {
  isCut: boolean;
  lossRate: number;
  duplicationRate: number;
  delayMinMs: number;
  delayMaxMs: number;
}

export function goodLink(): LinkState {
  return { isCut: false, lossRate: 0, duplicationRate: 0, delayMinMs: 0.2, delayMaxMs: 2 };
}

/** One end: a process that takes part, under its member's id. */
export interface Endpoint {
  readonly id: bigint;
  readonly clusterId: bigint;
  readonly handler: TransportHandler;
  readonly time: ProcessTime;
  /** Members that it was not told of, and has heard from: it can answer them, as etcd's "remotes". */
  readonly heardFrom: Set<bigint>;
}

/** A connection that was broken is noticed after this long. */
const BREAK_NOTICED_MS = 20;

export class Network {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly coverage: Coverage;
  readonly votes: Votes;
  readonly #endpoints = new Map<bigint, Endpoint>();
  /** By sender, then receiver. */
  readonly #links = new Map<bigint, Map<bigint, LinkState>>();
  readonly #transfers = new Set<SnapshotTransfer>();

  constructor(scheduler: Scheduler, random: Random, coverage: Coverage, votes: Votes) {
    this.votes = votes;
    this.scheduler = scheduler;
    this.random = random;
    this.coverage = coverage;
  }

  link(from: bigint, to: bigint): LinkState {
    let links = this.#links.get(from);
    if (links === undefined) this.#links.set(from, links = new Map());
    let link = links.get(to);
    if (link === undefined) links.set(to, link = goodLink());
    return link;
  }

  /** Makes all links good again. */
  heal(): void {
    for (const links of this.#links.values()) for (const link of links.values()) Object.assign(link, goodLink());
  }

  endpoint(id: bigint): Endpoint | undefined {
    return this.#endpoints.get(id);
  }

  attach(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.id, endpoint);
  }

  /** The process has ended or let go: what is on its way to it is lost, and so are its connections. */
  detach(endpoint: Endpoint): void {
    if (this.#endpoints.get(endpoint.id) === endpoint) this.#endpoints.delete(endpoint.id);
    for (const transfer of this.#transfers) if (transfer.involves(endpoint)) this.breakTransfer(transfer);
  }

  isReachable(from: bigint, to: bigint): boolean {
    return this.#endpoints.has(to) && !this.link(from, to).isCut && !this.link(to, from).isCut;
  }

  delayMs({ delayMinMs, delayMaxMs }: LinkState): number {
    return this.random.between(delayMinMs, delayMaxMs);
  }

  send(from: Endpoint, message: Message): void {
    const { coverage } = this;
    if (message.type === MessageType.VOTE_RESPONSE && !message.reject) this.votes.onVote(from.id, message);
    if (message.type === MessageType.TIMEOUT_NOW) coverage.count("transfers under way");
    const link = this.link(from.id, message.to);
    if (link.isCut || !this.#endpoints.has(message.to)) {
      coverage.count("messages cut off");
      // Not always: a connection may look alive for long.
      if (this.random.chance(0.5)) from.time.run(BREAK_NOTICED_MS, () => from.handler.reportUnreachable(message.to));
      return;
    }
    if (this.random.chance(link.lossRate)) {
      coverage.count("messages lost");
      if (this.random.chance(0.2)) from.time.run(BREAK_NOTICED_MS, () => from.handler.reportUnreachable(message.to));
      return;
    }
    this.#deliver(from, message, this.delayMs(link));
    // A proposal that came twice would be carried out twice, as in etcd: its transport may never double that one.
    if (message.type === MessageType.PROPOSAL || !this.random.chance(link.duplicationRate)) return;
    coverage.count("messages doubled");
    this.#deliver(from, message, this.delayMs(link) * 3);
  }

  transfer(from: Endpoint, message: Message, view: SnapshotView): Promise<boolean> {
    const to = this.#endpoints.get(message.to);
    if (to === undefined || !this.isReachable(from.id, message.to)) {
      this.coverage.count("snapshots not deliverable");
      return new Promise((resolve) => void from.time.run(BREAK_NOTICED_MS, () => resolve(false)));
    }
    this.coverage.count("snapshots sent");
    const transfer = new SnapshotTransfer(this, from, to, message, view);
    this.#transfers.add(transfer);
    return transfer.run().finally(() => this.#transfers.delete(transfer));
  }

  /** A question and its answer, or undefined where one of them does not get through. */
  ask(from: Endpoint, to: bigint, question: Question, timeoutMs: number): Promise<Answer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    from.time.run(timeoutMs, () => resolve(undefined));
    this.scheduler.after(this.delayMs(this.link(from.id, to)), () => {
      const target = this.#endpoints.get(to);
      if (target === undefined || !this.isReachable(from.id, to)) return;
      target.time.run(0, () => {
        target.handler.answer(question).then((answer) => {
          if (!this.isReachable(from.id, to)) return;
          from.time.run(this.delayMs(this.link(to, from.id)), () => resolve(answer));
        });
      });
    });
    return promise;
  }

  /** Breaks what no longer gets through. To be called when links were cut. */
  breakTransfers(): void {
    for (const transfer of this.#transfers) {
      if (!this.isReachable(transfer.from.id, transfer.to.id)) this.breakTransfer(transfer);
    }
  }

  breakTransfer(transfer: SnapshotTransfer): void {
    this.#transfers.delete(transfer);
    this.coverage.count("snapshots broken off");
    this.scheduler.after(BREAK_NOTICED_MS, () => transfer.break());
  }

  #deliver(from: Endpoint, message: Message, delayMs: number): void {
    this.scheduler.after(delayMs, () => {
      const to = this.#endpoints.get(message.to);
      // Cut meanwhile, or the process has ended.
      if (to === undefined || this.link(from.id, message.to).isCut) return this.coverage.count("messages cut off");
      to.time.runNow(() => {
        if (this.#endpoints.get(message.to) !== to) return;
        if (to.clusterId !== from.clusterId) return;
        if (to.handler.isRemoved(from.id)) {
          this.coverage.count("messages from removed members");
          from.time.run(1, () => from.handler.reportRemoved());
          return;
        }
        this.coverage.count("messages delivered");
        to.heardFrom.add(from.id);
        // What a member takes in is its own.
        to.handler.receive({ ...message, entries: message.entries.slice() });
      });
    });
  }
}

/** One process's way to the others. */
export class SimulatedTransport implements Transport {
  readonly #network: Network;
  readonly #time: ProcessTime;
  readonly #peers = new Set<bigint>();
  readonly #sinceMs = new Map<bigint, number>();
  #endpoint: Endpoint | undefined;

  constructor(network: Network, time: ProcessTime) {
    this.#network = network;
    this.#time = time;
  }

  start(id: bigint, clusterId: bigint, handler: TransportHandler): void {
    this.#endpoint = { id, clusterId, handler, time: this.#time, heardFrom: new Set() };
    this.#network.attach(this.#endpoint);
  }

  stop(): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  /** The process is gone, or has let go of the network. */
  end(): void {
    if (this.#endpoint !== undefined) this.#network.detach(this.#endpoint);
    this.#endpoint = undefined;
  }

  addPeer(id: bigint): void {
    this.#peers.add(id);
  }

  updatePeer(): void {}

  removePeer(id: bigint): void {
    this.#peers.delete(id);
  }

  send(messages: readonly Message[]): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    for (const message of messages) {
      if (this.#peers.has(message.to) || endpoint.heardFrom.has(message.to)) this.#network.send(endpoint, message);
    }
  }

  sendSnapshot(message: Message, view: SnapshotView): Promise<boolean> {
    const endpoint = this.#endpoint;
    if (endpoint === undefined || !this.#peers.has(message.to)) return Promise.resolve(false);
    return this.#network.transfer(endpoint, message, view);
  }

  ask(to: bigint, question: Question, timeoutMs: number): Promise<Answer | undefined> {
    const endpoint = this.#endpoint;
    if (endpoint === undefined || !this.#peers.has(to)) return Promise.resolve(undefined);
    return this.#network.ask(endpoint, to, question, timeoutMs);
  }

  activeSinceMs(id: bigint): number | undefined {
    const endpoint = this.#endpoint;
    if (endpoint === undefined || !this.#peers.has(id) || !this.#network.isReachable(endpoint.id, id)) {
      this.#sinceMs.delete(id);
      return undefined;
    }
    const known = this.#sinceMs.get(id);
    if (known !== undefined) return known;
    const nowMs = this.#time.monotonicMs();
    this.#sinceMs.set(id, nowMs);
    return nowMs;
  }

  versionOf(id: bigint): string | undefined {
    return this.activeSinceMs(id) === undefined ? undefined : "3.7.1";
  }
}
