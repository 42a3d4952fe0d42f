/**
 * Transactions with etcd's rules: the branches of the whole tree are chosen on the state before it, then the chosen
 * operations are checked, and only when all of them can succeed is anything written.
 */
import { assert } from "../base/assert.ts";
import { compareBytes, EMPTY_BYTES } from "../base/bytes.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import {
  NO_ROW,
  type RangeJob,
  type RangeQuery,
  RecordView,
  type RevisionError,
  type WriteTransaction,
} from "../mvcc/mod.ts";
import { type Compare, CompareResult, CompareTarget, type RequestOp, type TxnRequest } from "../wire/mod.ts";
import { type ApplyError, failed, type Outcome, type Steps, succeeded } from "./outcome.ts";
import { deleteSteps, putIn, rangeOf } from "./operations.ts";
import {
  closeTxnResult,
  copyFramed,
  deleteResult,
  nestedTxnResult,
  type OperationResult,
  putResult,
  rangeResult,
  txnBody,
  type TxnResult,
} from "./response.ts";

/** What a transaction reads through: the store itself, or the write transaction with its own writes visible. */
interface View {
  openRange(query: RangeQuery): RangeJob | RevisionError;
}

/** A transaction that only reads, on the state as it is; it is not replicated. */
export function* readTxn(keyspace: Keyspace, request: TxnRequest): Steps<Outcome> {
  const path = yield* choosePath(keyspace, request);
  const error = checkOperations(keyspace, request, path);
  if (error !== undefined) return failed(error);
  const revision = keyspace.store.revision;
  const result = yield* execute(keyspace, keyspace.store, undefined, request, new Path(path), true);
  return succeeded(revision, txnBody(result));
}

/** A transaction from the log. `isWaitedFor`: somebody here wants its response. */
export function* applyTxn(keyspace: Keyspace, request: TxnRequest, isWaitedFor: boolean): Steps<Outcome> {
  const path = yield* choosePath(keyspace, request);
  const error = checkOperations(keyspace, request, path);
  if (error !== undefined) return failed(error);
  const write = keyspace.store.beginWrite();
  const firstRow = write.firstRow;
  const result = yield* execute(keyspace, write, write, request, new Path(path), isWaitedFor);
  const { revision, endRow } = write;
  write.commit();
  const body = isWaitedFor ? txnBody(result) : [];
  if (!isWaitedFor) closeTxnResult(result);
  return { error: undefined, revision, body, firstRow, endRow, compaction: undefined };
}

/** True when both branches hold nothing but ranges: such a transaction does not go through the log. */
export function isReadOnly(request: TxnRequest): boolean {
  return request.success.every(isRange) && request.failure.every(isRange);
}

/** True when a read-only transaction may be answered without confirming that this member is up to date. */
export function isSerializable(request: TxnRequest): boolean {
  const isSerializableRange = (operation: RequestOp) => operation.kind === "range" && operation.range.serializable;
  return request.success.every(isSerializableRange) && request.failure.every(isSerializableRange);
}

function isRange(operation: RequestOp): boolean {
  return operation.kind === "range";
}

/** The chosen branch of every transaction of the tree, in the order in which execution meets them. */
class Path {
  readonly #choices: readonly boolean[];
  #next = 0;

  constructor(choices: readonly boolean[]) {
    this.#choices = choices;
  }

