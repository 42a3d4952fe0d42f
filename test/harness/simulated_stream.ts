/**
 * One end of a connection in memory. Bytes travel in segments over a link that delays them and may be cut: then they wait,
 * as those of TCP do, for a retransmission that gets through. What is on its way, or not consumed by the other end, is
 * bounded by a window, so that a writer meets a reader that does not read, and a link of which one direction is cut.
 *
 * Like the system's streams, and unlike most fakes: a write that returns false goes on reading the writer's buffer until
 * `onDrain`, and received bytes are overwritten once the listener has returned.
 */

import { TCP_KEEP_ALIVE_MS } from "../../src/base/limits.ts";
import type { ByteStream, ByteStreamListener } from "../../src/io/net.ts";

/** How bytes fare from one machine to another. */
export interface ConnectionLink {
  /** Nothing arrives; it is sent again until it does, or the connection is given up. */
  isCut: boolean;
  /** Of segments, which then arrive later. */
  lossRate: number;
  delayMinMs: number;
  delayMaxMs: number;
}

/** What a stream needs of the world; the network gives it. */
export interface StreamWorld {
  readonly nowMs: number;
  after(delayMs: number, run: () => void): { cancel(): void };
  link(from: string, to: string): ConnectionLink;
  /** Whether there is a system that answers, be it that nobody listens. */
  isPowered(machine: string): boolean;
  /** On its way over that link, chance and all. */
  travelMs(link: ConnectionLink): number;
  chance(probability: number): boolean;
  below(bound: number): number;
  /** Milliseconds of retransmissions after which the system gives a connection up. */
  readonly giveUpMs: number;
  count(what: string): void;
}

/** The process that has the stream. */
export interface StreamProcess {
  /** The machine's. */
  readonly name: string;
  /** Runs something in the process after that time, unless it has ended. */
  run(delayMs: number, callback: () => void): void;
  /** The same in the event at hand, if the process has time. */
  runNow(callback: () => void): void;
  streamClosed(stream: SimulatedStream): void;
}

/** Bytes on their way, and those not consumed. */
const WINDOW_SIZE = 128 * 1024;
/** Between two tries to get a segment through a cut link: at first, and at most. */
const RETRANSMISSION_MIN_MS = 200;
const RETRANSMISSION_MAX_MS = 1600;
/** Until an idle connection is asked after again, and how often, where nobody answers. */
const KEEP_ALIVE_RETRY_MS = 1000;
const KEEP_ALIVE_TRIES = 10;
/** Of segments that arrive in two. */
const SPLIT_RATE = 0.1;
/** What a listener finds in a buffer that it kept. */
const OVERWRITTEN = 0xdd;

type Segment = {
  readonly kind: "data" | "end" | "reset";
  readonly bytes: Uint8Array;
  readonly sentMs: number;
  readonly dueMs: number;
};

const NO_BYTES = new Uint8Array(0);

export class SimulatedStream implements ByteStream {
  readonly remoteAddress: string;
  readonly process: StreamProcess;
  readonly remoteMachine: string;
  readonly #world: StreamWorld;
  #other: SimulatedStream | undefined;
  #listener: ByteStreamListener | undefined;
  #isPaused = false;
  #isClosed = false;
  /** It was lost with its process. Maybe nobody was told. */
  #isForgotten = false;
  #closeError: Error | undefined;
  #keepAliveTimer: { cancel(): void } | undefined;

  // Sending.
  /** What the window has no room for. */
  #rest: Uint8Array | undefined;
  #isDrainDue = false;
  #isEnding = false;
  #sentSize = 0;
  #acknowledgedSize = 0;
  readonly #flight: Segment[] = [];
  /** The first of them has an event to come. */
  #isTravelling = false;
  #lastDueMs = 0;
  #isBreaking = false;

  // Receiving.
  readonly #arrived: Segment[] = [];
  #isEndDelivered = false;
  #consumedSize = 0;
  #isAcknowledging = false;

  constructor(world: StreamWorld, process: StreamProcess, remoteMachine: string, remoteAddress: string) {
    this.#world = world;
    this.process = process;
    this.remoteMachine = remoteMachine;
    this.remoteAddress = remoteAddress;
  }

