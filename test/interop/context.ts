/** What a test is given: fresh directories, free ports, servers that are stopped after it. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { etcdCommand, Server, type ServerKind } from "./process.ts";
import { CACHE_DIRECTORY } from "./tools.ts";

export interface Settings {
  readonly subject: string;
  readonly seed: number;
  readonly operations: number;
  readonly port: number;
  /** Do more of the same, where a test can. */
  readonly isLong: boolean;
}

export interface Case {
  readonly name: string;
  /** What it shows, for --list. */
  readonly about: string;
  /** Throws if it fails. What it returns is printed behind its name. */
  run(context: Context): Promise<string | void>;
}

/** What a test has started, to be stopped after it. */
export interface Running {
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<unknown>;
  logTail(): string;
}

export class Context {
  readonly settings: Settings;
  readonly directory: string;
  readonly #servers: Running[] = [];
  #nextPort: number;

  constructor(name: string, settings: Settings) {
    this.settings = settings;
    this.directory = join(CACHE_DIRECTORY, "run", name);
    this.#nextPort = settings.port;
    rmSync(this.directory, { recursive: true, force: true });
    mkdirSync(this.directory, { recursive: true });
  }

  takePort(): number {
    return this.#nextPort++;
  }

  /** A server that is stopped after the test, and whose log is shown if it fails. */
  adopt<Started extends Running>(server: Started): Started {
    this.#servers.push(server);
    return server;
  }

  /** Starts the server under test, or etcd. */
  async start(kind: ServerKind, flags: string[] = []): Promise<Server> {
    const server = this.adopt(
      new Server({
        kind,
        command: kind === "etcd" ? etcdCommand() : this.settings.subject,
        directory: this.directory,
        clientPort: this.takePort(),
        peerPort: this.takePort(),
        advertisedPort: this.settings.port + 90,
        flags,
      }),
    );
    await server.start();
    return server;
  }

  /** Starts etcd and the server under test, which give themselves equal member and cluster ids. */
  async startBoth(flags: string[] = []): Promise<[etcd: Server, subject: Server]> {
    return await Promise.all([this.start("etcd", flags), this.start("subject", flags)]);
  }

  async stopServers(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop("SIGKILL")));
  }

  logTails(): string {
    return this.#servers.map((server) => server.logTail()).join("");
  }
}

/** Throws unless the two texts are equal, showing the first line that differs. */
export function expectEqual(what: string, etcd: string, subject: string): void {
  if (etcd === subject) return;
  const a = etcd.split("\n"), b = subject.split("\n");
  const at = a.findIndex((line, index) => line !== b[index]);
  const line = at < 0 ? a.length : at;
  throw new Error(`${what}\n  line ${line + 1}\n  etcd:    ${a[line] ?? "(ends)"}\n  subject: ${b[line] ?? "(ends)"}`);
}
