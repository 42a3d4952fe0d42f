/**
 * Hostile, broken and stalled clients, one kind after the other, while a well-behaved client measures that its puts go
 * on. After each: the process is there, its memory within bounds, and nothing is held for clients that are gone.
 */
import { ATTACKS } from "../attacks.ts";
import { Bystander } from "../bystander_process.ts";
import { bytes, Client, encode, pathOf, prefixEnd, text } from "../client.ts";
import { Connection } from "../connection.ts";
import process from "node:process";
import { type Case, check, type Context, megabytes } from "../context.ts";
import { delay, type Server, within } from "../server.ts";
import { fromBinary } from "@bufbuild/protobuf";
import { RPC_BUFFERED_BYTES_MAX } from "../../../src/base/limits.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Watch, WatchRequestSchema, WatchResponseSchema } from "../../../src/gen/etcdserverpb/watch_pb.ts";

/**
 * What the attacks together may add to the memory of the process: what may be buffered, as much again in garbage (buffers
 * grow by doubling), and sockets.
 */
const MEMORY_GROWTH_MAX = 2 * RPC_BUFFERED_BYTES_MAX + (256 << 20);
/** A call of the well-behaved client may wait so long, on a machine that the attacker has half of. */
const LATENCY_MS_MAX = 3000;
const SETTLE_MS_MAX = 5000;
/** Held for clients when nobody but the well-behaved one is there. */
const BUFFERED_IDLE_MAX = 64 << 10;

export const hostile: Case = {
  name: "hostile",
  about: "floods, bombs, malformed frames, stalled and vanishing clients: the others go on, memory stays bounded",
  async run(context) {
    const server = context.server();
    await server.start();
    const bystander = await Bystander.start(context, server.port);
    await delay(300);
    const before = server.memory().now;
    let longestMs = 0, puts = 0;
    const attacks = [...ATTACKS, {
      name: "a hundred watchers that do not read, and one that does so late",
      run: (port: number) => stalledWatcher(context, port),
    }];
    for (const { name, run } of attacks) {
      try {
        await run(server.port, context.random);
        check(server.isRunning, "the process has ended");
        const lap = await bystander.lap();
        check(lap.failures.length === 0, `the well-behaved client: ${lap.failures[0]}`);
        const lapMs = Math.max(lap.puts.longestMs, lap.reads.longestMs);
        check(lapMs < LATENCY_MS_MAX, `the well-behaved client waited ${lapMs.toFixed(0)} ms`);
        longestMs = Math.max(longestMs, lapMs);
        puts += lap.puts.count;
        await settled(server);
        const { peak } = server.memory();
        check(peak - before < MEMORY_GROWTH_MAX, `memory went from ${megabytes(before)} to ${megabytes(peak)}`);
        if (process.env["KEELSON_VERBOSE"] === "1") {
          console.log(`     ${name.padEnd(60)} ${lapMs.toFixed(0).padStart(5)} ms ${megabytes(peak)}`);
        }
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`);
      }
    }
    const { now, peak } = server.memory();
    return `${attacks.length} attacks; ${puts} puts beside them, the longest call ${longestMs.toFixed(0)} ms; memory ` +
      `${megabytes(before)} before, ${megabytes(peak)} at most, ${megabytes(now)} after`;
  },
};

/** What was held for those who are gone is given back. */
async function settled(server: Server): Promise<void> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX;
  while (true) {
    const held = (await server.metrics())["keelson_buffered_bytes"]!;
    if (held < BUFFERED_IDLE_MAX) return;
    check(performance.now() < deadlineMs, `${held} bytes are still held for clients that are gone`);
    await delay(20);
  }
}

const EVENTS = 100_000;
const EVENTS_PER_TXN = 100;
const CATCH_UP_MS_MAX = 20_000;
/** They never read again. */
const OTHER_WATCHERS = 100;
const WATCH_REQUEST = encode(WatchRequestSchema, {
  requestUnion: { case: "createRequest", value: { key: bytes("watched/"), rangeEnd: prefixEnd("watched/") } },
});

/** Its window stays shut while events happen by the hundred thousand; opened, it gets every one, in order. */
async function stalledWatcher(context: Context, port: number): Promise<void> {
  const watcher = await Connection.open(port, { streamWindow: 65_535, connectionWindow: 65_535 });
  context.onEnd(() => watcher.close());
  const stream = watcher.open(pathOf(Watch.method.watch));
  let count = 0;
  let last = 0n;
  let isCreated: () => void = () => {};
  let isComplete: () => void = () => {};
  const created = new Promise<void>((resolve) => isCreated = resolve);
  const complete = new Promise<void>((resolve) => isComplete = resolve);
  const faults: string[] = [];
  stream.onMessage = (message) => {
    const response = fromBinary(WatchResponseSchema, message);
    if (response.created) isCreated();
    for (const { kv } of response.events) {
      const wanted = `watched/${String(count % EVENTS_PER_TXN).padStart(3, "0")}`;
      if (text(kv!.key) !== wanted || kv!.modRevision < last) faults.push(`event ${count}`);
      last = kv!.modRevision;
      if (++count === EVENTS) isComplete();
    }
  };
  stream.sendMessage(WATCH_REQUEST);
  await created;
  const others: Connection[] = [];
  for (let i = 0; i < OTHER_WATCHERS; i++) {
    const other = await Connection.open(port, { streamWindow: 65_535, connectionWindow: 65_535 });
    others.push(other);
    other.open(pathOf(Watch.method.watch)).sendMessage(WATCH_REQUEST);
    // Half of them do not even read what their windows let through.
    if (i % 2 === 0) other.stopReading();
  }

  const writer = await Client.open(port);
  for (let i = 0; i < EVENTS / EVENTS_PER_TXN; i++) {
    const success = Array.from({ length: EVENTS_PER_TXN }, (_, key) => ({
      request: {
        case: "requestPut" as const,
        value: { key: bytes(`watched/${String(key).padStart(3, "0")}`), value: bytes(`event ${i} of many`) },
      },
    }));
    await writer.call(KV.method.txn, { success });
  }
  writer.close();
  check(count < EVENTS / 10, `${count} events came through a window that was shut`);
  watcher.grantConnection(1 << 30);
  stream.grant(1 << 30);
  await within(CATCH_UP_MS_MAX, Promise.race([complete, stream.done])).catch(() => {});
  check(count === EVENTS, `${count} of ${EVENTS} events came after all (${stream.status?.message ?? "still open"})`);
  check(faults.length === 0, `out of order: ${faults[0]}`);
  for (const each of [watcher, ...others]) each.close();
}
