import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, execute, executeOrThrow, type Execution, Server, type ServerKind } from "../process.ts";
import { programPath } from "../tools.ts";

const OPERATIONS = 1500;
const FORMATS = ["simple", "json", "table", "fields"];
/** Kills of a restore and of a save, at moments spread over what each of them takes. */
const KILLS = 6;

export const snapshotTools: Case = {
  name: "snapshot_tools",
  about: "snapshots saved, checked and restored, hashkv, defrag and migrate: etcd's tools and ours on the same files",
  async run(context) {
    const files = await saveSnapshots(context);
    for (const file of files) await compareReports(context, file);
    await compareRefusals(context, files[0]!);
    // One of each server, one of each tool: they have just been seen to be alike.
    for (const file of [files[0]!, files.at(-1)!]) await compareRestores(context, file);
    await compareClusters(context, files[0]!);
    const directories = readdirSync(context.directory).filter((name) => name.endsWith(".etcd"));
    for (const name of directories) await compareMaintenance(context, join(context.directory, name));
    const kills = await killTools(context, files[0]!);
    return `seed ${context.settings.seed}: ${files.length} snapshots, ${directories.length} directories, ${kills}`;
  },
};

// --- the two programs ---

/** Our tools go by the names of etcd's commands below our own. */
function ours(context: Context, args: string[], directory?: string): Promise<Execution> {
  const [program, ...words] = context.settings.subject.split(/\s+/);
  return execute(program!, [...words, ...args], { directory });
}

function theirs(args: string[], directory?: string): Promise<Execution> {
  return execute(programPath(args[1] === "save" ? "etcdctl" : "etcdutl"), args, { directory });
}

/** What scripts see: the exit code, standard output, and the error. Each program has its own log and usage. */
function visible({ code, stdout, stderr }: Execution): string {
  const error = stderr.split("\n").find((line) => line.startsWith("Error: ")) ?? "";
  return `${stdout}${error}\nexit code ${code}`;
}

async function compare(context: Context, args: string[], directories: { theirs: string; ours: string }): Promise<void> {
  const [etcd, subject] = await Promise.all([
    theirs(args, directories.theirs),
    ours(context, args, directories.ours),
  ]);
  expectEqual(`${args.join(" ")}:`, visible(etcd), visible(subject));
}

async function oursOrThrow(context: Context, args: string[]): Promise<void> {
  const result = await ours(context, args);
  if (result.code !== 0) throw new Error(`keelson ${args.join(" ")} exited with ${result.code}\n${result.stderr}`);
}

