/** How one world's cluster is set up: what differs from one seed to the next before anything happens. */

import type { CorruptionOptions } from "../../../src/member/mod.ts";
import type { Random } from "./random.ts";

export interface Setup {
  /** Members that the cluster begins with; one that is alone is joined by others. */
  readonly memberCount: number;
  /** All wall clocks begin with the same time; otherwise they are minutes apart. */
  readonly hasEqualClocks: boolean;
  /** The members' own timeouts of what they hear from one another. */
  readonly peerTimeoutMs: number;
  /** After so long systems give up connections on which nothing gets through. */
  readonly connectionGiveUpMs: number;
  /** Whether changes of the membership are refused while the cluster is not healthy: that is when they are dangerous. */
  readonly strictReconfigCheck: boolean;
  readonly leaseCheckpointIntervalMs: number;
  readonly corruptionChecks: CorruptionOptions | undefined;
}

const MEMBER_COUNTS = [1, 3, 3, 3, 3, 3, 3, 3, 3, 5, 5];

export function drawSetup(random: Random): Setup {
  return {
    memberCount: random.pick(MEMBER_COUNTS),
    hasEqualClocks: random.chance(0.3),
    peerTimeoutMs: random.pick([2500, 5000]),
    connectionGiveUpMs: random.pick([4000, 10_000]),
    strictReconfigCheck: random.chance(0.3),
    leaseCheckpointIntervalMs: random.chance(0.4) ? random.pick([500, 3000]) : Infinity,
    corruptionChecks: random.chance(0.4)
      ? { checksAtStart: random.chance(0.5), intervalMs: 2500, compactionIntervalMs: 1500 }
      : undefined,
  };
}
