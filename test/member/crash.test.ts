import { describe, expect, test } from "bun:test";
import { seeds } from "../harness/seeds.ts";
import type { Operation } from "../harness/simulated_disk.ts";
import { type End, type LifetimesResult, type Phase, runLifetimes } from "./lifetimes.ts";

const TIMEOUT_MS = 120_000;

const AFTER_ALL: End = { operation: Infinity, fault: "crash-after", kind: "power loss" };

test.each(seeds([1, 2, 3]))(
  "what was acknowledged is there after an end at any operation of the disk (seed %d)",
  async (seed) => {
    const whole = await runLifetimes({ seed, firstEnd: AFTER_ALL });
    expect(whole.violation).toBeUndefined();
    // Some workloads are short; none may be empty.
    expect(whole.acknowledgedCount).toBeGreaterThan(5);
    for (let operation = 1; operation <= whole.operationCount; operation++) {
      for (const kind of ["kill", "power loss"] as const) {
        const fault = (operation + seed) % 2 === 0 ? "crash-before" : "crash-after";
        const { violation } = await runLifetimes({ seed, firstEnd: { operation, fault, kind } });
        if (violation !== undefined) throw new Error(`${kind} (${fault}) at operation ${operation}: ${violation}`);
      }
    }
  },
  TIMEOUT_MS,
);

type SkipSync = (operation: Operation, phase: Phase) => boolean;

const isSync = ({ kind, path }: Operation, of: RegExp) => kind === "sync" && of.test(path);
const isDirectorySync = ({ kind, path }: Operation, of: string) => kind === "sync-directory" && path === of;

const SEGMENT = /wal\/[0-9a-f-]+\.wal$/;

/** Every sync that something acknowledged depends on. */
const SYNCS: [name: string, skipSync: SkipSync][] = [
  ["of the directory that holds the data directory", (operation) => isDirectorySync(operation, ".")],
  ["of the data directory", (operation) => isDirectorySync(operation, "data")],
  ["of the log's first segment", (operation) => isSync(operation, /wal\.tmp\//)],
  ["of that segment's name", (operation) => isDirectorySync(operation, "data/member/wal.tmp")],
  ["of the log's name", (operation, phase) => phase === "first start" && isDirectorySync(operation, "data/member")],
  ["of an append", (operation, phase) => phase === "run" && isSync(operation, SEGMENT)],
  [
    "of an append before clients are served",
    (operation, phase) => phase === "first start" && isSync(operation, SEGMENT),
  ],
  ["of a new segment's head", (operation) => isSync(operation, /wal\/\d+\.tmp$/)],
  ["of a new segment's name", (operation, phase) => phase === "run" && isDirectorySync(operation, "data/member/wal")],
  ["of what a restart has read", (operation, phase) => phase === "restart" && isSync(operation, SEGMENT)],
  [
    "of the names it has read",
    (operation, phase) => phase === "restart" && isDirectorySync(operation, "data/member/wal"),
  ],
  ["of a new database", (operation) => isSync(operation, /snap\/tmp-db$/)],
  ["of a new database's name", (operation) => isDirectorySync(operation, "data/member/snap")],
  ["of what is appended to the database", (operation) => isSync(operation, /snap\/db$/)],
  [
    "of the log's name, when it has read it",
    (operation, phase) => phase === "restart" && isDirectorySync(operation, "data/member"),
  ],
];

describe("without one sync something acknowledged is lost", () => {
  test.each(SYNCS)("%s", async (_name, skipSync) => {
    expect(await searchLoss(skipSync)).toBeDefined();
  }, TIMEOUT_MS);

  test("and the list is complete", async () => {
    const unlisted = new Set<string>();
    const skipSync: SkipSync = (operation, phase) => {
      // What a repair sets aside was never acknowledged; the tests of the log itself look after it.
      if (operation.path.endsWith(".broken")) return false;
      // Nothing is ever read from a snapshot file.
      if (operation.path.endsWith(".snap")) return false;
      if (!SYNCS.some(([, isListed]) => isListed(operation, phase))) unlisted.add(`${phase}: ${operation.path}`);
      return false;
    };
    for (let seed = 1; seed <= 8; seed++) await runLifetimes({ seed, firstEnd: AFTER_ALL, skipSync });
    expect([...unlisted]).toEqual([]);
  }, TIMEOUT_MS);

  test("and with all of them the same search finds nothing", async () => {
    expect(await searchLoss(() => false, 1)).toBeUndefined();
  }, TIMEOUT_MS);
});

/** The first violation that some lifetimes of some seeds end in. */
async function searchLoss(skipSync: SkipSync, seedMax = 8): Promise<string | undefined> {
  for (let seed = 1; seed <= seedMax; seed++) {
    // A power loss right after the first lifetime, or after a kill and a restart that believes what it has read.
    for (const lifetimeCount of [1, 2, 3]) {
      for (const kind of ["power loss", "kill"] as const) {
        const run = (operation: number): Promise<LifetimesResult> =>
          runLifetimes({ seed, firstEnd: { operation, fault: "crash-after", kind }, skipSync, lifetimeCount });
        const whole = await run(Infinity);
        if (whole.violation !== undefined) return whole.violation;
        for (let operation = whole.operationCount; operation > 0; operation -= 5) {
          const { violation } = await run(operation);
          if (violation !== undefined) return violation;
        }
      }
    }
  }
  return undefined;
}
