/**
 * Damage to files at rest: a bit flipped, a sector zeroed, the end cut off, in any file of a stopped member or in a saved
 * snapshot. Whoever opens it afterwards either names the file and refuses it, or has exactly the right state.
 *
 * One thing cannot be told from a write that a power loss interrupted: zeros, or nothing at all, at the very end of the
 * log. What the log says before that must then be the state, as it was when only that had been written.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { bytes, Client, prefixEnd, text } from "../client.ts";
import { type Case, check, type Context, type Random } from "../context.ts";
import { delay, type Server } from "../server.ts";
import { Tool } from "../tool.ts";
import { Cluster } from "../../../src/gen/etcdserverpb/cluster_pb.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

const DAMAGES = 30;
const DAMAGES_LONG = 400;
/** One in so many is done to the saved snapshot. */
const SNAPSHOT_ONE_IN = 6;
/** One in so many goes anywhere in the file, most of which may be zeros; the others, where there is data. */
const ANYWHERE_ONE_IN = 10;
const SECTOR_SIZE = 512;
/** Members started at once. */
const LANES = 2;
const START_MS_MAX = 60_000;
const TAIL_WRITES = 60;

export const bitFlips: Case = {
  name: "bit_flips",
  about: "a bit flipped, a sector zeroed, the end cut off, in any file: refused by name, or exactly the right state",
  async run(context) {
    const template = await makeTemplate(context);
    const count = context.settings.rounds ?? (context.settings.isLong ? DAMAGES_LONG : DAMAGES);
    const tally = { refused: 0, right: 0, shorter: 0, tools: 0 };
    const plans = Array.from({ length: count }, (_, number) => ({ number, ...plan(context.random, template) }));
    const lanes = Array.from({ length: LANES }, () => context.server());
    await Promise.all(lanes.map(async (server) => {
      for (let next = plans.shift(); next !== undefined; next = plans.shift()) {
        try {
          if (next.image === template.saved) inspectSnapshot(context, template, next, server.dataDirectory);
          else tally[await startOn(server, template, next)]++;
          if (next.image === template.saved) tally.tools++;
        } catch (error) {
          throw new Error(
            `damage ${next.number}, seed ${context.settings.seed}: ${next.damage.shown} of ${next.image.path}: ` +
              (error as Error).message,
          );
        }
      }
    }));
    return `${count} damages: ${tally.refused} refused by name, ${tally.right} without effect, ${tally.shorter} taken for ` +
      `an interrupted write; ${tally.tools} to a snapshot file, all found`;
  },
};

/** A file as it was: its bytes up to the last one that is not zero, and its size. */
interface Image {
  /** In the data directory. */
  readonly path: string;
  readonly data: Uint8Array;
  readonly size: number;
}

interface Template {
  readonly files: readonly Image[];
  readonly saved: Image;
  /** What `snapshot status` says of `saved`. */
  readonly savedStatus: string;
  readonly state: string;
  /** The states that the log went through since the checkpoint, the newest included. */
  readonly states: ReadonlySet<string>;
}

interface Damage {
  readonly shown: string;
  readonly data: Uint8Array;
  readonly size: number;
  /** It may look as if a write had not reached the disk. */
  readonly isLoss: boolean;
}

interface Plan {
  readonly image: Image;
  readonly damage: Damage;
}

