/** Whatever the network does: what arrives is what was sent, once, and when the network is well again all of it arrives. */
import { expect, test } from "bun:test";
import { type Message, MessageType } from "../../src/raft/mod.ts";
import { seeds } from "../harness/seeds.ts";
import { Random } from "../simulation/world/random.ts";
import { append, databaseOf, entry, Machine, message, snapshotMessage, World } from "./world.ts";

const { PROPOSAL, HEARTBEAT } = MessageType;
const NAMES = ["a", "b", "c"];
const STEPS = 150;

class Chaos {
  readonly world: World;
  readonly random: Random;
  readonly machines: Machine[] = [];
  /** All that ever ran. */
  readonly lives: Machine[] = [];
  readonly sent = new Map<number, Message>();
  #number = 0;

  constructor(seed: number) {
    this.world = new World(seed);
    this.random = new Random(seed).branch("chaos");
    for (const position of NAMES.keys()) this.run(position);
    for (const machine of this.machines) this.introduce(machine);
  }

  run(position: number): Machine {
    const machine = new Machine(this.world, NAMES[position], BigInt(position + 1)).start();
    this.machines[position] = machine;
    this.lives.push(machine);
    return machine;
  }

  introduce(machine: Machine): void {
    machine.know(...this.machines.filter((other) => other !== machine));
  }

  /** Messages that say in their entry which they are. */
  sendSome(): void {
    const { random } = this;
    const from = random.pick(this.machines);
    const messages: Message[] = [];
    for (let i = random.within(1, 20); i > 0; i--) {
      const to = random.pick(this.machines);
      if (to !== from) messages.push(this.messageTo(from, to));
    }
    from.transport.send(messages);
  }

  messageTo(from: Machine, to: Machine): Message {
    const number = ++this.#number;
    const padding = this.random.chance(0.1) ? this.random.below(300_000) : this.random.below(100);
    const text = `${number} ${"x".repeat(padding)}`;
    const sent = this.random.chance(0.5)
      ? append(from.id, to.id, number, text)
      : message(PROPOSAL, from.id, to.id, { term: 0, entries: [{ ...entry(0, text), term: 0 }] });
    this.sent.set(number, sent);
    return sent;
  }

  async disturb(): Promise<void> {
    const { random, world: { network } } = this;
    const position = random.below(NAMES.length);
    const [one, other] = [NAMES[position], NAMES[(position + random.within(1, 2)) % NAMES.length]];
    switch (random.below(6)) {
      case 0:
        network.link(one, other).isCut = true;
        break;
      case 1:
        Object.assign(network.link(one, other), { lossRate: 0.3, delayMaxMs: 200 });
        break;
      case 2:
        network.reset(one, other);
        break;
      case 3:
        network.heal();
        break;
      case 4:
        this.machines[position].host.end();
        void this.machines[position].transport.stop();
        this.introduce(this.run(position));
        break;
      default: {
        const [from, to] = [this.machines[position], this.machines[(position + 1) % NAMES.length]];
        void from.transport.sendSnapshot(snapshotMessage(from.id, to.id), databaseOf(200_000).view);
      }
    }
    await this.world.clock.advance(random.below(400));
  }
}

test.each(seeds([1, 2, 3, 4, 5, 6]))("seed %i", async (seed) => {
  const chaos = new Chaos(seed);
  const { world, random, machines, lives, sent } = chaos;
  for (let step = 0; step < STEPS; step++) {
    chaos.sendSome();
    if (random.chance(0.3)) await chaos.disturb();
    else await world.clock.advance(random.below(20));
  }
  const { hash } = databaseOf(200_000);
  const arrived = new Set<number>();
  for (const { handler: { messages, snapshots } } of lives) {
    for (const message of messages) {
      const number = Number(new TextDecoder().decode(message.entries[0].data).split(" ", 1)[0]);
      expect(message).toEqual(sent.get(number)!);
      expect(arrived.has(number)).toBe(false);
      arrived.add(number);
    }
    for (const snapshot of snapshots) expect([snapshot.size, snapshot.hash]).toEqual([200_000, hash]);
  }
  expect(arrived.size).toBeGreaterThan(sent.size / 10);

  world.network.heal();
  await world.clock.advance(15_000);
  for (const machine of machines) {
    const others = machines.filter((other) => other !== machine);
    expect(others.map(({ id }) => machine.transport.activeSinceMs(id) !== undefined)).toEqual([true, true]);
    machine.handler.messages.length = 0;
  }
  for (const { id, transport } of machines) {
    transport.send(machines.filter((other) => other.id !== id).map((other) => message(HEARTBEAT, id, other.id)));
  }
  await world.clock.advance(100);
  for (const { handler } of machines) expect(handler.messages).toHaveLength(2);

  await world.wait(Promise.all(machines.map(({ transport }) => transport.stop())));
  await world.clock.advance(60_000);
  expect(world.clock.timerCount).toBe(0);
});
