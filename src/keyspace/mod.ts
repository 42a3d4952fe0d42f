/**
 * One complete etcd state: a multi-version store, the leases attached to its keys, the watchers of it, users and roles, its
 * alarms and its quota. A member holds one, the default keyspace; later one per tenant, which is why nothing here is
 * global.
 *
 * It knows nothing of how changes are agreed or who asks for them.
 *
 * Invariants
 * 1. A key is attached to a lease here exactly if its newest record says so.
 * 2. Only `apply` writes to it, one entry at a time.
 *
 * Read: alarms, quota, keyspace.
 */
export { type Alarm, Alarms, AlarmType, encodeAlarm } from "./alarms.ts";
export { Keyspace } from "./keyspace.ts";
export { LEASE_COST, Quota, QUOTA_SIZE_DEFAULT, QUOTA_SIZE_SUGGESTED_MAX } from "./quota.ts";
