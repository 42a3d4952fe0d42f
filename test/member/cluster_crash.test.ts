import { expect, test } from "bun:test";
import { Cluster, type ClusterMember } from "../harness/cluster.ts";
import { type Operation, SimulatedRandom } from "../harness/simulated_disk.ts";
import { beginPut, type Put, read, untilEqual, valueAt } from "./cluster_support.ts";

/** Checkpoints, segments and snapshots are made all the while. */
const SHORT_LOG = { snapshotCatchUpEntries: 5, snapshotCount: 15, checkpointLogSize: 512 };
const LIVES = 3;
const CLIENTS = 4;
/** In one life, before the power goes whatever the disks do. */
const LIFE_MS = 20_000;

/** Puts without pause: each key once, so that what was acknowledged must be there for ever. */
class Writers {
  readonly puts: Put[] = [];
  #open: Put[] = [];

  step(machines: readonly ClusterMember[], random: SimulatedRandom): void {
    const running = machines.filter(({ member }) => member !== undefined);
    this.#open = this.#open.filter(({ answer }) => answer === undefined);
    while (this.#open.length < CLIENTS && running.length > 0) {
      const number = this.puts.length;
      const put = beginPut(running[random.below(running.length)], `key${number}`, `value${number}`);
      this.puts.push(put);
      this.#open.push(put);
    }
  }

  /** The processes are gone, and the calls with them. */
  forget(): void {
    this.#open = [];
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "what was acknowledged survives a loss of power of all members at any disk operation (seed %d)",
  async (seed) => {
    const random = new SimulatedRandom(seed);
    const cluster = await Cluster.start(3, SHORT_LOG, seed);
    const writers = new Writers();
    for (let life = 0; life < LIVES; life++) {
      let hasPower = true;
      // One of the disks goes first, at one of its operations; of the others, whatever they are at is lost.
      const victim = random.below(3);
      let operationsLeft = 20 + random.below(200);
      const fault = (_: Operation) => {
        if (operationsLeft-- > 0) return undefined;
        hasPower = false;
        return "crash-before" as const;
      };
      cluster.machines.forEach((machine, i) => {
        const diskSeed = random.below(2 ** 31);
        cluster.crash(machine, i === victim ? { seed: diskSeed, fault } : { seed: diskSeed });
      });
      writers.forget();
      for (const machine of cluster.machines) {
        const started = cluster.begin(machine);
        await Promise.race([cluster.clock.settle(), started]);
      }
      for (const endMs = cluster.clock.nowMs + LIFE_MS; hasPower && cluster.clock.nowMs < endMs;) {
        writers.step(cluster.machines, random);
        await cluster.clock.advance(2);
      }
      expect(hasPower).toBe(false);
    }
    for (const machine of cluster.machines) cluster.crash(machine, { seed });
    for (const machine of cluster.machines) await cluster.restart(machine);
    const leader = await cluster.untilLeader();
    const acknowledged = writers.puts.filter(({ answer }) => answer === "done");
    expect(acknowledged.length).toBeGreaterThan(20);
    const { key, value } = acknowledged.at(-1)!;
    expect(await read(cluster, leader, key)).toBe(value);
    await untilEqual(cluster);
    for (const machine of cluster.machines) {
      const lost = acknowledged.filter((put) => valueAt(machine, put.key) !== put.value);
      expect(lost).toEqual([]);
      expect(machine.fatal).toEqual([]);
    }
    await cluster.stopAll();
  },
);
