import { type ConfChange, ConfChangeType, type ConfState, EMPTY_CONF_STATE } from "./types.ts";

/** The configuration after a simple membership change. */
export function changeConfState(state: ConfState, { type, memberId }: ConfChange): ConfState {
  if (memberId === 0n || type === ConfChangeType.UPDATE_NODE) return state;
  const voters = state.voters.filter((id) => id !== memberId);
  const learners = state.learners.filter((id) => id !== memberId);
  if (type === ConfChangeType.ADD_NODE) voters.push(memberId);
  if (type === ConfChangeType.ADD_LEARNER_NODE) learners.push(memberId);
  return { ...EMPTY_CONF_STATE, voters: voters.sort(compareIds), learners: learners.sort(compareIds) };
}

function compareIds(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
