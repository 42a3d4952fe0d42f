/**
 * A hundred clients that each want the whole store in one answer: some read fast, some slowly, some not at all until the
 * end. One bound on what is buffered holds; everybody is served completely or told RESOURCE_EXHAUSTED.
 */
import { crc32 } from "node:zlib";
import { Bystander } from "../bystander_process.ts";
import { bytes, Client, encode, pathOf, prefixEnd } from "../client.ts";
import { type ClientStream, Connection } from "../connection.ts";
import { type Case, check, megabytes } from "../context.ts";
import { delay, within } from "../server.ts";
import { KV, RangeRequestSchema } from "../../../src/gen/etcdserverpb/kv_pb.ts";

const VALUE_SIZE = 4096;
const KEYS = 15_000;
const KEYS_LONG = 75_000;
const KEYS_PER_TXN = 100;
const FAST = 50, SLOW = 25, STALLED = 25;
/** How long those who do not read hold out, and the window that is open to them before. */
const STALL_MS = 3000;
const STALLED_WINDOW = 200_000;
/** A slow reader takes so much every so often. */
const SLOW_STEP = 256 << 10;
const SLOW_PAUSE_MS = 20;
const SERVED_MS_MAX = 10 * 60_000;
const LATENCY_MS_MAX = 3000;
/** Beyond the store itself and the bound: the sockets' own buffers, garbage not yet collected. */
const MEMORY_SLACK = 200 << 20;
const RESOURCE_EXHAUSTED = 8;

export const bigRanges: Case = {
  name: "big_ranges",
  about: "a hundred clients ask for everything at once, some without reading: one bound holds, all are served or told",
  async run(context) {
    const server = context.server();
    await server.start();
    const keys = context.settings.isLong ? KEYS_LONG : KEYS;
    const size = await load(server.port, keys);
    const revision = BigInt(1 + keys / KEYS_PER_TXN);
    const expected = await reference(server.port, revision, keys * VALUE_SIZE);
    const bystander = await Bystander.start(context, server.port);
    const before = server.memory().now;
    server.resetMemoryPeak();
    const beganMs = performance.now();

    const readers: Reader[] = [];
    for (let i = 0; i < FAST; i++) readers.push(await FastReader.open(server.port, revision));
    for (let i = 0; i < SLOW; i++) readers.push(await SlowReader.open(server.port, revision));
    for (let i = 0; i < STALLED; i++) readers.push(await StalledReader.open(server.port, revision));
    context.onEnd(() => readers.forEach((reader) => reader.connection.close()));
    const outcomes = await within(SERVED_MS_MAX, Promise.all(readers.map((reader) => reader.done())));

    let served = 0, told = 0;
    for (const { code, message, size: received, crc } of outcomes) {
      if (code === 0) {
        check(received === expected.size, `OK after ${received} of ${expected.size} bytes`);
        check(crc === expected.crc, "an answer of the right size with other bytes");
        served++;
      } else {
        check(code === RESOURCE_EXHAUSTED, `ended with code ${code}: ${message}`);
        told++;
      }
    }
    const lap = await bystander.lap();
    check(lap.failures.length === 0, `the well-behaved client: ${lap.failures[0]}`);
    const longestMs = Math.max(lap.puts.longestMs, lap.reads.longestMs);
    check(
      lap.puts.count > 0 && longestMs < LATENCY_MS_MAX,
      `the well-behaved client waited ${longestMs.toFixed(0)} ms`,
    );
    const metrics = await server.metrics();
    const peak = metrics["keelson_buffered_peak_bytes"]!, limit = metrics["keelson_buffered_limit_bytes"]!;
    check(peak <= limit, `${peak} bytes were buffered, and ${limit} is the bound`);
    const memory = server.memory();
    check(
      memory.peak - before < limit + MEMORY_SLACK,
      `memory went from ${megabytes(before)} to ${megabytes(memory.peak)}`,
    );
    const seconds = (performance.now() - beganMs) / 1000;
    const turnMs = metrics["keelson_loop_turn_longest_seconds"]! * 1000;
    return `${readers.length} x ${megabytes(size)}: ${served} served, ${told} told RESOURCE_EXHAUSTED, in ` +
      `${seconds.toFixed(0)} s; buffered at most ${megabytes(peak)} of ${megabytes(limit)}; memory ${
        megabytes(before)
      } ` +
      `before, ${megabytes(memory.peak)} at most; ${lap.puts.count} puts beside, median ` +
      `${lap.puts.medianMs.toFixed(0)} ms, longest ${longestMs.toFixed(0)} ms; longest turn ${turnMs.toFixed(0)} ms`;
  },
};

