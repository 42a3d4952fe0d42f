/**
 * Changes of the membership: from a configuration and a change to the next configuration, the simple way or through a
 * joint one (Raft's dissertation, section 4.3), and the form in which a change travels in an entry.
 * It knows nothing of logs, progress or when a change is in force; whether the application wants one is decided above.
 *
 * Invariants
 * 1. A configuration has a voter, unless it is the empty one that a group starts from.
 * 2. Learners are no voters, on either side. A voter that is to become a learner while the outgoing side still needs its
 *    vote is staged (`learnersNext`) until the joint configuration is left.
 * 3. Outside of a joint configuration nothing is staged and `autoLeave` is false.
 * 4. The simple way changes at most one voter: any two majorities, before and after, have a member in common.
 * 5. Lists of configurations that come out of here ascend, without repetition.
 *
 * Read: draft, changer, restore, entry_data.
 */
export {
  changeConfiguration,
  changeConfState,
  type ChangeResult,
  changeSimple,
  type ConfigurationChange,
  enterJoint,
  leaveJoint,
} from "./changer.ts";
export { restoreConfiguration } from "./restore.ts";
export { confChangesText, decodeConfChange, isLeaveJoint } from "./entry_data.ts";
