import { describe, expect, test } from "bun:test";
import { TCP_KEEP_ALIVE_MS } from "../../src/base/limits.ts";
import type { ByteStream, ByteStreamListener } from "../../src/io/net.ts";
import { MachineTime, ProcessTime } from "../simulation/world/clock.ts";
import { Random } from "../simulation/world/random.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";
import { type SimulatedHost, SimulatedNetwork } from "./simulated_network.ts";

const PORT = 2380;

/** Keeps what it hears, and what it was told to send. */
class End implements ByteStreamListener {
  readonly stream: ByteStream;
  text = "";
  size = 0;
  readonly events: string[] = [];
  error: string | undefined;

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.listen(this);
  }

  onData(bytes: Uint8Array): void {
    this.size += bytes.length;
    this.text += new TextDecoder("latin1").decode(bytes);
  }

  onEnd(): void {
    this.events.push("end");
  }

  onDrain(): void {
    this.events.push("drain");
  }

  onClose(error?: Error & { code?: string }): void {
    this.events.push("close");
    this.error = error?.code;
  }

  send(text: string): boolean {
    return this.stream.write(new TextEncoder().encode(text));
  }
}

class World {
  readonly scheduler = new Scheduler();
  readonly counts = new Map<string, number>();
  readonly network: SimulatedNetwork;

  constructor(seed = 1) {
    this.network = new SimulatedNetwork({
      scheduler: this.scheduler,
      random: new Random(seed),
      count: (what) => this.counts.set(what, (this.counts.get(what) ?? 0) + 1),
    });
  }

  process(name: string): { host: SimulatedHost; time: ProcessTime } {
    const time = new ProcessTime(this.scheduler, new MachineTime(this.scheduler, 1, 0), 0, () => {});
    return { host: this.network.host(name, time), time };
  }

  run(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowMs + ms);
  }

  /** A connection from a to b. */
  pair(): { a: SimulatedHost; b: SimulatedHost; near: End; far: End; closedCount: number } {
    const { host: a } = this.process("a");
    const { host: b } = this.process("b");
    let near: End | undefined;
    let far: End | undefined;
    const pair = { closedCount: 0 };
    void b.listen({ host: "b", port: PORT }, {
      onStream: (stream) => far = new End(stream),
      onStreamClosed: () => pair.closedCount++,
    });
    void a.connect({ host: "b", port: PORT }, 1000).then((stream) => near = new End(stream));
    this.run(50);
    return Object.assign(pair, { a, b, near: near!, far: far! });
  }

  codeOf(connecting: Promise<unknown>): { code: string | undefined; atMs: number } {
    const outcome = { code: undefined as string | undefined, atMs: 0 };
    connecting.then(() => "connected", (error) => error.code).then((code) => {
      outcome.code = code;
      outcome.atMs = this.scheduler.nowMs;
    });
    return outcome;
  }
}

describe("connecting", () => {
  test("bytes go both ways, and each end closes once both have ended", () => {
    const world = new World();
    const pair = world.pair();
    const { near, far } = pair;
    expect(near.stream.remoteAddress).toBe("10.0.0.2:2380");
    expect(far.stream.remoteAddress).toMatch(/^10\.0\.0\.1:\d+$/);
    near.send("question");
    world.run(10);
    far.send("answer");
    far.stream.end();
    world.run(10);
    expect([near.text, far.text]).toEqual(["answer", "question"]);
    expect([near.events, far.events]).toEqual([["end"], []]);
    near.send(", thanks");
    near.stream.end();
    world.run(10);
    expect(far.text).toBe("question, thanks");
    expect([near.events, far.events]).toEqual([["end", "close"], ["end", "close"]]);
    expect(near.error).toBeUndefined();
    expect([pair.closedCount, pair.a.streamCount, pair.b.streamCount]).toEqual([1, 0, 0]);
  });

  test("where nobody listens it is refused, where nobody is it times out, and who never was is not found", () => {
    const world = new World();
    const { host: a } = world.process("a");
    const { host: b } = world.process("b");
    const refused = world.codeOf(a.connect({ host: "b", port: 1 }, 1000));
    const unknown = world.codeOf(a.connect({ host: "c", port: 1 }, 1000));
    world.run(10);
    expect([refused.code, unknown.code]).toEqual(["ECONNREFUSED", "ENOTFOUND"]);
    b.losePower();
    const startMs = world.scheduler.nowMs;
    const dark = world.codeOf(a.connect({ host: "b", port: 1 }, 1500));
    world.run(2000);
    expect(dark).toEqual({ code: "ETIMEDOUT", atMs: startMs + 1500 });
    b.end();
    world.process("b");
    const again = world.codeOf(a.connect({ host: "10.0.0.2", port: 1 }, 1500));
    world.run(10);
    expect(again.code).toBe("ECONNREFUSED");
  });

  test("a link that is healed in time lets it through, and one that is not leaves nothing behind", () => {
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
      const world = new World();
      const { host: a } = world.process("a");
      const { host: b } = world.process("b");
      void b.listen({ host: "b", port: PORT }, { onStream: (stream) => void new End(stream), onStreamClosed() {} });
      world.network.link(from, to).isCut = true;
      const short = world.codeOf(a.connect({ host: "b", port: PORT }, 500));
      const long = world.codeOf(a.connect({ host: "b", port: PORT }, 5000));
      world.run(600);
      world.network.heal();
      world.run(2000);
      expect([short.code, long.code]).toEqual(["ETIMEDOUT", "connected"]);
      expect([a.streamCount, b.streamCount]).toEqual([1, 1]);
    }
  });

  test("a port is one listener's, and free when it is closed", async () => {
    const world = new World();
    const { host: a } = world.process("a");
    const acceptor = { onStream() {}, onStreamClosed() {} };
    const server = await a.listen({ host: "a", port: PORT }, acceptor);
    expect(server.address).toBe("10.0.0.1:2380");
    expect(a.listen({ host: "a", port: PORT }, acceptor)).rejects.toMatchObject({ code: "EADDRINUSE" });
    server.close();
    await a.listen({ host: "a", port: PORT }, acceptor);
    const names = world.codeOf(a.resolve("a").then((addresses) => Promise.reject({ code: addresses.join() })));
    world.run(10);
    expect(names.code).toBe("10.0.0.1");
  });
});

