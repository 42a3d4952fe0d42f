/** Real members on simulated disks, one clock and a network in memory that can be cut. */
import { create, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES } from "../../src/base/bytes.ts";
import { LeaseGrantRequestSchema } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Member, type MemberOptions } from "../../src/member/mod.ts";
import type { Answer, Question, SnapshotView, Transport, TransportHandler } from "../../src/peer/mod.ts";
import type { Message } from "../../src/raft/mod.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { MEMBER_DEFAULTS, seededEntropy } from "./member.ts";
import { SimulatedClock } from "./simulated_clock.ts";
import { SimulatedDisk, type SimulatedDiskOptions } from "./simulated_disk.ts";

/** Milliseconds from one member to another. */
const DELAY_MS = 1;
const PIECE_SIZE = 4096;

interface Endpoint {
  readonly handler: TransportHandler;
}

/** Carries messages between the members that are attached; each direction of each pair can be cut. */
export class MemoryNetwork {
  readonly clock: SimulatedClock;
  readonly endpoints = new Map<bigint, Endpoint>();
  readonly #cuts = new Set<string>();
  /** Decides over every message; by default all get through. */
  filter: (message: Message) => boolean = () => true;
  snapshotCount = 0;

  constructor(clock: SimulatedClock) {
    this.clock = clock;
  }

  cut(from: bigint, to: bigint): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Nobody reaches this member, and it reaches nobody. */
  isolate(id: bigint, others: Iterable<bigint>): void {
    for (const other of others) {
      this.cut(id, other);
      this.cut(other, id);
    }
  }

  heal(): void {
    this.#cuts.clear();
  }

  isOpen(from: bigint, to: bigint): boolean {
    return this.endpoints.has(from) && this.endpoints.has(to) && !this.#cuts.has(`${from}>${to}`);
  }
}

class MemoryTransport implements Transport {
  readonly #network: MemoryNetwork;
  readonly #peers = new Set<bigint>();
  #id = 0n;
  #endpoint: Endpoint | undefined;

  constructor(network: MemoryNetwork) {
    this.#network = network;
  }

  start(id: bigint, _clusterId: bigint, handler: TransportHandler): void {
    this.#id = id;
    this.#endpoint = { handler };
    this.#network.endpoints.set(id, this.#endpoint);
  }

  stop(): Promise<void> {
    if (this.#isAttached) this.#network.endpoints.delete(this.#id);
    return Promise.resolve();
  }

  /** False for a process that was ended, or that another has followed. */
  get #isAttached(): boolean {
    return this.#endpoint !== undefined && this.#network.endpoints.get(this.#id) === this.#endpoint;
  }

  addPeer(id: bigint): void {
    this.#peers.add(id);
  }

  updatePeer(): void {}

  removePeer(id: bigint): void {
    this.#peers.delete(id);
  }

