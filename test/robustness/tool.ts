/** The subject's own commands, run to their end. */
import { spawnSync } from "node:child_process";
import { check, type Context } from "./context.ts";
import { PROJECT_DIRECTORY } from "./server.ts";

const TIMEOUT_MS = 60_000;

export class Tool {
  readonly shown: string;
  /** Null: it was ended by a signal, or hung. */
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;

  constructor(context: Context, args: readonly string[]) {
    const [program, ...words] = context.settings.subject;
    const run = spawnSync(program!, [...words, ...args], {
      cwd: PROJECT_DIRECTORY,
      encoding: "utf8",
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
      maxBuffer: 64 << 20,
    });
    this.shown = args.join(" ");
    this.code = run.status;
    this.output = run.stdout;
    this.errors = run.stderr;
  }

  /** The line that says why it failed. */
  get reason(): string {
    const lines = this.errors.split("\n").filter((line) => line !== "");
    return lines.find((line) => line.startsWith("Error: ")) ?? lines.at(-1) ?? "";
  }

  succeeds(): this {
    check(this.code === 0, `${this.shown} ended with ${this.code}: ${this.reason}`);
    return this;
  }
}