  take(): boolean {
    assert(this.#next < this.#choices.length, "every transaction of the tree has a choice");
    return this.#choices[this.#next++];
  }
}

function* choosePath(keyspace: Keyspace, request: TxnRequest): Steps<boolean[]> {
  const choices: boolean[] = [];
  yield* choose(keyspace, request, choices);
  return choices;
}

function* choose(keyspace: Keyspace, request: TxnRequest, choices: boolean[]): Steps<void> {
  let holds = true;
  for (const compare of request.compare) {
    holds = compare.rangeEnd.length === 0 ? compareKey(keyspace, compare) : yield* compareRange(keyspace, compare);
    if (!holds) break;
  }
  choices.push(holds);
  for (const operation of holds ? request.success : request.failure) {
    if (operation.kind === "txn") yield* choose(keyspace, operation.txn, choices);
  }
}

const view = new RecordView();

function compareKey(keyspace: Keyspace, compare: Compare): boolean {
  return compareRow(keyspace, compare, keyspace.store.getRow(compare.key, 0));
}

function* compareRange(keyspace: Keyspace, compare: Compare): Steps<boolean> {
  const job = keyspace.store.openRange(rangeOf(compare.key, compare.rangeEnd));
  assert(typeof job !== "string", "the head can be read");
  while (job.step(JOB_STEP_BUDGET) === "running") yield;
  let holds = true;
  if (job.rowCount === 0) holds = compareRow(keyspace, compare, NO_ROW);
  for (let i = 0; i < job.rowCount && holds; i++) {
    holds = compareRow(keyspace, compare, job.row(i));
    if (i % JOB_STEP_BUDGET === JOB_STEP_BUDGET - 1) yield;
  }
  job.close();
  return holds;
}

/** A missing key compares as one whose numbers are all 0, except that no comparison of its value holds. */
function compareRow(keyspace: Keyspace, compare: Compare, row: number): boolean {
  const exists = row !== NO_ROW;
  if (exists) keyspace.store.readRecord(row, view);
  const isUnion = compare.union === compare.target;
  const revision = isUnion ? compare.revision : 0;
  switch (compare.target) {
    case CompareTarget.VALUE:
      if (!exists) return false;
      return isResult(compare, compareBytes(view.value(), isUnion ? compare.value : EMPTY_BYTES));
    case CompareTarget.CREATE:
      return isResult(compare, (exists ? view.createRevision : 0) - revision);
    case CompareTarget.MOD:
      return isResult(compare, (exists ? view.modRevision : 0) - revision);
    case CompareTarget.VERSION:
      return isResult(compare, (exists ? view.version : 0) - revision);
    case CompareTarget.LEASE: {
      const lease = exists ? view.lease : 0n;
      const expected = isUnion ? compare.lease : 0n;
      return isResult(compare, lease < expected ? -1 : lease > expected ? 1 : 0);
    }
    default:
      // A target that nobody defined compares equal, as in etcd.
      return isResult(compare, 0);
  }
}

function isResult(compare: Compare, order: number): boolean {
  switch (compare.result) {
    case CompareResult.EQUAL:
      return order === 0;
    case CompareResult.NOT_EQUAL:
      return order !== 0;
    case CompareResult.GREATER:
      return order > 0;
    case CompareResult.LESS:
      return order < 0;
    default:
      return true;
  }
}

/** Whatever could fail in the chosen branches, found before anything is written. */
function checkOperations(keyspace: Keyspace, request: TxnRequest, choices: readonly boolean[]): ApplyError | undefined {
  return checkBranch(keyspace, request, new Path(choices));
}

function checkBranch(keyspace: Keyspace, request: TxnRequest, path: Path): ApplyError | undefined {
  for (const operation of path.take() ? request.success : request.failure) {
    const error = checkOperation(keyspace, operation, path);
    if (error !== undefined) return error;
  }
  return undefined;
}

function checkOperation(keyspace: Keyspace, operation: RequestOp, path: Path): ApplyError | undefined {
  const { store, lessor } = keyspace;
  switch (operation.kind) {
    case "range": {
      const { revision } = operation.range;
      if (revision === 0) return undefined;
      if (revision > store.revision) return "future_revision";
      return revision < store.compactRevision ? "compacted" : undefined;
    }
    case "put": {
      const { put } = operation;
      if (put.lease !== 0n && !lessor.has(put.lease)) return "lease_not_found";
      const needsKey = put.ignoreValue || put.ignoreLease;
      return needsKey && store.getRow(put.key, 0) === NO_ROW ? "key_not_found" : undefined;
    }
    case "txn":
      return checkBranch(keyspace, operation.txn, path);
    case "delete":
    case "none":
      return undefined;
  }
}

function* execute(
  keyspace: Keyspace,
  view: View,
  write: WriteTransaction | undefined,
  request: TxnRequest,
  path: Path,
  isWaitedFor: boolean,
): Steps<TxnResult> {
  const holds = path.take();
  const operations: OperationResult[] = [];
  for (const operation of holds ? request.success : request.failure) {
    switch (operation.kind) {
      case "range": {
        // Nobody reads the answer: the range would have no effect.
        if (!isWaitedFor) break;
        const job = view.openRange(operation.range);
        assert(typeof job !== "string", "the revision was checked");
        while (job.step(JOB_STEP_BUDGET) === "running") yield;
        operations.push(rangeResult(job));
        break;
      }
      case "put": {
        assert(write !== undefined, "a transaction with a put is written");
        const { put } = operation;
        const row = put.prevKv && isWaitedFor ? write.getRow(put.key, 0) : NO_ROW;
        const prevKv = row === NO_ROW ? undefined : copyFramed(keyspace.store, row, 2);
        putIn(keyspace, write, put);
        operations.push(putResult(write.revision, prevKv));
        break;
      }
      case "delete": {
        assert(write !== undefined, "a transaction with a deletion is written");
        const deleted = yield* deleteSteps(keyspace, write, operation.delete, isWaitedFor);
        operations.push(deleteResult(write.revision, deleted));
        break;
      }
      case "txn":
        operations.push(nestedTxnResult(yield* execute(keyspace, view, write, operation.txn, path, isWaitedFor)));
        break;
      case "none":
        assert(false, "an operation that is not set was refused");
    }
  }
  return { succeeded: holds, operations };
}
