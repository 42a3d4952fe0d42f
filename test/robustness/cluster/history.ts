/** The Go program that loads a cluster, records what its clients saw, and judges it: test/interop/history. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { check, type Context } from "../context.ts";
import { PROJECT_DIRECTORY, within } from "../server.ts";

const SOURCES = join(PROJECT_DIRECTORY, "test", "interop", "history");
const PROGRAM = join(PROJECT_DIRECTORY, ".cache", "robustness", "history");
/** From the order to stop to the verdict: leases run out, watches catch up, porcupine thinks. */
const VERDICT_TIMEOUT_MS = 300_000;

/** What it prints, as far as it is shown. */
export interface Verdict {
  readonly operations: number;
  readonly acknowledged: number;
  readonly inDoubt: number;
  readonly adopted: number;
  readonly serializable: number;
  readonly events: number;
  readonly leases: number;
  readonly compactions: number;
  readonly longestWithoutWriteMs: number;
  /** The fault in which that time began. */
  readonly longestWithoutWriteDuring: string;
  readonly verdict: string;
  readonly failures?: readonly string[];
}

/** Builds the program and lets its judge prove that it finds violations; quick once Go has it in its cache. */
export function buildHistory(): void {
  mkdirSync(join(PROJECT_DIRECTORY, ".cache", "robustness"), { recursive: true });
  for (const args of [["test", "."], ["build", "-o", PROGRAM, "."]]) {
    const { status, error, stdout, stderr } = spawnSync("go", args, { cwd: SOURCES, encoding: "utf8" });
    check(error === undefined, "Go is not installed: the clients whose history is judged are built with Go 1.26");
    check(status === 0, `go ${args.join(" ")}\n${stdout}${stderr}`);
  }
}

export class History {
  readonly #child: ChildProcess;
  readonly #end: Promise<string>;

  /** `endpoints`: of all members, host:port, in their order. */
  constructor(context: Context, endpoints: readonly string[]) {
    const args = ["--endpoints", endpoints.join(","), "--directory", context.directory];
    const child = spawn(PROGRAM, [...args, "--seed", String(context.settings.seed)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin!.on("error", () => {}); // It says why it ended itself.
    context.onEnd(() => {
      child.kill("SIGKILL");
    });
    let output = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => output += text);
    this.#child = child;
    this.#end = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => resolve(output));
    });
  }

  /** The process of this member is going to be started again. */
  restarting(member: number): void {
    this.#order(`restart ${member}`);
  }

  fault(text: string): void {
    this.#order(`fault ${text}`);
  }

  /** When all faults have ended. Throws unless the history is flawless. */
  async verdict(): Promise<Verdict> {
    this.#order("stop");
    const output = await within(VERDICT_TIMEOUT_MS, this.#end);
    check(output !== "", "the judge ended without a verdict");
    const verdict = JSON.parse(output) as Verdict;
    check(verdict.failures === undefined, `${verdict.verdict}\n${verdict.failures?.join("\n")}`);
    return verdict;
  }

  #order(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }
}
