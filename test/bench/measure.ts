/** What is read of a server process and of the load generators' output. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { execute, executeOrThrow, type Server } from "../interop/process.ts";
import { programPath } from "../interop/tools.ts";

/** A measured figure has a name within its row: "throughput", "p99", ... Units are in the row's definition. */
export type Figures = Record<string, number>;

const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** The processor time a process has used so far, in microseconds, all its threads together. */
export function cpuMicroseconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may itself hold spaces; utime and stime are the 14th and 15th fields of the line.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND * 1e6;
}

export interface Memory {
  readonly rssMegabytes: number;
  /** Without mapped files, which the kernel can take back. */
  readonly anonymousMegabytes: number;
}

export function memory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? NaN) / 1024;
  return { rssMegabytes: field("VmRSS"), anonymousMegabytes: field("RssAnon") };
}

/** Bytes that a process has caused to be written to its disk so far. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
}

/** Bytes that the files below a directory take on the disk, preallocated ones included. */
export function diskUsage(directory: string): number {
  let size = 0;
  for (const name of readdirSync(directory)) {
    // Files come and go while a server runs.
    const stat = statSync(join(directory, name), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    size += stat.isDirectory() ? diskUsage(join(directory, name)) : stat.blocks * 512;
  }
  return size;
}

/** Runs a load with the processor time of all servers measured around it, divided by the number of requests. */
export async function withCpu(
  servers: Server | readonly Server[],
  count: number,
  load: () => Promise<Figures>,
): Promise<Figures> {
  const total = () => [servers].flat().reduce((sum, server) => sum + cpuMicroseconds(server.pid), 0);
  const before = total();
  const figures = await load();
  return { ...figures, cpu: (total() - before) / count };
}

/** What a load is sent to. */
export interface Target {
  /** host:port, or several, parted by commas. */
  readonly endpoint: string;
}

const LOAD_TIMEOUT_MS = 20 * 60_000;

/** etcd's own benchmark tool: requests per second, and latencies in milliseconds. */
export async function benchmark(target: Target, args: string[]): Promise<Figures> {
  const { stdout } = await executeOrThrow(
    programPath("benchmark"),
    ["--endpoints", target.endpoint, "--precise", ...args],
    { timeoutMs: LOAD_TIMEOUT_MS, environment: { ETCD_CLIENT_DEBUG: "error" } },
  );
  const number = (pattern: RegExp) => {
    const found = pattern.exec(stdout);
    if (found === null) throw new Error(`benchmark ${args.join(" ")} printed no ${pattern}\n${stdout.slice(-2000)}`);
    return Number(found[1]);
  };
  const errors = /Error distribution:\n([^]*)/.exec(stdout)?.[1];
  if (errors !== undefined) throw new Error(`benchmark ${args.join(" ")}: ${errors.trim()}`);
  return {
    throughput: number(/Requests\/sec:\s+([\d.]+)/),
    p50: number(/50% in ([\d.e-]+) secs/) * 1000,
    p99: number(/99% in ([\d.e-]+) secs/) * 1000,
  };
}

/** What the load program of test/interop prints. */
export interface LoadResult {
  readonly count: number;
  readonly errors: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  readonly meanMs: number;
  readonly extra?: number;
  readonly readyUnixMs?: number;
  readonly firstError?: string;
}

/** `onBegin` is called when the program says that its preparations are over. */
export async function load(target: Target, command: string, args: string[], onBegin?: () => void): Promise<LoadResult> {
  const { code, stdout, stderr } = await execute(
    programPath("load"),
    [command, "--endpoint", target.endpoint, ...args],
    {
      timeoutMs: LOAD_TIMEOUT_MS,
      onLine: (line) => {
        if (line === "watching") onBegin?.();
        return Promise.resolve(undefined);
      },
    },
  );
  const last = stdout.trimEnd().split("\n").at(-1)!;
  if (code !== 0 || !last.startsWith("{")) {
    throw new Error(`load ${command} ${args.join(" ")} failed: ${stderr}${stdout}`);
  }
  const result = JSON.parse(last) as LoadResult;
  if (result.errors > 0) {
    throw new Error(
      `load ${command} ${args.join(" ")}: ${result.errors} calls failed, with ${result.firstError ?? "no text"}`,
    );
  }
  return result;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The server's own longest turn of its event loop, where it tells. */
export async function longestTurnMs(server: Server): Promise<number | undefined> {
  const { stdout } = await execute("curl", ["--silent", "--max-time", "5", `${server.url}/metrics`]);
  const found = /^keelson_loop_turn_longest_seconds ([\d.e+-]+)/m.exec(stdout);
  return found === null ? undefined : Number(found[1]) * 1000;
}
