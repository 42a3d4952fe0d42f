/** What happens to a cluster, one thing after the other; after each it must work again. */
import { check, type Random } from "../context.ts";
import { delay } from "../server.ts";
import { type Cluster, CLUSTER_SIZE } from "./cluster.ts";
import type { History } from "./history.ts";
import type { FaultyNetwork } from "./network.ts";

/** Longer than two election timeouts, so that whoever lost the leader has another one. */
const LASTS_MS = 2500;
const DOWN_MS_MAX = 1200;
/** Between the end of a fault and the next. */
const CALM_MS = 300;

export interface Fault {
  readonly name: string;
  /** Leaves the cluster with every process running and the network as it is; healing the network is the caller's. */
  run(scene: Scene): Promise<void>;
}

/** Where faults happen. */
export class Scene {
  readonly cluster: Cluster;
  readonly network: FaultyNetwork;
  readonly random: Random;
  readonly #history: History;

  constructor(cluster: Cluster, network: FaultyNetwork, history: History, random: Random) {
    this.cluster = cluster;
    this.network = network;
    this.random = random;
    this.#history = history;
  }

  /** One after the other, each followed by proof that every member takes writes. */
  async play(faults: readonly Fault[]): Promise<void> {
    for (const fault of faults) {
      this.#history.fault(fault.name);
      try {
        await fault.run(this);
        await this.network.heal();
        await this.cluster.works();
      } catch (error) {
        throw new Error(`${fault.name}: ${(error as Error).message}`);
      }
      this.#history.fault(`after ${fault.name}`);
      await delay(CALM_MS);
    }
  }

  /** kill -9 and, a while later, a new start of each. */
  async killAndStart(members: readonly number[], downMs: number): Promise<void> {
    await this.cluster.kill(...members);
    await delay(downMs);
    for (const member of members) {
      this.#history.restarting(member);
      this.cluster.members[member]!.spawn();
    }
  }

  async pause(member: number): Promise<void> {
    const server = this.cluster.members[member]!;
    server.signal("SIGSTOP");
    try {
      await delay(LASTS_MS);
    } finally {
      server.signal("SIGCONT");
    }
  }

  async cutFor(directions: readonly (readonly [from: number, to: number])[]): Promise<void> {
    for (const [from, to] of directions) await this.network.cut(from, to);
    await delay(LASTS_MS);
  }

  leader(): Promise<number> {
    return this.cluster.untilLeader();
  }

  async follower(): Promise<number> {
    return (await this.leader() + 1 + this.random.below(CLUSTER_SIZE - 1)) % CLUSTER_SIZE;
  }

  downMs(): number {
    return this.random.below(DOWN_MS_MAX);
  }
}

const ALL = Array.from({ length: CLUSTER_SIZE }, (_, i) => i);

function others(member: number): number[] {
  return ALL.filter((other) => other !== member);
}

function from(member: number): [number, number][] {
  return others(member).map((other) => [member, other]);
}

function towards(member: number): [number, number][] {
  return others(member).map((other) => [other, member]);
}

export const FAULTS: readonly Fault[] = [
  {
    name: "kill -9 of a follower",
    run: async (scene) => scene.killAndStart([await scene.follower()], scene.downMs()),
  },
  {
    name: "kill -9 of the leader, which stays away for some time",
    run: async (scene) => scene.killAndStart([await scene.leader()], LASTS_MS),
  },
  {
    name: "kill -9 of every member at once, three times",
    async run(scene) {
      for (let i = 0; i < 3; i++) await scene.killAndStart(ALL, scene.downMs());
    },
  },
  {
    name: "kill -9 of a majority",
    run: async (scene) => scene.killAndStart(others(await scene.leader()), scene.downMs()),
  },
  { name: "the leader stands still", run: async (scene) => scene.pause(await scene.leader()) },
  { name: "a follower stands still", run: async (scene) => scene.pause(await scene.follower()) },
  {
    name: "the leader is cut off",
    async run(scene) {
      const leader = await scene.leader();
      await scene.cutFor([...from(leader), ...towards(leader)]);
      // Or the network is not cut at all.
      check(await scene.leader() !== leader, "it is the leader all the time");
    },
  },
  {
    name: "a follower is cut off",
    async run(scene) {
      const follower = await scene.follower();
      await scene.cutFor([...from(follower), ...towards(follower)]);
    },
  },
  { name: "the leader hears nobody", run: async (scene) => scene.cutFor(towards(await scene.leader())) },
  { name: "nobody hears the leader", run: async (scene) => scene.cutFor(from(await scene.leader())) },
  {
    name: "the leader and one follower are cut off from each other",
    async run(scene) {
      const leader = await scene.leader(), follower = await scene.follower();
      await scene.cutFor([[leader, follower], [follower, leader]]);
    },
  },
  {
    name: "the leader is killed while a follower is cut off",
    async run(scene) {
      const leader = await scene.leader(), follower = await scene.follower();
      for (const [a, b] of [...from(follower), ...towards(follower)]) await scene.network.cut(a, b);
      await scene.killAndStart([leader], scene.downMs());
    },
  },
  {
    name: "slow links that lose packets",
    async run(scene) {
      await scene.network.slow();
      await delay(LASTS_MS);
    },
  },
];

/** A shuffled copy. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
