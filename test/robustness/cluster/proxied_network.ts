/**
 * Members on the loopback, each behind a proxy of this process whose address it advertises. Whose connection it is, the
 * proxy learns from the kernel: the process that holds the other end.
 *
 * Cutting a direction holds its bytes back, on connections that either side opened, as a network does that loses packets
 * and a TCP that sends them again: they arrive once it is healed, unless somebody has given up. So does the end of a connection.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createConnection, createServer, type Server as Listener, type Socket } from "node:net";
import type { Context, Random } from "../context.ts";
import type { FaultyNetwork } from "./network.ts";

const LOOPBACK = "127.0.0.1";
/** Bytes that one direction of a connection holds, above which no more is taken from its sender. */
const HELD_SIZE_MAX = 1 << 20;
const SLOW_DELAY_MS = 60;
/** What is lost comes again after a retransmission timeout, and everything behind it waits. */
const LOST_ONE_IN = 12;
const RETRANSMISSION_MS = 200;

/** The process of a member; undefined while there is none. */
export type PidOf = (member: number) => number | undefined;

export class ProxiedNetwork implements FaultyNetwork {
  readonly tool = "a proxy";
  readonly #listenPorts: number[] = [];
  readonly #proxyPorts: number[] = [];
  readonly #pidOf: PidOf;
  readonly #random: Random;
  readonly #listeners: Listener[] = [];
  readonly #directions = new Set<Direction>();
  readonly #cut = new Set<string>();
  #isSlow = false;

