/**
 * A data directory on a file system that fills up.
 *
 * The log's segments are preallocated, 64 MB each: the file system has room for one and a bit. So the second cannot be
 * allocated, the first grows beyond its size, and then a write finds no room.
 */
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { bytes, CallError, Client } from "../client.ts";
import { type Case, check, type Context } from "../context.ts";
import type { End, Server } from "../server.ts";
import { requireNamespaces, SmallDisk } from "../small_disk.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

/** Bytes: one segment, and a little. */
const SMALL_SIZE = 72 << 20;
const LARGE_SIZE = 400 << 20;
const TINY_SIZE = 8 << 20;
const VALUE_SIZE = 1 << 20;
const WRITERS = 4;

export const diskFull: Case = {
  name: "disk_full",
  about:
    "no space left: the write is not acknowledged, the process stops and says why, and starts again when there is room",
  async run(context) {
    requireNamespaces();
    await refusesToStartWithoutRoom(context);
    return await stopsAndStartsAgain(context);
  },
};

async function refusesToStartWithoutRoom(context: Context): Promise<void> {
  const disk = await SmallDisk.mount(context, "tiny", TINY_SIZE);
  const server = context.server({ name: "server-tiny", wrapper: disk.wrapper, dataDirectory: `${disk.path}/data` });
  server.spawn();
  checkReason(server, await server.end, /no space left/, /make room/);
}

async function stopsAndStartsAgain(context: Context): Promise<string> {
  const disk = await SmallDisk.mount(context, "small", SMALL_SIZE);
  const server = context.server({ wrapper: disk.wrapper, dataDirectory: `${disk.path}/data` });
  await server.start();
  const acknowledged = new Map<string, string>();
  const refused = await fill(server, acknowledged);
  checkReason(server, await server.end, /no space left/, /wal: \S+\.wal, byte \d+/, /make room and start again/);
  check(!/\.tmp/.test(server.lastLogLine()), `a name that the file no longer has: ${server.lastLogLine()}`);
  const reason = reasonOf(server);

  // Without room it may not come up, and must not lose anything by trying.
  server.spawn();
  const early = await Promise.race([server.end, server.ready().then(() => undefined, () => undefined)]);
  await server.stop("SIGKILL");
  if (early !== undefined) checkReason(server, early, /no space left/, /make room/);

  await disk.resize(LARGE_SIZE);
  await server.start();
  const client = await Client.open(server.port);
  for (const [key, digest] of acknowledged) {
    const { kvs } = await client.call(KV.method.range, { key: bytes(key) });
    check(kvs.length === 1 && digestOf(kvs[0]!.value) === digest, `${key} was acknowledged and is lost`);
  }
  for (const [key, digest] of refused) {
    const { kvs } = await client.call(KV.method.range, { key: bytes(key) });
    check(
      kvs.length === 0 || digestOf(kvs[0]!.value) === digest,
      `${key}, which was not acknowledged, is there in part`,
    );
  }
  await client.call(KV.method.put, { key: bytes("after"), value: bytes("there is room") });
  const { hash } = await client.call(Maintenance.method.hashKV, {});
  client.close();
  await server.stop("SIGKILL");
  await server.start();
  const again = await Client.open(server.port);
  check((await again.call(Maintenance.method.hashKV, {})).hash === hash, "the next restart has another hash");
  again.close();
  return `${acknowledged.size} MiB acknowledged, ${refused.size} writes not, none lost; ` +
    `${early === undefined ? "started" : "refused to start"} without room; said "${reason}"`;
}

/** Puts values until the server is gone. Returns what was not acknowledged. */
async function fill(server: Server, acknowledged: Map<string, string>): Promise<Map<string, string>> {
  const underWay = new Map<string, string>();
  await Promise.all(Array.from({ length: WRITERS }, async (_, writer) => {
    const client = await Client.open(server.port);
    const value = new Uint8Array(VALUE_SIZE).fill(97 + writer);
    for (let i = 0; i * WRITERS * VALUE_SIZE < 2 * SMALL_SIZE; i++) {
      const key = `${writer}/${i}`;
      new DataView(value.buffer).setUint32(0, i);
      underWay.set(key, digestOf(value));
      try {
        await client.call(KV.method.put, { key: bytes(key), value });
      } catch (error) {
        check(error instanceof CallError, String(error));
        return;
      }
      acknowledged.set(key, underWay.get(key)!);
      underWay.delete(key);
    }
    throw new Error("the disk did not fill up");
  }));
  return underWay;
}

function digestOf(value: Uint8Array): string {
  return createHash("sha1").update(value).digest("hex");
}

/** Exit code 1, and a last line of the log that says all of this. */
function checkReason(server: Server, end: End, ...patterns: RegExp[]): void {
  const line = server.lastLogLine();
  check(end.code === 1, `the process ended with ${end.code ?? end.signal}, not with 1: ${line}`);
  for (const pattern of patterns) check(pattern.test(line), `the last line does not say ${pattern}: ${line}`);
}

function reasonOf(server: Server): string {
  const { error } = JSON.parse(readFileSync(server.logPath, "utf8").trimEnd().split("\n").at(-1)!) as { error: string };
  return error.replaceAll(`${server.dataDirectory}/`, "");
}