/** A new directory with a copy of `path` in it. */
function copyOf(context: Context, path: string, name: string): string {
  const directory = join(context.directory, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  cpSync(path, join(directory, basename(path)), { recursive: true });
  return directory;
}

// --- snapshots of both servers, by both clients ---

async function saveSnapshots(context: Context): Promise<string[]> {
  const files: string[] = [];
  for (const server of await context.startBoth()) {
    await populate(server, context.settings.seed);
    const byEtcd = join(context.directory, `${server.kind}-by-etcdctl.db`);
    const byUs = join(context.directory, `${server.kind}-by-keelson.db`);
    const etcd = await theirs(["snapshot", "save", byEtcd, "--endpoints", server.endpoint]);
    const subject = await ours(context, ["snapshot", "save", byUs, "--endpoints", server.endpoint]);
    expectEqual("snapshot save:", visible(etcd), visible(subject).replace("-by-keelson", "-by-etcdctl"));
    for (const path of [byEtcd, byUs]) {
      expectEqual("file mode", "600", (await executeOrThrow("stat", ["-c", "%a", path])).stdout.trim());
    }
    files.push(byEtcd, byUs);
    const answers = [
      await execute(programPath("etcdctl"), ["defrag", "--endpoints", server.endpoint]),
      await ours(context, ["defrag", "--endpoints", server.endpoint]),
    ];
    const [first, second] = answers.map((answer) => visible(answer).replace(/took \S+/, "took"));
    expectEqual("defrag --endpoints:", first!, second!);
    await server.stop();
  }
  return files;
}

async function populate(server: Server, seed: number): Promise<void> {
  await executeOrThrow(programPath("state"), [
    ...["populate", "--endpoint", server.endpoint, "--seed", String(seed), "--ops", String(OPERATIONS)],
  ]);
}

// --- what the tools say of a file ---

async function compareReports(context: Context, file: string): Promise<void> {
  const name = basename(file);
  const report = async (...args: string[]) => {
    // Each on its own copy: etcdutl's hashkv finishes compactions in the file that it is given.
    const directories = { theirs: copyOf(context, file, "report-etcd"), ours: copyOf(context, file, "report-subject") };
    await compare(context, [...args, name], directories);
    if (readFileSync(join(directories.ours, name)).equals(readFileSync(file))) return;
    throw new Error(`${args.join(" ")} has changed ${name}`);
  };
  for (const format of FORMATS) {
    await report("snapshot", "status", "-w", format);
    await report("hashkv", "-w", format);
  }
  const status = await executeOrThrow(programPath("etcdutl"), ["snapshot", "status", "-w", "json", file]);
  const { revision } = JSON.parse(status.stdout) as { revision: number };
  const revisions = [1, revision - 100, revision - 1, revision, revision + 1, -1];
  for (const at of revisions) await report("hashkv", `--rev=${at}`);
}

// --- what they refuse ---

async function compareRefusals(context: Context, file: string): Promise<void> {
  const bytes = readFileSync(file);
  const flipped = (position: number) => {
    const copy = Buffer.from(bytes);
    copy[position]! ^= 1;
    return copy;
  };
  const files: Record<string, Uint8Array> = {
    "good.db": bytes,
    "wrong_hash.db": flipped(bytes.length - 7),
    "wrong_byte.db": flipped(bytes.length >> 1),
    "without_hash.db": bytes.subarray(0, bytes.length - 32),
    "cut_short.db": bytes.subarray(0, bytes.length >> 1 & ~511),
    "tiny.db": bytes.subarray(0, 20),
  };
  const restore = (name: string, ...more: string[]) => ["snapshot", "restore", name, ...more];
  const commands = [
    ...Object.keys(files).filter((name) => name !== "good.db").map((name) => restore(name)),
    restore("no-such-file"),
    restore("good.db", "--data-dir", "."),
    restore("good.db", "--wal-dir", "."),
    restore("good.db", "--bump-revision", "1"),
    restore("good.db", "--mark-compacted"),
    restore("good.db", "--name", "x"),
    restore("good.db", "--initial-cluster", "default=http://localhost:1"),
    restore("good.db", "--initial-cluster", "default=http://localhost:2380,x=http://localhost:2380"),
  ];
  for (const args of commands) {
    const prepare = (side: string) => {
      const directory = join(context.directory, `refusal-${side}`);
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory);
      for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
      return directory;
    };
    const directories = { theirs: prepare("etcd"), ours: prepare("subject") };
    await compare(context, args, directories);
    const left = readdirSync(directories.ours).filter((name) => !(name in files));
    expectEqual(`${args.join(" ")} leaves something behind`, "", left.join(" "));
  }
}

// --- what they restore ---

async function compareRestores(context: Context, file: string): Promise<void> {
  for (const more of [[], ["--bump-revision", "1000", "--mark-compacted"]]) {
    const directories = {
      theirs: join(context.directory, "restored-etcd"),
      ours: join(context.directory, "restored-subject"),
    };
    for (const directory of Object.values(directories)) rmSync(directory, { recursive: true, force: true });
    const args = ["snapshot", "restore", file, "--name", "interop", "--initial-cluster", "interop=http://127.0.0.1:1"];
    args.push("--initial-advertise-peer-urls", "http://127.0.0.1:1", ...more);
    await executeOrThrow(programPath("etcdutl"), [...args, "--data-dir", directories.theirs]);
    await oursOrThrow(context, [...args, "--data-dir", directories.ours]);
    const what = `${basename(file)} ${more.join(" ")}`;
    expectEqual(`${what}: the databases differ`, await contents(directories.theirs), await contents(directories.ours));
    expectEqual(`${what}: the logs differ`, await dumpLog(directories.theirs), await dumpLog(directories.ours));
    // Each of the two starts on what each of the two has restored.
    let expected: string | undefined;
    for (const directory of Object.values(directories)) {
      for (const kind of ["etcd", "subject"] as const) {
        const found = await recordOf(
          context,
          kind,
          copyOf(context, directory, "booted"),
          basename(directory),
          more.length > 0,
        );
        expected ??= found;
        expectEqual(`${what}: ${kind} on ${basename(directory)} finds something else`, expected, found);
      }
    }
  }
}

