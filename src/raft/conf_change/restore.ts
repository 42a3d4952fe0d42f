import type { ConfState } from "../types.ts";
import type { ChangeResult } from "./changer.ts";
import { ascending } from "./draft.ts";

/**
 * The configuration that a snapshot or the start of a log describes, as a change from the empty one: every member starts
 * without a past. An error if no sequence of changes leads to it.
 */
export function restoreConfiguration(state: ConfState): ChangeResult {
  const configuration = normalised(state);
  const { voters, votersOutgoing, learners } = configuration;
  const added = ascending(new Set([...voters, ...votersOutgoing, ...learners]));
  if (voters.length === 0 && added.length > 0) return { error: "removed all voters" };
  const error = checkConfiguration(configuration);
  return error === undefined ? { configuration, added } : { error };
}

/** Which of the invariants (see mod.ts) does not hold, in etcd's raft's words. */
export function checkConfiguration(configuration: ConfState): string | undefined {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  for (const id of learnersNext) {
    if (!votersOutgoing.includes(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (voters.includes(id)) return `${id} is in LearnersNext and Voters[0]`;
  }
  for (const id of learners) {
    if (votersOutgoing.includes(id)) return `${id} is in Learners and Voters[1]`;
    if (voters.includes(id)) return `${id} is in Learners and Voters[0]`;
  }
  if (votersOutgoing.length === 0 && autoLeave) return "AutoLeave must be false when not joint";
  return undefined;
}

function normalised({ voters, votersOutgoing, learners, learnersNext, autoLeave }: ConfState): ConfState {
  return {
    voters: ascending(new Set(voters)),
    learners: ascending(new Set(learners)),
    votersOutgoing: ascending(new Set(votersOutgoing)),
    learnersNext: ascending(new Set(learnersNext)),
    autoLeave,
  };
}