  send(messages: readonly Message[]): void {
    const network = this.#network;
    const from = this.#endpoint;
    if (from === undefined || !this.#isAttached) return;
    for (const message of messages) {
      if (!this.#peers.has(message.to) || !network.filter(message)) continue;
      network.clock.after(DELAY_MS, () => {
        const to = network.endpoints.get(message.to);
        if (to === undefined || !network.isOpen(this.#id, message.to)) {
          return from.handler.reportUnreachable(message.to);
        }
        if (to.handler.isRemoved(this.#id)) from.handler.reportRemoved();
        else to.handler.receive(message);
      });
    }
  }

  async sendSnapshot(message: Message, view: SnapshotView): Promise<boolean> {
    const network = this.#network;
    const to = network.endpoints.get(message.to);
    if (to === undefined || !network.isOpen(this.#id, message.to)) return false;
    network.snapshotCount++;
    try {
      await to.handler.receiveSnapshot(message, this.#pieces(message.to, view));
      return true;
    } catch {
      return false;
    }
  }

  async ask(to: bigint, question: Question): Promise<Answer | undefined> {
    const { endpoints } = this.#network;
    return this.#network.isOpen(this.#id, to) ? await endpoints.get(to)!.handler.answer(question) : undefined;
  }

  activeSinceMs(id: bigint): number | undefined {
    return this.#peers.has(id) && this.#network.isOpen(this.#id, id) ? 0 : undefined;
  }

  versionOf(id: bigint): string | undefined {
    return this.activeSinceMs(id) === undefined ? undefined : "3.7.1";
  }

  async *#pieces(to: bigint, view: SnapshotView): AsyncGenerator<Uint8Array> {
    for (let position = 0; position < view.size; position += PIECE_SIZE) {
      if (!this.#network.isOpen(this.#id, to)) throw new Error("the connection was lost");
      const piece = new Uint8Array(Math.min(PIECE_SIZE, view.size - position));
      yield piece.subarray(0, await view.read(piece, position));
    }
  }
}

/** One machine of a cluster: its disk outlives the member's process. */
export class ClusterMember {
  readonly name: string;
  disk: SimulatedDisk;
  /** While its process runs. */
  member: Member | undefined;
  /** Why it could not go on. */
  readonly fatal: Error[] = [];

  constructor(name: string, disk: SimulatedDisk) {
    this.name = name;
    this.disk = disk;
  }

  get running(): Member {
    if (this.member === undefined) throw new Error(`${this.name} does not run`);
    return this.member;
  }
}

export class Cluster {
  readonly clock = new SimulatedClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly machines: ClusterMember[] = [];
  readonly #options: Partial<MemberOptions>;
  readonly #initial: { readonly name: string; readonly peerUrls: readonly string[] }[] = [];
  readonly #seed: number;

  private constructor(seed: number, options: Partial<MemberOptions>) {
    this.#seed = seed;
    this.#options = options;
  }

  /** Starts so many members as a new cluster, and waits until all are ready. */
  static async start(count: number, options: Partial<MemberOptions> = {}, seed = 1): Promise<Cluster> {
    const cluster = new Cluster(seed, options);
    for (let i = 1; i <= count; i++) cluster.#initial.push({ name: `m${i}`, peerUrls: [peerUrl(`m${i}`)] });
    for (const { name } of cluster.#initial) cluster.#place(name);
    await cluster.clock.run(Promise.all(cluster.machines.map((machine) => cluster.begin(machine))));
    await cluster.ready();
    return cluster;
  }

  /** Runs a member on what its disk holds. */
  async begin(machine: ClusterMember, options: Partial<MemberOptions> = {}): Promise<void> {
    machine.member = await Member.start({
      ...MEMBER_DEFAULTS,
      disk: machine.disk,
      clock: this.clock,
      entropy: seededEntropy(this.#seed * 100 + this.machines.indexOf(machine)),
      name: machine.name,
      peerUrls: [peerUrl(machine.name)],
      clientUrls: [`http://${machine.name}:2379`],
      clusterToken: "test",
      transport: new MemoryTransport(this.network),
      origin: () => Promise.resolve({ initial: this.#initial }),
      warningApplyMs: 0,
      onFatal: (reason) => machine.fatal.push(reason),
      ...this.#options,
      ...options,
    });
  }

  /** Its member has ended; it gets a new disk. */
  wipe(machine: ClusterMember): void {
    machine.disk = new SimulatedDisk({ seed: this.#seed + 1000 });
  }

  /** Restarts a machine whose member has ended. */
  async restart(machine: ClusterMember): Promise<void> {
    await this.clock.run(this.begin(machine));
  }

  /** Adds a machine as a member of the cluster, by asking `through`; it is started, and takes part when it is ready. */
  async add(name: string, isLearner: boolean, through: ClusterMember): Promise<ClusterMember> {
    let memberId = 0n;
    const error = await this.clockUntilSettled<string | undefined>((settle) => {
      memberId = through.running.addMember([peerUrl(name)], isLearner, (_, reason) => settle(reason));
    });
    if (error !== undefined) throw new Error(error);
    const machine = this.#place(name);
    const { clusterId, membership } = through.running;
    const existing = { clusterId, memberId, members: membership.list() };
    await this.clock.run(this.begin(machine, { origin: () => Promise.resolve({ existing }) }));
    return machine;
  }

  /** Ends a process as a loss of power does; `options` are those of the disk in its next life. */
  crash(machine: ClusterMember, options: SimulatedDiskOptions = { seed: 1 }): void {
    const { member } = machine;
    machine.disk = machine.disk.crash(options);
    if (member === undefined) return;
    this.network.endpoints.delete(member.id);
    machine.member = undefined;
    // Its timers would go on; without a disk nothing that it does counts.
    member.stop().catch(() => {});
  }

  async stop(machine: ClusterMember, transfersLeadership = false): Promise<void> {
    await this.wait(machine.running.stop({ transfersLeadership }));
    machine.member = undefined;
    machine.disk = machine.disk.kill({ seed: 1 });
  }

  async stopAll(): Promise<void> {
    for (const machine of this.machines) if (machine.member !== undefined) await this.stop(machine);
  }

  async ready(): Promise<void> {
    await this.wait(Promise.all(this.machines.map(({ member }) => member?.whenReady)));
  }

  /** Lets time pass until whoever can be reached has been for so long that changes of the membership are safe. */
  async healthy(): Promise<void> {
    await this.clock.advance(6000);
  }

  /** Puts a question to a machine, as whoever reaches its peer port. */
  ask(machine: ClusterMember, question: Partial<Question> & Pick<Question, "path">): Promise<Answer> {
    const { handler } = this.network.endpoints.get(machine.running.id)!;
    return this.wait(handler.answer({ method: "GET", contentType: "", body: EMPTY_BYTES, ...question }));
  }

  /** Lets time pass until a promise has settled. */
  async wait<T>(promise: Promise<T>, forMs = 60_000): Promise<T> {
    let isSettled = false;
    const mark = (): void => void (isSettled = true);
    promise.then(mark, mark);
    await this.until(() => isSettled, forMs);
    return await promise;
  }

  /** The same for what answers by a callback. */
  clockUntilSettled<T>(start: (settle: (value: T) => void) => void): Promise<T> {
    return this.wait(new Promise<T>((resolve) => start(resolve)));
  }

  /** Lets time pass until something is so. */
  async until(isSo: () => boolean, forMs = 60_000): Promise<void> {
    for (const endMs = this.clock.nowMs + forMs; !isSo();) {
      if (this.clock.nowMs >= endMs) throw new Error(`it has not come to that in ${forMs} ms`);
      await this.clock.advance(5);
    }
  }

  /** The machine whose member leads, as it knows itself; with several, the one of the latest term. */
  leader(): ClusterMember | undefined {
    const leaders = this.machines.filter(({ member }) => member?.isLeader);
    return leaders.sort((a, b) => b.running.raftTerm - a.running.raftTerm)[0];
  }

  async untilLeader(isSo: (machine: ClusterMember) => boolean = () => true): Promise<ClusterMember> {
    await this.until(() => this.leader() !== undefined && isSo(this.leader()!));
    return this.leader()!;
  }

  others(machine: ClusterMember): ClusterMember[] {
    return this.machines.filter((other) => other !== machine);
  }

  /** Grants a lease through a machine. */
  async grant({ running }: ClusterMember, id: bigint, ttl: number): Promise<void> {
    const request = create(LeaseGrantRequestSchema, { ID: id, TTL: BigInt(ttl) });
    const body = toBinary(LeaseGrantRequestSchema, request);
    const error = await this.clockUntilSettled<string | undefined>((settle) =>
      running.propose(RaftOperation.LEASE_GRANT, body, (outcome, reason) => settle(reason ?? outcome?.error))
    );
    if (error !== undefined) throw new Error(error);
  }

  /** Cuts a machine off from all others. */
  isolate(machine: ClusterMember): void {
    this.network.isolate(machine.running.id, this.network.endpoints.keys());
  }

  #place(name: string): ClusterMember {
    const machine = new ClusterMember(name, new SimulatedDisk({ seed: this.#seed + this.machines.length }));
    this.machines.push(machine);
    return machine;
  }
}

export function peerUrl(name: string): string {
  return `http://${name}:2380`;
}
