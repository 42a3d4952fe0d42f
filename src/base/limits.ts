/**
 * Every bound of the server, by name, with what happens when it is reached. A queue, cache, loop or retry without a line
 * here is a defect. (Bounds that an operator sets are flags; their defaults are in cli/flags.)
 */

/** Largest safe revision, version or limit from a client: int64 values beyond are clamped where they are only compared. */
export const CLAMP_MAX = Number.MAX_SAFE_INTEGER;

/** Levels of nested transactions that are decoded; deeper is malformed input. (`--max-txn-ops` refuses far earlier.) */
export const TXN_DEPTH_MAX = 1000;
