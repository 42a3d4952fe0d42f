/**
 * One simulated world: a cluster of whole members on machines of its own, clients, an operator, and whatever breaks, all
 * on one scheduler and from one seed. It runs through three times: faults; healing, until all members agree; and rest,
 * in which leases run out and nothing may go wrong any more.
 */

import type { Logger } from "../../../src/io/log.ts";
import type { InitialMember, Member } from "../../../src/member/mod.ts";
import type { Member as ClusterMember } from "../../../src/membership/mod.ts";
import { SimulatedNetwork } from "../../harness/simulated_network.ts";
import { type Moment, newObservations, type Observations } from "../observations.ts";
import { Client } from "./client.ts";
import type { PendingCall } from "./connection.ts";
import { Coverage } from "./coverage.ts";
import { Faults } from "./faults.ts";
import { Machine, peerUrlOf, type Process } from "./machine.ts";
import { memberLog } from "./member_log.ts";
import { observe } from "./observer.ts";
import { Operator } from "./operator.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { drawSetup, type Setup } from "./setup.ts";
import { Story } from "./story.ts";
import { Votes } from "./votes.ts";
import { WatchClient } from "./watch_client.ts";
import { Workload } from "./workload.ts";

export interface WorldOptions {
  readonly seed: number;
  /** Write down what happens for people. */
  readonly tellsStory: boolean;
}

export const MEMBERS_MIN = 3;
const CLIENT_COUNT = 5;
const WATCHER_COUNT = 3;
export const OPERATIONS_MIN = 300;
export const FAULTS_MIN = 10;
export const SIMULATED_MS_MIN = 60_000;

/** Members have this long to find each other before anything is broken. */
const FAULTS_START_MS = 2500;
const FAULTS_END_MS = 46_000;
/** Everything healed, all members must agree within this time. */
const CONVERGENCE_MS = 40_000;
/** From then on that all members agreed for the first time, until nothing is late any more. */
const SETTLING_MS = 3000;
/** Long enough for every lease to run out. */
const REST_MS = 12_500;
const LOOK_MS = 50;
/** To and from one other machine: streams and their successors, probes, questions, and what is kept for the next ones. */
const CONNECTIONS_MAX = 16;

export class World {
  readonly seed: number;
  readonly scheduler = new Scheduler();
  readonly coverage = new Coverage();
  readonly observations: Observations = newObservations();
  readonly story: Story;
  readonly setup: Setup;
  readonly network: SimulatedNetwork;
  readonly votes = new Votes((text) => this.violation(text));
  readonly workload: Workload;
  readonly machines: Machine[] = [];
  readonly calls = new Set<PendingCall>();
  /** What was seen to be wrong at once; the checkers find the rest. */
  readonly violations: string[] = [];
  /** The process that ran last. */
  entered: Process | undefined;
  faultCount = 0;
  readonly #random: Random;
  readonly #watchers: WatchClient[] = [];
  readonly #leasesEnded = new Set<bigint>();
  readonly #names = new Map<bigint, string>();
  /** The newest membership that was seen, as an operator would write it down. */
  #known: InitialMember[] = [];
  #moment = 0;
  #appliedMax = 0;
  /** Nothing is broken any more. */
  isHealed = false;

