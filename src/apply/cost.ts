/** What requests cost against the quota, as etcd reckons: an estimate made before they are executed, in bytes. */
import type { PutRequest, RequestOp, TxnRequest } from "../wire/mod.ts";

/** Beside a key and its value. */
const KEY_VALUE_OVERHEAD = 256;

export function putCost(request: PutRequest): number {
  return KEY_VALUE_OVERHEAD + request.key.length + request.value.length;
}

/** The dearer of the two branches: which one will be chosen is not known yet. 0: it puts nothing. */
export function txnCost(request: TxnRequest): number {
  return Math.max(operationsCost(request.success), operationsCost(request.failure));
}

function operationsCost(operations: readonly RequestOp[]): number {
  let cost = 0;
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i];
    if (operation.kind === "put") cost += putCost(operation.put);
    else if (operation.kind === "txn") cost += txnCost(operation.txn);
  }
  return cost;
}
