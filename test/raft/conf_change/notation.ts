/** Membership changes as scripts and tests write them: "v1 l2 r3 u4" for voters, learners, removals, updates. */

import { type ConfChange, ConfChangeType } from "../../../src/raft/types.ts";

const TYPES: Readonly<Record<string, ConfChangeType>> = {
  v: ConfChangeType.ADD_NODE,
  l: ConfChangeType.ADD_LEARNER_NODE,
  r: ConfChangeType.REMOVE_NODE,
  u: ConfChangeType.UPDATE_NODE,
};

/** Throws for a word that is none of these. */
export function parseConfChanges(text: string): ConfChange[] {
  return text.trim().split(" ").filter((word) => word !== "").map((word) => {
    const match = /^([vlru])(\d+)$/.exec(word);
    if (match === null) throw new Error(`unknown membership change ${word}`);
    return { type: TYPES[match[1]], memberId: BigInt(match[2]) };
  });
}
