import { describe, expect, test } from "bun:test";
import { seeds } from "../../harness/seeds.ts";
import type { Operation } from "../../harness/simulated_disk.ts";
import { type End, FAULTS, type Phase, runLifetimes } from "./lifetimes.ts";

type SkipSync = (operation: Operation, phase: Phase, lastTrace: string) => boolean;

/** Ends the first lifetime at every operation in turn, in all ways. Returns the first violation found. */
async function searchViolation(seed: number, skipSync?: SkipSync): Promise<string | undefined> {
  const never: End = { operation: Infinity, fault: "crash-after", kind: "power loss" };
  const whole = await runLifetimes({ seed, firstEnd: never, skipSync });
  if (whole.violation !== undefined) return whole.violation;
  for (let operation = 1; operation <= whole.operationCount; operation++) {
    for (const kind of ["kill", "power loss"] as const) {
      for (const fault of FAULTS) {
        const { violation } = await runLifetimes({ seed, firstEnd: { operation, fault, kind }, skipSync });
        if (violation !== undefined) {
          return `seed ${seed}, ${kind} (${JSON.stringify(fault)}) at operation ${operation}: ${violation}`;
        }
      }
    }
  }
  return undefined;
}

const SEEDS = seeds([1, 2, 3, 4, 5, 6]);

test.each(SEEDS)("whatever was acknowledged is there after an end at any operation (seed %d)", async (seed) => {
  expect(await searchViolation(seed)).toBeUndefined();
}, 60_000);

/** Every sync of the log and of its directory: a seed that is known to find it, to begin with; the phase, the operation, and how the operation before it begins. */
const SYNCS: [name: string, firstSeed: number, phase: Phase, operation: RegExp, before: RegExp][] = [
  ["of the name of a new directory", 1, "open", /^sync-directory (\.|data)$/, /^make-directory/],
  [
    "of the name of a directory left by a killed process",
    1,
    "open",
    /^sync-directory (\.|data)$/,
    /^(?!make-directory)/,
  ],
  ["of the first segment", 1, "create", /^sync .*\/wal\.tmp\//, /./],
  ["of the first segment's name", 1, "create", /^sync-directory .*\/wal\.tmp$/, /./],
  ["of the log's name", 1, "create", /^sync-directory (data\/member|logs)$/, /./],
  ["of an append", 1, "run", /^sync .*\.wal$/, /^(?!truncate)/],
  ["of the append that fills a segment", 1, "run", /^sync .*\.wal$/, /^truncate/],
  ["of the next segment's head", 1, "run", /^sync .*\.tmp$/, /./],
  ["of the next segment's name", 1, "run", /^sync-directory .*\/wal$/, /./],
  ["of the copy of a torn tail", 1, "open", /^sync .*\.broken$/, /./],
  ["of the name of that copy", 4, "open", /^sync-directory .*\/wal$/, /\.broken$/],
  ["of what a killed process wrote", 5, "open", /^sync .*\.wal$/, /./],
  ["of a segment's name left by a killed process", 8, "open", /^sync-directory .*\/wal$/, /^sync .*\.wal$/],
  ["of the log's name left by a killed process", 3, "open", /^sync-directory (data\/member|logs)$/, /\/wal$/],
];

describe("the search finds a loss without the sync", () => {
  test.each(SYNCS)("%s", async (_name, firstSeed, skippedPhase, skipped, before) => {
    const skipSync: SkipSync = ({ kind, path }, phase, lastTrace) =>
      phase === skippedPhase && skipped.test(`${kind} ${path}`) && before.test(lastTrace);
    let violation: string | undefined;
    for (let seed = firstSeed; seed <= firstSeed + 100 && violation === undefined; seed++) {
      violation = await searchViolation(seed, skipSync);
    }
    expect(violation).toBeDefined();
  }, 60_000);
});
