/** Breaks things, one after the other and several at once, until the world is healed. */

import type { ConnectionLink } from "../../harness/simulated_network.ts";
import type { SimulatedStream } from "../../harness/simulated_stream.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";
import { Stranger } from "./stranger.ts";
import { MEMBERS_MIN, type World } from "./world.ts";

/** How often each is drawn. */
const WEIGHTS = {
  "power loss": 10,
  "power loss everywhere": 2,
  "power loss at a disk operation": 10,
  "killed": 5,
  "told to stop": 4,
  "disk error": 3,
  "partition": 8,
  "member cut off": 8,
  "one-way cut": 7,
  "bad links": 8,
  "slow links": 5,
  "connections reset": 6,
  "connections broken": 6,
  "connections held up": 6,
  "pause": 7,
  "slow disk": 5,
  "stalled disk": 5,
  "clock rate": 3,
  "wall clock jump": 4,
  "garbage": 2,
  "messages of another cluster": 2,
  "forged messages": 3,
  "endless snapshot": 2,
  "empty volume": 3,
  "volume of another cluster": 3,
} as const;

type Kind = keyof typeof WEIGHTS;

/** How many a seed has, at least and at most. */
const COUNT_MIN = 14;
const COUNT_MAX = 28;
const DURATION_MS = 3500;
/** The last ones begin this long before all are over, so that each finds something to break. */
const LAST_BEFORE_END_MS = 3000;
/** While nothing is up, nothing else can be broken. */
const OUTAGE_MS_MAX = 2500;
/** Where nothing is up that could be broken. */
const RETRY_MS = 300;

export class Faults {
  readonly #world: World;
  readonly #random: Random;
  readonly #endMs: number;
  readonly #stranger: Stranger;
  count = 0;