describe("a cut link", () => {
  test("delays what is sent over it, and only in its direction", () => {
    const world = new World();
    const { near, far } = world.pair();
    world.network.link("a", "b").isCut = true;
    near.send("late");
    far.send("at once");
    world.run(1000);
    expect([near.text, far.text]).toEqual(["at once", ""]);
    world.network.heal();
    world.run(2000);
    expect(far.text).toBe("late");
  });

  test("that stays cut ends the connection for who sends, and for the other as soon as it does", () => {
    const world = new World();
    const { near, far } = world.pair();
    world.network.link("a", "b").isCut = true;
    near.send("lost");
    world.run(15_000);
    expect([near.events, near.error]).toEqual([["close"], "ETIMEDOUT"]);
    expect(far.events).toEqual([]);
    world.network.heal();
    far.send("is anybody there?");
    world.run(10);
    expect([far.events, far.error]).toEqual([["close"], "ECONNRESET"]);
  });

  test("that loses the acknowledgements stops a writer too", () => {
    const world = new World();
    const { near, far } = world.pair();
    world.network.link("b", "a").isCut = true;
    let sent = 0;
    while (near.stream.write(new Uint8Array(10_000))) sent += 10_000;
    world.run(2000);
    expect(far.size).toBeGreaterThan(100_000);
    expect(near.events).toEqual([]);
    world.network.heal();
    world.run(3000);
    expect(near.events).toEqual(["drain"]);
    expect(far.size).toBe(sent + 10_000);
  });
});

describe("a process that ends", () => {
  test("resets its connections, after what it had sent", () => {
    const world = new World();
    const { a, near, far } = world.pair();
    near.send("last words");
    a.end();
    world.run(10);
    expect([far.text, far.error]).toEqual(["last words", "ECONNRESET"]);
    expect(near.events).toEqual([]);
  });

  test("with its machine's power is missed only by who sends, and the next one knows of nothing", () => {
    const world = new World();
    const { a, far } = world.pair();
    a.losePower();
    far.send("still there?");
    world.run(3000);
    expect(far.events).toEqual([]);
    world.process("a");
    world.run(3000);
    expect(far.error).toBe("ECONNRESET");
  });

  test("with its machine's power is missed in the end by who only waits, too", () => {
    const world = new World();
    const { a, far } = world.pair();
    a.losePower();
    world.run(TCP_KEEP_ALIVE_MS + 1000);
    expect(far.events).toEqual([]);
    world.process("a");
    world.run(2000);
    expect(far.error).toBe("ECONNRESET");
  });

  test("whose machine stays without power is given up", () => {
    const world = new World();
    const { a, far } = world.pair();
    a.losePower();
    world.run(TCP_KEEP_ALIVE_MS + 15_000);
    expect(far.error).toBe("ETIMEDOUT");
  });

  test("is not told of anything any more, and neither is one that is paused, until it goes on", () => {
    const world = new World();
    const { host: a, time } = world.process("a");
    const { host: b } = world.process("b");
    let near: End | undefined;
    let far: End | undefined;
    void b.listen({ host: "b", port: PORT }, { onStream: (stream) => far = new End(stream), onStreamClosed() {} });
    void a.connect({ host: "b", port: PORT }, 1000).then((stream) => near = new End(stream));
    world.run(50);
    time.pauseUntil(world.scheduler.nowMs + 1000);
    far!.send("one ");
    world.run(500);
    far!.send("two ");
    expect(near!.text).toBe("");
    time.resume();
    far!.send("three");
    world.run(600);
    expect(near!.text).toBe("one two three");
    far!.send("four");
    time.end();
    a.end();
    world.run(100);
    expect(near!.text).toBe("one two three");
  });
});

