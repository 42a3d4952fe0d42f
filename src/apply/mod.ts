/**
 * The replicated state machine: a committed entry goes in, an outcome comes out, and the keyspace has changed. Every
 * member that applies the same entries in the same order holds the same state, byte for byte.
 *
 * It knows nothing of raft, calls, or of time beyond the `nowMs` it is given for expiries.
 *
 * Invariants
 * 1. Whether an operation succeeds depends on the state and the operation alone.
 * 2. An operation that fails changes nothing: everything that can fail is checked before the first write. The exception
 *    is "no_space" from the quota: the operation is carried out, since members with more room carry it out.
 * 3. Long operations are steps; between two steps of one operation no other operation and no read of the head runs.
 * 4. A response is built only when somebody here waits for it, and building it never changes the state.
 *
 * Read: outcome, cost, gates, access, operations, txn, response, auth, cluster, applier, proposal_check.
 */
export * from "./outcome.ts";
export { putCost, txnCost } from "./cost.ts";
export { type AppliedConfChange, applyConfChange, V2RequestError } from "./cluster.ts";
export { checkConfChange, checkProposal } from "./proposal_check.ts";
export { Applier, type ApplyContext, UnknownOperationError } from "./applier.ts";
export { isReadOnly, isSerializable, readTxn } from "./txn.ts";
export { rangeBody } from "./response.ts";
