/** One member's place in a cluster: its name, ports and directory. The program behind it comes, goes and changes. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { etcdCommand } from "../process.ts";
import { programPath, PROJECT_DIRECTORY } from "../tools.ts";

/** Which program a member is: etcd 3.7.1, the newest etcd 3.6, or the server under test. */
export type Kind = "etcd" | "etcd-3.6" | "subject";

const STOP_TIMEOUT_MS = 20_000;
const LOG_TAIL_LINES = 15;
const MAX_LINE_LENGTH = 300;

export interface Place {
  readonly name: string;
  readonly directory: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** The command of the server under test. */
  readonly subject: string;
}

export interface Launch {
  readonly initialCluster: string;
  readonly state: "new" | "existing";
  readonly token: string;
  readonly flags: readonly string[];
}

export interface End {
  readonly code: number | null;
  readonly signal: string | null;
}

export class Member {
  readonly name: string;
  readonly endpoint: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly dataDirectory: string;
  readonly logPath: string;
  kind: Kind;
  readonly #subject: string;
  #child: ChildProcess | undefined;
  #end: Promise<End> = Promise.resolve({ code: null, signal: null });

  constructor(place: Place, kind: Kind) {
    this.name = place.name;
    this.endpoint = `127.0.0.1:${place.clientPort}`;
    this.clientUrl = `http://${this.endpoint}`;
    this.peerUrl = `http://127.0.0.1:${place.peerPort}`;
    this.dataDirectory = join(place.directory, place.name);
    this.logPath = `${this.dataDirectory}.log`;
    this.kind = kind;
    this.#subject = place.subject;
  }

  /** Who it is, for messages. */
  toString(): string {
    return `${this.name} (${this.kind}, ${this.endpoint})`;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** How its process ended; not before it has. */
  get end(): Promise<End> {
    return this.#end;
  }

  /** Starts its process. The log goes on from where its predecessor's ended. */
  launch(launch: Launch): void {
    if (this.#child !== undefined) throw new Error(`${this} is running`);
    const words = [
      ...this.#command().split(/\s+/),
      ...["--name", this.name, "--data-dir", this.dataDirectory, "--logger", "zap"],
      ...["--listen-client-urls", this.clientUrl, "--advertise-client-urls", this.clientUrl],
      ...["--listen-peer-urls", this.peerUrl, "--initial-advertise-peer-urls", this.peerUrl],
      ...["--initial-cluster", launch.initialCluster, "--initial-cluster-state", launch.state],
      ...["--initial-cluster-token", launch.token, ...launch.flags],
    ];
    writeFileSync(this.logPath, `--- ${this.kind}: ${words.join(" ")}\n`, { flag: "a" });
    const log = openSync(this.logPath, "a");
    const child = spawn(words[0]!, words.slice(1), { cwd: PROJECT_DIRECTORY, stdio: ["ignore", log, log] });
    closeSync(log);
    this.#child = child;
    this.#end = new Promise((resolve) => {
      child.once("error", () => {
        this.#child = undefined;
        resolve({ code: null, signal: null });
      });
      child.once("exit", (code, signal) => {
        this.#child = undefined;
        resolve({ code, signal });
      });
    });
  }

  /** Ends the process and waits until it is gone. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<End> {
    const child = this.#child;
    if (child === undefined) return await this.#end;
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const end = await this.#end;
    clearTimeout(timer);
    if (signal === "SIGTERM" && end.signal === "SIGKILL") {
      throw new Error(`${this} was told to stop and has not within ${STOP_TIMEOUT_MS / 1000} s`);
    }
    return end;
  }

  wipe(): void {
    rmSync(this.dataDirectory, { recursive: true, force: true });
  }

  /** What the process that ran last has logged. */
  lastLog(): string {
    const log = this.log();
    return log.slice(log.lastIndexOf(`--- ${this.kind}: `));
  }

  log(): string {
    return existsSync(this.logPath) ? readFileSync(this.logPath, "utf8") : "";
  }

  /** The last lines of its log, cut to a bearable length. */
  logTail(lineCount: number = LOG_TAIL_LINES): string {
    const lines = this.log().trimEnd().split("\n").slice(-lineCount).map((line) => line.slice(0, MAX_LINE_LENGTH));
    return lines.join("") === "" ? "" : `--- last lines of ${this}'s log\n${lines.join("\n")}\n`;
  }

  #command(): string {
    switch (this.kind) {
      case "etcd":
        return etcdCommand();
      case "etcd-3.6":
        return programPath("etcd-3.6");
      case "subject":
        return this.#subject;
    }
  }
}