describe("a stream", () => {
  test("that is destroyed ends or resets the other one, and closes itself", () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const world = new World(seed);
      const { near, far } = world.pair();
      near.stream.destroy();
      expect(near.events).toEqual([]);
      world.run(10);
      expect([near.events, near.error]).toEqual([["close"], undefined]);
      outcomes.add(far.events.join());
      far.send("x");
      world.run(10);
      expect([far.events.at(-1), far.error]).toEqual(["close", "ECONNRESET"]);
    }
    expect([...outcomes].sort()).toEqual(["close", "end"]);
  });

  test("that is paused holds its writer back, and loses nothing", () => {
    const world = new World();
    const { near, far } = world.pair();
    far.stream.pause();
    const buffer = new Uint8Array(500_000).map((_, i) => i % 251);
    expect(near.stream.write(buffer)).toBe(false);
    world.run(60_000);
    expect([far.size, near.events.length]).toEqual([0, 0]);
    far.stream.resume();
    world.run(1000);
    expect(near.events).toEqual(["drain"]);
    expect(far.text).toBe(new TextDecoder("latin1").decode(buffer));
  });

  test("whose connections are reset is told so at both ends", () => {
    const world = new World();
    const { near, far } = world.pair();
    world.network.reset("a", "b");
    world.run(10);
    expect([near.error, far.error]).toEqual(["ECONNRESET", "ECONNRESET"]);
  });

  test("may break in the middle of a write: its beginning arrives", () => {
    const world = new World();
    const { near, far } = world.pair();
    for (const stream of world.network.streams("a", "b")) stream.breakNextWrite();
    near.send("hello");
    world.run(10);
    expect([near.error, far.error]).toEqual(["ECONNRESET", "ECONNRESET"]);
    expect("hello".startsWith(far.text) && far.size > 0 && far.size < 5).toBe(true);
  });

  test("may hold back what is written", () => {
    const world = new World();
    const { near, far } = world.pair();
    for (const stream of world.network.streams("a", "b")) stream.holdUntil(world.scheduler.nowMs + 500);
    near.send("hello");
    world.run(499);
    far.send("there");
    expect(far.text).toBe("");
    world.run(10);
    expect(far.text).toBe("hello");
  });
});

/** A story of random writes and faults; returns what arrived, and whether all did. */
function live(seed: number): { sent: string; received: string; story: string } {
  const random = new Random(seed);
  const world = new World(seed);
  const { near, far } = world.pair();
  let sent = "";
  let held = true;
  near.onDrain = () => held = true;
  for (let i = 0; i < 200; i++) {
    const isForward = random.chance(0.5);
    const link = world.network.link(isForward ? "a" : "b", isForward ? "b" : "a");
    if (random.chance(0.05)) link.isCut = true;
    if (random.chance(0.05)) link.lossRate = random.between(0, 0.5);
    if (random.chance(0.05)) link.delayMaxMs = random.between(2, 300);
    if (random.chance(0.02)) world.network.heal();
    if (random.chance(0.05)) far.stream.pause();
    if (random.chance(0.1)) far.stream.resume();
    if (held) {
      const text = String(i).repeat(random.below(random.pick([10, 20_000])));
      held = near.send(text);
      sent += text;
    }
    world.run(random.between(0, 300));
  }
  world.network.heal();
  far.stream.resume();
  world.run(30_000);
  return {
    sent,
    received: far.text,
    story: JSON.stringify([[...world.counts], near.events, near.error, world.scheduler.eventCount]),
  };
}

test("bytes arrive in order and as they were, whatever the links do, or the connection is lost", () => {
  let completeCount = 0;
  for (let seed = 0; seed < 60; seed++) {
    const { sent, received, story } = live(seed);
    expect(sent.startsWith(received)).toBe(true);
    if (sent === received) completeCount++;
    else expect(story).toContain("ETIMEDOUT");
  }
  expect(completeCount).toBeGreaterThan(20);
  expect(completeCount).toBeLessThan(60);
});

test("the same seed lives the same story", () => {
  for (let seed = 0; seed < 10; seed++) expect(live(seed)).toEqual(live(seed));
});
