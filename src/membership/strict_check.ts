/**
 * What a change of the membership must not risk (etcd's strict reconfiguration check): enough of the voters that there
 * would be must have started, so that the cluster has a quorum after the change.
 */
import type { Member } from "./member.ts";

/** How many of so many voters decide. */
export function quorumOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** The new voter counts as one that has not started. A single member may always be joined, or it could never grow. */
export function canAddVoter(members: readonly Member[]): boolean {
  const voters = votersOf(members);
  const started = startedCount(voters);
  return started === 1 && voters.length === 1 || started >= quorumOf(voters.length + 1);
}

export function canRemoveVoter(members: readonly Member[], id: bigint): boolean {
  const left = votersOf(members).filter((voter) => voter.id !== id);
  return startedCount(left) >= quorumOf(left.length);
}

/** The learner counts as one that has started: it has caught up. */
export function canPromoteLearner(members: readonly Member[]): boolean {
  const voters = votersOf(members);
  return startedCount(voters) + 1 >= quorumOf(voters.length + 1);
}

export function votersOf(members: readonly Member[]): Member[] {
  return members.filter(({ isLearner }) => !isLearner);
}

function startedCount(voters: readonly Member[]): number {
  return voters.filter(({ name }) => name !== "").length;
}
