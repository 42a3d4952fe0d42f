/** A machine: its disk, its clocks, and the member's process that runs on it, one after the other. */

import { services } from "../../../src/api/mod.ts";
import type { ByteStream } from "../../../src/io/net.ts";
import type { Method } from "../../../src/io/rpc.ts";
import { systemCrypto } from "../../../src/io/system/mod.ts";
import { ETCD_VERSION } from "../../../src/base/version.ts";
import {
  beginNewCluster,
  type ClusterOrigin,
  type InitialMember,
  joinExistingCluster,
  JoiningError,
  Member,
  type MemberOptions,
  MemberRemovedError,
} from "../../../src/member/mod.ts";
import { PeerTransport, urlAsker } from "../../../src/peer/mod.ts";
import { Budget } from "../../../src/rpc/http2/mod.ts";
import { type Fault, type Operation, SimulatedDisk, type SimulatedDiskOptions } from "../../harness/simulated_disk.ts";
import type { SimulatedHost } from "../../harness/simulated_network.ts";
import { MachineTime, ProcessTime } from "./clock.ts";
import { MemberObserver } from "./observer.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** Small, so that a minute of few clients fills segments, makes checkpoints, and leaves followers too far behind. */
const WAL_SEGMENT_SIZE = 16 * 1024;
const SNAPSHOT_COUNT = 40;
const CATCH_UP_ENTRIES = 15;
const CHECKPOINT_LOG_SIZE = 2048;
/** Half as many heartbeats as etcd's default has, in about the same time until an election. */
export const TICK_MS = 200;
export const ELECTION_TICKS = 6;
/** So small that compactions empty some, and move what is left in others. */
const SLAB_SIZE = 16 * 1024;
const REQUEST_SIZE_MAX = 64 * 1024;
const MEMORY_BUDGET = 16 << 20;
const LEARNERS_MAX = 2;
/** Where members listen for one another. */
export const PEER_PORTS = [2380, 2381];
const TOKEN = "simulated";
/** A member that only the other cluster has. */
const ELSEWHERE: InitialMember = { name: "elsewhere", peerUrls: ["http://elsewhere:2380"] };

/** What the disk does for the time being. */
export interface DiskState {
  /** Milliseconds that a sync takes, at most; everything else takes a tenth. */
  syncMs: number;
  /** Nothing is done before then. */
  stalledUntilMs: number;
}

const GOOD_DISK: DiskState = { syncMs: 2, stalledUntilMs: 0 };

/** What somebody has mounted by mistake, where the member's data should be. */
export type WrongVolume = "empty volume" | "volume of another cluster";

/** A member's process, from its start to its end. */
export class Process {
  readonly machine: Machine;
  readonly time: ProcessTime;
  readonly host: SimulatedHost;
  readonly observer: MemberObserver;
  /** What it runs on instead of the member's data. */
  readonly wrongVolume: WrongVolume | undefined;
  /** Its way to the others. */
  transport: PeerTransport | undefined;
  /** Once it is started. */
  member: Member | undefined;
  methods: ReadonlyMap<string, Method> = new Map();
  /** It was told to stop. */
  isStopping = false;
  /** A disk operation was made to fail: the member may end itself. */
  hasFailedDisk = false;

  constructor(machine: Machine, time: ProcessTime, host: SimulatedHost, observer: MemberObserver) {
    this.machine = machine;
    this.time = time;
    this.host = host;
    this.observer = observer;
    this.wrongVolume = machine.wrongVolume;
  }

  /** Clients may ask it. */
  get isReady(): boolean {
    return this.member !== undefined && !this.isStopping && !this.time.isEnded && this.wrongVolume === undefined;
  }
}

