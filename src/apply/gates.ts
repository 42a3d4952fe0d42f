/** What raised alarms forbid, checked before anything else of an operation: CORRUPT first, then NOSPACE. */
import { type Alarms, AlarmType } from "../keyspace/mod.ts";
import { RaftOperation, type TxnRequest } from "../wire/mod.ts";
import { txnCost } from "./cost.ts";
import type { ApplyError } from "./outcome.ts";

/** Undefined: the operation may go ahead. `txn` is the request of a TXN. */
export function gate(alarms: Alarms, operation: number, txn?: TxnRequest): ApplyError | undefined {
  if (alarms.isEmpty) return undefined;
  if (alarms.isRaised(AlarmType.CORRUPT) && FORBIDDEN_WHEN_CORRUPT.has(operation)) return "corrupt";
  if (!alarms.isRaised(AlarmType.NOSPACE)) return undefined;
  const needsSpace = operation === RaftOperation.PUT || operation === RaftOperation.LEASE_GRANT ||
    (txn !== undefined && txnCost(txn) > 0);
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
