/**
 * Who belongs to the cluster: voters, learners, the ids that were removed for ever, and the version the cluster agreed on.
 * It knows nothing of how changes are agreed (raft), applied (apply) or written.
 *
 * Invariants
 * 1. Every member applies the same changes in the same order, so the outcome of a change depends on this state alone.
 * 2. A removed id never comes back.
 * 3. Ids, and the form in which members are saved and proposed, are etcd's to the byte: they are on disk and between
 *    members. Ids are exact over 64 bits, in JSON too.
 * 4. No two members have a peer URL in common.
 *
 * Absent: what takes knowledge of other members' health (who can be reached, how far a learner is).
 *
 * Read: member, member_url, json, version, change, strict_check, membership.
 */
export { type ChangeError, ChangeType, type MembershipChange, readChange } from "./change.ts";
export * from "./member.ts";
export { isIpAddress, type MemberUrl, parseUrls } from "./member_url.ts";
export {
  type DowngradeInfo,
  Membership,
  MembershipError,
  type MembershipOptions,
  type MembershipRecords,
} from "./membership.ts";
export { canAddVoter, canPromoteLearner, canRemoveVoter, quorumOf, votersOf } from "./strict_check.ts";
export { compareVersions, parseVersion, type Version } from "./version.ts";