export class Machine {
  readonly name: string;
  readonly clientUrl: string;
  readonly time: MachineTime;
  disk: SimulatedDisk;
  readonly diskState: DiskState = { ...GOOD_DISK };
  /** The next fault of the disk, and the operations before it. */
  #armed: { fault: Fault; operationsLeft: number } | undefined;
  process: Process | undefined;
  /** It was to start again while the process, told to stop, had not ended. */
  #isStartDue = false;
  /** Its member was removed from the cluster, or is about to be: it is not started any more. */
  isRetired = false;
  /** Known once it has been a member. */
  memberId: bigint | undefined;
  readonly #world: World;
  readonly #random: Random;
  /** It comes to a cluster that is there already; otherwise it begins with it. */
  readonly #isJoining: boolean;
  /** The member's own disk, while something else is in its place. */
  #rightDisk: SimulatedDisk | undefined;
  #wrongVolume: WrongVolume | undefined;
  /** The members that a start on it is told of. */
  #wrongMembers: readonly InitialMember[] = [];

  constructor(world: World, name: string, isJoining: boolean, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#isJoining = isJoining;
    this.name = name;
    this.clientUrl = `http://${name}:2379`;
    this.time = new MachineTime(world.scheduler, random.between(0.96, 1.04), random.below(1_000_000));
    if (world.setup.hasEqualClocks) this.time.wallOffsetMs = -this.time.monotonicMs();
    this.disk = new SimulatedDisk(this.#diskOptions());
  }

  get isUp(): boolean {
    return this.process !== undefined;
  }

  get wrongVolume(): WrongVolume | undefined {
    return this.#wrongVolume;
  }

  /** Starts the member's process on what the disk holds. */
  start(): void {
    const world = this.#world;
    if (this.process?.isStopping === true) this.#isStartDue = true;
    if (this.process !== undefined || this.isRetired) return;
    this.#isStartDue = false;
    // Some processes are so slow that their turns end before their work does.
    const readingCostMs = this.#random.chance(0.15) ? this.#random.between(0.2, 3) : 0;
    const time = new ProcessTime(world.scheduler, this.time, readingCostMs, () => {
      // What is no member of this cluster is not for the checkers.
      world.entered = process.wrongVolume === undefined ? process : undefined;
    });
    const process: Process = new Process(this, time, world.network.host(this.name, time), new MemberObserver(world));
    this.process = process;
    world.coverage.count("starts");
    world.story.tell(() => `${this.name} starts${readingCostMs > 0 ? ", slowly" : ""}`);
    time.run(0, () => {
      const transport = process.transport = this.#listen(process);
      Member.start(this.#memberOptions(process, transport)).then(
        (member) => this.#onReady(process, member),
        (reason) => this.#onFatal(process, reason as Error, "could not start"),
      );
    });
  }

  /** The process ends, and is started again on something else than the member's data. */
  mountWrong(volume: WrongVolume): void {
    this.kill();
    this.#rightDisk ??= this.disk;
    this.#wrongVolume = volume;
    this.#wrongMembers = this.#world.initialMembers(this.name);
    this.disk = new SimulatedDisk(this.#diskOptions());
    this.start();
  }

  mountRight(): void {
    if (this.#rightDisk === undefined) return;
    this.kill();
    this.disk = this.#rightDisk;
    this.#rightDisk = undefined;
    this.#wrongVolume = undefined;
    this.start();
  }

  /** The power goes: what was not synced may be lost. */
  crash(): void {
    this.#end("the power goes", (host) => host.losePower());
    this.#replaceDisk(this.disk.crash(this.#diskOptions()));
  }

  /** The process is killed, and the machine runs on. */
  kill(): void {
    this.#end("is killed", (host) => host.end());
    this.#replaceDisk(this.disk.kill(this.#diskOptions()));
  }

  /** The process is told to stop, and ends when it has. */
  stop(): void {
    const process = this.process;
    if (process?.member === undefined) return this.kill();
    const { member } = process;
    // Nobody tells it twice.
    if (process.isStopping) return;
    process.isStopping = true;
    this.#world.story.tell(() => `${this.name} is told to stop`);
    this.#world.coverage.count("stops");
    process.time.run(0, () => {
      member.stop().then(() => {
        if (this.process !== process) return;
        this.kill();
        if (this.#isStartDue) this.#world.scheduler.after(0, () => this.start());
      }, (reason) => this.#onFatal(process, reason as Error, "could not stop"));
    });
  }

  /** The power goes, or an operation fails, after so many more disk operations. */
  armDisk(fault: Fault, operationsLeft: number): void {
    this.#armed = { fault, operationsLeft };
  }

  healDisk(): void {
    this.#armed = undefined;
    Object.assign(this.diskState, GOOD_DISK);
  }

  /** Hands out the services once the member can be asked. */
  #onReady(process: Process, member: Member): void {
    const world = this.#world;
    if (process.time.isEnded) return;
    process.member = member;
    if (process.wrongVolume === "empty volume") {
      world.violation(`${this.name} runs on an empty volume under its old identity`);
    }
    if (process.wrongVolume !== undefined) return;
    this.memberId = member.id;
    const methods = services(member, {
      txnOperationsMax: 128,
      requestSizeMax: REQUEST_SIZE_MAX,
      watchProgressIntervalMs: 5000,
      budget: new Budget(MEMORY_BUDGET),
      clock: process.time,
      crypto: systemCrypto,
      log: world.log(this.name),
      warningUnaryMs: 10_000,
    });
    process.methods = new Map(methods.map((method) => [method.path, method]));
    world.story.tell(() => `${this.name} is ready as ${member.id} at revision ${member.keyspace.store.revision}`);
    process.observer.onReady(member);
  }

  #onFatal(process: Process, reason: Error, what: string): void {
    const world = this.#world;
    if (process.time.isEnded) return;
    world.story.tell(() => `${this.name} ${what}: ${reason.message}`);
    world.coverage.count("processes that ended themselves");
    if (!process.hasFailedDisk && !this.isRetired && !this.#isExpected(process, reason)) {
      world.violation(`${this.name} ${what}: ${reason.stack ?? reason.message}`);
    }
    if (reason instanceof MemberRemovedError) this.isRetired = true;
    this.kill();
    world.restartLater(this);
  }

  #isExpected({ wrongVolume }: Process, reason: Error): boolean {
    if (wrongVolume === undefined && reason instanceof MemberRemovedError) return true;
    if (!(reason instanceof JoiningError)) return false;
    this.#world.coverage.count(`starts refused${wrongVolume === undefined ? "" : `: ${wrongVolume}`}`);
    if (wrongVolume !== undefined) return wrongVolume === "empty volume";
    // Who is to join may find nobody, or a membership that has changed since. Nobody forgets what it has begun.
    return this.#isJoining && !reason.message.includes("already been bootstrapped");
  }

  #end(what: string, end: (host: SimulatedHost) => void): void {
    const { process } = this;
    if (process === undefined) return;
    this.#world.story.tell(() => `${this.name}: ${what}`);
    process.time.end();
    end(process.host);
    this.process = undefined;
    this.#world.onProcessEnd(process);
  }

  #replaceDisk(disk: SimulatedDisk): void {
    this.disk = disk;
    this.#armed = undefined;
    this.diskState.stalledUntilMs = 0;
  }

