/**
 * Changes of the membership, judged when they are applied: every member comes to the same result, since it depends on the
 * members alone.
 */
import { type ChangeContext, changeContextFromJson, idText, type Member } from "./member.ts";

/** raftpb.ConfChangeType (frozen). */
export const ChangeType = { ADD_NODE: 0, REMOVE_NODE: 1, UPDATE_NODE: 2, ADD_LEARNER_NODE: 3 } as const;

/** Why a committed change has no effect. Its proposer is told; raft is told of a change of member 0. */
export type ChangeError =
  | "member_removed"
  | "member_exists"
  | "member_not_found"
  | "peer_url_exists"
  | "member_not_learner"
  | "too_many_learners";

export interface MembershipChange {
  /** A ChangeType. */
  readonly type: number;
  readonly id: bigint;
  /** What is said of the member; undefined when it is removed. */
  readonly context: ChangeContext | undefined;
}

/** Reads a change as the log holds it. Throws where it contradicts itself: etcd stops there, too. */
export function readChange(type: number, id: bigint, contextJson: string): MembershipChange {
  if (type === ChangeType.REMOVE_NODE) return { type, id, context: undefined };
  if (!Object.values<number>(ChangeType).includes(type)) {
    throw new Error(`the log holds a membership change of type ${type}, which this version does not know`);
  }
  const context = changeContextFromJson(contextJson);
  if (context.member.id === id) return { type, id, context };
  throw new Error(
    `the log holds a membership change that is about member ${idText(id)} and describes ${idText(context.member.id)}`,
  );
}

/** The members as a change finds them. */
export interface CurrentMembers {
  readonly members: ReadonlyMap<bigint, Member>;
  readonly removed: ReadonlySet<bigint>;
  /** How many learners there may be. */
  readonly learnersMax: number;
}

/** Undefined: the change takes effect. */
export function judgeChange(current: CurrentMembers, change: MembershipChange): ChangeError | undefined {
  const { members, removed } = current;
  if (removed.has(change.id)) return "member_removed";
  const member = members.get(change.id);
  const { context } = change;
  if (context === undefined) return member === undefined ? "member_not_found" : undefined;
  if (change.type === ChangeType.UPDATE_NODE) {
    if (member === undefined) return "member_not_found";
    return hasPeerUrlOfAnother(members, context.member) ? "peer_url_exists" : undefined;
  }
  if (context.isPromote) {
    if (member === undefined) return "member_not_found";
    return member.isLearner ? undefined : "member_not_learner";
  }
  if (member !== undefined) return "member_exists";
  if (hasPeerUrlOfAnother(members, context.member)) return "peer_url_exists";
  const addsLearner = change.type === ChangeType.ADD_LEARNER_NODE && context.member.isLearner;
  return addsLearner && learnerCount(members) >= current.learnersMax ? "too_many_learners" : undefined;
}

function hasPeerUrlOfAnother(members: ReadonlyMap<bigint, Member>, { id, peerUrls }: Member): boolean {
  for (const other of members.values()) {
    if (other.id !== id && other.peerUrls.some((url) => peerUrls.includes(url))) return true;
  }
  return false;
}

function learnerCount(members: ReadonlyMap<bigint, Member>): number {
  let count = 0;
  for (const { isLearner } of members.values()) if (isLearner) count++;
  return count;
}
