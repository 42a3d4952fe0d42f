/** The rows of what is on the disk: what writing costs, what work in the background does to puts, snapshots, restarts. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { delay, executeOrThrow, type Server } from "../interop/process.ts";
import { programPath } from "../interop/tools.ts";
import { atMost, bound, type FigureDefinition, type Group, latency, type Row, type Scale } from "./definitions.ts";
import { benchmark, diskUsage, type Figures, load, longestTurnMs, median, writtenBytes } from "./measure.ts";

const seconds = (title: string, bar?: FigureDefinition["bar"]): FigureDefinition => ({
  title,
  unit: "s",
  digits: 2,
  ...(bar && { bar }),
});
/** "1.5 x as fast". */
const faster = atMost(1 / 1.5);
const above = (work: string) => latency(`p99.9 above quiet, ${work}`, bound(20));

export const STORAGE_ROWS: Row[] = [
  {
    name: "disk",
    title: "keys of 32 B with 256-B values, loaded, then overwritten",
    figures: {
      written: { title: "bytes written per byte of user data", unit: "", digits: 2, bar: atMost(1) },
      rest: { title: "data directory at rest", unit: "MB", digits: 0, bar: atMost(1) },
      peak: { title: "data directory at its peak", unit: "MB", digits: 0, bar: atMost(2) },
    },
  },
  {
    name: "snapshot-save",
    title: "etcdctl snapshot save of them",
    figures: { time: seconds("time", faster), size: { title: "size", unit: "MB", digits: 0 } },
  },
  {
    name: "beside",
    title: "1,000 puts/s beside work in the background",
    figures: {
      quiet: latency("p99.9, quiet"),
      snapshot: above("snapshot"),
      compaction: above("compaction"),
      defragmentation: above("defragment"),
      turn: latency("longest loop turn", bound(20)),
    },
  },
  {
    name: "restart-checkpoint",
    title: "restart after kill -9 around a checkpoint",
    figures: {
      before: seconds("just before one"),
      after: seconds("just after one"),
      worse: seconds("the worse", faster),
    },
  },
];

const KEY_SIZE = 32;
const VALUE_SIZE = 256;
const CLIENTS = ["--clients", "100", "--conns", "10"];
const PUT_RATE = 1000;
const POLL_MS = 200;
const MEGABYTE = 1e6;

export const STORAGE_GROUPS: Group[] = [
  {
    rows: STORAGE_ROWS.map((row) => row.name),
    once: true,
    async run(server, scale, wanted) {
      const figures: Record<string, Figures> = { disk: await loadAndOverwrite(server, scale) };
      if (wanted("snapshot-save")) figures["snapshot-save"] = await saveSnapshots(server, scale.snapshotSaves);
      if (wanted("beside")) figures["beside"] = await besideWork(server, scale);
      if (wanted("restart-checkpoint")) figures["restart-checkpoint"] = await restarts(server);
      return figures;
    },
  },
];

function putArguments(keySpace: number, total: number): string[] {
  const shape = ["--key-size", String(KEY_SIZE), "--val-size", String(VALUE_SIZE)];
  return [...CLIENTS, "put", ...shape, "--key-space-size", String(keySpace), "--total", String(total)];
}

async function loadAndOverwrite(server: Server, scale: Scale): Promise<Figures> {
  const count = scale.largeKeys;
  const before = writtenBytes(server.pid);
  let peak = 0;
  const watch = setInterval(() => peak = Math.max(peak, diskUsage(server.dataDirectory)), POLL_MS);
  try {
    await benchmark(server, [...putArguments(count, count), "--sequential-keys"]);
    await benchmark(server, [...putArguments(count, count), "--sequential-keys"]);
    await delay(scale.restSeconds * 1000);
  } finally {
    clearInterval(watch);
  }
  const userBytes = 2 * count * (KEY_SIZE + VALUE_SIZE);
  return {
    written: (writtenBytes(server.pid) - before) / userBytes,
    rest: diskUsage(server.dataDirectory) / MEGABYTE,
    peak: peak / MEGABYTE,
  };
}

async function saveSnapshots(server: Server, times: number): Promise<Figures> {
  const taken: number[] = [];
  let size = 0;
  for (let i = 0; i < times; i++) {
    const { durationMs, size: saved } = await saveSnapshot(server);
    taken.push(durationMs / 1000);
    size = saved;
  }
  return { time: median(taken), size: size / MEGABYTE };
}

async function saveSnapshot(server: Server): Promise<{ durationMs: number; size: number }> {
  const path = join(server.dataDirectory, "..", "saved");
  const startMs = performance.now();
  await etcdctl(server, ["snapshot", "save", path]);
  const durationMs = performance.now() - startMs;
  const size = Bun.file(path).size;
  rmSync(path);
  return { durationMs, size };
}

