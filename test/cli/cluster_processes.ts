/** Members as processes of their own, asked over the JSON gateway. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const WAIT_MS = 15_000;

export interface End {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A line of a process's log. */
export type LogLine = Record<string, unknown> & { readonly level: string; readonly msg: string };

/** One member's place: its name, ports and directory; its process may come and go. */
export class MemberProcess {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly dataDirectory: string;
  #child: ChildProcess | undefined;
  #end: Promise<End> = Promise.resolve({ code: null, signal: null });
  log: LogLine[] = [];

  constructor(directory: string, name: string, clientPort: number, peerPort: number) {
    this.name = name;
    this.clientUrl = `http://127.0.0.1:${clientPort}`;
    this.peerUrl = `http://127.0.0.1:${peerPort}`;
    this.dataDirectory = join(directory, name);
  }

  /** Starts its process with a new log. */
  start(initialCluster: string, ...flags: string[]): void {
    const child = spawn(process.execPath, [
      MAIN,
      ...["--name", this.name, "--data-dir", this.dataDirectory, "--initial-cluster", initialCluster],
      ...["--listen-client-urls", this.clientUrl, "--advertise-client-urls", this.clientUrl],
      ...["--listen-peer-urls", this.peerUrl, "--initial-advertise-peer-urls", this.peerUrl],
      ...flags,
    ], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    this.log = [];
    let rest = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line !== "") this.log.push(JSON.parse(line) as LogLine);
    });
    this.#end = new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
  }

  get end(): Promise<End> {
    return this.#end;
  }

  signal(signal: NodeJS.Signals): Promise<End> {
    this.#child?.kill(signal);
    return this.#end;
  }

  /** Until its log has such a line. */
  async logged(message: string): Promise<LogLine> {
    await until(() => this.log.some(({ msg }) => msg.includes(message)), `${this.name} says "${message}"`);
    return this.log.find(({ msg }) => msg.includes(message))!;
  }

  ready(): Promise<unknown> {
    return this.logged("now serving peer/client/metrics");
  }

  async call<T>(path: string, request: unknown): Promise<T> {
    const answer = await fetch(`${this.clientUrl}/v3/${path}`, { method: "POST", body: JSON.stringify(request) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return await answer.json() as T;
  }

  async put(key: string, value: string): Promise<void> {
    await this.call("kv/put", { key: btoa(key), value: btoa(value) });
  }

  async get(key: string): Promise<string | undefined> {
    const { kvs } = await this.call<{ kvs?: { value: string }[] }>("kv/range", { key: btoa(key) });
    return kvs === undefined ? undefined : atob(kvs[0].value);
  }

  async status(): Promise<{ leader: string; header: { member_id: string; cluster_id: string } }> {
    return await this.call("maintenance/status", {});
  }

  async leads(): Promise<boolean> {
    const { leader, header } = await this.status();
    return leader === header.member_id;
  }
}

/** A directory for members, removed with all that runs in it. */
export class MemberProcesses {
  readonly #directory = mkdtempSync(join(tmpdir(), "keelson-cluster-"));
  readonly members: MemberProcess[] = [];

  async add(...names: string[]): Promise<MemberProcess[]> {
    const ports = await freePorts(2 * names.length);
    const added = names.map((name, i) => new MemberProcess(this.#directory, name, ports[2 * i], ports[2 * i + 1]));
    this.members.push(...added);
    return added;
  }

  /** For `--initial-cluster`. */
  static initialCluster(members: readonly MemberProcess[]): string {
    return members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.signal("SIGKILL")));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** The one that leads, once there is one. */
export async function leaderOf(members: readonly MemberProcess[]): Promise<MemberProcess> {
  let leader: MemberProcess | undefined;
  await until(async () => {
    for (const member of members) if (await member.leads()) leader = member;
    return leader !== undefined;
  }, "somebody leads");
  return leader!;
}

export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const endMs = performance.now() + WAIT_MS; !await isSo();) {
    if (performance.now() > endMs) throw new Error(`it has not come to that in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Ports that nobody has at the moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  }));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
