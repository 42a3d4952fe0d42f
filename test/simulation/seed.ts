/** Lives through one seed, and says what was wrong. */

import { checkAll, violationsOf } from "./checkers/all.ts";
import type { LeaseTolerance } from "./checkers/lease.ts";
import type { Coverage } from "./world/coverage.ts";
import { ELECTION_TICKS, TICK_MS } from "./world/machine.ts";
import { FAULTS_MIN, OPERATIONS_MIN, SIMULATED_MS_MIN, World, type WorldOptions } from "./world/world.ts";

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly story: readonly string[];
  readonly coverage: Coverage;
  readonly simulatedMs: number;
  readonly operationCount: number;
  readonly faultCount: number;
}

/** Machines' clocks run up to 5 % too fast or too slow; the leader looks for expired leases twice a second. */
const LEASE_TOLERANCE: LeaseTolerance = {
  clockDrift: 0.06,
  revokeMs: 2500,
  extensionMs: 1.1 * ELECTION_TICKS * TICK_MS,
};

export function runSeed(options: WorldOptions): SeedResult {
  const world = new World(options);
  world.run();
  const { violations, story, coverage, observations, scheduler } = world;
  const found = [...violations];
  // A world that did not live to its end has told why; what is missing in it would only hide that.
  if (found.length === 0) {
    if (observations.operations.length < OPERATIONS_MIN) found.push("too few operations");
    if (world.faultCount < FAULTS_MIN) found.push("too few faults");
    if (scheduler.nowMs < SIMULATED_MS_MIN) found.push("too short");
    const reports = checkAll(observations, LEASE_TOLERANCE);
    found.push(...violationsOf(reports));
    for (const [name, { judged }] of reports) {
      for (const [kind, count] of Object.entries(judged)) coverage.count(`judged: ${name}: ${kind}`, count);
    }
  }
  return {
    seed: options.seed,
    violations: found,
    story: story.lines,
    coverage,
    simulatedMs: scheduler.nowMs,
    operationCount: observations.operations.length,
    faultCount: world.faultCount,
  };
}