  /** Makes two streams the ends of one connection. */
  static join(one: SimulatedStream, other: SimulatedStream): void {
    one.#other = other;
    other.#other = one;
    one.#keepAlive();
    other.#keepAlive();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  // --- For the listener.

  listen(listener: ByteStreamListener): void {
    const isFirst = this.#listener === undefined;
    this.#listener = listener;
    if (!isFirst) return;
    if (this.#isClosed) this.#tellClose();
    else this.#scheduleDelivery();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isClosed || this.#isEnding) return true;
    if (this.#rest !== undefined) throw new Error("a write before the last one was taken");
    this.#rest = bytes;
    this.#fillWindow();
    return this.#rest === undefined;
  }

  end(): void {
    if (this.#isClosed || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#rest === undefined) this.#emit("end");
    this.#closeIfOver();
  }

  destroy(): void {
    if (this.#isClosed) return;
    // Which of the two the other end meets depends on what was left unread, and on luck.
    const isReset = this.#rest !== undefined || this.#arrived.length > 0 || this.#world.chance(0.5);
    if (isReset) this.#emit("reset");
    else if (!this.#isEnding) this.#emit("end");
    this.#close(undefined);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#scheduleDelivery();
  }

  // --- For the network.

  /** The process has ended. Its system tells the other end, unless it is gone with it. */
  abandon(isTold: boolean): void {
    if (this.#isClosed) return;
    if (isTold) this.#emit("reset");
    else this.#flight.length = 0;
    this.#isForgotten = true;
    this.#isClosed = true;
    this.#keepAliveTimer?.cancel();
  }

  /** What is written from now on does not arrive before then. */
  holdUntil(ms: number): void {
    if (ms > this.#lastDueMs) this.#world.count("connections held up");
    this.#lastDueMs = Math.max(this.#lastDueMs, ms);
  }

  /** The connection breaks in the middle of the next write: what is left of it does not arrive. */
  breakNextWrite(): void {
    this.#isBreaking = true;
  }

  /** The system gives the connection up. */
  fail(code: "ECONNRESET" | "ETIMEDOUT"): void {
    if (this.#isClosed) return;
    this.#world.count(code === "ECONNRESET" ? "connections reset" : "connections given up");
    this.#close(Object.assign(new Error(`simulated ${code}`), { code }));
  }

  // --- Sending.

  #fillWindow(): void {
    const rest = this.#rest!;
    const size = Math.min(rest.length, WINDOW_SIZE - (this.#sentSize - this.#acknowledgedSize));
    this.#rest = size < rest.length ? rest.subarray(size) : undefined;
    if (size === 0) return;
    if (this.#isBreaking && size > 1) return this.#breakWithin(rest.slice(0, 1 + this.#world.below(size - 1)));
    this.#sentSize += size;
    const cut = size > 1 && this.#world.chance(SPLIT_RATE) ? 1 + this.#world.below(size - 1) : size;
    this.#emit("data", rest.slice(0, cut));
    if (cut < size) this.#emit("data", rest.slice(cut, size));
  }

  #breakWithin(bytes: Uint8Array): void {
    this.#world.count("connections broken within a write");
    this.#emit("data", bytes);
    this.#emit("reset");
    this.#isBreaking = false;
    this.process.run(0, () => this.fail("ECONNRESET"));
  }

  #emit(kind: Segment["kind"], bytes: Uint8Array = NO_BYTES): void {
    const { nowMs } = this.#world;
    const link = this.#world.link(this.process.name, this.remoteMachine);
    // In order, whatever was delayed before.
    const dueMs = this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + this.#world.travelMs(link));
    this.#flight.push({ kind, bytes, sentMs: nowMs, dueMs });
    if (!this.#isTravelling) this.#travel();
  }

  #travel(): void {
    const next = this.#flight[0];
    this.#isTravelling = next !== undefined;
    if (next === undefined) return;
    this.#world.after(Math.max(0, next.dueMs - this.#world.nowMs), () => this.#arrive(RETRANSMISSION_MIN_MS));
  }

  #arrive(retransmissionMs: number): void {
    const world = this.#world;
    const segment = this.#flight[0];
    // What was due was given up; what has followed is not due yet.
    if (segment === undefined || segment.dueMs > world.nowMs) return this.#travel();
    if (world.link(this.process.name, this.remoteMachine).isCut || !world.isPowered(this.remoteMachine)) {
      if (!this.#stall(segment.sentMs, retransmissionMs, (nextMs) => this.#arrive(nextMs))) this.#isTravelling = false;
      return;
    }
    this.#flight.shift();
    this.#travel();
    this.#other!.#receive(segment);
  }

  /** Tries again later, each time after twice as long. False: the system has had enough. */
  #stall(sinceMs: number, retransmissionMs: number, again: (nextMs: number) => void): boolean {
    const world = this.#world;
    world.count("segments stalled");
    if (world.nowMs - sinceMs >= world.giveUpMs) {
      this.#flight.length = 0;
      this.process.run(0, () => this.fail("ETIMEDOUT"));
      return false;
    }
    world.after(retransmissionMs, () => again(Math.min(2 * retransmissionMs, RETRANSMISSION_MAX_MS)));
    return true;
  }

  #acknowledge(consumedSize: number): void {
    this.#acknowledgedSize = consumedSize;
    if (this.#rest === undefined || this.#isClosed) return;
    this.#fillWindow();
    if (this.#rest !== undefined || this.#isDrainDue) return;
    this.#isDrainDue = true;
    // The writer hears of it when its process has time.
    this.process.run(0, () => {
      this.#isDrainDue = false;
      if (this.#isClosed) return;
      if (this.#isEnding) this.#emit("end");
      this.#listener?.onDrain();
      this.#closeIfOver();
    });
  }

  // --- Receiving.

  #receive(segment: Segment): void {
    if (this.#isClosed) {
      // Nobody is here any more, which the system says to whoever goes on sending.
      if (segment.kind === "data") this.#emit("reset");
      return;
    }
    this.#arrived.push(segment);
    if (segment.kind === "reset" && (this.#isPaused || this.#listener === undefined)) {
      this.process.run(0, () => this.fail("ECONNRESET"));
      return;
    }
    if (this.#listener !== undefined && !this.#isPaused) this.process.runNow(this.#deliver);
  }

  #scheduleDelivery(): void {
    if (this.#arrived.length > 0) this.process.run(0, this.#deliver);
  }

  readonly #deliver = (): void => {
    while (this.#arrived.length > 0 && this.#listener !== undefined && !this.#isPaused && !this.#isClosed) {
      const { kind, bytes } = this.#arrived.shift()!;
      switch (kind) {
        case "data":
          this.#listener.onData(bytes);
          bytes.fill(OVERWRITTEN);
          this.#consumed(bytes.length);
          break;
        case "end":
          this.#isEndDelivered = true;
          this.#listener.onEnd();
          this.#closeIfOver();
          break;
        case "reset":
          this.fail("ECONNRESET");
      }
    }
  };

  #consumed(size: number): void {
    this.#consumedSize += size;
    if (this.#isAcknowledging) return;
    const link = this.#world.link(this.process.name, this.remoteMachine);
    // Whoever does not wait for it, and cannot miss it, needs no event of its own for it.
    if (this.#other!.#rest === undefined && !link.isCut) return this.#other!.#acknowledge(this.#consumedSize);
    this.#isAcknowledging = true;
    const sinceMs = this.#world.nowMs;
    const attempt = (retransmissionMs: number): void => {
      if (this.#world.link(this.process.name, this.remoteMachine).isCut) {
        // The sender cannot know that all is well: it is the one who gives up.
        this.#other!.#stall(sinceMs, retransmissionMs, attempt);
        return;
      }
      this.#isAcknowledging = false;
      this.#other!.#acknowledge(this.#consumedSize);
    };
    this.#world.after(this.#world.travelMs(link), () => attempt(RETRANSMISSION_MIN_MS));
  }

  /** The system asks now and then whether the other end knows of the connection, which it may have forgotten. */
  #keepAlive(failureCount = 0): void {
    const world = this.#world;
    this.#keepAliveTimer = world.after(failureCount === 0 ? TCP_KEEP_ALIVE_MS : KEEP_ALIVE_RETRY_MS, () => {
      const there = world.link(this.process.name, this.remoteMachine);
      const back = world.link(this.remoteMachine, this.process.name);
      const isAnswered = !there.isCut && !back.isCut && world.isPowered(this.remoteMachine);
      if (!isAnswered && failureCount === KEEP_ALIVE_TRIES) this.process.run(0, () => this.fail("ETIMEDOUT"));
      else if (isAnswered && this.#other!.#isForgotten) this.process.run(0, () => this.fail("ECONNRESET"));
      else this.#keepAlive(isAnswered ? 0 : failureCount + 1);
    });
  }

  // --- The end.

  #closeIfOver(): void {
    if (this.#isEndDelivered && this.#isEnding && this.#rest === undefined) this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeError = error;
    this.#keepAliveTimer?.cancel();
    this.#rest = undefined;
    this.#arrived.length = 0;
    this.process.streamClosed(this);
    if (this.#listener !== undefined) this.#tellClose();
  }

  #tellClose(): void {
    this.process.run(0, () => this.#listener!.onClose(this.#closeError));
  }
}
