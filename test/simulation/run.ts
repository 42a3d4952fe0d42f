/** Many seeds, one after the other: what failed, how fast it went, and how much was met. */

import { runSeed, type SeedResult } from "./seed.ts";
import { Coverage } from "./world/coverage.ts";
import { checkMinimums } from "./minimums.ts";

export interface RunOptions {
  readonly seeds: readonly number[];
  /** Stop at the first seed that fails. */
  readonly stopsAtFailure: boolean;
  readonly print: (line: string) => void;
}

export interface RunSummary {
  readonly failed: readonly number[];
  /** Kinds of faults, states and paths that were met too seldom. */
  readonly missing: readonly string[];
  readonly seedCount: number;
}

/** Violations of one seed that are printed; the story has all. */
const VIOLATIONS_PRINTED_MAX = 3;

export async function runSeeds({ seeds, stopsAtFailure, print }: RunOptions): Promise<RunSummary> {
  const coverage = new Coverage();
  const failed: number[] = [];
  let seedCount = 0;
  let operationCount = 0;
  let simulatedMs = 0;
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  for (const seed of seeds) {
    const result = await runAndWatch(seed, false);
    seedCount++;
    simulatedMs += result.simulatedMs;
    operationCount += result.operationCount;
    coverage.add(result.coverage);
    if (result.violations.length === 0) continue;
    failed.push(seed);
    print(`seed ${seed} failed; to see its story: npm run sim -- --seed ${seed} --story`);
    for (const violation of result.violations.slice(0, VIOLATIONS_PRINTED_MAX)) print(`  ${violation}`);
    if (stopsAtFailure) break;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = process.cpuUsage(startCpu);
  const cpuSeconds = (cpu.user + cpu.system) / 1_000_000;
  const missing = stopsAtFailure ? [] : checkMinimums(coverage, seedCount);
  for (const [name, count] of [...coverage.counts].sort(([a], [b]) => a < b ? -1 : 1)) {
    if (!stopsAtFailure) print(`${String(count).padStart(10)}  ${name}`);
  }
  for (const text of missing) print(`met too seldom: ${text}`);
  print(
    `${seedCount} seeds, ${operationCount} operations, ${(simulatedMs / 3_600_000).toFixed(1)} simulated hours: ` +
      `${failed.length} failed, ${missing.length} kinds met too seldom; ${seconds.toFixed(1)} s, ` +
      `${(seedCount / seconds).toFixed(1)} seeds/s (${
        (seedCount / cpuSeconds).toFixed(1)
      } per second of processor time)`,
  );
  return { failed, missing, seedCount };
}

/** Runs a seed, and counts a rejection that nobody takes as a violation of it. */
export async function runAndWatch(seed: number, tellsStory: boolean): Promise<SeedResult> {
  const rejections: string[] = [];
  const onRejection = (reason: unknown): void =>
    void rejections.push(`nobody took a rejection: ${reason instanceof Error ? reason.stack : reason}`);
  process.on("unhandledRejection", onRejection);
  const result = runSeed({ seed, tellsStory });
  // Rejections are told in a later turn of the real event loop.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onRejection);
  return rejections.length === 0 ? result : { ...result, violations: [...result.violations, ...rejections] };
}
