/** The tools on a file system without room: each says so, and leaves what was there before, nothing more. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { bytes, Client } from "../client.ts";
import { type Case, check, type Context } from "../context.ts";
import { requireNamespaces, SmallDisk } from "../small_disk.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";

const VALUE_SIZE = 1 << 20;
const KEYS = 8;
/** Less than the database. */
const TOO_SMALL = 4 << 20;
/** Room for the database, and not for a second one. */
const TIGHT = (KEYS + KEYS / 2) * VALUE_SIZE;

export const toolsDiskFull: Case = {
  name: "tools_full",
  about: "no space left for a snapshot, a restore or a defragmentation: said so, and nothing is left behind",
  async run(context) {
    requireNamespaces();
    const snapshot = await saveSnapshot(context);
    const disk = await SmallDisk.mount(context, "disk", TOO_SMALL);
    const tool = (...args: string[]) => run(context, disk, args);
    const path = (name: string) => join(disk.path, name);

    tool("snapshot", "restore", snapshot, "--data-dir", path("a/b")).fails(1, /no space left.*nothing was restored/);
    tool("snapshot", "restore", snapshot, "--data-dir", path("c"), "--wal-dir", join(context.directory, "wal"))
      .fails(1, /no space left.*nothing was restored/);
    const server = context.server();
    await fill(await startOn(server));
    tool("snapshot", "save", path("d"), "--endpoints", `127.0.0.1:${server.port}`).fails(5, /no space left/);
    check(list(disk) === "", `left behind: ${list(disk)}`);

    await disk.resize(TIGHT);
    const wal = join(context.directory, "wal");
    tool("snapshot", "restore", snapshot, "--data-dir", path("e"), "--wal-dir", wal).succeeds();
    const database = path("e/member/snap/db");
    const before = digestOf(disk, database);
    const files = list(disk);
    tool("defrag", "--data-dir", path("e")).fails(1, /Failed to defragment etcd data.*no space left/);
    check(list(disk) === files, `left behind: ${list(disk)}`);
    check(digestOf(disk, database) === before, "the database has changed");

    await disk.resize(3 * TIGHT);
    tool("defrag", "--data-dir", path("e")).succeeds();
    tool("snapshot", "status", database).succeeds();
    return `${KEYS} MiB on a disk of ${TOO_SMALL >> 20} and of ${TIGHT >> 20} MiB`;
  },
};

async function saveSnapshot(context: Context): Promise<string> {
  const server = context.server();
  await fill(await startOn(server));
  const path = join(context.directory, "snapshot.db");
  new Run(context.settings.subject, ["snapshot", "save", path, "--endpoints", `127.0.0.1:${server.port}`]).succeeds();
  await server.stop("SIGTERM");
  return path;
}

async function startOn(server: ReturnType<Context["server"]>): Promise<Client> {
  await server.start();
  return await Client.open(server.port);
}

async function fill(client: Client): Promise<void> {
  for (let key = 0; key < KEYS; key++) {
    await client.call(KV.method.put, { key: bytes(`key${key}`), value: new Uint8Array(VALUE_SIZE).fill(key) });
  }
  client.close();
}

function run(context: Context, disk: SmallDisk, args: string[]): Run {
  return new Run([...disk.wrapper, ...context.settings.subject], args);
}

/** A command that has ended. */
class Run {
  readonly #shown: string;
  readonly #code: number | null;
  readonly #error: string;

  constructor(command: readonly string[], args: string[]) {
    const [program, ...words] = command;
    const { status, stderr } = spawnSync(program!, [...words, ...args], { encoding: "utf8" });
    this.#shown = args.join(" ");
    this.#code = status;
    this.#error = stderr.split("\n").find((line) => line.startsWith("Error: ")) ?? stderr;
  }

  succeeds(): void {
    check(this.#code === 0, `${this.#shown} ended with ${this.#code}: ${this.#error}`);
  }

  fails(code: number, pattern: RegExp): void {
    check(this.#code === code && pattern.test(this.#error), `${this.#shown} ended with ${this.#code}: ${this.#error}`);
  }
}

/** What is on the disk, which this process does not see. */
function list(disk: SmallDisk): string {
  return inside(disk, ["find", disk.path, "-mindepth", "1"]).split("\n").sort().join(" ").trim();
}

function digestOf(disk: SmallDisk, path: string): string {
  return inside(disk, ["sha256sum", path]);
}

function inside(disk: SmallDisk, command: string[]): string {
  const [program, ...args] = [...disk.wrapper, ...command];
  return spawnSync(program!, args, { encoding: "utf8" }).stdout;
}
