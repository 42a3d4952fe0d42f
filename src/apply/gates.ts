/** What raised alarms forbid, checked before anything else of an operation: CORRUPT first, then NOSPACE; access comes after. */
import { type Alarms, AlarmType } from "../keyspace/mod.ts";
import { decodeTxnRequest, RaftOperation } from "../wire/mod.ts";
import { txnCost } from "./cost.ts";
import type { ApplyError } from "./outcome.ts";

/** Undefined: the operation may go ahead. `body` is its request. */
export function gate(alarms: Alarms, operation: number, body: Uint8Array): ApplyError | undefined {
  if (alarms.isEmpty) return undefined;
  if (alarms.isRaised(AlarmType.CORRUPT) && FORBIDDEN_WHEN_CORRUPT.has(operation)) return "corrupt";
  if (!alarms.isRaised(AlarmType.NOSPACE)) return undefined;
  const needsSpace = operation === RaftOperation.PUT || operation === RaftOperation.LEASE_GRANT ||
    (operation === RaftOperation.TXN && txnCost(decodeTxnRequest(body)) > 0);
  return needsSpace ? "no_space" : undefined;
}

const FORBIDDEN_WHEN_CORRUPT: ReadonlySet<number> = new Set([
  RaftOperation.RANGE,
  RaftOperation.PUT,
  RaftOperation.DELETE_RANGE,
  RaftOperation.TXN,
  RaftOperation.COMPACTION,
  RaftOperation.LEASE_GRANT,
  RaftOperation.LEASE_REVOKE,
]);
