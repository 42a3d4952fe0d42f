/**
 * A well-behaved client in a process of its own, lest the load of a case be measured instead of the server: it puts and
 * reads a key, again and again, and says on demand how long that took. `bun bystander.ts PORT` is started by `Bystander`
 * in bystander_process.ts; each line on its input is answered with a `Lap` as JSON.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { bytes, Client, text } from "./client.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import type { Lap } from "./bystander_process.ts";

const PAUSE_MS = 5;

const client = await Client.open(Number(process.argv[2]));
let puts: number[] = [];
let reads: number[] = [];
let failures: string[] = [];

createInterface({ input: process.stdin })
  .on("line", () => {
    const lap: Lap = { puts: summary(puts), reads: summary(reads), failures };
    process.stdout.write(`${JSON.stringify(lap)}\n`);
    puts = [];
    reads = [];
    failures = [];
  })
  .on("close", () => process.exit(0));

function summary(latencies: number[]) {
  latencies.sort((a, b) => a - b);
  return { count: latencies.length, longestMs: latencies.at(-1) ?? 0, medianMs: latencies[latencies.length >> 1] ?? 0 };
}

for (let i = 0; !client.connection.isClosed; i++) {
  try {
    const putMs = performance.now();
    await client.call(KV.method.put, { key: bytes("bystander"), value: bytes(String(i)) });
    puts.push(performance.now() - putMs);
    const readMs = performance.now();
    const { kvs } = await client.call(KV.method.range, { key: bytes("bystander") });
    reads.push(performance.now() - readMs);
    const found = kvs[0] === undefined ? "nothing" : text(kvs[0].value);
    if (found !== String(i)) failures.push(`read ${found} after putting ${i}`);
  } catch (error) {
    failures.push(String(error));
  }
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
