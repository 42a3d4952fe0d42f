/**
 * Networks of simulated machines: each process has a `Network` of its own, through which it reaches the others by name.
 * Everything happens in events of the scheduler, in an order that follows from its seed alone.
 *
 * What can go wrong: links that are slow, lossy (segments come later), or cut, each direction for itself; connections that
 * are reset, break in the middle of a write, or hold bytes back; processes that end (their connections are reset, and their ports refuse) and machines without power (which
 * answer nothing, until a next process runs on them, and then know of no connection).
 */

import type { ByteStream, ListenAddress, Network, StreamAcceptor, StreamServer } from "../../src/io/net.ts";
import { type ConnectionLink, SimulatedStream, type StreamProcess, type StreamWorld } from "./simulated_stream.ts";

export type { ConnectionLink } from "./simulated_stream.ts";

/** The world's time: events in the order in which they are due, and then in which they were asked for. */
export interface NetworkScheduler {
  readonly nowMs: number;
  after(delayMs: number, run: () => void): { cancel(): void };
}

/** A process's time: what is run through it waits while the process is paused, and is forgotten once it has ended. */
export interface ProcessScheduler {
  run(delayMs: number, callback: () => void): { cancel(): void };
  /** The same in the event at hand, unless the process is paused. */
  runNow(callback: () => void): void;
}

export interface NetworkRandom {
  /** A number in [low, high). */
  between(low: number, high: number): number;
  /** An integer in [0, bound). */
  below(bound: number): number;
  chance(probability: number): boolean;
}

export interface SimulatedNetworkOptions {
  readonly scheduler: NetworkScheduler;
  readonly random: NetworkRandom;
  /** Milliseconds for which a system sends again what does not arrive, before it gives the connection up. Default: 10 s. */
  readonly giveUpMs?: number;
  /** Hears of what happens, by name: "connections opened", "connections refused", "segments lost", ... */
  readonly count?: (what: string) => void;
}

/** Until a lost segment is sent again, the first time. */
const LOSS_DELAY_MS = 200;
/** Between two tries to connect that nobody answers. */
const SYN_RETRY_MS = 1000;
const RESOLVE_MS = 0.1;
const EPHEMERAL_PORT_FIRST = 32_768;

export function goodConnectionLink(): ConnectionLink {
  return { isCut: false, lossRate: 0, delayMinMs: 0.2, delayMaxMs: 2 };
}

export class SimulatedNetwork implements StreamWorld {
  readonly giveUpMs: number;
  readonly #scheduler: NetworkScheduler;
  readonly #random: NetworkRandom;
  readonly #count: (what: string) => void;
  /** By sender, then receiver. */
  readonly #links = new Map<string, Map<string, ConnectionLink>>();
  /** Of every machine that was ever there; its process at present, if it has power. */
  readonly #machines = new Map<string, SimulatedHost | undefined>();
  #portCount = 0;

