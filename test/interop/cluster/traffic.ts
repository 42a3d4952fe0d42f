/** The load on a cluster, and its judge: test/interop/traffic as a process that stays on while members come and go. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Context } from "../context.ts";
import { programPath } from "../tools.ts";
import type { Cluster } from "./cluster.ts";
import type { Member } from "./member.ts";

interface Verdict {
  readonly requests: number;
  readonly retries: number;
  readonly errors: Record<string, number>;
  readonly longestMs: number;
  readonly keepAlives: number;
  readonly lapsed: number;
  readonly expired: number;
  readonly events: Record<string, number>;
  readonly violations: string[];
}

export class Traffic {
  readonly #child: ChildProcess;
  readonly #answers: string[] = [];
  #wake: (() => void) | undefined;
  #errors = "";
  #isEnded = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    let rest = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.#answers.push(...lines);
      this.#wake?.();
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => this.#errors += text);
    child.stdin!.on("error", () => {}); // Its end is told below.
    child.once("close", () => {
      this.#isEnded = true;
      this.#wake?.();
    });
  }

  /** Begins to send requests to all members and to watch everything on each. */
  static async start(context: Context, cluster: Cluster, flags: string[] = []): Promise<Traffic> {
    const endpoints = cluster.endpoints.join(",");
    const child = spawn(programPath("traffic"), ["run", "--endpoints", endpoints, "--watch", endpoints, ...flags], {
      stdio: "pipe",
    });
    const traffic = context.adopt(new Traffic(child));
    await traffic.#answer();
    return traffic;
  }

  /** Requests go to the cluster's members as they are now. */
  async follow(cluster: Cluster): Promise<void> {
    await this.#tell(`endpoints ${cluster.endpoints.join(",")}`);
  }

  watch(member: Member): Promise<string> {
    return this.#tell(`watch ${member.endpoint}`);
  }

  unwatch(member: Member): Promise<string> {
    return this.#tell(`unwatch ${member.endpoint}`);
  }

  /** Ends the load. Throws if a client saw what it may not; otherwise tells in a line what it did. */
  async judge(): Promise<string> {
    const verdict = JSON.parse(await this.#tell("stop")) as Verdict;
    const errors = Object.entries(verdict.errors).map(([text, count]) => `${count} x ${text}`).join("; ");
    if (verdict.violations.length > 0) {
      throw new Error(`clients saw:\n${verdict.violations.join("\n")}\nbehind the retries: ${errors}`);
    }
    if (verdict.requests === 0 || Object.values(verdict.events).some((count) => count === 0)) {
      throw new Error(`nothing was done or a watch saw nothing: ${JSON.stringify(verdict)}`);
    }
    const leases = `${verdict.keepAlives} keep-alives, ${verdict.expired} leases expired, ${verdict.lapsed} lapsed`;
    return `${verdict.requests} requests, ${verdict.retries} retries, longest ${verdict.longestMs} ms, ${leases}`;
  }

  stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    return Promise.resolve();
  }

  logTail(): string {
    return this.#errors === "" ? "" : `--- traffic\n${this.#errors}\n`;
  }

  async #tell(command: string): Promise<string> {
    this.#child.stdin!.write(`${command}\n`);
    return await this.#answer();
  }

  async #answer(): Promise<string> {
    while (this.#answers.length === 0) {
      if (this.#isEnded) throw new Error(`the load ended: ${this.#errors}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#answers.shift()!;
  }
}
