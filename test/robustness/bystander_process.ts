/** The process of the well-behaved client, seen from a case. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { check, type Context } from "./context.ts";

/** What was measured since the last lap. */
export interface Lap {
  readonly puts: Latencies;
  readonly reads: Latencies;
  readonly failures: readonly string[];
}

export interface Latencies {
  readonly count: number;
  readonly longestMs: number;
  readonly medianMs: number;
}

export class Bystander {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  static async start(context: Context, port: number): Promise<Bystander> {
    const bystander = new Bystander(port);
    context.onEnd(() => void bystander.#child.kill("SIGKILL"));
    await bystander.lap();
    return bystander;
  }

  private constructor(port: number) {
    const program = fileURLToPath(new URL("bystander.ts", import.meta.url));
    this.#child = spawn(process.execPath, [program, String(port)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async lap(): Promise<Lap> {
    this.#child.stdin.write("lap\n");
    const { value, done } = await this.#lines.next();
    check(done !== true, "the well-behaved client has ended");
    return JSON.parse(value) as Lap;
  }
}
