/** What a hundred seeds must have met, each this often: a simulation that stops testing something is found out. */

import type { Coverage } from "./world/coverage.ts";

/** In any hundred seeds; about a third of what is usual. */
const MINIMUMS: Readonly<Record<string, number>> = {
  "starts": 500,
};

/** Fewer seeds than that say nothing. */
const SEEDS_MIN = 100;

/** What was met too seldom, as texts. */
export function checkMinimums(coverage: Coverage, seedCount: number): string[] {
  if (seedCount < SEEDS_MIN) return [];
  const missing: string[] = [];
  for (const [name, minimum] of Object.entries(MINIMUMS)) {
    const needed = Math.floor(minimum * seedCount / SEEDS_MIN);
    const count = coverage.counts.get(name) ?? 0;
    if (count < needed) missing.push(`${name}: ${count}, at least ${needed} in ${seedCount} seeds`);
  }
  return missing;
}
