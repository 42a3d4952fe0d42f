/**
 * kill -9 while checkpoints are written: snapshots for clients (each brings one about), Defragment (which writes the
 * database anew), compactions and segments of the log that are cut and purged, all at once and under the load of `kill`,
 * whose writers know what must be there afterwards.
 */
import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { CallError, Client, pathOf } from "../client.ts";
import { type Case, check, type Context, megabytes, type Random } from "../context.ts";
import { delay, type Server } from "../server.ts";
import { Tool } from "../tool.ts";
import { Maintenance, SnapshotResponseSchema } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Historian, killUnderLoad, Ledger, makeWriters, verify, type Writer } from "./kill.ts";

const ROUNDS = 8;
const ROUNDS_LONG = 100;
const START_KILL_ONE_IN = 6;
const START_MS_MAX = 800;
/** Rounds from one look at the files to the next. */
const INSPECTION_ROUNDS = 5;
const WALS_MAX = 2;
const SNAPSHOTS_MAX = 3;
/** Beside the segments kept: the one that holds the newest snapshot, the one before, and the preallocated one. */
const WALS_SLACK = 3;
/** What is put and not deleted is a few hundred KiB; the history kept, some thousand revisions. */
const DATABASE_SIZE_MAX = 256 << 20;
const LOAD_MS_MAX = 1000;
const PAUSE_MS_MAX = 100;
const COMPACTION_DISTANCE = 500n;

export const checkpointKill: Case = {
  name: "checkpoint_kill",
  about: "kill -9 during checkpoints, rewrites, snapshots and compactions: nothing lost, hashes equal, files bounded",
  async run(context) {
    const server = context.server({
      flags: ["--snapshot-count=200", `--max-wals=${WALS_MAX}`, `--max-snapshots=${SNAPSHOTS_MAX}`],
    });
    const rounds = context.settings.rounds ?? (context.settings.isLong ? ROUNDS_LONG : ROUNDS);
    const ledger = new Ledger();
    const saver = new SnapshotSaver(context.random);
    const defragmenter = new Defragmenter(context.random);
    const writers = [
      ...makeWriters(context.random, new Historian(COMPACTION_DISTANCE)),
      saver,
      defragmenter,
    ];
    let largest = 0;
    await server.start();
    for (let round = 1; round <= rounds; round++) {
      try {
        await killUnderLoad(context, server, writers, ledger, LOAD_MS_MAX);
        while (context.random.below(START_KILL_ONE_IN) === 0) {
          server.spawn();
          await delay(context.random.below(START_MS_MAX));
          await server.stop("SIGKILL");
        }
        if (round % INSPECTION_ROUNDS === 0) await restartsAlike(context, server);
        else await server.start();
        await verify(server, writers, ledger);
        largest = Math.max(largest, checkFiles(server.dataDirectory));
      } catch (error) {
        throw new Error(`round ${round}, seed ${context.settings.seed}: ${(error as Error).message}`);
      }
    }
    check(saver.count > 0 && defragmenter.count > 0, `${saver.count} snapshots, ${defragmenter.count} rewrites`);
    return `${rounds} kills, ${ledger.acknowledged} acknowledged writes, ${saver.count} snapshots of ` +
      `${megabytes(saver.size)}, ${defragmenter.count} rewrites, ${ledger.hashChecks} hashes equal; ` +
      `data directory at most ${megabytes(largest)}; revision ${ledger.revision}`;
  },
};