/** Hash over all buckets, revision and number of keys: not the size, as ours has no dead pages. */
async function contents(directory: string): Promise<string> {
  const database = join(directory, "member", "snap", "db");
  await executeOrThrow(programPath("bbolt"), ["check", database]);
  const { stdout } = await executeOrThrow(programPath("etcdutl"), ["snapshot", "status", "-w", "json", database]);
  const { hash, revision, totalKey, version } = JSON.parse(stdout) as Record<string, unknown>;
  return JSON.stringify({ hash, revision, totalKey, version });
}

async function dumpLog(directory: string): Promise<string> {
  return (await executeOrThrow(programPath("waldump"), [directory])).stdout;
}

/** What a client finds that asks a server on `parent/name`. */
async function recordOf(
  context: Context,
  kind: ServerKind,
  parent: string,
  name: string,
  isBumped = false,
): Promise<string> {
  const server = context.adopt(
    new Server({
      kind,
      command: kind === "etcd" ? programPath("server") : context.settings.subject,
      directory: context.directory,
      dataDirectory: join(parent, name),
      clientPort: context.takePort(),
      peerPort: context.takePort(),
    }),
  );
  await server.start();
  const found = isBumped ? await keysOf(server) : await record(server);
  await server.stop();
  return found;
}

async function record(server: Server): Promise<string> {
  const { stdout } = await executeOrThrow(programPath("state"), ["record", "--endpoint", server.endpoint]);
  // Authentication is not served everywhere.
  return stdout.split("\n").filter((line) => !line.startsWith("auth")).join("\n");
}

/** What a raised revision leaves to be looked at: there are no events up to it to wait for. */
async function keysOf({ endpoint }: Server): Promise<string> {
  const { stdout } = await executeOrThrow(programPath("etcdctl"), [
    ...["--endpoints", endpoint, "get", "", "--prefix", "-w", "fields"],
  ]);
  const hash = await executeOrThrow(programPath("etcdctl"), [
    ...["--endpoints", endpoint, "endpoint", "hashkv", "-w", "json"],
  ]);
  const [{ HashKV }] = JSON.parse(hash.stdout) as [{ HashKV: Record<string, number> }];
  return `${stdout.replace(/"RaftTerm" : \d+\n/, "")}${HashKV["hash"]} ${HashKV["hash_revision"]} ${
    HashKV["compact_revision"]
  }\n`;
}

/** Three members of etcd's on directories that we restored: they agree with one another. */
async function compareClusters(context: Context, file: string): Promise<void> {
  const members = ["a", "b", "c"].map((name) => ({ name, client: context.takePort(), peer: context.takePort() }));
  const cluster = members.map(({ name, peer }) => `${name}=http://127.0.0.1:${peer}`).join(",");
  const children = [];
  for (const { name, client, peer } of members) {
    const dataDirectory = join(context.directory, `cluster-${name}`);
    const identity = ["--name", name, "--initial-cluster", cluster, "--initial-cluster-token", "restored"];
    identity.push("--initial-advertise-peer-urls", `http://127.0.0.1:${peer}`);
    await oursOrThrow(context, ["snapshot", "restore", file, "--data-dir", dataDirectory, ...identity]);
    children.push(
      spawn(programPath("server"), [
        ...identity,
        ...["--data-dir", dataDirectory, "--log-level", "fatal", "--listen-peer-urls", `http://127.0.0.1:${peer}`],
        ...["--listen-client-urls", `http://127.0.0.1:${client}`],
        ...["--advertise-client-urls", `http://127.0.0.1:${client}`],
      ], { stdio: "ignore" }),
    );
  }
  try {
    const endpoints = members.map(({ client }) => `127.0.0.1:${client}`);
    for (const endpoint of endpoints) {
      await executeOrThrow(programPath("load"), ["ready", "--endpoint", endpoint, "--timeout", "30000ms"]);
    }
    const etcdctl = (...args: string[]) =>
      executeOrThrow(programPath("etcdctl"), ["--endpoints", endpoints.join(","), ...args]);
    await etcdctl("put", "after", "restore");
    const deadline = performance.now() + 20_000;
    for (;;) {
      const { stdout } = await etcdctl("endpoint", "hashkv", "-w", "json");
      const hashes = (JSON.parse(stdout) as { HashKV: { hash: number } }[]).map(({ HashKV }) => HashKV.hash);
      if (new Set(hashes).size === 1) return;
      if (performance.now() > deadline) throw new Error(`three restored members disagree: HashKV ${hashes.join(", ")}`);
      await delay(100);
    }
  } finally {
    await Promise.all(children.map((child) => {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      return child.exitCode === null && child.signalCode === null ? exited : undefined;
    }));
  }
}

