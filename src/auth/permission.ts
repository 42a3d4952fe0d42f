import { compareBytes, equalBytes } from "../base/bytes.ts";
import { goSort } from "./go_sort.ts";

/** authpb.Permission.Type (frozen). Other numbers are kept as they came and permit nothing. */
export const PermissionType = { READ: 0, WRITE: 1, READWRITE: 2 } as const;

/** What a role may do with a range of keys. */
export interface Permission {
  readonly type: number;
  readonly key: Uint8Array;
  /** As in a RangeRequest: empty for the one key, a single zero byte for everything from the key on. */
  readonly rangeEnd: Uint8Array;
}

/** What the root role may do, whatever was granted to it. */
export const ROOT_PERMISSION: Permission = {
  type: PermissionType.READWRITE,
  key: new Uint8Array(0),
  rangeEnd: Uint8Array.of(0),
};

export function isOpenEnded(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

/** The range of a permission that is granted holds at least one key. */
export function isValidRange(key: Uint8Array, rangeEnd: Uint8Array): boolean {
  if (key.length === 0) return false;
  return rangeEnd.length === 0 || compareBytes(key, rangeEnd) < 0 || isOpenEnded(rangeEnd);
}

/**
 * The permissions of a role after one more was granted, sorted by key. It replaces that of the same range, where etcd
 * finds it: etcd looks only at the first permission of the same key, so that of several ranges from one key all but the
 * first are added again.
 */
export function withPermission(permissions: readonly Permission[], granted: Permission): readonly Permission[] {
  const index = lowerBound(permissions, granted.key);
  if (index < permissions.length && isOfRange(permissions[index], granted.key, granted.rangeEnd)) {
    return permissions.with(index, granted);
  }
  return goSort([...permissions, granted], (a, b) => compareBytes(a.key, b.key) < 0);
}

/** The permissions of a role without those of exactly this range. */
export function withoutPermission(
  permissions: readonly Permission[],
  key: Uint8Array,
  rangeEnd: Uint8Array,
): readonly Permission[] {
  return permissions.filter((permission) => !isOfRange(permission, key, rangeEnd));
}

function isOfRange(permission: Permission, key: Uint8Array, rangeEnd: Uint8Array): boolean {
  return equalBytes(permission.key, key) && equalBytes(permission.rangeEnd, rangeEnd);
}

function lowerBound(permissions: readonly Permission[], key: Uint8Array): number {
  let low = 0;
  let high = permissions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(permissions[middle].key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
