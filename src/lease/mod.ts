/**
 * The lessor: leases, the keys attached to them, and on the primary their expiry. A lease that expires is not removed
 * here: it is reported, the caller has its revocation agreed upon, and every member then revokes it in the same place of
 * the log.
 *
 * It knows nothing of raft, of the store whose keys are attached, of clocks (`now` is always an argument, in monotonic
 * milliseconds) and of who waits for what. It takes no decision that must be the same elsewhere from anything but its
 * arguments.
 *
 * Invariants
 * 1. Grants, revocations, attachments and checkpoints are replicated and do not depend on `now`; expiries are the
 *    primary's own and are never replicated.
 * 2. A key is attached to at most one lease, and only to one that exists.
 * 3. A revoked lease leaves nothing behind: no key, no deadline, no slot.
 * 4. Only a primary expires or renews; a lease past its expiry is never renewed.
 * 5. Keys are revoked in the order of their bytes, the same on every member.
 *
 * Read: lease, record, attachments, schedule, revocation, lessor.
 */
export { LEASE_TTL_MAX, NO_LEASE } from "./lease.ts";
export { type GrantError, type LeaseStatus, Lessor, type LessorOptions, type RenewResult } from "./lessor.ts";
export { decodeLease, type LeaseRecord, writeLease } from "./record.ts";
export { Revocation } from "./revocation.ts";
export { type LeaseCheckpoint } from "./schedule.ts";
