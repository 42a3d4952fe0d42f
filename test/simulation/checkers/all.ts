/** Every checker by name, and all of them at once. */

import type { Observations } from "../observations.ts";
import { checkDurability } from "./durability.ts";
import { checkHistory, History } from "./history.ts";
import { checkLeaderCompleteness } from "./leader_completeness.ts";
import { checkLeaders } from "./leaders.ts";
import { checkLeases, type LeaseTolerance } from "./lease.ts";
import { checkLinearizability } from "./linearizability.ts";
import { checkLogMatching } from "./log_matching.ts";
import type { Report } from "./report.ts";
import { checkRevisions } from "./revisions.ts";
import { checkStateHashes } from "./state_hash.ts";
import { checkWatches } from "./watch.ts";

/** Reports by checker, in the order in which their violations are best read: causes before effects. */
export function checkAll(observations: Observations, tolerance: LeaseTolerance): Map<string, Report> {
  const history = new History(observations.applied);
  const revisions = checkRevisions(observations, history);
  return new Map([
    ["leaders", checkLeaders(observations)],
    ["log matching", checkLogMatching(observations)],
    ["leader completeness", checkLeaderCompleteness(observations)],
    ["history", checkHistory(observations, history)],
    ["state hash", checkStateHashes(observations, history)],
    ["durability", checkDurability(observations)],
    ["revisions", revisions],
    ["linearizability", checkLinearizability(observations, revisions.resolved)],
    ["watches", checkWatches(observations, history)],
    ["leases", checkLeases(observations, tolerance, history)],
  ]);
}

/** The violations of all, each with its checker's name before it. */
export function violationsOf(reports: ReadonlyMap<string, Report>): string[] {
  return [...reports].flatMap(([name, { violations }]) => violations.map((text) => `${name}: ${text}`));
}
