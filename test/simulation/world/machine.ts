/** A machine: its disk, its clocks, and the member's process that runs on it, one after the other. */

import { services } from "../../../src/api/mod.ts";
import type { Method } from "../../../src/io/rpc.ts";
import { systemCrypto } from "../../../src/io/system/mod.ts";
import { type ClusterOrigin, Member, type MemberOptions } from "../../../src/member/mod.ts";
import { Budget } from "../../../src/rpc/http2/mod.ts";
import { type Fault, type Operation, SimulatedDisk, type SimulatedDiskOptions } from "../../harness/simulated_disk.ts";
import { MachineTime, ProcessTime } from "./clock.ts";
import { SimulatedTransport } from "./network.ts";
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

/** What the disk does for the time being. */
export interface DiskState {
  /** Milliseconds that a sync takes, at most; everything else takes a tenth. */
  syncMs: number;
  /** Nothing is done before then. */
  stalledUntilMs: number;
}

const GOOD_DISK: DiskState = { syncMs: 2, stalledUntilMs: 0 };

/** A member's process, from its start to its end. */
export class Process {
  readonly machine: Machine;
  readonly time: ProcessTime;
  readonly transport: SimulatedTransport;
  readonly observer: MemberObserver;
  /** Once it is started. */
  member: Member | undefined;
  methods: ReadonlyMap<string, Method> = new Map();
  /** It was told to stop. */
  isStopping = false;
  /** A disk operation was made to fail: the member may end itself. */
  hasFailedDisk = false;

  constructor(machine: Machine, time: ProcessTime, transport: SimulatedTransport, observer: MemberObserver) {
    this.machine = machine;
    this.time = time;
    this.transport = transport;
    this.observer = observer;
  }

  get isReady(): boolean {
    return this.member !== undefined && !this.isStopping && !this.time.isEnded;
  }
}

export class Machine {
  readonly name: string;
  readonly peerUrl: string;
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
  /** How the member comes to its cluster while its disk is empty. */
  readonly #origin: ClusterOrigin;

  constructor(world: World, name: string, origin: ClusterOrigin, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#origin = origin;
    this.name = name;
    this.peerUrl = peerUrlOf(name);
    this.clientUrl = `http://${name}:2379`;
    this.time = new MachineTime(world.scheduler, random.between(0.96, 1.04), random.below(1_000_000));
    this.disk = new SimulatedDisk(this.#diskOptions());
  }

  get isUp(): boolean {
    return this.process !== undefined;
  }

  /** Starts the member's process on what the disk holds. */
  start(): void {
    const world = this.#world;
    if (this.process?.isStopping === true) this.#isStartDue = true;
    if (this.process !== undefined || this.isRetired) return;
    this.#isStartDue = false;
    // Some processes are so slow that their turns end before their work does.
    const readingCostMs = this.#random.chance(0.15) ? this.#random.between(0.2, 3) : 0;
    const time = new ProcessTime(world.scheduler, this.time, readingCostMs, () => world.entered = process);
    const observer = new MemberObserver(world);
    const process: Process = new Process(this, time, new SimulatedTransport(world.network, time), observer);
    this.process = process;
    world.coverage.count("starts");
    world.story.tell(() => `${this.name} starts${readingCostMs > 0 ? ", slowly" : ""}`);
    time.run(0, () => {
      Member.start(this.#memberOptions(process)).then(
        (member) => this.#onReady(process, member),
        (reason) => this.#onFatal(process, reason as Error, "could not start"),
      );
    });
  }

  /** The power goes: what was not synced may be lost. */
  crash(): void {
    this.#end("the power goes");
    this.#replaceDisk(this.disk.crash(this.#diskOptions()));
  }

  /** The process is killed, and the machine runs on. */
  kill(): void {
    this.#end("is killed");
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
    const isExpected = process.hasFailedDisk || this.isRetired || isRemoval(reason);
    if (!isExpected) world.violation(`${this.name} ${what}: ${reason.stack ?? reason.message}`);
    if (isRemoval(reason)) this.isRetired = true;
    this.kill();
    world.restartLater(this);
  }

  #end(what: string): void {
    const { process } = this;
    if (process === undefined) return;
    this.#world.story.tell(() => `${this.name}: ${what}`);
    process.time.end();
    process.transport.end();
    this.process = undefined;
    this.#world.onProcessEnd(process);
  }

  #replaceDisk(disk: SimulatedDisk): void {
    this.disk = disk;
    this.#armed = undefined;
    this.diskState.stalledUntilMs = 0;
  }

  #memberOptions(process: Process): MemberOptions {
    const world = this.#world;
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
      peerUrls: [this.peerUrl],
      clientUrls: [this.clientUrl],
      clusterToken: "simulated",
      transport: process.transport,
      origin: () => Promise.resolve(this.#origin),
      tickMs: TICK_MS,
      electionTicks: ELECTION_TICKS,
      // The operator goes ahead in a cluster that is not healthy: that is when changes are dangerous.
      strictReconfigCheck: false,
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

export function peerUrlOf(name: string): string {
  return `http://${name}:2380`;
}

/** A member that learns that it was removed from the cluster ends itself. */
function isRemoval({ message }: Error): boolean {
  return message.includes("removed");
}
