import { expect, test } from "bun:test";
import { runLifetimes } from "./lifetimes.ts";

const TIMEOUT_MS = 60_000;

/** Making room for the next segment may fail: the log goes on in the one it has. */
const DISPENSABLE = /^(create|allocate) data\/member\/wal\/\d+\.tmp/;
/** So may everything about checkpoints once the member serves: they are made later, and files purged later. */
const DISPENSABLE_LATER = /^([a-z-]+ data\/member\/snap($|\/|:)|remove data\/member\/wal\/.*\.wal)/;

test.each([1, 2])(
  "an operation that fails ends the member, which says why and acknowledges nothing more (seed %d)",
  async (seed) => {
    const whole = await runLifetimes({ seed, firstEnd: { operation: Infinity, fault: "crash-after", kind: "kill" } });
    for (let operation = 1; operation <= whole.trace.length; operation++) {
      const kind = (operation + seed) % 2 === 0 ? "kill" : "power loss";
      const firstEnd = { operation, fault: { fail: "EIO" }, kind } as const;
      const { violation, failure, trace, startOperationCount } = await runLifetimes({ seed, firstEnd });
      const failed = trace.find((line) => line.endsWith("EIO"))!;
      expect(`${failed}: ${violation}`).toBe(`${failed}: undefined`);
      const isLater = operation > startOperationCount && startOperationCount > 0;
      if (DISPENSABLE.test(failed) || (isLater && DISPENSABLE_LATER.test(failed))) expect(failure).toBeUndefined();
      else expect(failure?.message).toContain("EIO");
    }
  },
  TIMEOUT_MS,
);

test("a full disk ends the member, and with more room nothing is lost", async () => {
  const firstEnd = { operation: Infinity, fault: "crash-after", kind: "kill" } as const;
  const failures = new Set<string>();
  for (let capacity = 0; capacity < 45_000; capacity += 1009) {
    const { violation, failure } = await runLifetimes({ seed: 1, capacity, firstEnd });
    expect(`${capacity}: ${violation}`).toBe(`${capacity}: undefined`);
    if (failure === undefined) continue;
    expect(failure.message).toMatch(/ENOSPC|no space left/);
    failures.add(failure.message.includes("cannot append") ? "while running" : "at the start");
  }
  expect([...failures].sort()).toEqual(["at the start", "while running"]);
}, TIMEOUT_MS);