  constructor({ scheduler, random, giveUpMs, count }: SimulatedNetworkOptions) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.giveUpMs = giveUpMs ?? 10_000;
    this.#count = count ?? (() => {});
  }

  /** How bytes fare in this direction; to be changed at will. */
  link(from: string, to: string): ConnectionLink {
    let links = this.#links.get(from);
    if (links === undefined) this.#links.set(from, links = new Map());
    let link = links.get(to);
    if (link === undefined) links.set(to, link = goodConnectionLink());
    return link;
  }

  /** Makes all links good again. */
  heal(): void {
    for (const links of this.#links.values()) {
      for (const link of links.values()) Object.assign(link, goodConnectionLink());
    }
  }

  /** A process begins to run on this machine, which has power from now on. The one before must have ended. */
  host(machine: string, process: ProcessScheduler): SimulatedHost {
    const host = new SimulatedHost(this, machine, process);
    this.#machines.set(machine, host);
    return host;
  }

  /** Resets all connections between two machines, at both ends. */
  reset(one: string, other: string): void {
    for (const stream of this.streams(one, other)) stream.process.run(0, () => stream.fail("ECONNRESET"));
  }

  /** Both ends of every connection between two machines. */
  *streams(one: string, other: string): Iterable<SimulatedStream> {
    for (const [from, to] of [[one, other], [other, one]]) {
      for (const stream of this.#machines.get(from)?.streams ?? []) if (stream.remoteMachine === to) yield stream;
    }
  }

  // --- For hosts and streams.

  get nowMs(): number {
    return this.#scheduler.nowMs;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    return this.#scheduler.after(delayMs, run);
  }

  travelMs({ lossRate, delayMinMs, delayMaxMs }: ConnectionLink): number {
    let ms = this.#random.between(delayMinMs, delayMaxMs);
    for (let lossMs = LOSS_DELAY_MS; lossRate > 0 && this.#random.chance(Math.min(lossRate, 0.9)); lossMs *= 2) {
      this.#count("segments lost");
      ms += lossMs;
    }
    return ms;
  }

  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  below(bound: number): number {
    return this.#random.below(bound);
  }

  count(what: string): void {
    this.#count(what);
  }

  isPowered(machine: string): boolean {
    return this.#machines.get(machine) !== undefined;
  }

  hostOn(machine: string): SimulatedHost | undefined {
    return this.#machines.get(machine);
  }

  cutPower(host: SimulatedHost): void {
    if (this.#machines.get(host.name) === host) this.#machines.set(host.name, undefined);
  }

  /** "10.0.0.1" for the first machine; undefined: there never was one of this name. */
  addressOf(machine: string): string | undefined {
    const position = [...this.#machines.keys()].indexOf(machine);
    return position < 0 ? undefined : `10.0.0.${position + 1}`;
  }

  /** By name or address. */
  machineOf(host: string): string | undefined {
    const names = [...this.#machines.keys()];
    return this.#machines.has(host) ? host : names.find((name) => this.addressOf(name) === host);
  }

  nextPort(): number {
    return EPHEMERAL_PORT_FIRST + this.#portCount++;
  }
}

/** One process's way to the others, and theirs to it. */
export class SimulatedHost implements Network, StreamProcess {
  readonly name: string;
  readonly #network: SimulatedNetwork;
  readonly #process: ProcessScheduler;
  readonly #listeners = new Map<number, StreamAcceptor>();
  /** With the acceptor of those that came in. */
  readonly #streams = new Map<SimulatedStream, StreamAcceptor | undefined>();
  #isEnded = false;

  constructor(network: SimulatedNetwork, name: string, process: ProcessScheduler) {
    this.#network = network;
    this.name = name;
    this.#process = process;
  }

  get streams(): Iterable<SimulatedStream> {
    return this.#streams.keys();
  }

  /** Connections of this process, both ways. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** The process has ended: its system resets its connections, and refuses new ones. */
  end(): void {
    this.#end(true);
  }

  /** The machine is without power: nobody is told, and nobody answers until a next process runs on it. */
  losePower(): void {
    this.#end(false);
    this.#network.cutPower(this);
  }

  #end(isTold: boolean): void {
    this.#isEnded = true;
    this.#listeners.clear();
    for (const stream of this.#streams.keys()) stream.abandon(isTold);
    this.#streams.clear();
  }

  // --- Network.

  listen(at: ListenAddress, acceptor: StreamAcceptor): Promise<StreamServer> {
    if ("path" in at) return Promise.reject(systemError("ENOENT", at.path));
    const port = at.port === 0 ? this.#network.nextPort() : at.port;
    if (this.#listeners.has(port)) return Promise.reject(systemError("EADDRINUSE", `${at.host}:${port}`));
    this.#listeners.set(port, acceptor);
    return Promise.resolve({
      address: `${this.#network.addressOf(this.name)}:${port}`,
      close: () => void this.#listeners.delete(port),
    });
  }

  resolve(host: string): Promise<readonly string[]> {
    if (isAddress(host)) return Promise.resolve([host]);
    const machine = this.#network.machineOf(host);
    return new Promise((resolve, reject) => {
      this.run(RESOLVE_MS, () => {
        if (machine === undefined) reject(systemError("ENOTFOUND", host));
        else resolve([this.#network.addressOf(machine)!]);
      });
    });
  }

  connect(to: ListenAddress, timeoutMs: number): Promise<ByteStream> {
    if ("path" in to) return Promise.reject(systemError("ENOENT", to.path));
    const machine = this.#network.machineOf(to.host);
    if (machine === undefined) {
      return Promise.reject(systemError(isAddress(to.host) ? "EHOSTUNREACH" : "ENOTFOUND", to.host));
    }
    return new Promise((resolve, reject) =>
      new Handshake(this.#network, this, machine, to.port, resolve, reject).start(timeoutMs)
    );
  }

  // --- For handshakes and streams.

  get isEnded(): boolean {
    return this.#isEnded;
  }

  run(delayMs: number, callback: () => void): { cancel(): void } {
    return this.#process.run(delayMs, () => {
      if (!this.#isEnded) callback();
    });
  }

  runNow(callback: () => void): void {
    this.#process.runNow(() => {
      if (!this.#isEnded) callback();
    });
  }

  acceptorOn(port: number): StreamAcceptor | undefined {
    return this.#listeners.get(port);
  }

  streamOpened(stream: SimulatedStream, acceptor?: StreamAcceptor): void {
    this.#streams.set(stream, acceptor);
    if (acceptor !== undefined) this.run(0, () => acceptor.onStream(stream));
  }

  streamClosed(stream: SimulatedStream): void {
    const acceptor = this.#streams.get(stream);
    this.#streams.delete(stream);
    acceptor?.onStreamClosed();
  }
}

/** One connection being opened: a question there, an answer back, asked again while none comes. */
class Handshake {
  readonly #network: SimulatedNetwork;
  readonly #client: SimulatedHost;
  readonly #machine: string;
  readonly #port: number;
  readonly #resolve: (stream: ByteStream) => void;
  readonly #reject: (error: Error) => void;
  #isOver = false;

  constructor(
    network: SimulatedNetwork,
    client: SimulatedHost,
    machine: string,
    port: number,
    resolve: (stream: ByteStream) => void,
    reject: (error: Error) => void,
  ) {
    this.#network = network;
    this.#client = client;
    this.#machine = machine;
    this.#port = port;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(timeoutMs: number): void {
    if (timeoutMs !== Infinity) this.#client.run(timeoutMs, () => this.#fail("ETIMEDOUT"));
    this.#ask();
  }

  #ask(): void {
    const { link, travel } = this.#way(this.#client.name, this.#machine);
    travel(() => {
      if (this.#isOver || this.#client.isEnded) return;
      const server = this.#network.hostOn(this.#machine);
      if (link.isCut || server === undefined) this.#network.after(SYN_RETRY_MS, () => this.#ask());
      else this.#answer(server);
    });
  }

  #answer(server: SimulatedHost): void {
    const { link, travel } = this.#way(this.#machine, this.#client.name);
    if (link.isCut) return void this.#network.after(SYN_RETRY_MS, () => this.#ask());
    const acceptor = server.acceptorOn(this.#port);
    if (acceptor === undefined) {
      travel(() => this.#client.run(0, () => this.#fail("ECONNREFUSED")));
      return;
    }
    // Whoever asked is not there any more.
    if (this.#client.isEnded) return;
    const network = this.#network;
    const ours = `${network.addressOf(this.#client.name)}:${network.nextPort()}`;
    const theirs = `${network.addressOf(this.#machine)}:${this.#port}`;
    const near = new SimulatedStream(network, this.#client, this.#machine, theirs);
    const far = new SimulatedStream(network, server, this.#client.name, ours);
    SimulatedStream.join(near, far);
    this.#client.streamOpened(near);
    server.streamOpened(far, acceptor);
    travel(() => this.#client.run(0, () => this.#open(near)));
  }

  #open(stream: SimulatedStream): void {
    if (this.#isOver) return stream.destroy();
    this.#isOver = true;
    this.#network.count("connections opened");
    this.#resolve(stream);
  }

  #fail(code: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#network.count(code === "ECONNREFUSED" ? "connections refused" : "connections not answered");
    this.#reject(systemError(code, `${this.#machine}:${this.#port}`));
  }

  #way(from: string, to: string): { link: ConnectionLink; travel(then: () => void): void } {
    const link = this.#network.link(from, to);
    return { link, travel: (then) => this.#network.after(this.#network.travelMs(link), then) };
  }
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(":");
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`simulated ${code}: ${what}`), { code });
}
