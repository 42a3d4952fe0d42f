/** SIGTERM under load: what was taken is answered, the end is that of the signal, the next start finds all of it. */
import { bytes, Client, encode, pathOf, text } from "../client.ts";
import { Connection, LOST, type Status } from "../connection.ts";
import { type Case, check, type Context } from "../context.ts";
import { delay, type Server } from "../server.ts";
import { KV, PutRequestSchema, RangeRequestSchema } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Watch, WatchRequestSchema } from "../../../src/gen/etcdserverpb/watch_pb.ts";

const WRITERS = 8;
/** Calls under way at once on each connection. */
const PIPELINE = 20;
const LOAD_MS = 300;
const ROUNDS = 3;
/** With calls in progress, and open watches, a server ends in 1.5 s, on a machine that has nothing else to do. */
const DRAIN_MS_MAX = 3000;
const UNAVAILABLE = 14;

export const drain: Case = {
  name: "drain",
  about: "SIGTERM and SIGINT under load: calls under way are answered, the exit is by signal, the restart clean",
  async run(context) {
    const server = context.server();
    const acknowledged = new Map<string, string>();
    let refused = 0, longestMs = 0;
    await server.start();
    for (let round = 0; round < ROUNDS; round++) {
      const result = await drainUnderLoad(server, round, round % 2 === 0 ? "SIGTERM" : "SIGINT", acknowledged);
      refused += result.refused;
      longestMs = Math.max(longestMs, result.tookMs);
      await server.start();
      check(!server.logLines().some((line) => /"repair/.test(line)), "the log had to be repaired after a clean end");
      await verify(server, acknowledged);
    }
    await secondSignal(context, server);
    return `${ROUNDS} ends under load, each within ${
      longestMs.toFixed(0)
    } ms; ${acknowledged.size} keys acknowledged and ` +
      `there, ${refused} calls refused, none in doubt; a second signal ends it at once`;
  },
};

async function drainUnderLoad(
  server: Server,
  round: number,
  signal: "SIGTERM" | "SIGINT",
  acknowledged: Map<string, string>,
): Promise<{ refused: number; tookMs: number }> {
  let refused = 0;
  const faults: string[] = [];
  const watcher = await Connection.open(server.port);
  const watch = watcher.open(pathOf(Watch.method.watch));
  watch.sendMessage(encode(WatchRequestSchema, {
    requestUnion: { case: "createRequest", value: { key: bytes("w"), rangeEnd: bytes("x") } },
  }));
  const work = Array.from({ length: WRITERS }, async (_, writer) => {
    const connection = await Connection.open(server.port);
    const pipeline = Array.from({ length: PIPELINE }, async (_, lane) => {
      for (let i = 0; !connection.isClosed && connection.farewell === ""; i++) {
        const key = `w${writer}/${lane}/${i % 10}`;
        const value = `${round} ${i}`;
        const stream = connection.open(pathOf(KV.method.put));
        stream.sendMessage(encode(PutRequestSchema, { key: bytes(key), value: bytes(value) }), true);
        const { code, message } = await stream.done;
        if (code === 0) acknowledged.set(key, value);
        else if (code === UNAVAILABLE || (code === LOST && stream.id > connection.lastServedId)) refused++;
        else faults.push(`a call under way ended with code ${code}: ${message}`);
      }
    });
    await Promise.all(pipeline);
  });
  await delay(LOAD_MS);
  const beganMs = performance.now();
  server.signal(signal);
  const end = await server.end;
  const tookMs = performance.now() - beganMs;
  await Promise.all(work);
  const watched: Status = await watch.done;
  check(faults.length === 0, `${faults.length} calls in doubt: ${faults[0]}`);
  check(end.signal === signal, `ended with ${end.code ?? end.signal}, and not by ${signal}`);
  check(tookMs < DRAIN_MS_MAX, `it took ${tookMs.toFixed(0)} ms to end`);
  check(watched.code === UNAVAILABLE, `the watch ended with code ${watched.code}: ${watched.message}`);
  return { refused, tookMs };
}

async function verify(server: Server, acknowledged: ReadonlyMap<string, string>): Promise<void> {
  const client = await Client.open(server.port);
  const { kvs } = await client.call(KV.method.range, { key: bytes("w"), rangeEnd: bytes("x") });
  client.close();
  const found = new Map(kvs.map(({ key, value }) => [text(key), text(value)]));
  for (const [key, value] of acknowledged) {
    check(found.get(key) === value, `${key} was acknowledged as "${value}" and is "${found.get(key)}"`);
  }
}

/** A call that does not end holds the drain for as long as it may take. */
async function secondSignal(context: Context, server: Server): Promise<void> {
  const client = await Client.open(server.port);
  for (let i = 0; i < 20; i++) {
    await client.call(KV.method.put, { key: bytes(`large/${i}`), value: new Uint8Array(100_000) });
  }
  client.close();
  const stalled = await Connection.open(server.port, { streamWindow: 1000, connectionWindow: 65_535 });
  context.onEnd(() => stalled.close());
  const request = encode(RangeRequestSchema, { key: bytes("large/"), rangeEnd: bytes("large0") });
  stalled.open(pathOf(KV.method.range)).sendMessage(request, true);
  await delay(100);
  server.signal("SIGTERM");
  await delay(100);
  check(server.isRunning, "it did not wait for a call under way");
  const beganMs = performance.now();
  server.signal("SIGTERM");
  await server.end;
  const tookMs = performance.now() - beganMs;
  check(tookMs < 400, `a second signal took ${tookMs.toFixed(0)} ms to end it`);
}
