/** What is asked before a change of the membership is proposed, by whoever is asked for it: etcd's checks, in its order. */
import {
  canAddVoter,
  canPromoteLearner,
  canRemoveVoter,
  type Member,
  type Membership,
  quorumOf,
  votersOf,
} from "../membership/mod.ts";
import type { ReconfigurationError } from "./membership_changes.ts";

/** How far the log of a learner is: the part of the leader's, or why it is not known. */
export type LearnerProgress = number | "not_leader" | "member_not_found";

export interface ReconfigurationChecksParts {
  readonly memberId: bigint;
  readonly membership: Membership;
  /** Refuse what might cost the cluster its quorum. */
  readonly isStrict: boolean;
  readonly nowMs: () => number;
  /** Another member can be reached, and could without a break since before `sinceMs`; Infinity: since whenever. */
  readonly isActiveSince: (id: bigint, sinceMs: number) => boolean;
  readonly learnerProgress: (id: bigint) => LearnerProgress;
}

/** A learner that has so much of the leader's log may vote (etcd's figure). */
const READY_PROGRESS = 0.9;
/** Who could be reached for so long is healthy (etcd's figure). */
const HEALTH_INTERVAL_MS = 5000;

export class ReconfigurationChecks {
  readonly #parts: ReconfigurationChecksParts;

  constructor(parts: ReconfigurationChecksParts) {
    this.#parts = parts;
  }

  /** The new member counts as one that cannot be reached. */
  whyNotAdd(isLearner: boolean): ReconfigurationError | undefined {
    const { membership, isStrict } = this.#parts;
    if (!isStrict) return undefined;
    const members = membership.list();
    if (!isLearner && !canAddVoter(members)) return "not_enough_started_members";
    const voters = votersOf(members);
    if (voters.length === 1 || this.#healthyCount(voters) >= quorumOf(voters.length + 1)) return undefined;
    return "unhealthy_cluster";
  }

  whyNotPromote(id: bigint): ReconfigurationError | undefined {
    const { membership, isStrict, learnerProgress } = this.#parts;
    const progress = learnerProgress(id);
    if (typeof progress === "string") return progress;
    if (progress < READY_PROGRESS) return "learner_not_ready";
    return isStrict && !canPromoteLearner(membership.list()) ? "not_enough_started_members" : undefined;
  }

  whyNotRemove(id: bigint): ReconfigurationError | undefined {
    const { membership, isStrict, memberId, isActiveSince } = this.#parts;
    const members = membership.list();
    if (membership.get(id)?.isLearner === true) return undefined;
    const voters = votersOf(members);
    // Without a voter nothing could ever be decided again: etcd breaks down there when it is told not to check.
    if (!isStrict) return voters.length === 1 && voters[0].id === id ? "not_enough_started_members" : undefined;
    if (!canRemoveVoter(members, id)) return "not_enough_started_members";
    // Nothing is lost with a member that cannot be reached.
    if (id !== memberId && !isActiveSince(id, Infinity)) return undefined;
    return this.#healthyCount(voters) - 1 < quorumOf(voters.length - 1) ? "unhealthy_cluster" : undefined;
  }

  #healthyCount(voters: readonly Member[]): number {
    const { memberId, nowMs, isActiveSince } = this.#parts;
    const sinceMs = nowMs() - HEALTH_INTERVAL_MS;
    return voters.filter(({ id }) => id === memberId || isActiveSince(id, sinceMs)).length;
  }
}