// --- what they change in the directory of a stopped member ---

async function compareMaintenance(context: Context, dataDirectory: string): Promise<void> {
  const name = basename(dataDirectory);
  const directories = {
    theirs: copyOf(context, dataDirectory, "maintenance-etcd"),
    ours: copyOf(context, dataDirectory, "maintenance-subject"),
  };
  const commands = [
    ["defrag", "--data-dir", name],
    ["migrate", "--data-dir", name, "--target-version", "3.6"],
    ["migrate", "--data-dir", name, "--target-version", "3.6"],
    ["migrate", "--data-dir", name, "--target-version", "3.5"],
    ["migrate", "--data-dir", name, "--target-version", "3.8"],
    ["migrate", "--data-dir", name, "--target-version", "4.0"],
    ["migrate", "--data-dir", name, "--target-version", "3.8", "--force"],
    ["migrate", "--data-dir", name, "--target-version", "3.7", "--force"],
    ["defrag", "--data-dir", "no-such-directory"],
  ];
  for (const args of commands) {
    await compare(context, args, directories);
    expectEqual(
      `${name} after ${args.join(" ")}: the databases differ`,
      await contents(join(directories.theirs, name)),
      await contents(join(directories.ours, name)),
    );
  }
  const found = await recordOf(context, "etcd", directories.ours, name);
  expectEqual("etcd on it finds something else", await recordOf(context, "etcd", directories.theirs, name), found);
}

// --- what they leave when they are killed ---

async function killTools(context: Context, file: string): Promise<string> {
  const target = join(context.directory, "killed", "restored");
  const restore = ["snapshot", "restore", file, "--data-dir", target];
  const complete = { restored: 0, saved: 0 };
  const reset = () => {
    rmSync(join(context.directory, "killed"), { recursive: true, force: true });
    mkdirSync(join(context.directory, "killed"));
  };
  reset();
  const restoreMs = await runFor(context, restore, Infinity);
  for (let turn = 1; turn <= KILLS; turn++) {
    reset();
    await runFor(context, restore, restoreMs * turn / (KILLS - 1));
    if (!existsSync(target)) continue;
    await contents(target);
    await dumpLog(target);
    complete.restored++;
  }
  const server = await context.start("subject");
  await populate(server, context.settings.seed + 1);
  const saved = join(context.directory, "killed", "saved.db");
  const save = ["snapshot", "save", saved, "--endpoints", server.endpoint];
  const saveMs = await runFor(context, save, Infinity);
  for (let turn = 1; turn <= KILLS; turn++) {
    reset();
    await runFor(context, save, saveMs * turn / (KILLS - 1));
    if (!existsSync(saved)) continue;
    await oursOrThrow(context, ["snapshot", "status", saved]);
    complete.saved++;
  }
  await server.stop();
  return `${KILLS} restores and saves killed (${complete.restored} and ${complete.saved} were complete)`;
}

/** Runs ours until it ends or is killed, and returns how many milliseconds it ran. */
async function runFor(context: Context, args: string[], killAfterMs: number): Promise<number> {
  const [program, ...words] = context.settings.subject.split(/\s+/);
  const beganMs = performance.now();
  const child = spawn(program!, [...words, ...args], { stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const timer = killAfterMs === Infinity ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  await exited;
  clearTimeout(timer);
  return performance.now() - beganMs;
}
