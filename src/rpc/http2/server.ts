import { HTTP2_CONCURRENT_STREAMS_MAX, HTTP2_HEADER_LIST_SIZE_MAX, HTTP2_PROBE_TICK_MS } from "../../base/limits.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import type { Clock, Timer } from "../../io/clock.ts";
import type { ByteStream } from "../../io/net.ts";
import { Budget } from "./budget.ts";
import { BufferPool } from "./buffers.ts";
import { Http2Connection } from "./connection.ts";
import type { Application } from "./stream.ts";

export interface Http2ServerOptions {
  readonly application: Application;
  readonly clock: Clock;
  /** Shared with whatever else buffers for clients. Default: one of its own, of RPC_BUFFERED_BYTES_MAX. */
  readonly budget?: Budget;
  /** SETTINGS_MAX_CONCURRENT_STREAMS; advertised where it is below 2^32 - 1, the default. */
  readonly concurrentStreamsMax?: number;
  readonly headerListSizeMax?: number;
  /** A connection on which nothing was read for so long is pinged. Default 2 h, 0 never. */
  readonly keepaliveIntervalMs?: number;
  /** ... and dropped if nothing is read for so long after it. Default 20 s, 0 never. */
  readonly keepaliveTimeoutMs?: number;
  /** Pings that come sooner than this are strikes, the third of which ends the connection. Default 5 s. */
  readonly pingIntervalMinMs?: number;
  /** Whether that interval holds for clients without calls too; else they may ping every 2 h. Default false. */
  readonly permitsPingWithoutStream?: boolean;
}

const TICK_MS = 1000;
/** Ticks from one search for stalled answers to the next. */
const STALL_SWEEP_TICKS = 15;

/** Serves HTTP/2 on byte streams that were accepted, and sniffed, elsewhere. */
export class Http2Server {
  readonly application: Application;
  readonly clock: Clock;
  readonly budget: Budget;
  readonly buffers = new BufferPool();
  readonly concurrentStreamsMax: number;
  readonly headerListSizeMax: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly pingIntervalMinMs: number;
  readonly permitsPingWithoutStream: boolean;
  readonly #connections = new Set<Http2Connection>();
  #ticker: Timer | undefined;
  #tickCount = 0;
  /** Connections with output of this turn, flushed in a microtask: after all that one event settles. */
  #unflushed: Http2Connection[] = [];
  readonly #flush: () => void;
  /** Connections that hold the answer to a probe. */
  readonly #probed: Http2Connection[] = [];
  #probeTicker: Timer | undefined;
  #isDraining = false;
  #onEmpty: (() => void)[] = [];

  constructor(options: Http2ServerOptions) {
    this.application = options.application;
    this.clock = options.clock;
    this.budget = options.budget ?? new Budget();
    this.concurrentStreamsMax = options.concurrentStreamsMax ?? HTTP2_CONCURRENT_STREAMS_MAX;
    this.headerListSizeMax = options.headerListSizeMax ?? HTTP2_HEADER_LIST_SIZE_MAX;
    this.keepaliveIntervalMs = options.keepaliveIntervalMs ?? 2 * 60 * 60 * 1000;
    this.keepaliveTimeoutMs = options.keepaliveTimeoutMs ?? 20_000;
    this.pingIntervalMinMs = options.pingIntervalMinMs ?? 5000;
    this.permitsPingWithoutStream = options.permitsPingWithoutStream ?? false;
    this.#flush = () => this.#flushAll();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Calls and exchanges in progress. */
  get streamCount(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.streamCount;
    return count;
  }

  /** Takes over a connection. `initialBytes` were read from it already, from the preface on. */
  serve(stream: ByteStream, initialBytes: Uint8Array = EMPTY_BYTES): void {
    if (this.#isDraining) {
      stream.destroy();
      return;
    }
    const connection = new Http2Connection(this, stream);
    this.#connections.add(connection);
    this.#ticker ??= this.clock.every(TICK_MS, () => this.#tick());
    connection.start(initialBytes);
  }

  /**
   * Ends gracefully: tells every client to go elsewhere and resolves once what is in progress is done. After `deadlineMs`
   * the rest is answered that the server stops, and dropped.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    for (const connection of [...this.#connections]) connection.drain();
    const timer = this.clock.after(deadlineMs, () => {
      for (const connection of [...this.#connections]) connection.stop();
    });
    return new Promise<void>((resolve) => {
      this.#onEmpty.push(() => {
        timer.cancel();
        resolve();
      });
      this.#checkEmpty();
    });
  }

  /** Drops everything at once. */
  destroy(): void {
    this.#isDraining = true;
    for (const connection of [...this.#connections]) connection.destroy();
  }

  /** For connections: one that is gone. */
  forget(connection: Http2Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    this.#ticker?.cancel();
    this.#ticker = undefined;
    this.#checkEmpty();
  }

  /** For connections: flushes after the present event. */
  scheduleFlush(connection: Http2Connection): void {
    if (this.#unflushed.push(connection) === 1) queueMicrotask(this.#flush);
  }

  /** For connections: `tickProbe` is called from now on, until it returns false. */
  holdProbe(connection: Http2Connection): void {
    this.#probed.push(connection);
    this.#probeTicker ??= this.clock.every(HTTP2_PROBE_TICK_MS, () => this.#tickProbes());
  }

  #tickProbes(): void {
    const probed = this.#probed;
    let kept = 0;
    for (let i = 0; i < probed.length; i++) {
      if (probed[i].tickProbe()) probed[kept++] = probed[i];
    }
    probed.length = kept;
    if (kept > 0) return;
    this.#probeTicker!.cancel();
    this.#probeTicker = undefined;
  }

  #flushAll(): void {
    const connections = this.#unflushed;
    this.#unflushed = [];
    for (let i = 0; i < connections.length; i++) connections[i].flushScheduled();
  }

  #tick(): void {
    const nowMs = this.clock.monotonicMs();
    const sweepsStalls = ++this.#tickCount % STALL_SWEEP_TICKS === 0;
    for (const connection of [...this.#connections]) connection.tick(nowMs, sweepsStalls);
  }

  #checkEmpty(): void {
    if (this.#connections.size > 0) return;
    const waiting = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of waiting) resolve();
  }
}
