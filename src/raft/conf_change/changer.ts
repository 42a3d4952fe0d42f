import { assert } from "../../base/assert.ts";
import { type ConfChange, ConfChangeTransition, ConfChangeType, type ConfChangeV2, type ConfState } from "../types.ts";
import { Draft } from "./draft.ts";
import { checkConfiguration } from "./restore.ts";

export interface ConfigurationChange {
  readonly error?: undefined;
  readonly configuration: ConfState;
  /** Members that start without a past: what was known of them no longer holds. */
  readonly added: readonly bigint[];
}

/** The next configuration, or why there is none (etcd's raft's texts). */
export type ChangeResult = ConfigurationChange | { readonly error: string };

/** Carries out a change in the way it asks for: leaves a joint configuration, enters one, or does without. */
export function changeConfiguration(current: ConfState, change: ConfChangeV2): ChangeResult {
  const { transition, changes } = change;
  if (transition === ConfChangeTransition.AUTO) {
    if (changes.length === 0) return leaveJoint(current);
    if (changes.length === 1) return changeSimple(current, changes);
  }
  return enterJoint(current, transition !== ConfChangeTransition.JOINT_EXPLICIT, changes);
}

/** Changes that, taken together, touch at most one voter. */
export function changeSimple(current: ConfState, changes: readonly ConfChange[]): ChangeResult {
  const invalid = checkConfiguration(current);
  if (invalid !== undefined) return { error: invalid };
  if (isJoint(current)) return { error: "can't apply simple config change in joint config" };
  const draft = new Draft(current);
  const refused = make(draft, changes);
  if (refused !== undefined) return { error: refused };
  if (draft.countChangedVoters(current) > 1) {
    return { error: "more than one voter changed without entering joint config" };
  }
  return draft.finish(false);
}

/** From (1 2 3) to (1 2 4)&&(1 2 3): both majorities decide until `leaveJoint`. */
export function enterJoint(current: ConfState, autoLeave: boolean, changes: readonly ConfChange[]): ChangeResult {
  const invalid = checkConfiguration(current);
  if (invalid !== undefined) return { error: invalid };
  if (isJoint(current)) return { error: "config is already joint" };
  if (current.voters.length === 0) return { error: "can't make a zero-voter config joint" };
  const draft = new Draft(current);
  draft.enterOutgoing();
  const refused = make(draft, changes);
  return refused === undefined ? draft.finish(autoLeave) : { error: refused };
}

/** From (1 2 4)&&(1 2 3) to (1 2 4); staged learners become learners. */
export function leaveJoint(current: ConfState): ChangeResult {
  const invalid = checkConfiguration(current);
  if (invalid !== undefined) return { error: invalid };
  if (!isJoint(current)) return { error: "can't leave a non-joint config" };
  const draft = new Draft(current);
  draft.leaveOutgoing();
  return draft.finish(false);
}

/** A simple change that the application has found in order already, as when committed entries are read again. */
export function changeConfState(current: ConfState, change: ConfChange): ConfState {
  const result = changeSimple(current, [change]);
  assert(result.error === undefined, `a committed membership change is possible: ${result.error}`);
  return result.configuration;
}

function isJoint(configuration: ConfState): boolean {
  return configuration.votersOutgoing.length > 0;
}

/** Makes the changes, or tells why not. */
function make(draft: Draft, changes: readonly ConfChange[]): string | undefined {
  const unknown = changes.find(({ type, memberId }) => memberId !== 0n && !KNOWN_TYPES.includes(type));
  if (unknown !== undefined) return `unexpected conf type ${unknown.type}`;
  draft.make(changes);
  return draft.hasVoters ? undefined : "removed all voters";
}

const KNOWN_TYPES: readonly number[] = Object.values(ConfChangeType);