/** Puts at a fixed rate: alone, and beside each kind of work, which is repeated for as long as they last. */
async function besideWork(server: Server, scale: Scale): Promise<Figures> {
  const quiet = await putsBeside(server, scale, undefined);
  const snapshot = await putsBeside(server, scale, async () => void await saveSnapshot(server));
  // Every key was written twice: a compaction removes a revision of each.
  let isCompacted = false;
  const compaction = await putsBeside(server, scale, async () => {
    if (isCompacted) return await delay(POLL_MS);
    isCompacted = true;
    await etcdctl(server, ["compact", String(await headRevision(server)), "--physical"]);
  });
  const defragmentation = await putsBeside(server, scale, async () => void await etcdctl(server, ["defrag"]));
  const figures: Figures = {
    quiet,
    snapshot: snapshot - quiet,
    compaction: compaction - quiet,
    defragmentation: defragmentation - quiet,
  };
  const turn = await longestTurnMs(server);
  if (turn !== undefined) figures["turn"] = turn;
  return figures;
}

/** The 99.9th percentile in milliseconds. */
async function putsBeside(server: Server, scale: Scale, work: (() => Promise<void>) | undefined): Promise<number> {
  let isOver = false;
  const puts = load(server, "put", [
    ...["--rate", String(PUT_RATE), "--duration", `${scale.besideSeconds}s`],
    ...["--clients", "200", "--key-size", String(KEY_SIZE), "--val-size", String(VALUE_SIZE)],
  ]).finally(() => isOver = true);
  while (work !== undefined && !isOver) await work();
  return (await puts).p999Ms;
}

/**
 * Checkpoints are told by the `.snap` files that both leave, named after the applied index: the distance of the last two
 * says when the next is due.
 */
async function restarts(server: Server): Promise<Figures> {
  const last = await nextSnapshot(server, 0);
  const interval = await nextSnapshot(server, last) - last;
  await server.stop("SIGKILL");
  const after = await timeToReady(server);

  // Up to nine tenths of the way to the next one.
  const restarted = await nextSnapshot(server, last);
  const missing = restarted + Math.floor(interval * 0.9) - await appliedIndex(server);
  if (missing > 0) await benchmark(server, putArguments(interval, missing));
  await server.stop("SIGKILL");
  const before = await timeToReady(server);
  return { before, after, worse: Math.max(before, after) };
}

/** Puts until there is a snapshot file of an index above `index`, and returns that. */
async function nextSnapshot(server: Server, index: number): Promise<number> {
  let newest = newestSnapshot(server);
  for (let round = 0; newest <= index; round++) {
    if (round === SNAPSHOT_ROUNDS_MAX) throw new Error(`${server.kind} took no snapshot after index ${index}`);
    await benchmark(server, putArguments(SNAPSHOT_ROUND_PUTS, SNAPSHOT_ROUND_PUTS));
    newest = newestSnapshot(server);
  }
  return newest;
}

const SNAPSHOT_ROUND_PUTS = 2_000;
const SNAPSHOT_ROUNDS_MAX = 500;

function newestSnapshot(server: Server): number {
  const names = readdirSync(join(server.dataDirectory, "member", "snap")).filter((name) => name.endsWith(".snap"));
  return Math.max(0, ...names.map((name) => parseInt(name.slice(name.indexOf("-") + 1), 16)));
}

async function timeToReady(server: Server): Promise<number> {
  const beganMs = Date.now();
  const started = server.start();
  const ready = await load(server, "ready", []);
  await started;
  return (ready.readyUnixMs! - beganMs) / 1000;
}

interface EndpointStatus {
  readonly Status: { readonly raftAppliedIndex: number; readonly header: { readonly revision: number } };
}

async function endpointStatus(server: Server): Promise<EndpointStatus["Status"]> {
  const { stdout } = await etcdctl(server, ["endpoint", "status", "-w", "json"]);
  return (JSON.parse(stdout) as EndpointStatus[])[0]!.Status;
}

const appliedIndex = async (server: Server) => (await endpointStatus(server)).raftAppliedIndex;
const headRevision = async (server: Server) => (await endpointStatus(server)).header.revision;

/** etcd's own client, for both. */
function etcdctl(server: Server, args: string[]) {
  return executeOrThrow(
    programPath("etcdctl"),
    ["--endpoints", server.endpoint, "--command-timeout", "120s", "--dial-timeout", "10s", ...args],
    { timeoutMs: 300_000 },
  );
}
