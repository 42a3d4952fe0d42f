import type { Membership } from "../membership/mod.ts";
import { type ConfState, EMPTY_CONF_STATE } from "../raft/mod.ts";

/** The configuration that a membership works under, as etcd derives it. */
export function confStateOf(membership: Membership): ConfState {
  const members = membership.list();
  return {
    ...EMPTY_CONF_STATE,
    voters: members.filter(({ isLearner }) => !isLearner).map(({ id }) => id),
    learners: members.filter(({ isLearner }) => isLearner).map(({ id }) => id),
  };
}
