/** The checks of KV requests that need no state, in etcd's order and with etcd's texts (api.md section 3 of the reference). */
import { latin1 } from "../base/bytes.ts";
import {
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  SortOrder,
  SortTarget,
  type TxnRequest,
} from "../wire/mod.ts";
import { ApiError } from "./errors.ts";

/** Undefined: nothing to object to. */
export type Objection = ApiError | undefined;

export function checkRange(request: RangeRequest): Objection {
  if (request.key.length === 0) return ApiError.EMPTY_KEY;
  if (request.sortOrder < SortOrder.NONE || request.sortOrder > SortOrder.DESCEND) return ApiError.INVALID_SORT_OPTION;
  if (request.sortTarget < SortTarget.KEY || request.sortTarget > SortTarget.VALUE) return ApiError.INVALID_SORT_OPTION;
  return undefined;
}

export function checkRangeStream(request: RangeRequest): Objection {
  const objection = checkRange(request);
  if (objection !== undefined) return objection;
  const isDefaultOrder = request.sortOrder === SortOrder.NONE ||
    (request.sortTarget === SortTarget.KEY && request.sortOrder === SortOrder.ASCEND);
  if (!isDefaultOrder) return ApiError.RANGE_STREAM_SORT;
  const isFiltered = request.minModRevision !== 0 || request.maxModRevision !== 0 || request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0;
  return isFiltered ? ApiError.RANGE_STREAM_FILTER : undefined;
}

export function checkPut(request: PutRequest): Objection {
  if (request.key.length === 0) return ApiError.EMPTY_KEY;
  if (request.ignoreValue && request.value.length !== 0) return ApiError.VALUE_PROVIDED;
  if (request.ignoreLease && request.lease !== 0n) return ApiError.LEASE_PROVIDED;
  return undefined;
}

export function checkDeleteRange(request: DeleteRangeRequest): Objection {
  return request.key.length === 0 ? ApiError.EMPTY_KEY : undefined;
}

/** Operations per level, emptiness of keys, and then that no key is written twice by what may run together. */
export function checkTxn(request: TxnRequest, operationsMax: number): Objection {
  return checkTxnOperations(request, operationsMax) ?? checkOverlaps(request.success) ?? checkOverlaps(request.failure);
}

/** Each nested level is left what the largest list of its parent did not use. */
function checkTxnOperations(request: TxnRequest, operationsMax: number): Objection {
  const count = Math.max(request.compare.length, request.success.length, request.failure.length);
  if (count > operationsMax) return ApiError.TOO_MANY_OPERATIONS;
  for (const compare of request.compare) if (compare.key.length === 0) return ApiError.EMPTY_KEY;
  return checkOperations(request.success, operationsMax - count) ??
    checkOperations(request.failure, operationsMax - count);
}

function checkOperations(operations: readonly RequestOp[], operationsMax: number): Objection {
  for (const operation of operations) {
    const objection = checkOperation(operation, operationsMax);
    if (objection !== undefined) return objection;
  }
  return undefined;
}

function checkOperation(operation: RequestOp, operationsMax: number): Objection {
  switch (operation.kind) {
    case "range":
      return checkRange(operation.range);
    case "put":
      return checkPut(operation.put);
    case "delete":
      return checkDeleteRange(operation.delete);
    case "txn":
      return checkTxnOperations(operation.txn, operationsMax);
    case "none":
      return ApiError.KEY_NOT_FOUND;
  }
}

function checkOverlaps(operations: readonly RequestOp[]): Objection {
  return collectWrites(operations) === undefined ? ApiError.DUPLICATE_KEY : undefined;
}

/** What a list of operations may write. Keys are latin1 text, whose order is the order of the bytes. */
interface Writes {
  readonly puts: Set<string>;
  readonly deletes: KeyRange[];
}

interface KeyRange {
  readonly start: string;
  /** Exclusive. */
  readonly end: string;
}

/**
 * Collects the writes of a list of operations, nested ones included; undefined when a key may be put twice, or both put
 * and deleted. The branches of one nested transaction exclude each other, so they may put the same key.
 */
function collectWrites(operations: readonly RequestOp[]): Writes | undefined {
  const deletes: KeyRange[] = [];
  for (const operation of operations) if (operation.kind === "delete") deletes.push(deletedRange(operation.delete));
  const puts = new Set<string>();
  for (const operation of operations) {
    if (operation.kind !== "txn") continue;
    const success = collectWrites(operation.txn.success);
    const failure = success && collectWrites(operation.txn.failure);
    if (success === undefined || failure === undefined) return undefined;
    for (const key of success.puts) if (puts.has(key) || isDeleted(key, deletes)) return undefined;
    for (const key of failure.puts) if (puts.has(key) || isDeleted(key, deletes)) return undefined;
    for (const key of success.puts) puts.add(key);
    for (const key of failure.puts) puts.add(key);
    for (const range of success.deletes) deletes.push(range);
    for (const range of failure.deletes) deletes.push(range);
  }
  for (const operation of operations) {
    if (operation.kind !== "put") continue;
    const key = latin1(operation.put.key);
    if (puts.has(key) || isDeleted(key, deletes)) return undefined;
    puts.add(key);
  }
  return { puts, deletes };
}

/**
 * etcd takes the range end literally here: a deletion "from key on" (range end "\0") counts as empty, so that a
 * transaction may put a key that such a deletion covers. The operations then take effect in their order.
 */
function deletedRange(request: DeleteRangeRequest): KeyRange {
  const start = latin1(request.key);
  return { start, end: request.rangeEnd.length === 0 ? start + "\0" : latin1(request.rangeEnd) };
}

function isDeleted(key: string, deletes: readonly KeyRange[]): boolean {
  for (const range of deletes) if (key >= range.start && key < range.end) return true;
  return false;
}
