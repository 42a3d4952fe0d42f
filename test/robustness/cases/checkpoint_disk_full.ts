/**
 * A file system that fills up beside a member that runs: checkpoints, rewrites and snapshots find no room, while the log
 * has its segment allocated. Clients are served, who asked for a file hears why there is none, and when there is room
 * again everything goes on by itself.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { bytes, CallError, Client, pathOf, prefixEnd, text } from "../client.ts";
import { type Case, check } from "../context.ts";
import { delay, type Server, within } from "../server.ts";
import { requireNamespaces, SmallDisk } from "../small_disk.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

/** Two segments of the log are allocated from the start; the rest is for the database. */
const DISK_SIZE = 170 << 20;
const KEYS = 1000;
const VALUE_SIZE = 8000;
/** Where the room that is left is too little for what a checkpoint has to write. */
const ROOM_LEFT = 1 << 20;
const ANSWER_MS_MAX = 20_000;

export const checkpointDiskFull: Case = {
  name: "checkpoint_full",
  about: "no space left for checkpoints, rewrites and snapshots: said so, served on, nothing lost, goes on with room",
  async run(context) {
    requireNamespaces();
    const disk = await SmallDisk.mount(context, "disk", DISK_SIZE);
    const server = context.server({
      wrapper: disk.wrapper,
      dataDirectory: join(disk.path, "data"),
      flags: ["--snapshot-count=100"],
    });
    await server.start();
    let client = await Client.open(server.port);
    const ledger = new Map<string, string>();
    await overwrite(client, ledger, 0, KEYS);
    await client.call(Maintenance.method.defragment, {});
    await overwrite(client, ledger, 0, KEYS);

    await fillUp(disk);
    const refused: string[] = [];
    for (let round = 0; round < 3; round++) {
      // Both have to write what came since the last checkpoint, and there is no room for it.
      refused.push(await refusal(() => client.call(Maintenance.method.defragment, {})));
      refused.push(await refusal(() => snapshot(client)));
      await overwrite(client, ledger, round * 100, (round + 1) * 100);
      const { header } = await client.call(KV.method.range, { key: bytes("any") });
      await within(ANSWER_MS_MAX, client.call(KV.method.compact, { revision: header!.revision, physical: true }));
    }
    const silent = refused.find((message) => !/no space left on device/.test(message));
    check(silent === undefined, `the answer does not say why: ${silent}`);
    check(
      server.logLines().some((line) => line.includes("cannot write a checkpoint") && line.includes("make room")),
      "the log does not say that checkpoints fail",
    );
    await verify(client, ledger);
    const leftovers = await run(disk, ["find", join(server.dataDirectory, "member", "snap"), "-name", "tmp*"]);
    check(leftovers === "", `a temporary file takes the room that there is: ${leftovers}`);
    const before = await client.call(Maintenance.method.hashKV, {});
    client.close();

    // Killed and started with a disk as full as it is.
    await server.stop("SIGKILL");
    await startOrRefuse(server);
    await server.stop("SIGKILL");
    await run(disk, ["rm", join(disk.path, "filler")]);
    await server.start();
    client = await Client.open(server.port);
    await verify(client, ledger);
    const after = await client.call(Maintenance.method.hashKV, { revision: before.hashRevision });
    check(
      after.hash === before.hash && after.compactRevision === before.compactRevision,
      `the hash at ${before.hashRevision} was ${before.hash} and is ${after.hash}`,
    );

    // The disk fills up and is cleared while the member runs.
    await overwrite(client, ledger, 0, KEYS / 2);
    await fillUp(disk);
    await refusal(() => client.call(Maintenance.method.defragment, {}));
    await run(disk, ["rm", join(disk.path, "filler")]);
    await within(ANSWER_MS_MAX, client.call(Maintenance.method.defragment, {}));
    await within(ANSWER_MS_MAX, snapshot(client));
    await overwrite(client, ledger, 0, KEYS / 2);
    await verify(client, ledger);
    const last = await client.call(Maintenance.method.hashKV, {});
    client.close();
    await server.stop("SIGKILL");
    await server.start();
    client = await Client.open(server.port);
    await verify(client, ledger);
    const again = await client.call(Maintenance.method.hashKV, { revision: last.hashRevision });
    check(again.hash === last.hash, `the hash at ${last.hashRevision} was ${last.hash} and is ${again.hash}`);
    client.close();
    return `${refused.length} rewrites and snapshots refused on a full disk, served meanwhile; said "${refused[0]}"`;
  },
};

let generation = 0;

async function overwrite(client: Client, ledger: Map<string, string>, from: number, to: number): Promise<void> {
  const stamp = String(++generation).padStart(8, "0");
  const value = bytes(stamp + "v".repeat(VALUE_SIZE));
  for (let i = from; i < to; i += 50) {
    await Promise.all(Array.from({ length: Math.min(50, to - i) }, async (_, offset) => {
      const key = `key-${i + offset}`;
      await client.call(KV.method.put, { key: bytes(key), value });
      ledger.set(key, stamp);
    }));
  }
}

async function verify(client: Client, ledger: ReadonlyMap<string, string>): Promise<void> {
  const { kvs } = await client.call(KV.method.range, { key: bytes("key-"), rangeEnd: prefixEnd("key-") });
  check(kvs.length === ledger.size, `${kvs.length} keys, and ${ledger.size} were written`);
  for (const { key, value } of kvs) {
    const expected = ledger.get(text(key));
    check(text(value.subarray(0, 8)) === expected, `${text(key)} is not what was acknowledged last`);
  }
}

/** Rejects with CallError. */
async function snapshot(client: Client): Promise<void> {
  const stream = client.connection.open(pathOf(Maintenance.method.snapshot));
  stream.onData = () => {};
  stream.sendMessage(new Uint8Array(0), true);
  const { code, message } = await stream.done;
  if (code !== 0) throw new CallError("Snapshot", code, message);
}

/** The message of the error with which the call ends. */
async function refusal(call: () => Promise<unknown>): Promise<string> {
  try {
    await within(ANSWER_MS_MAX, call());
  } catch (error) {
    check(error instanceof CallError && !error.isLost, String(error));
    return error.message;
  }
  throw new Error("it succeeded on a full disk");
}

/** With so little room it may refuse to start, and says why then. */
async function startOrRefuse(server: Server): Promise<void> {
  server.spawn();
  const end = await Promise.race([server.end, server.ready().then(() => undefined, () => undefined)]);
  if (end === undefined) return;
  const line = server.lastLogLine();
  check(end.code === 1 && /no space left/.test(line), `it ended with ${end.code ?? end.signal}: ${line}`);
}

/** Writes a file until almost nothing is left. */
async function fillUp(disk: SmallDisk): Promise<void> {
  await delay(500);
  const script = `free=$(df --output=avail -B1 "$1" | tail -1); size=$((free - $2)); ` +
    `[ $size -gt 0 ] && fallocate -l $size "$1/filler"`;
  await run(disk, ["sh", "-c", script, "sh", disk.path, String(ROOM_LEFT)]);
}

/** Runs a command where the disk is seen; resolves with its output. */
async function run(disk: SmallDisk, command: readonly string[]): Promise<string> {
  const [program, ...args] = [...disk.wrapper, ...command];
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (data: Uint8Array) => output += data);
  const code = await new Promise((resolve) => child.once("close", resolve));
  check(code === 0, `${command.join(" ")} ended with ${code}`);
  return output.trim();
}
