/**
 * Who belongs to the cluster: voters, learners, the ids that were removed for ever, and the version the cluster agreed on.
 * It knows nothing of how changes are agreed (raft), applied (apply) or stored.
 *
 * Invariants
 * 1. Every member applies the same changes in the same order, so the outcome of a change depends on this state alone.
 * 2. A removed id never comes back.
 * 3. Ids and the JSON form of a member are etcd's: they are on disk and between members.
 *
 * Absent: the checks of runtime reconfiguration (strict reconfiguration, learner promotion), which come with the cluster.
 *
 * Read: member, membership.
 */
export * from "./member.ts";
export { type DowngradeInfo, Membership } from "./membership.ts";
