/** Runs the programs of the tests: to their end (`execute`), or as a server beside them (`Server`). */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MissingRequirement, programPath, PROJECT_DIRECTORY } from "./tools.ts";

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const LOG_TAIL_LINES = 25;

export interface Execution {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecuteOptions {
  readonly directory?: string;
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly environment?: Record<string, string>;
  /** Called with each line of standard output; an answer is written to the program's standard input. */
  readonly onLine?: (line: string) => Promise<string | undefined>;
}

/** Runs a program to its end. It is killed, and the code null, when it takes too long. */
export async function execute(program: string, args: string[], options: ExecuteOptions = {}): Promise<Execution> {
  const child = spawn(program, args, {
    cwd: options.directory ?? PROJECT_DIRECTORY,
    env: { ...process.env, ...options.environment },
    stdio: "pipe",
  });
  let stdout = "", stderr = "", partialLine = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    if (options.onLine === undefined) return;
    const lines = (partialLine + text).split("\n");
    partialLine = lines.pop()!;
    for (const line of lines) {
      void options.onLine(line).then((answer) => {
        if (answer !== undefined) child.stdin.write(answer);
      });
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin.on("error", () => {}); // A program that ends without reading its input is judged by its exit code.
  if (options.onLine === undefined) child.stdin.end(options.input ?? "");
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 120_000);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        reject(error.code === "ENOENT" ? new MissingRequirement(`${program} is not installed`) : error);
      });
      child.once("close", resolve);
    });
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program to its end and throws, with all it printed, unless it exits with 0. */
export async function executeOrThrow(
  program: string,
  args: string[],
  options: ExecuteOptions = {},
): Promise<Execution> {
  const result = await execute(program, args, options);
  if (result.code !== 0) {
    const how = result.code === null ? "was killed (too slow?)" : `exited with ${result.code}`;
    throw new Error(`${[program, ...args].join(" ")} ${how}\n${result.stdout}${result.stderr}`);
  }
  return result;
}

export type ServerKind = "etcd" | "subject";

export interface ServerOptions {
  readonly kind: ServerKind;
  /** The command that starts it, to which etcd's flags are appended. */
  readonly command: string;
  readonly directory: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly flags?: string[];
  /**
   * What both servers of a comparison are told to advertise: member and cluster ids are hashes of it, so they are then
   * equal too. Default: the server's own address.
   */
  readonly advertisedPort?: number;
  /** One that another server has worked on. Default: one of its own below `directory`. */
  readonly dataDirectory?: string;
  /** Longest time from the start to the first linearizable read. */
  readonly readyTimeoutMs?: number;
}

/** One server process with its data directory and log. */
export class Server {
  readonly kind: ServerKind;
  readonly endpoint: string;
  readonly url: string;
  readonly dataDirectory: string;
  readonly logPath: string;
  readonly #words: string[];
  readonly #readyTimeoutMs: number;
  #child: ChildProcess | undefined;

  constructor(options: ServerOptions) {
    const name = `${options.kind}-${options.clientPort}`;
    const advertised = options.advertisedPort ?? options.clientPort;
    const peer = `http://127.0.0.1:${options.advertisedPort === undefined ? options.peerPort : advertised + 1}`;
    this.kind = options.kind;
    this.endpoint = `127.0.0.1:${options.clientPort}`;
    this.url = `http://${this.endpoint}`;
    this.dataDirectory = options.dataDirectory ?? join(options.directory, `${name}.etcd`);
    this.logPath = join(options.directory, `${name}.log`);
    this.#readyTimeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
    this.#words = [
      ...options.command.split(/\s+/),
      ...["--name", "interop", "--data-dir", this.dataDirectory, "--log-level", "warn"],
      ...["--listen-client-urls", this.url, "--advertise-client-urls", `http://127.0.0.1:${advertised}`],
      ...["--listen-peer-urls", `http://127.0.0.1:${options.peerPort}`, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `interop=${peer}`],
      ...(options.flags ?? []),
    ];
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.kind} is not running`);
    return this.#child.pid;
  }

  /** Starts the process and returns once it answers a linearizable read. */
  async start(): Promise<void> {
    const log = openSync(this.logPath, "a");
    const child = spawn(this.#words[0]!, this.#words.slice(1), { cwd: PROJECT_DIRECTORY, stdio: ["ignore", log, log] });
    closeSync(log);
    this.#child = child;
    let failure: string | undefined;
    child.once("error", (error) => failure = error.message);
    child.once("exit", (code, signal) => failure ??= `exited with ${code ?? signal}`);
    const ready = execute(programPath("load"), [
      "ready",
      "--endpoint",
      this.endpoint,
      "--timeout",
      `${this.#readyTimeoutMs}ms`,
    ], { timeoutMs: 2 * this.#readyTimeoutMs });
    const exited = new Promise<undefined>((resolve) => {
      child.once("error", () => resolve(undefined));
      child.once("exit", () => resolve(undefined));
    });
    const answer = await Promise.race([ready, exited]);
    if (failure !== undefined) throw new Error(`${this.#words.join(" ")}\n${failure} while starting`);
    if (answer?.code !== 0) throw new Error(`${this.kind} is not ready on ${this.endpoint}: ${answer?.stderr}`);
  }

  /** Ends the process and waits until it is gone. Does nothing if it is not running. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  async restart(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await this.stop(signal);
    await this.start();
  }

  logTail(): string {
    if (!existsSync(this.logPath)) return "";
    const lines = readFileSync(this.logPath, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES);
    return lines.length === 1 && lines[0] === "" ? "" : `--- last lines of ${this.kind}'s log\n${lines.join("\n")}\n`;
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The command of etcd itself. */
export function etcdCommand(): string {
  return programPath("server");
}

/** The command of the sources in this checkout. */
export function sourceCommand(): string {
  return `${join(PROJECT_DIRECTORY, "node_modules", ".bin", "bun")} ${join(PROJECT_DIRECTORY, "src", "main.ts")}`;
}