/** Returns the size of all values. */
async function load(port: number, keys: number): Promise<number> {
  const client = await Client.open(port);
  const value = new Uint8Array(VALUE_SIZE).fill(118);
  for (let first = 0; first < keys; first += KEYS_PER_TXN) {
    const success = Array.from({ length: KEYS_PER_TXN }, (_, i) => {
      new DataView(value.buffer).setUint32(0, first + i);
      const key = bytes(`large/${String(first + i).padStart(8, "0")}`);
      return { request: { case: "requestPut" as const, value: { key, value: value.slice() } } };
    });
    await client.call(KV.method.txn, { success });
  }
  client.close();
  return keys * VALUE_SIZE;
}

/** What every answer must be. The header's revision may differ, so the bytes before the first key are left out. */
async function reference(port: number, revision: bigint, sizeMin: number): Promise<{ size: number; crc: number }> {
  const reader = await FastReader.open(port, revision);
  const { code, size, crc } = await reader.done();
  reader.connection.close();
  check(code === 0 && size > sizeMin, `one range alone has code ${code} and ${size} bytes`);
  return { size, crc };
}

interface Outcome {
  readonly code: number;
  readonly message: string;
  /** Of the keys and values. */
  readonly size: number;
  readonly crc: number;
}

/** Counts and sums up what it is sent, and keeps nothing. */
abstract class Reader {
  readonly connection: Connection;
  readonly stream: ClientStream;
  #size = 0;
  #crc = 0;
  #head: Uint8Array | undefined = new Uint8Array(0);

  constructor(connection: Connection, revision: bigint) {
    this.connection = connection;
    this.stream = connection.open(pathOf(KV.method.range));
    this.stream.onData = (data) => this.#take(data);
    const request = { key: bytes("large/"), rangeEnd: prefixEnd("large/"), revision };
    this.stream.sendMessage(encode(RangeRequestSchema, request), true);
  }

  async done(): Promise<Outcome> {
    const { code, message } = await this.stream.done;
    return { code, message, size: this.#size, crc: this.#crc };
  }

  /** The message is a prefix of 5 bytes, the header (field 1), then the rest. */
  #take(data: Uint8Array): void {
    let rest = data;
    if (this.#head !== undefined) {
      const head = new Uint8Array(this.#head.length + data.length);
      head.set(this.#head);
      head.set(data, this.#head.length);
      this.#head = head;
      if (head.length < 7 || head.length < 7 + head[6]!) return;
      rest = head.subarray(7 + head[6]!);
      this.#head = undefined;
    }
    this.#size += rest.length;
    this.#crc = crc32(rest, this.#crc);
  }
}

class FastReader extends Reader {
  static async open(port: number, revision: bigint): Promise<FastReader> {
    return new FastReader(await Connection.open(port), revision);
  }
}

/** Opens its window a little at a time. */
class SlowReader extends Reader {
  static async open(port: number, revision: bigint): Promise<SlowReader> {
    const window = SLOW_STEP;
    const reader = new SlowReader(
      await Connection.open(port, { streamWindow: window, connectionWindow: window }),
      revision,
    );
    void reader.#readSlowly();
    return reader;
  }

  async #readSlowly(): Promise<void> {
    while (this.stream.status === undefined) {
      await delay(SLOW_PAUSE_MS);
      this.stream.grant(SLOW_STEP);
      this.connection.grantConnection(SLOW_STEP);
    }
  }
}

/** Leaves its window shut, or does not even read its socket, and then reads on as if nothing had been. */
class StalledReader extends Reader {
  static #count = 0;

  static async open(port: number, revision: bigint): Promise<StalledReader> {
    const stopsReading = StalledReader.#count++ % 2 === 0;
    const window = stopsReading ? 1 << 30 : STALLED_WINDOW;
    const connection = await Connection.open(port, { streamWindow: window, connectionWindow: window });
    const reader = new StalledReader(connection, revision);
    if (stopsReading) connection.stopReading();
    setTimeout(() => {
      if (stopsReading) {
        connection.resumeReading();
        return;
      }
      reader.stream.grant(1 << 30);
      connection.grantConnection(1 << 30);
    }, STALL_MS);
    return reader;
  }
}