/** A database that was written anew and appended to twice, a compaction that it has yet to carry out, and a log behind it. */
async function makeTemplate(context: Context): Promise<Template> {
  const { random } = context;
  const server = context.server({ name: "template" });
  await server.start();
  const client = await Client.open(server.port);
  const put = (i: number, size: number) =>
    client.call(KV.method.put, { key: bytes(`key-${i % 300}`), value: bytes(filler(random, size)) });
  const load = async (count: number) => {
    for (let i = 0; i < count; i++) await put(random.below(1000), 1 + random.below(2000));
    await client.call(KV.method.deleteRange, { key: bytes("key-1"), rangeEnd: bytes(`key-1${random.below(10)}`) });
    const { ID } = await client.call(Lease.method.leaseGrant, { TTL: 100_000n });
    await client.call(KV.method.put, { key: bytes(`leased-${ID}`), value: bytes("leased"), lease: ID });
  };
  const path = join(context.directory, "saved.db");
  const save = () =>
    new Tool(context, ["snapshot", "save", path, "--endpoints", `127.0.0.1:${server.port}`]).succeeds();
  await load(200);
  save();
  await client.call(Maintenance.method.defragment, {});
  await load(200);
  save();
  const { header } = await client.call(KV.method.range, { key: bytes("any") });
  await client.call(KV.method.compact, { revision: header!.revision - 100n });
  await load(100);
  save();
  const states = new Set([await stateOf(client)]);
  for (let i = 0; i < TAIL_WRITES; i++) {
    await put(i, 1 + random.below(i % 10 === 0 ? 5000 : 200));
    states.add(await stateOf(client));
  }
  const state = await stateOf(client);
  client.close();
  await server.stop("SIGKILL");
  const files = filesBelow(server.dataDirectory, "");
  const names = files.map((file) => basename(file.path));
  check(names.includes("db") && names.some((name) => name.endsWith(".snap")), `the files are ${names}`);
  const saved = readImage(context.directory, "saved.db");
  return {
    files,
    saved,
    savedStatus: statusOf(new Tool(context, ["snapshot", "status", path, "-w", "json"])),
    state,
    states,
  };
}

/** Text without zeros, and hard to compress. */
function filler(random: Random, size: number): string {
  let value = "";
  while (value.length < size) value += random.next().toString(36).slice(2);
  return value.slice(0, size);
}

/** All that clients can ask for. */
async function stateOf(client: Client): Promise<string> {
  const { hash, compactRevision, header } = await client.call(Maintenance.method.hashKV, {});
  const { kvs } = await client.call(KV.method.range, { key: bytes("leased-"), rangeEnd: prefixEnd("leased-") });
  const { leases } = await client.call(Lease.method.leaseLeases, {});
  const { members } = await client.call(Cluster.method.memberList, {});
  const { alarms } = await client.call(Maintenance.method.alarm, {});
  return [
    `hash ${hash} at ${header!.revision} compacted at ${compactRevision}`,
    `leased ${kvs.map((kv) => `${text(kv.key)}=${kv.lease}`)}`,
    `leases ${leases.map(({ ID }) => ID).sort()}`,
    `members ${members.map(({ ID, name }) => `${ID} ${name}`)}`,
    `alarms ${alarms.length}`,
  ].join("; ");
}

function filesBelow(root: string, path: string): Image[] {
  return readdirSync(join(root, path), { withFileTypes: true }).flatMap((entry) => {
    const inside = join(path, entry.name);
    return entry.isDirectory() ? filesBelow(root, inside) : [readImage(root, inside)];
  });
}

function readImage(root: string, path: string): Image {
  // No Buffer, whose slice() is no copy.
  const all = new Uint8Array(readFileSync(join(root, path)));
  let end = all.length;
  while (end > 0 && all[end - 1] === 0) end--;
  return { path, data: all.subarray(0, end), size: statSync(join(root, path)).size };
}

function plan(random: Random, { files, saved }: Template): Plan {
  if (random.below(SNAPSHOT_ONE_IN) === 0) return { image: saved, damage: makeDamage(random, saved) };
  // The database and the log get most of it.
  const important = files.filter(({ path }) => /(\/db|\.wal)$/.test(path));
  const from = random.below(8) === 0 ? files.filter(({ size }) => size > 0) : important;
  const image = from[random.below(from.length)]!;
  return { image, damage: makeDamage(random, image) };
}

function makeDamage(random: Random, { data, size }: Image): Damage {
  const isAnywhere = data.length === 0 || random.below(ANYWHERE_ONE_IN) === 0;
  const at = random.below(isAnywhere ? size : data.length);
  const choice = random.below(8);
  if (choice === 0) {
    return { shown: `cut off at byte ${at} of ${size}`, data: data.subarray(0, at), size: at, isLoss: true };
  }
  const start = at - at % SECTOR_SIZE;
  // What lies between the parts of a page is zeros already.
  if (choice === 1 && data.subarray(start, start + SECTOR_SIZE).some((byte) => byte !== 0)) {
    const zeroed = data.slice();
    zeroed.fill(0, start, start + SECTOR_SIZE);
    return { shown: `sector at byte ${start} zeroed`, data: zeroed, size, isLoss: true };
  }
  const bit = random.below(8);
  const flipped = new Uint8Array(Math.max(data.length, at + 1));
  flipped.set(data);
  flipped[at]! ^= 1 << bit;
  return { shown: `bit ${bit} of byte ${at} flipped`, data: flipped, size, isLoss: false };
}