/** Starts, stops orderly and starts again; in between our own tools find the database consistent. */
async function restartsAlike(context: Context, server: Server): Promise<void> {
  await server.start();
  const before = await hashKv(server);
  const { code, signal } = await server.stop("SIGTERM");
  check(code === 0 || signal === "SIGTERM", `SIGTERM ended it with ${code ?? signal}: ${server.lastLogLine()}`);
  const database = join(server.dataDirectory, "member", "snap", "db");
  new Tool(context, ["snapshot", "status", database]).succeeds();
  await server.start();
  const after = await hashKv(server);
  check(after === before, `an orderly restart turned ${before} into ${after}`);

  const saved = join(context.directory, "saved.db");
  new Tool(context, ["snapshot", "save", saved, "--endpoints", `127.0.0.1:${server.port}`]).succeeds();
  new Tool(context, ["snapshot", "status", saved]).succeeds();
  const client = await Client.open(server.port);
  const { hash, hashRevision, compactRevision } = await client.call(Maintenance.method.hashKV, {})
    .finally(() => client.close());
  const args = ["hashkv", saved, "--rev", String(hashRevision), "-w", "json"];
  const found = JSON.parse(new Tool(context, args).succeeds().output) as { hash: number; compactRevision: number };
  check(
    found.hash === hash && found.compactRevision === Number(compactRevision),
    `at revision ${hashRevision} the server has hash ${hash}, compacted at ${compactRevision}; the snapshot saved from ` +
      `it ${JSON.stringify(found)}`,
  );
}

async function hashKv(server: Server): Promise<string> {
  const client = await Client.open(server.port);
  try {
    const { header, hash, compactRevision } = await client.call(Maintenance.method.hashKV, {});
    return `hash ${hash} at revision ${header!.revision}, compacted at ${compactRevision}`;
  } finally {
    client.close();
  }
}

/** Throws if a file is left that nobody needs; returns how many bytes there are. */
function checkFiles(dataDirectory: string): number {
  const list = (folder: string) => readdirSync(join(dataDirectory, "member", folder));
  const segments = list("wal").filter((name) => name.endsWith(".wal"));
  check(segments.length <= WALS_MAX + WALS_SLACK, `${segments.length} segments are kept: ${segments}`);
  const snapshots = list("snap").filter((name) => name.endsWith(".snap"));
  check(snapshots.length <= SNAPSHOTS_MAX + 1, `${snapshots.length} snapshot files are kept: ${snapshots}`);
  let size = 0;
  for (const folder of ["wal", "snap"]) {
    for (const name of list(folder)) {
      const stat = statSync(join(dataDirectory, "member", folder, name), { throwIfNoEntry: false });
      size += stat?.size ?? 0;
      if (name === "db") check(stat!.size <= DATABASE_SIZE_MAX, `the database has grown to ${megabytes(stat!.size)}`);
    }
  }
  return size;
}

/** Reads whole snapshots, and compares them with their digest. */
class SnapshotSaver implements Writer {
  readonly name = "snapshot";
  readonly #random: Random;
  count = 0;
  /** Of the largest. */
  size = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  async step(client: Client): Promise<void> {
    const stream = client.connection.open(pathOf(Maintenance.method.snapshot));
    const digest = createHash("sha256");
    let size = 0;
    let last: Uint8Array | undefined;
    stream.onMessage = (message) => {
      if (last !== undefined) digest.update(last);
      size += last?.length ?? 0;
      last = fromBinary(SnapshotResponseSchema, message.slice()).blob;
    };
    stream.sendMessage(new Uint8Array(0), true);
    const { code, message } = await stream.done;
    if (code !== 0) throw new CallError("Snapshot", code, message);
    check(last !== undefined && digest.digest().equals(last), "a snapshot does not match its digest");
    this.count++;
    this.size = Math.max(this.size, size);
    await delay(this.#random.below(PAUSE_MS_MAX));
  }

  verify(): Promise<void> {
    return Promise.resolve();
  }
}

class Defragmenter implements Writer {
  readonly name = "defragment";
  readonly #random: Random;
  count = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  async step(client: Client): Promise<void> {
    await delay(this.#random.below(2 * PAUSE_MS_MAX));
    await client.call(Maintenance.method.defragment, {});
    this.count++;
  }

  verify(): Promise<void> {
    return Promise.resolve();
  }
}
