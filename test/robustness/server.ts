/** The server under test as a process: started, watched, killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { bytes, Client } from "./client.ts";

export const PROJECT_DIRECTORY: string = fileURLToPath(new URL("../..", import.meta.url));

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 10;

/** How a process ended: one of the two is null. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServerOptions {
  /** Program and first arguments. */
  readonly command: readonly string[];
  readonly dataDirectory: string;
  readonly logPath: string;
  readonly port: number;
  /** Default: the loopback address. */
  readonly host?: string;
  readonly flags?: readonly string[];
}

export class Server {
  readonly host: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly logPath: string;
  readonly #words: readonly string[];
  #child: ChildProcess | undefined;
  #end: Promise<End> = Promise.resolve({ code: null, signal: null });

  constructor(options: ServerOptions) {
    this.host = options.host ?? "127.0.0.1";
    const url = `http://${this.host}:${options.port}`;
    this.port = options.port;
    this.dataDirectory = options.dataDirectory;
    this.logPath = options.logPath;
    this.#words = [
      ...options.command,
      ...["--data-dir", options.dataDirectory, "--listen-client-urls", url, "--advertise-client-urls", url],
      // Any free one: nobody asks for it.
      ...["--listen-peer-urls", "http://127.0.0.1:0"],
      ...(options.flags ?? []),
    ];
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error("the server is not running");
    return this.#child.pid;
  }

  get runningPid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the process has ended. */
  get end(): Promise<End> {
    return this.#end;
  }

  /** Starts the process without waiting for anything. Its log begins anew. */
  spawn(): void {
    const log = openSync(this.logPath, "w");
    const child = spawn(this.#words[0]!, this.#words.slice(1), { cwd: PROJECT_DIRECTORY, stdio: ["ignore", log, log] });
    closeSync(log);
    this.#child = child;
    this.#end = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        this.#child = undefined;
        resolve({ code, signal });
      });
    });
  }

  /** Starts the process and returns once it answers a linearizable read; throws if it ends before. */
  async start(): Promise<void> {
    this.spawn();
    await this.ready();
  }

  async ready(): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < deadlineMs) {
      if (this.#child === undefined) {
        const { code, signal } = await this.#end;
        throw new Error(`the server ended with ${code ?? signal} while starting: ${this.lastLogLine()}`);
      }
      try {
        const client = await Client.open(this.port, { host: this.host });
        await client.call(KV.method.range, { key: bytes("ready") }).finally(() => client.close());
        return;
      } catch {
        await delay(POLL_MS);
      }
    }
    throw new Error(`the server is not ready after ${READY_TIMEOUT_MS} ms`);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<End> {
    this.#child?.kill(signal);
    return await this.#end;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** The figures of /metrics. Throws if they cannot be had. */
  async metrics(): Promise<Record<string, number>> {
    const answer = await fetch(`http://${this.host}:${this.port}/metrics`);
    const figures: Record<string, number> = {};
    for (const line of (await answer.text()).split("\n")) {
      const space = line.lastIndexOf(" ");
      if (space > 0 && !line.startsWith("#")) figures[line.slice(0, space)] = Number(line.slice(space + 1));
    }
    return figures;
  }

  /** Resident bytes of the process, now and at most. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
    return { now: figure("VmRSS"), peak: figure("VmHWM") };
  }

  /** The most resident memory from now on. */
  resetMemoryPeak(): void {
    const file = openSync(`/proc/${this.pid}/clear_refs`, "w");
    try {
      writeSync(file, "5");
    } finally {
      closeSync(file);
    }
  }

  logLines(): string[] {
    if (!existsSync(this.logPath)) return [];
    return readFileSync(this.logPath, "utf8").split("\n").filter((line) => line !== "");
  }

  lastLogLine(): string {
    return this.logLines().at(-1) ?? "";
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Throws if the promise is not settled in time. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A wrapper for a server that may have so many file descriptors. */
export function withDescriptors(count: number): string[] {
  return ["sh", "-c", `ulimit -n ${count} && exec "$@"`, "sh"];
}

/** The sources of this checkout, run by the Bun that is installed with them. */
export function sourceCommand(): string[] {
  return [join(PROJECT_DIRECTORY, "node_modules", ".bin", "bun"), join(PROJECT_DIRECTORY, "src", "main.ts")];
}