function write(root: string, path: string, data: Uint8Array, size: number): void {
  mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o700 });
  writeFileSync(join(root, path), data);
  truncateSync(join(root, path), size);
}

async function startOn(
  server: Server,
  template: Template,
  { image, damage }: Plan,
): Promise<"refused" | "right" | "shorter"> {
  rmSync(server.dataDirectory, { recursive: true, force: true });
  for (const file of template.files) {
    const { data, size } = file === image ? damage : file;
    write(server.dataDirectory, file.path, data, size);
  }
  server.spawn();
  const state = await Promise.race([server.end.then(() => undefined), stateWhenReady(server)]);
  if (state === undefined) {
    const { code, signal } = await server.end;
    checkReason(server, code ?? signal, image.path);
    return "refused";
  }
  await server.stop("SIGKILL");
  if (state === template.state) return "right";
  const isLogEnd = damage.isLoss && image.path.endsWith(".wal");
  check(isLogEnd && template.states.has(state), `the state is\n${state}\nand not\n${template.state}`);
  return "shorter";
}

/** Undefined: it has ended. */
async function stateWhenReady(server: Server): Promise<string | undefined> {
  const deadlineMs = performance.now() + START_MS_MAX;
  while (server.isRunning) {
    check(performance.now() < deadlineMs, "it neither ends nor serves");
    try {
      const client = await Client.open(server.port);
      try {
        return await stateOf(client);
      } finally {
        client.close();
      }
    } catch {
      await delay(20);
    }
  }
  return undefined;
}

/** Exit code 1, a last line that names the file, and no trace of a stack. */
function checkReason(server: Server, code: number | string | null, path: string): void {
  const line = server.lastLogLine();
  check(code === 1, `the process ended with ${code}, not with 1: ${line}`);
  let error: unknown;
  try {
    error = (JSON.parse(line) as { error: unknown }).error;
  } catch {
    error = undefined;
  }
  // Of a log that ends too early it is the log that is named.
  const names = path.endsWith(".wal") ? [basename(path), "the log in "] : [basename(path)];
  check(names.some((name) => String(error).includes(name)), `the last line does not name the file: ${line}`);
  check(!/\n\s+at /.test(server.logLines().join("\n")), `an exception in the log: ${line}`);
}

function inspectSnapshot(context: Context, template: Template, { damage }: Plan, directory: string): void {
  write(context.directory, "damaged.db", damage.data, damage.size);
  const path = join(context.directory, "damaged.db");
  const status = new Tool(context, ["snapshot", "status", path, "-w", "json"]);
  // Cut off right behind the database, it is one without a digest, and nothing in it has changed.
  if (status.code === 0) check(statusOf(status) === template.savedStatus, `its status is ${status.output}`);
  else checkToolReason(status);
  rmSync(directory, { recursive: true, force: true });
  const restore = new Tool(context, ["snapshot", "restore", path, "--data-dir", directory]);
  check(restore.code !== 0, "it was restored");
  checkToolReason(restore);
  check(statSync(directory, { throwIfNoEntry: false }) === undefined, "a restore that failed left something behind");
}

function checkToolReason(tool: Tool): void {
  // What etcdutl says in its own words is said in them; the file is the one that was given.
  const isNamed = tool.code === 1 &&
    /^Error: [^]*(damaged\.db|expected sha256|missing hash|integrity check failed)/m.test(tool.errors);
  check(isNamed, `${tool.shown} ended with ${tool.code}, and does not name the file: ${tool.reason}`);
  check(!/\n\s+at /.test(tool.errors), `an exception: ${tool.errors}`);
}

/** Without the size, to which the digest counts. */
function statusOf(tool: Tool): string {
  const { hash, revision, totalKey } = JSON.parse(tool.succeeds().output) as Record<string, unknown>;
  return JSON.stringify({ hash, revision, totalKey });
}
