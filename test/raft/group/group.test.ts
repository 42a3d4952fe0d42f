import { expect, test } from "bun:test";
import { seeds } from "../../harness/seeds.ts";
import { type Counts, Group } from "./group.ts";

const STEPS = 4000;
const FIXED = Array.from({ length: 100 }, (_, i) => i + 1);

test("whatever is lost, doubled, delayed or restarted, a group agrees, and comes to rest when it is left alone", () => {
  const total: Partial<Record<keyof Counts, number>> = {};
  const all = seeds(FIXED);
  let atRest = 0;
  for (const seed of all) {
    const { isAtRest, counts } = runSeed(seed);
    if (isAtRest) atRest++;
    for (const [what, count] of Object.entries(counts) as [keyof Counts, number][]) {
      total[what] = (total[what] ?? 0) + count;
    }
  }
  // Else it would no longer test what it says.
  const rare = Object.entries(total).filter(([, count]) => count < all.length);
  expect(rare).toEqual([]);
  expect(atRest).toBeGreaterThan(all.length * 0.95);
});

function runSeed(seed: number): { isAtRest: boolean; counts: Counts } {
  try {
    const group = new Group(seed);
    group.run(STEPS);
    const isAtRest = group.heal();
    if (!isAtRest && !group.mayLoseVoters) throw new Error("the group does not come to rest");
    return { isAtRest, counts: group.counts };
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
  }
}