  static async start(context: Context, size: number, pidOf: PidOf): Promise<ProxiedNetwork> {
    const network = new ProxiedNetwork(context.random, pidOf);
    context.onEnd(() => network.#close());
    for (let member = 0; member < size; member++) {
      network.#listenPorts.push(context.takePort());
      network.#proxyPorts.push(context.takePort());
      await network.#listen(member);
    }
    return network;
  }

  private constructor(random: Random, pidOf: PidOf) {
    this.#random = random;
    this.#pidOf = pidOf;
  }

  hostOf(): string {
    return LOOPBACK;
  }

  wrapperOf(): readonly string[] {
    return [];
  }

  listenPeerUrlOf(member: number): string {
    return `http://${LOOPBACK}:${this.#listenPorts[member]}`;
  }

  peerUrlOf(member: number): string {
    return `http://${LOOPBACK}:${this.#proxyPorts[member]}`;
  }

  async cut(from: number, to: number): Promise<void> {
    this.#cut.add(`${from} ${to}`);
  }

  async slow(): Promise<void> {
    this.#isSlow = true;
  }

  async heal(): Promise<void> {
    this.#cut.clear();
    this.#isSlow = false;
    for (const direction of [...this.#directions]) direction.pump();
  }

  isCut(from: number, to: number): boolean {
    return this.#cut.has(`${from} ${to}`);
  }

  /** Milliseconds from the arrival of a piece here to its sending on. */
  delayMs(): number {
    if (!this.#isSlow) return 0;
    return SLOW_DELAY_MS + (this.#random.below(LOST_ONE_IN) === 0 ? RETRANSMISSION_MS : 0);
  }

  forget(direction: Direction): void {
    this.#directions.delete(direction);
  }

  async #listen(target: number): Promise<void> {
    const listener = createServer({ noDelay: true }, (dialed) => this.#accept(dialed, target));
    this.#listeners.push(listener);
    await new Promise<void>((resolve, reject) => {
      listener.once("error", reject);
      listener.listen(this.#proxyPorts[target], LOOPBACK, resolve);
    });
  }

  #accept(dialed: Socket, target: number): void {
    dialed.on("error", () => {});
    const dialer = this.#dialerOf(dialed.remotePort!, this.#proxyPorts[target]!);
    if (dialer === undefined) {
      dialed.destroy();
      return;
    }
    const onward = new Onward(this.#listenPorts[target]!);
    const there = new Direction(this, dialer, target, dialed, onward);
    const back = new Direction(this, target, dialer, undefined, { open: () => dialed });
    onward.onOpen = (socket) => back.read(socket);
    this.#directions.add(there).add(back);
    there.begin();
  }

  /** The member whose process has the connection from this local port to that proxy. */
  #dialerOf(localPort: number, proxyPort: number): number | undefined {
    const suffix = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    const local = suffix(localPort), remote = suffix(proxyPort);
    // Node has an IPv6 socket for a v4 address now and then.
    const rows = `${readFileSync("/proc/net/tcp", "utf8")}\n${readFileSync("/proc/net/tcp6", "utf8")}`.split("\n");
    for (const row of rows) {
      const words = row.trim().split(/\s+/);
      if (!words[1]?.endsWith(local) || !words[2]?.endsWith(remote)) continue;
      const name = `socket:[${words[9]}]`;
      for (let member = 0; member < this.#proxyPorts.length; member++) {
        const pid = this.#pidOf(member);
        if (pid !== undefined && hasDescriptor(pid, name)) return member;
      }
    }
    return undefined;
  }

  #close(): void {
    for (const listener of this.#listeners) listener.close();
    for (const direction of [...this.#directions]) direction.destroy();
  }
}

function hasDescriptor(pid: number, name: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((descriptor) => {
      try {
        return readlinkSync(`${directory}/${descriptor}`) === name;
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

/** The connection to the member that was dialed, opened when the first byte may pass. */
class Onward {
  readonly #port: number;
  #socket: Socket | undefined;
  onOpen: (socket: Socket) => void = () => {};

  constructor(port: number) {
    this.#port = port;
  }

  open(): Socket {
    if (this.#socket === undefined) {
      this.#socket = createConnection({ host: LOOPBACK, port: this.#port, noDelay: true });
      this.#socket.on("error", () => {});
      this.onOpen(this.#socket);
    }
    return this.#socket;
  }
}

interface Piece {
  /** Undefined: the end of the connection. */
  readonly data: Uint8Array | undefined;
  readonly dueMs: number;
}

/** What one member sends to another on one connection. */
class Direction {
  readonly #network: ProxiedNetwork;
  readonly #from: number;
  readonly #to: number;
  readonly #target: { open(): Socket };
  readonly #pieces: Piece[] = [];
  #source: Socket | undefined;
  #heldSize = 0;
  #lastDueMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    network: ProxiedNetwork,
    from: number,
    to: number,
    source: Socket | undefined,
    target: { open(): Socket },
  ) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.#target = target;
    if (source !== undefined) this.read(source);
  }

  /** Opens the connection on the other side as soon as anything may pass. */
  begin(): void {
    this.#take(new Uint8Array(0));
  }

  read(source: Socket): void {
    this.#source = source;
    source.on("data", (data: Uint8Array) => this.#take(data));
    source.on("close", () => this.#take(undefined));
  }

  #take(data: Uint8Array | undefined): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#network.delayMs());
    this.#pieces.push({ data, dueMs: this.#lastDueMs });
    this.#heldSize += data?.length ?? 0;
    if (this.#heldSize > HELD_SIZE_MAX) this.#source?.pause();
    this.pump();
  }

  /** Passes on what is due. */
  pump(): void {
    clearTimeout(this.#timer);
    while (this.#pieces.length > 0 && !this.#network.isCut(this.#from, this.#to)) {
      const { data, dueMs } = this.#pieces[0]!;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0.5) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        return;
      }
      this.#pieces.shift();
      const target = this.#target.open();
      if (data === undefined) {
        target.destroy();
        this.#network.forget(this);
        return;
      }
      if (data.length > 0) target.write(data);
      this.#heldSize -= data.length;
    }
    if (this.#heldSize < HELD_SIZE_MAX) this.#source?.resume();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#source?.destroy();
  }
}