  constructor({ seed, tellsStory }: WorldOptions) {
    this.seed = seed;
    this.#random = new Random(seed);
    this.story = new Story(tellsStory, () => this.scheduler.nowMs);
    this.setup = drawSetup(this.#random.branch("setup"));
    this.network = new SimulatedNetwork({
      scheduler: this.scheduler,
      random: this.#random.branch("network"),
      giveUpMs: this.setup.connectionGiveUpMs,
      count: (what) => this.coverage.count(`network: ${what}`),
    });
    this.workload = new Workload(this.#random.branch("workload"));
    for (let i = 1; i <= this.setup.memberCount; i++) {
      const name = `m${i}`;
      this.#known.push({ name, peerUrls: [peerUrlOf(name)] });
      this.machines.push(new Machine(this, name, false, this.#random.branch(name)));
    }
  }

  /** Lives through all of it. Afterwards `violations` and `observations` say what happened. */
  run(): void {
    observe(this);
    try {
      this.#live();
    } catch (error) {
      this.violation(`thrown out of an event: ${error instanceof Error ? error.stack : error}`);
    } finally {
      for (const { process } of this.machines) process?.time.end();
      observe(undefined);
    }
  }

  nextMoment(): Moment {
    return ++this.#moment;
  }

  violation(text: string): void {
    this.story.tell(() => `VIOLATION: ${text}`);
    this.violations.push(text);
  }

  log(name: string): Logger {
    return memberLog(name, this.story, this.coverage);
  }

  nameOf(id: bigint): string {
    let name = this.#names.get(id);
    if (name === undefined) {
      name = this.machines.find(({ memberId }) => memberId === id)?.name;
      if (name === undefined) return `${id}`;
      this.#names.set(id, name);
    }
    return name;
  }

  /** How long a message takes between a client and a member. */
  clientDelayMs(): number {
    return this.#random.between(0.1, 1.5);
  }

  readyProcess(random: Random): Process | undefined {
    const ready = this.#ready();
    return ready.length === 0 ? undefined : random.pick(ready);
  }

  /** A ready process that takes itself for the leader. */
  leadingProcess(random: Random): Process | undefined {
    const leading = this.#ready().filter(({ observer }) => observer.raft?.role === "leader");
    return leading.length === 0 ? undefined : random.pick(leading);
  }

  anyMember(): Member | undefined {
    return this.#ready()[0]?.member;
  }

  leaderMachine(): Machine | undefined {
    let leader: Machine | undefined;
    let term = -1;
    for (const machine of this.machines) {
      const raft = machine.process?.observer.raft;
      if (raft === undefined || raft.role !== "leader" || raft.term <= term) continue;
      leader = machine;
      term = raft.term;
    }
    return leader;
  }

  /** The members as the one knows them that has applied most; none while nobody is ready who knows as much as was known. */
  newestMembers(): ClusterMember[] {
    let newest: Member | undefined;
    for (const { member } of this.#ready()) {
      if (newest === undefined || member!.raftStatus.appliedIndex > newest.raftStatus.appliedIndex) newest = member;
    }
    // Those who know more may be down at present.
    if (newest === undefined || newest.raftStatus.appliedIndex < this.#appliedMax) return [];
    this.#appliedMax = newest.raftStatus.appliedIndex;
    const members = newest.membership.list();
    if (members.length > 0) this.#known = members.map(({ peerUrls }) => ({ name: nameOf(peerUrls[0]), peerUrls }));
    return members;
  }

  /** What is given to the machine of that name as its cluster. */
  initialMembers(name: string): readonly InitialMember[] {
    const known = this.#known;
    return known.some((member) => member.name === name) ? known : [...known, { name, peerUrls: [peerUrlOf(name)] }];
  }

  leaseEnded(id: bigint, revision: number): void {
    if (this.#leasesEnded.has(id)) return;
    this.#leasesEnded.add(id);
    this.coverage.count("leases ended");
    this.observations.leaseEnds.push({ moment: this.nextMoment(), ms: this.scheduler.nowMs, id, revision });
    this.story.tell(() => `lease ${id} ends at revision ${revision}`);
  }

  /** Snapshots are rare and quick: some are broken off on purpose. */
  onSendSnapshot(from: bigint, to: bigint): void {
    if (this.isHealed || !this.#random.chance(0.2)) return;
    this.scheduler.after(this.#random.between(0, 20), () => this.network.reset(this.nameOf(from), this.nameOf(to)));
  }

  onProcessEnd(process: Process): void {
    for (const call of this.calls) if (call.process === process) call.fail();
    for (const watcher of this.#watchers) watcher.onProcessEnd(process);
  }

  /** A disk has cut its own power, in the middle of an event: the machine is off from now on. */
  onPowerLoss(machine: Machine): void {
    const { process } = machine;
    process?.time.end();
    this.scheduler.after(0, () => {
      if (machine.process !== process) return;
      machine.crash();
      this.restartLater(machine);
    });
  }

  restartLater(machine: Machine): void {
    const delayMs = this.isHealed ? 100 : 200 + this.#random.exponential(1500);
    this.scheduler.after(delayMs, () => machine.start());
  }

  #ready(): Process[] {
    const ready: Process[] = [];
    for (const { process } of this.machines) if (process?.isReady) ready.push(process);
    return ready;
  }

  #live(): void {
    const { scheduler } = this;
    for (const machine of this.machines) machine.start();
    const random = this.#random.branch("clients");
    const clients = Array.from({ length: CLIENT_COUNT }, (_, i) => new Client(this, i + 1, random.branch(`${i}`)));
    for (let i = 0; i < WATCHER_COUNT; i++) {
      this.#watchers.push(new WatchClient(this, CLIENT_COUNT + i + 1, random.branch(`watcher ${i}`)));
    }
    const operator = new Operator(this, this.#random.branch("operator"));
    const faults = new Faults(this, this.#random.branch("faults"), FAULTS_START_MS, FAULTS_END_MS);
    scheduler.runUntil(FAULTS_END_MS);
    this.faultCount = faults.count;
    if (this.violations.length > 0) return;

    this.#heal(operator);
    const hasMembers = (): boolean => this.machines.length >= MEMBERS_MIN;
    if (!scheduler.runUntilDone(hasMembers, scheduler.nowMs + CONVERGENCE_MS, LOOK_MS)) return this.#notConverged();
    operator.stop();
    const deadlineMs = scheduler.nowMs + CONVERGENCE_MS;
    let hasAgreed = false;
    const isWorkDone = (): boolean => {
      operator.followMembership(this.newestMembers());
      this.#retire();
      for (const machine of this.machines) machine.start();
      const isConverged = this.#isConverged();
      if (isConverged && !hasAgreed) this.#onHealed();
      hasAgreed ||= isConverged;
      return this.observations.operations.length >= OPERATIONS_MIN && !operator.isBusy && isConverged;
    };
    if (!scheduler.runUntilDone(isWorkDone, deadlineMs, LOOK_MS)) return this.#notConverged();
    // In a world without faults everything is answered.
    const calmMs = scheduler.nowMs + 1000;
    scheduler.runUntil(calmMs + 1000);
    for (const client of clients) client.stop();
    const isQuiet = (): boolean => this.calls.size === 0 && this.#isConverged();
    if (!scheduler.runUntilDone(isQuiet, scheduler.nowMs + CONVERGENCE_MS, LOOK_MS)) return this.#notConverged();
    for (const { invokedMs, outcome, request } of this.observations.operations) {
      if (invokedMs < calmMs || outcome.kind !== "unknown") continue;
      this.violation(`a client had no answer to its ${request.kind} of ${invokedMs.toFixed(0)} ms, in a healed world`);
    }
    for (const watcher of this.#watchers) watcher.settle();
    scheduler.runUntil(Math.max(SIMULATED_MS_MIN - 1000, scheduler.nowMs + REST_MS));
    if (!scheduler.runUntilDone(() => this.#isConverged(), scheduler.nowMs + 5000, LOOK_MS)) {
      return this.#notConverged();
    }
    // What is on its way to watchers arrives.
    scheduler.runUntil(scheduler.nowMs + 1000);
    this.#end();
  }

  #heal(operator: Operator): void {
    this.story.tell(() => "the world is healed");
    this.isHealed = true;
    this.network.heal();
    for (const machine of this.machines) {
      machine.mountRight();
      machine.healDisk();
      machine.process?.time.resume();
    }
    operator.followMembership(this.newestMembers());
    for (const machine of this.machines) machine.start();
  }

  #onHealed(): void {
    const endMs = this.scheduler.nowMs + SETTLING_MS;
    this.observations.faults.push({ startMs: FAULTS_END_MS, endMs, what: "healing" });
  }

  /** Ends what is left of members that were removed. */
  #retire(): void {
    for (const machine of this.machines) if (machine.isRetired && machine.isUp) machine.kill();
  }

  #isConverged(): boolean {
    const members = this.newestMembers();
    if (members.length === 0 || this.leaderMachine() === undefined) return false;
    let applied = -1;
    for (const { id } of members) {
      const process = this.machines.find(({ memberId }) => memberId === id)?.process;
      if (process === undefined || !process.isReady) return false;
      const { appliedIndex, commitIndex, leader } = process.member!.raftStatus;
      if (leader === 0n || appliedIndex !== commitIndex || (applied >= 0 && appliedIndex !== applied)) return false;
      applied = appliedIndex;
    }
    return true;
  }

  #notConverged(): void {
    const states = this.machines.map(({ name, process, isRetired }) => {
      const member = process?.member;
      if (isRetired) return `${name} retired`;
      if (member === undefined) return `${name} ${process === undefined ? "down" : "starting"}`;
      const { leader, term, appliedIndex, commitIndex } = member.raftStatus;
      return `${name} leader ${this.nameOf(leader)} term ${term} applied ${appliedIndex} of ${commitIndex}`;
    });
    this.violation(
      `a healed world did not come to rest: ${this.calls.size} calls, ${this.observations.operations.length} ` +
        `operations; ${states.join("; ")}`,
    );
  }

  /** In a healed world everyone reaches everyone, over connections that are not more than it takes. */
  #checkConnections(members: readonly ClusterMember[]): void {
    for (const { name, memberId, process } of this.machines) {
      if (process === undefined) continue;
      for (const { id } of members) {
        if (id === memberId || process.transport!.activeSinceMs(id) !== undefined) continue;
        this.violation(`${name} does not know that it reaches ${this.nameOf(id)}, in a healed world`);
      }
      const { streamCount } = process.host;
      if (streamCount <= CONNECTIONS_MAX * this.machines.length) continue;
      this.violation(`${name} has ${streamCount} connections among ${this.machines.length} machines`);
    }
  }

  #end(): void {
    const { end, hashes } = this.observations;
    this.#checkConnections(this.newestMembers());
    for (const watcher of this.#watchers) watcher.finish();
    for (const { id } of this.newestMembers()) {
      const process = this.machines.find(({ memberId }) => memberId === id)?.process;
      const member = process!.member!;
      process!.observer.reportApplied();
      end.members.push({ id, revision: member.keyspace.store.revision });
      end.leases = member.keyspace.lessor.leases();
      const { applied, hash } = process!.observer.hash(member);
      hashes.push({ moment: this.nextMoment(), member: id, applied, kind: "state", hash });
    }
    end.moment = this.nextMoment();
    end.ms = this.scheduler.nowMs;
  }
}

/** The machine's name that a member's URL leads to. */
export function nameOf(peerUrl: string): string {
  return new URL(peerUrl).hostname;
}
