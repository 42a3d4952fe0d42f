/**
 * Comparisons and whether they hold in the state that `COMPARED_STATE` makes. Every line was also put to etcd 3.7.1, which
 * answered the same.
 */

/** Puts, in order; the first one has revision 2. */
export const COMPARED_STATE = [
  { key: "a", value: "1" },
  { key: "a", value: "2", lease: 7n },
  { key: "b", value: "x" },
  { key: "c", value: "" },
] as const;

type Union = { case: "version" | "createRevision" | "modRevision" | "lease"; value: bigint } | {
  case: "value";
  value: string;
} | { case: undefined };

export interface ComparedCase {
  readonly text: string;
  readonly key: string;
  readonly rangeEnd: string;
  readonly target: number;
  readonly union: Union;
  /** Whether the comparison holds for EQUAL, GREATER, LESS and NOT_EQUAL. */
  readonly holds: readonly [equal: boolean, greater: boolean, less: boolean, notEqual: boolean];
}

const VERSION = 0, CREATE = 1, MOD = 2, VALUE = 3, LEASE = 4;
const EQUAL = [true, false, false, false] as const;
const GREATER = [false, true, false, true] as const;
const LESS = [false, false, true, true] as const;
const NEVER = [false, false, false, false] as const;
/** Some keys of the range are equal, others are not. */
const MIXED = NEVER;

export const COMPARED_CASES: readonly ComparedCase[] = [
  // A key that exists, against what it has: the key's own number stands on the left.
  one("the version it has", "a", VERSION, { case: "version", value: 2n }, EQUAL),
  one("a smaller version", "a", VERSION, { case: "version", value: 1n }, GREATER),
  one("a larger version", "a", VERSION, { case: "version", value: 3n }, LESS),
  one("the create revision it has", "a", CREATE, { case: "createRevision", value: 2n }, EQUAL),
  one("a larger create revision", "a", CREATE, { case: "createRevision", value: 3n }, LESS),
  one("the mod revision it has", "a", MOD, { case: "modRevision", value: 3n }, EQUAL),
  one("a smaller mod revision", "a", MOD, { case: "modRevision", value: 2n }, GREATER),
  one("the largest int64", "a", MOD, { case: "modRevision", value: 2n ** 63n - 1n }, LESS),
  one("the smallest int64", "a", MOD, { case: "modRevision", value: -(2n ** 63n) }, GREATER),
  one("the value it has", "a", VALUE, { case: "value", value: "2" }, EQUAL),
  one("a smaller value", "a", VALUE, { case: "value", value: "1zz" }, GREATER),
  one("a value that goes on", "a", VALUE, { case: "value", value: "2\0" }, LESS),
  one("the lease it has", "a", LEASE, { case: "lease", value: 7n }, EQUAL),
  one("a smaller lease", "a", LEASE, { case: "lease", value: -1n }, GREATER),
  one("a larger lease", "a", LEASE, { case: "lease", value: 2n ** 63n - 1n }, LESS),
  one("lease 0 where there is none", "b", LEASE, { case: "lease", value: 0n }, EQUAL),
  one("an empty value", "c", VALUE, { case: "value", value: "" }, EQUAL),
  // One that does not exist counts as 0, and has no value to compare.
  one("version 0 of a missing key", "m", VERSION, { case: "version", value: 0n }, EQUAL),
  one("version 1 of a missing key", "m", VERSION, { case: "version", value: 1n }, LESS),
  one("create revision 0 of a missing key", "m", CREATE, { case: "createRevision", value: 0n }, EQUAL),
  one("mod revision -1 of a missing key", "m", MOD, { case: "modRevision", value: -1n }, GREATER),
  one("lease 0 of a missing key", "m", LEASE, { case: "lease", value: 0n }, EQUAL),
  one("an empty value of a missing key", "m", VALUE, { case: "value", value: "" }, NEVER),
  one("a value of a missing key", "m", VALUE, { case: "value", value: "x" }, NEVER),
  // The union names another member than the target: it reads as 0 or empty.
  one("a version given as a mod revision", "a", VERSION, { case: "modRevision", value: 2n }, GREATER),
  one("a value given as a version", "c", VALUE, { case: "version", value: 9n }, EQUAL),
  one("a lease given as a value", "b", LEASE, { case: "value", value: "x" }, EQUAL),
  one("nothing", "a", CREATE, { case: undefined }, GREATER),
  one("nothing, of a missing key", "m", MOD, { case: undefined }, EQUAL),
  one("a target that nobody defined", "a", 77, { case: "version", value: 5n }, EQUAL),
  // Ranges: it has to hold for every key.
  range("the version all have", "b", "d", VERSION, { case: "version", value: 1n }, EQUAL),
  range("a version that one has", "a", "d", VERSION, { case: "version", value: 2n }, MIXED),
  range("a version below all", "a", "d", VERSION, { case: "version", value: 0n }, GREATER),
  range("mod revisions around it", "a", "d", MOD, { case: "modRevision", value: 4n }, MIXED),
  range("a value none has", "a", "d", VALUE, { case: "value", value: "zz" }, LESS),
  range("all keys from c on", "c", "\0", VERSION, { case: "version", value: 1n }, EQUAL),
  range("all keys", "\0", "\0", MOD, { case: "modRevision", value: 5n }, MIXED),
  range("an empty range", "x", "z", VERSION, { case: "version", value: 0n }, EQUAL),
  range("an empty range above 0", "x", "z", CREATE, { case: "createRevision", value: 1n }, LESS),
  range("a value in an empty range", "x", "z", VALUE, { case: "value", value: "" }, NEVER),
  range("a range that ends before it begins", "d", "a", VERSION, { case: "version", value: 0n }, EQUAL),
];

function one(text: string, key: string, target: number, union: Union, holds: ComparedCase["holds"]): ComparedCase {
  return { text, key, rangeEnd: "", target, union, holds };
}

function range(
  text: string,
  key: string,
  rangeEnd: string,
  target: number,
  union: Union,
  holds: ComparedCase["holds"],
): ComparedCase {
  return { text, key, rangeEnd, target, union, holds };
}