  constructor(world: World, random: Random, startMs: number, endMs: number) {
    this.#world = world;
    this.#random = random;
    this.#endMs = endMs;
    this.#stranger = new Stranger(world, random.branch("stranger"));
    for (let left = random.within(COUNT_MIN, COUNT_MAX); left > 0; left--) {
      const kind = random.weighted(WEIGHTS);
      world.scheduler.at(random.between(startMs, endMs - LAST_BEFORE_END_MS), () => this.#begin(kind));
    }
  }

  #begin(kind: Kind): void {
    const { scheduler } = this.#world;
    if (scheduler.nowMs >= this.#endMs) return;
    const machines = this.#world.machines.filter((machine) => machine.isUp && !machine.isRetired);
    if (machines.length === 0) return void scheduler.after(RETRY_MS, () => this.#begin(kind));
    const machine = this.#random.pick(machines);
    const isOutage = machines.length === 1 || kind === "power loss everywhere";
    const durationMs = Math.min(
      200 + this.#random.exponential(DURATION_MS),
      this.#endMs - scheduler.nowMs,
      isOutage ? OUTAGE_MS_MAX : Infinity,
    );
    this.count++;
    this.#world.coverage.count(`faults: ${kind}`);
    this.#world.story.tell(() => `fault: ${kind} (${machine.name}) for ${durationMs.toFixed(0)} ms`);
    const restore = this.#break(kind, machine, machines, durationMs);
    const startMs = scheduler.nowMs;
    this.#world.observations.faults.push({ startMs, endMs: this.#endMs, what: kind });
    if (restore !== undefined) {
      scheduler.after(durationMs, () => {
        this.#world.story.tell(() => `over: ${kind} (${machine.name})`);
        restore();
      });
    }
  }

  /** Returns what ends it; undefined for what ends by itself. */
  #break(kind: Kind, machine: Machine, machines: Machine[], durationMs: number): (() => void) | undefined {
    const world = this.#world;
    const random = this.#random;
    const untilMs = world.scheduler.nowMs + durationMs;
    switch (kind) {
      case "power loss":
        machine.crash();
        return () => machine.start();
      case "power loss everywhere":
        for (const other of machines) other.crash();
        return () => {
          for (const other of machines) world.scheduler.after(random.between(0, 1500), () => other.start());
        };
      case "power loss at a disk operation":
        machine.armDisk(random.pick(["crash-before", "crash-after"]), random.below(random.pick([10, 60])));
        return undefined;
      case "killed":
        machine.kill();
        return () => machine.start();
      case "told to stop":
        machine.stop();
        return () => machine.start();
      case "disk error":
        machine.armDisk({ fail: random.pick(["EIO", "ENOSPC"]) }, random.below(20));
        return undefined;
      case "partition":
        return this.#partition(machines);
      case "member cut off": {
        const leader = world.leaderMachine() ?? machine;
        return this.#cutOff(random.chance(0.5) ? leader : machine, machines);
      }
      case "one-way cut":
        return this.#change(machine, machines, random.chance(0.5) ? "from" : "to", (link) => link.isCut = true);
      case "bad links":
        return this.#change(machine, machines, "both", (link) => {
          link.lossRate = random.between(0.02, 0.4);
          link.delayMaxMs = random.between(2, 80);
        });
      case "slow links":
        return this.#change(machine, machines, "both", (link) => {
          link.delayMinMs = random.between(2, 100);
          link.delayMaxMs = link.delayMinMs + random.between(0, 600);
        });
      case "connections reset":
        for (const other of machines) if (random.chance(0.7)) world.network.reset(machine.name, other.name);
        return undefined;
      case "connections broken":
        this.#forStreams(machine, machines, 0.7, (stream) => stream.breakNextWrite());
        return undefined;
      case "connections held up":
        this.#forStreams(machine, machines, 0.4, (stream) => stream.holdUntil(untilMs));
        return undefined;
      case "pause":
        machine.process?.time.pauseUntil(untilMs);
        return undefined;
      case "slow disk":
        machine.diskState.syncMs = random.pick([30, 150, 600]);
        return () => machine.healDisk();
      case "stalled disk":
        machine.diskState.stalledUntilMs = untilMs;
        return undefined;
      case "clock rate":
        machine.time.setRate(random.between(0.95, 1.05));
        return undefined;
      case "wall clock jump":
        machine.time.wallOffsetMs += random.between(-1, 1) * random.pick([50, 5000, 8 * 3_600_000]);
        return undefined;
      case "garbage":
        return this.#stranger.sendGarbage(machine);
      case "messages of another cluster":
        if (machine.process?.isReady) this.#stranger.sendFromOtherCluster(machine.process);
        return undefined;
      case "forged messages":
        for (const { process } of machines) if (process?.isReady) this.#stranger.sendForged(process);
        return undefined;
      case "endless snapshot":
        return machine.process?.isReady ? this.#stranger.sendEndlessSnapshot(machine.process) : undefined;
      case "empty volume":
      case "volume of another cluster":
        if (!this.#mayMountWrong(machine)) return undefined;
        world.coverage.count(`mounted: ${kind}`);
        machine.mountWrong(kind);
        return () => machine.mountRight();
    }
  }

  /**
   * One at a time, and not where it would be enough for a cluster of its own. That it was a member before, the others must
   * know: until it has told them its client URLs a member may begin anew, as in etcd.
   */
  #mayMountWrong({ memberId }: Machine): boolean {
    const world = this.#world;
    const { machines } = world;
    if (machines.some(({ wrongVolume }) => wrongVolume !== undefined)) return false;
    return world.newestMembers().length >= MEMBERS_MIN &&
      machines.every(({ isRetired, process }) =>
        isRetired || process?.isReady && (process.member!.membership.get(memberId!)?.clientUrls.length ?? 0) > 0
      );
  }

  /** Ends of connections between this machine and others. */
  #forStreams(
    machine: Machine,
    machines: readonly Machine[],
    probability: number,
    change: (stream: SimulatedStream) => void,
  ): void {
    for (const { name } of machines) {
      for (const stream of this.#world.network.streams(machine.name, name)) {
        if (this.#random.chance(probability)) change(stream);
      }
    }
  }

  #partition(machines: readonly Machine[]): () => void {
    const side = new Set(machines.filter(() => this.#random.chance(0.5)));
    return this.#changeLinks(machines, (from, to) => side.has(from) !== side.has(to), (link) => link.isCut = true);
  }

  #cutOff(machine: Machine, machines: readonly Machine[]): () => void {
    return this.#changeLinks(machines, (from, to) => from === machine || to === machine, (link) => link.isCut = true);
  }

  #change(
    machine: Machine,
    machines: readonly Machine[],
    direction: "from" | "to" | "both",
    change: (link: ConnectionLink) => void,
  ): () => void {
    return this.#changeLinks(
      machines,
      (from, to) => (from === machine && direction !== "to") || (to === machine && direction !== "from"),
      change,
    );
  }

  /** Changes the links that are chosen, and returns what makes them as they were. */
  #changeLinks(
    machines: readonly Machine[],
    isChosen: (from: Machine, to: Machine) => boolean,
    change: (link: ConnectionLink) => void,
  ): () => void {
    const { network } = this.#world;
    const saved: [ConnectionLink, ConnectionLink][] = [];
    for (const from of machines) {
      for (const to of machines) {
        if (from === to || !isChosen(from, to)) continue;
        const link = network.link(from.name, to.name);
        saved.push([link, { ...link }]);
        change(link);
      }
    }
    return () => {
      for (const [link, state] of saved) Object.assign(link, state);
    };
  }
}
