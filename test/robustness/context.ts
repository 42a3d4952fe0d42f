/** What a case is given: fresh directories, free ports, a seed, servers that are ended after it. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_DIRECTORY, Server } from "./server.ts";

export interface Settings {
  readonly subject: readonly string[];
  /** Another program, which one member of each cluster runs instead. */
  readonly guest: readonly string[] | undefined;
  readonly seed: number;
  readonly port: number;
  /** The size that the promises are made for, rather than the one that fits into a few minutes. */
  readonly isLong: boolean;
  /** Rounds of kill -9; undefined: as many as the size calls for. */
  readonly rounds: number | undefined;
}

export interface Case {
  readonly name: string;
  /** What it shows, for --list. */
  readonly about: string;
  /** Throws if it fails. What it returns is printed behind its name. */
  run(context: Context): Promise<string>;
}

export interface ServerSettings {
  readonly name?: string;
  /** Default: the subject. */
  readonly command?: readonly string[];
  /** Runs before the server's own command, in its process. */
  readonly wrapper?: readonly string[];
  readonly dataDirectory?: string;
  readonly host?: string;
  readonly port?: number;
  readonly flags?: readonly string[];
}

export class Context {
  readonly settings: Settings;
  readonly directory: string;
  readonly random: Random;
  readonly #servers: Server[] = [];
  #cleanups: (() => void | Promise<void>)[] = [];
  #nextPort: number;

  constructor(name: string, settings: Settings) {
    this.settings = settings;
    this.directory = join(PROJECT_DIRECTORY, ".cache", "robustness", String(settings.port), name);
    this.random = new Random(settings.seed);
    this.#nextPort = settings.port;
    rmSync(this.directory, { recursive: true, force: true });
    mkdirSync(this.directory, { recursive: true });
  }

  takePort(): number {
    return this.#nextPort++;
  }

  /** A server with a data directory of its own, not started yet. */
  server(settings: ServerSettings = {}): Server {
    const name = settings.name ?? `server-${this.#servers.length + 1}`;
    const server = new Server({
      command: [...(settings.wrapper ?? []), ...(settings.command ?? this.settings.subject)],
      dataDirectory: settings.dataDirectory ?? join(this.directory, name),
      logPath: join(this.directory, `${name}.log`),
      host: settings.host,
      port: settings.port ?? this.takePort(),
      flags: settings.flags,
    });
    this.#servers.push(server);
    return server;
  }

  /** Runs when the case is over, whatever came of it; the last one first. */
  onEnd(cleanup: () => void | Promise<void>): void {
    this.#cleanups.push(cleanup);
  }

  async end(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop("SIGKILL")));
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    this.#cleanups = [];
  }

  removeFiles(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  logTails(): string {
    return this.#servers.slice(-2).map((server) =>
      `--- last lines of ${server.logPath.slice(this.directory.length + 1)}\n${
        server.logLines().slice(-6).map((line) => line.slice(0, 600)).join("\n")
      }\n`
    ).join("");
  }
}

/** Repeatable choices (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 >>> 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

/** Throws with this text unless the condition holds. */
export function check(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}

export function megabytes(size: number): string {
  return `${(size / 2 ** 20).toFixed(0)} MiB`;
}
