/**
 * Access control's state: users, roles with their permissions, whether they count, and the revision that every change
 * raises. A pure map, changed by one operation of the log at a time, whose saved form is etcd's to the byte.
 *
 * It knows nothing of hashing, tokens, calls, the log, or the keys that permissions are about.
 *
 * Invariants
 * 1. An operation that is refused changes nothing, not even the revision.
 * 2. What `records` gives is what etcd 3.7 would hold after the same operations; what was restored and not changed since
 *    is given back as it was read.
 * 3. Names are ordered by their UTF-8, permissions by key; permissions of one key stand as Go's sort leaves them.
 * 4. What a user may do is derived from users and roles alone, and derived again after each change.
 *
 * Read: permission, go_sort, record, key_ranges, password, store.
 */
export { type AuthError, AuthRecordError } from "./errors.ts";
export { PlainPasswordError } from "./password.ts";
export { type Permission, PermissionType } from "./permission.ts";
export { encodePermission, type User, type UserOptions } from "./record.ts";
export { type AuthRecords, AuthStore, type Password, type Requester, ROOT } from "./store.ts";
