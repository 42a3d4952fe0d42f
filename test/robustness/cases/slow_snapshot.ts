/**
 * Clients that ask for a snapshot and do not read it, read it a kilobyte a second, or vanish, while the member is loaded,
 * writes checkpoints, writes its database anew and compacts: they cost a file each, neither memory nor anybody's time, and
 * the files are gone once they are.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { bytes, CallError, Client, pathOf } from "../client.ts";
import { type ClientStream, Connection } from "../connection.ts";
import { type Case, check, megabytes } from "../context.ts";
import { delay, type Server, within } from "../server.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

const CLIENTS = 20;
/** As many are served at once; the others are told. */
const SERVED = 16;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
/** Window that is open to those who do not read. */
const WINDOW = 65_535;
const TRICKLE_SIZE = 1024;
const TRICKLE_MS = 1000;
const KEYS = 2000;
const VALUE_SIZE = 10_000;
const REWRITES = 5;
const REWRITE_MS_MAX = 15_000;
/** For 16 streams: two blocks and what is queued for each, and the load itself. */
const MEMORY_GROWTH_MAX = 300 << 20;
const RELEASE_MS_MAX = 10_000;
/** The server ends a stream of which nothing is taken for five minutes. */
const STALL_MS_MAX = 330_000;

export const slowSnapshot: Case = {
  name: "slow_snapshot",
  about: "clients that do not read their snapshot: memory bounded, checkpoints and compactions go on, files let go",
  async run(context) {
    const server = context.server({ flags: ["--snapshot-count=100"] });
    await server.start();
    const client = await Client.open(server.port);
    const load = new Load(client);
    await load.overwrite();
    const quiet = await load.rewriteAndCompact();
    const before = server.memory().now;
    server.resetMemoryPeak();

    const readers: SlowReader[] = [];
    context.onEnd(() => readers.forEach((reader) => reader.connection.close()));
    let told = 0;
    let busy = 0;
    for (let i = 0; i < REWRITES; i++) {
      // Each lot holds another file: the one before has been replaced.
      const lot = await Promise.all(Array.from({ length: CLIENTS / REWRITES }, () => SlowReader.open(server.port)));
      for (const reader of lot) {
        const status = await reader.begun();
        if (status === undefined) readers.push(reader);
        else {
          check(status.code === RESOURCE_EXHAUSTED, `one too many ended with ${status.code}: ${status.message}`);
          told++;
          reader.connection.close();
        }
      }
      await load.overwrite();
      busy = Math.max(busy, await load.rewriteAndCompact());
    }
    check(
      readers.length === SERVED && told === CLIENTS - SERVED,
      `${readers.length} are served and ${told} were told that there are too many`,
    );
    const held = deletedDatabases(server);
    check(held > 0, "nobody holds a file that has been replaced: this shows nothing");
    check(held <= SERVED, `${SERVED} readers hold ${held} files`);
    const { peak } = server.memory();
    check(peak - before < MEMORY_GROWTH_MAX, `memory went from ${megabytes(before)} to ${megabytes(peak)}`);
    check(readers.every((reader) => reader.status === undefined), "a reader was cut off while it was merely slow");

    // A quarter vanishes, a quarter gives up; what is left are the slow ones, or in a long run those that were idle.
    readers.splice(0, SERVED / 4).forEach((reader) => reader.connection.close());
    readers.splice(0, SERVED / 4).forEach((reader) => reader.cancel());
    let idle = "";
    if (context.settings.isLong) {
      const idlers = readers.filter((reader) => !reader.isTrickling);
      readers.filter((reader) => reader.isTrickling).forEach((reader) => reader.connection.close());
      const beganMs = performance.now();
      await untilReleased(server, STALL_MS_MAX);
      idle = `, those of idle clients let go after ${((performance.now() - beganMs) / 1000).toFixed(0)} s`;
      // Why is told behind what was on its way to them.
      idlers.forEach((reader) => reader.resume());
      for (const { code, message } of await within(RELEASE_MS_MAX, Promise.all(idlers.map(({ done }) => done)))) {
        check(code === UNAVAILABLE, `an idle stream ended: ${code} ${message}`);
      }
    }
    readers.forEach((reader) => reader.connection.close());
    await untilReleased(server, RELEASE_MS_MAX);
    const fresh = await SlowReader.open(server.port);
    check(await fresh.begun() === undefined, "there is no room for another snapshot");
    fresh.connection.close();
    client.close();
    return `${SERVED} held ${held} files of up to ${megabytes(load.size)}, ${told} were told; memory ` +
      `${megabytes(before)}, at most ${megabytes(peak)}; a rewrite and a compaction ${quiet.toFixed(0)} ms, at most ` +
      `${busy.toFixed(0)} beside them${idle}`;
  },
};