  /** Opens the peer ports. Who comes before the member has started is told so. */
  #listen({ host, time }: Process): PeerTransport {
    const { peerTimeoutMs } = this.#world.setup;
    const transport = new PeerTransport({
      network: host,
      clock: time,
      log: this.#world.log(this.name),
      peerUrls: [peerUrlOf(this.name)],
      version: ETCD_VERSION,
      electionTimeoutMs: TICK_MS * ELECTION_TICKS,
      readTimeoutMs: peerTimeoutMs,
      writeTimeoutMs: peerTimeoutMs,
    });
    const acceptor = { onStream: (stream: ByteStream) => transport.serve(stream), onStreamClosed() {} };
    for (const port of PEER_PORTS) void host.listen({ host: this.name, port }, acceptor);
    return transport;
  }

  /** As the operator's flags have it, who asks the others first. */
  #origin({ host, time, wrongVolume }: Process): Promise<ClusterOrigin> {
    const world = this.#world;
    const parts = {
      clock: time,
      crypto: systemCrypto,
      log: world.log(this.name),
      network: host,
      ask: urlAsker({ network: host, clock: time }),
      name: this.name,
      initial: this.#initialMembers(wrongVolume),
      clusterToken: this.#token(wrongVolume),
      learnersMax: LEARNERS_MAX,
      requestTimeoutMs: 5000 + 2 * TICK_MS * ELECTION_TICKS,
    };
    const isJoining = wrongVolume === undefined ? this.#isJoining : wrongVolume === "empty volume";
    return isJoining ? joinExistingCluster(parts) : beginNewCluster(parts);
  }

  #initialMembers(wrongVolume: WrongVolume | undefined): readonly InitialMember[] {
    // Whoever begins a cluster starts with the same flags until it has begun.
    const members = wrongVolume === undefined ? this.#world.initialMembers(this.name) : this.#wrongMembers;
    // Else whoever asks this one could join the other cluster, as the members that it was told of would be there.
    return wrongVolume === "volume of another cluster" ? [...members, ELSEWHERE] : members;
  }

  #token(wrongVolume: WrongVolume | undefined): string {
    return wrongVolume === "volume of another cluster" ? "another" : TOKEN;
  }

  #memberOptions(process: Process, transport: PeerTransport): MemberOptions {
    const world = this.#world;
    const { strictReconfigCheck, leaseCheckpointIntervalMs, corruptionChecks } = world.setup;
    return {
      disk: this.disk,
      clock: process.time,
      crypto: systemCrypto,
      entropy: this.#random.branch("entropy"),
      log: world.log(this.name),
      name: this.name,
      dataDirectory: "data",
      walDirectory: "",
      walSegmentSize: WAL_SEGMENT_SIZE,
      peerUrls: [peerUrlOf(this.name)],
      clientUrls: [this.clientUrl],
      clusterToken: this.#token(process.wrongVolume),
      transport,
      origin: () => this.#origin(process),
      tickMs: TICK_MS,
      electionTicks: ELECTION_TICKS,
      strictReconfigCheck,
      learnersMax: LEARNERS_MAX,
      leaseCheckpointIntervalMs,
      corruptionChecks,
      snapshotCatchUpEntries: CATCH_UP_ENTRIES,
      snapshotCount: SNAPSHOT_COUNT,
      checkpointLogSize: CHECKPOINT_LOG_SIZE,
      slabSize: SLAB_SIZE,
      walsMax: 5,
      snapshotsMax: 5,
      requestSizeMax: REQUEST_SIZE_MAX,
      warningApplyMs: 0,
      compactionBatchLimit: 10,
      compactionSleepMs: 0,
      onFatal: (reason) => this.#onFatal(process, reason, "gives up"),
    };
  }

  #diskOptions(): SimulatedDiskOptions {
    return {
      seed: this.#random.below(0xffffffff),
      fault: (operation) => this.#faultOf(operation),
      latency: (operation) => this.#latencyOf(operation),
    };
  }

  #faultOf(operation: Operation): Fault | undefined {
    const armed = this.#armed;
    if (armed === undefined || armed.operationsLeft-- > 0) return undefined;
    const { fault } = armed;
    this.#armed = undefined;
    this.#world.story.tell(() => `${this.name}: ${JSON.stringify(fault)} at ${operation.kind} of ${operation.path}`);
    this.#world.coverage.count(typeof fault === "string" ? `power gone at a disk operation` : "disk operations failed");
    if (typeof fault === "object") {
      if (this.process !== undefined) this.process.hasFailedDisk = true;
    } else this.#world.onPowerLoss(this);
    return fault;
  }

  #latencyOf({ kind }: Operation): Promise<void> {
    const { process, diskState } = this;
    const worstMs = kind === "sync" || kind === "sync-directory" ? diskState.syncMs : diskState.syncMs / 10;
    const delayMs = this.#random.between(worstMs / 10, worstMs);
    const stalledMs = Math.max(0, diskState.stalledUntilMs - this.#world.scheduler.nowMs);
    return new Promise((resolve) => void process?.time.run(stalledMs + delayMs, resolve));
  }
}

export function peerUrlOf(name: string, port = PEER_PORTS[0]): string {
  return `http://${name}:${port}`;
}
