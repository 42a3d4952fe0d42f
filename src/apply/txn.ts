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

/** What a transaction reads through: the store at one revision, or the write transaction with its own writes visible. */
interface View {
  /** The revision that comparisons look at; 0: the head, which nobody else changes meanwhile. */
  readonly revision: number;
  openRange(query: RangeQuery): RangeJob | RevisionError;
}

/**
 * A transaction that only reads, and is not replicated: all of it at the revision that is the newest when it begins,
 * though other entries may be applied between its steps. Fails if a compaction overtakes it there, which a transaction
 * of one step never sees.
 */
export function* readTxn(keyspace: Keyspace, request: TxnRequest): Steps<Outcome> {
  const { store } = keyspace;
  const { revision } = store;
  const view: View = {
    revision,
    openRange: (query) => store.openRange(query.revision <= 0 ? { ...query, revision } : query),
  };
  const path = yield* choosePath(keyspace, view, request);
  if (path === undefined) return failed("compacted");
  const error = checkBranch(keyspace, request, new Path(path), revision);
  if (error !== undefined) return failed(error);
  const result = yield* execute(keyspace, view, undefined, request, new Path(path), true);
  return result === undefined ? failed("compacted") : succeeded(revision, txnBody(result));
}

/** A transaction from the log. `isWaitedFor`: somebody here wants its response. */
export function* applyTxn(keyspace: Keyspace, request: TxnRequest, isWaitedFor: boolean): Steps<Outcome> {
  const { store } = keyspace;
  const path = yield* choosePath(keyspace, { revision: 0, openRange: (query) => store.openRange(query) }, request);
  assert(path !== undefined, "nothing is compacted while an entry is applied");
  const error = checkBranch(keyspace, request, new Path(path), store.revision);
  if (error !== undefined) return failed(error);
  const write = store.beginWrite();
  const firstRow = write.firstRow;
  const view: View = { revision: 0, openRange: (query) => write.openRange(query) };
  const result = yield* execute(keyspace, view, write, request, new Path(path), isWaitedFor);
  assert(result !== undefined, "nothing is compacted while an entry is applied");
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

/** Undefined: a compaction has overtaken the view between two steps. */
function* choosePath(keyspace: Keyspace, view: View, request: TxnRequest): Steps<boolean[] | undefined> {
  const choices: boolean[] = [];
  return (yield* choose(keyspace, view, request, choices)) ? choices : undefined;
}

/** False: overtaken likewise. */
function* choose(keyspace: Keyspace, view: View, request: TxnRequest, choices: boolean[]): Steps<boolean> {
  let holds: boolean | undefined = true;
  for (const compare of request.compare) {
    holds = compare.rangeEnd.length === 0
      ? compareRow(keyspace, compare, keyspace.store.getRow(compare.key, view.revision))
      : yield* compareRange(keyspace, view, compare);
    if (holds === undefined) return false;
    if (!holds) break;
  }
  choices.push(holds);
  for (const operation of holds ? request.success : request.failure) {
    if (operation.kind === "txn" && !(yield* choose(keyspace, view, operation.txn, choices))) return false;
  }
  return true;
}

const record = new RecordView();

function* compareRange(keyspace: Keyspace, view: View, compare: Compare): Steps<boolean | undefined> {
  const job = view.openRange(rangeOf(compare.key, compare.rangeEnd));
  if (typeof job === "string") return undefined;
  if (!(yield* finish(job))) return undefined;
  let holds = true;
  if (job.rowCount === 0) holds = compareRow(keyspace, compare, NO_ROW);
  for (let i = 0; i < job.rowCount && holds; i++) {
    holds = compareRow(keyspace, compare, job.row(i));
    if (i % JOB_STEP_BUDGET === JOB_STEP_BUDGET - 1) yield;
  }
  job.close();
  return holds;
}

/** Runs a job to its end. False: a compaction has overtaken it, and it is closed. */
function* finish(job: RangeJob): Steps<boolean> {
  for (;;) {
    const state = job.step(JOB_STEP_BUDGET);
    if (state === "done") return true;
    if (state === "compacted") {
      job.close();
      return false;
    }
    yield;
  }
}

/** A missing key compares as one whose numbers are all 0, except that no comparison of its value holds. */
function compareRow(keyspace: Keyspace, compare: Compare, row: number): boolean {
  const exists = row !== NO_ROW;
  if (exists) keyspace.store.readRecord(row, record);
  const isUnion = compare.union === compare.target;
  const revision = isUnion ? compare.revision : 0;
  switch (compare.target) {
    case CompareTarget.VALUE:
      if (!exists) return false;
      return isResult(compare, compareBytes(record.value(), isUnion ? compare.value : EMPTY_BYTES));
    case CompareTarget.CREATE:
      return isResult(compare, (exists ? record.createRevision : 0) - revision);
    case CompareTarget.MOD:
      return isResult(compare, (exists ? record.modRevision : 0) - revision);
    case CompareTarget.VERSION:
      return isResult(compare, (exists ? record.version : 0) - revision);
    case CompareTarget.LEASE: {
      const lease = exists ? record.lease : 0n;
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

/** Whatever could fail in the chosen branches, found before anything is written. `revision` is the newest one. */
function checkBranch(keyspace: Keyspace, request: TxnRequest, path: Path, revision: number): ApplyError | undefined {
  for (const operation of path.take() ? request.success : request.failure) {
    const error = checkOperation(keyspace, operation, path, revision);
    if (error !== undefined) return error;
  }
  return undefined;
}

function checkOperation(
  keyspace: Keyspace,
  operation: RequestOp,
  path: Path,
  revision: number,
): ApplyError | undefined {
  const { store, lessor } = keyspace;
  switch (operation.kind) {
    case "range": {
      const asked = operation.range.revision;
      if (asked === 0) return undefined;
      if (asked > revision) return "future_revision";
      return asked < store.compactRevision ? "compacted" : undefined;
    }
    case "put": {
      const { put } = operation;
      if (put.lease !== 0n && !lessor.has(put.lease)) return "lease_not_found";
      const needsKey = put.ignoreValue || put.ignoreLease;
      return needsKey && store.getRow(put.key, 0) === NO_ROW ? "key_not_found" : undefined;
    }
    case "txn":
      return checkBranch(keyspace, operation.txn, path, revision);
    case "delete":
    case "none":
      return undefined;
  }
}

/** Undefined: a compaction has overtaken the view; nothing is held any more. */
function* execute(
  keyspace: Keyspace,
  view: View,
  write: WriteTransaction | undefined,
  request: TxnRequest,
  path: Path,
  isWaitedFor: boolean,
): Steps<TxnResult | undefined> {
  const holds = path.take();
  const operations: OperationResult[] = [];
  for (const operation of holds ? request.success : request.failure) {
    switch (operation.kind) {
      case "range": {
        // Nobody reads the answer: the range would have no effect.
        if (!isWaitedFor) break;
        const job = view.openRange(operation.range);
        if (typeof job === "string" || !(yield* finish(job))) {
          closeTxnResult({ succeeded: holds, operations });
          return undefined;
        }
        operations.push(rangeResult(job, view.revision === 0 ? job.headerRevision : view.revision));
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
      case "txn": {
        const nested = yield* execute(keyspace, view, write, operation.txn, path, isWaitedFor);
        assert(nested !== undefined, "a nested transaction is part of an entry");
        operations.push(nestedTxnResult(nested));
        break;
      }
      case "none":
        assert(false, "an operation that is not set was refused");
    }
  }
  return { succeeded: holds, operations };
}
