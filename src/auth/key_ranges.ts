import { compareBytes } from "../base/bytes.ts";
import { isOpenEnded, type Permission, PermissionType } from "./permission.ts";

/** The union of key ranges, asked whether it covers another range. Ranges that meet are one. */
export class KeyRanges {
  /** Disjoint, ascending and apart: [starts[i], ends[i]), without an end where it is undefined. */
  readonly #starts: Uint8Array[] = [];
  readonly #ends: (Uint8Array | undefined)[] = [];

  constructor(permissions: readonly Permission[]) {
    for (const { key, rangeEnd } of permissions.toSorted((a, b) => compareBytes(a.key, b.key))) {
      // Old versions of etcd let ranges without keys be granted: they permit nothing.
      if (key.length > 0) this.#add(key, endOf(key, rangeEnd));
    }
  }

  /** Whether all keys of the range are covered, in RangeRequest's terms; the key itself in any case. */
  covers(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    const index = this.#lastStartingUpTo(key);
    if (index < 0) return false;
    const coveredEnd = this.#ends[index];
    if (coveredEnd === undefined) return true;
    if (compareBytes(key, coveredEnd) >= 0) return false;
    if (rangeEnd.length === 0) return true;
    return !isOpenEnded(rangeEnd) && compareBytes(rangeEnd, coveredEnd) <= 0;
  }

  /** Called with ascending starts. */
  #add(start: Uint8Array, end: Uint8Array | undefined): void {
    if (end !== undefined && compareBytes(start, end) >= 0) return;
    const last = this.#ends.length - 1;
    const lastEnd = this.#ends[last];
    const isApart = last < 0 || (lastEnd !== undefined && compareBytes(lastEnd, start) < 0);
    if (isApart) {
      this.#starts.push(start);
      this.#ends.push(end);
    } else if (lastEnd !== undefined && (end === undefined || compareBytes(end, lastEnd) > 0)) {
      this.#ends[last] = end;
    }
  }

  #lastStartingUpTo(key: Uint8Array): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(this.#starts[middle], key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** What a user may read and write, all roles together. */
export interface UserRanges {
  readonly read: KeyRanges;
  readonly write: KeyRanges;
}

export function userRanges(permissions: readonly Permission[]): UserRanges {
  const { READ, WRITE, READWRITE } = PermissionType;
  return {
    read: new KeyRanges(permissions.filter(({ type }) => type === READ || type === READWRITE)),
    write: new KeyRanges(permissions.filter(({ type }) => type === WRITE || type === READWRITE)),
  };
}

/** The end of a permission's range; undefined for none. That of a single key ends right behind it. */
function endOf(key: Uint8Array, rangeEnd: Uint8Array): Uint8Array | undefined {
  if (rangeEnd.length > 0) return isOpenEnded(rangeEnd) ? undefined : rangeEnd;
  const end = new Uint8Array(key.length + 1);
  end.set(key);
  return end;
}