/** Overwrites the same keys, and has what that leaves behind removed. */
class Load {
  readonly #client: Client;
  #round = 0;
  readonly size = KEYS * VALUE_SIZE;

  constructor(client: Client) {
    this.#client = client;
  }

  async overwrite(): Promise<void> {
    const value = new Uint8Array(VALUE_SIZE).fill(++this.#round);
    const calls = [];
    for (let i = 0; i < KEYS; i++) {
      calls.push(this.#client.call(KV.method.put, { key: bytes(`key-${i}`), value }));
      if (calls.length === 100) await Promise.all(calls.splice(0));
    }
    await Promise.all(calls);
  }

  /** Returns the milliseconds it took. */
  async rewriteAndCompact(): Promise<number> {
    const beganMs = performance.now();
    const { header } = await this.#client.call(KV.method.range, { key: bytes("any") });
    const work = async (): Promise<void> => {
      await this.#client.call(KV.method.compact, { revision: header!.revision, physical: true });
      await this.#client.call(Maintenance.method.defragment, {});
    };
    await within(REWRITE_MS_MAX, work());
    return performance.now() - beganMs;
  }
}

/** Half of them take a kilobyte a second; the others nothing. */
class SlowReader {
  readonly connection: Connection;
  readonly isTrickling: boolean;
  readonly #stream: ClientStream;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  static #count = 0;

  static async open(port: number): Promise<SlowReader> {
    return new SlowReader(await Connection.open(port, { streamWindow: WINDOW, connectionWindow: WINDOW }));
  }

  private constructor(connection: Connection) {
    this.connection = connection;
    this.isTrickling = SlowReader.#count++ % 2 === 0;
    this.#stream = connection.open(pathOf(Maintenance.method.snapshot));
    this.#stream.sendMessage(new Uint8Array(0), true);
    if (!this.isTrickling) return;
    this.#timer = setInterval(() => {
      this.#stream.grant(TRICKLE_SIZE);
      connection.grantConnection(TRICKLE_SIZE);
    }, TRICKLE_MS);
    connection.closed.then(() => clearInterval(this.#timer));
  }

  get status(): ClientStream["status"] {
    return this.#stream.status;
  }

  get done(): ClientStream["done"] {
    return this.#stream.done;
  }

  /** Undefined once bytes come; else how it ended. */
  async begun(): Promise<ClientStream["status"]> {
    const beganMs = performance.now();
    while (this.#stream.receivedSize === 0 && this.status === undefined) {
      if (performance.now() - beganMs > REWRITE_MS_MAX) throw new CallError("Snapshot", UNAVAILABLE, "nothing comes");
      await delay(10);
    }
    return this.status;
  }

  /** Takes whatever comes. */
  resume(): void {
    this.#stream.grant(1 << 30);
    this.connection.grantConnection(1 << 30);
  }

  cancel(): void {
    this.#stream.reset(8);
    clearInterval(this.#timer);
  }
}

async function untilReleased(server: Server, msMax: number): Promise<void> {
  const beganMs = performance.now();
  while (deletedDatabases(server) > 0) {
    check(performance.now() - beganMs < msMax, `${deletedDatabases(server)} files are held for nobody`);
    await delay(20);
  }
}

/** Database files without a name that the process still holds. */
function deletedDatabases(server: Server): number {
  const directory = `/proc/${server.pid}/fd`;
  return readdirSync(directory).filter((name) => {
    try {
      return /snap\/(tmp-)?db \(deleted\)$/.test(readlinkSync(`${directory}/${name}`));
    } catch {
      // Closed since it was listed.
      return false;
    }
  }).length;
}
