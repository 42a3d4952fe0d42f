/** Put and delete inside a write transaction, with the lease attachments they change. */
import { assert } from "../base/assert.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import { NO_ROW, type RangeQuery, RecordView, type WriteTransaction } from "../mvcc/mod.ts";
import type { DeleteRangeRequest, PutRequest } from "../wire/mod.ts";
import type { Steps } from "./outcome.ts";
import { type DeletedResult, framedRecords } from "./response.ts";

const previous = new RecordView();

/** Puts a key. The lease is known to exist, and the key too if the request keeps a part of it. */
export function putIn(keyspace: Keyspace, write: WriteTransaction, request: PutRequest): void {
  const { store, lessor } = keyspace;
  let { value, lease } = request;
  if (request.ignoreValue || request.ignoreLease) {
    const row = write.getRow(request.key, 0);
    assert(row !== NO_ROW, "a key whose value or lease is kept exists");
    store.readRecord(row, previous);
    if (request.ignoreValue) value = previous.value();
    if (request.ignoreLease) lease = previous.lease;
  }
  write.put(request.key, value, lease);
  const replaced = write.previousRow;
  const oldLease = replaced !== NO_ROW && store.hasLease(replaced) ? store.lease(replaced) : 0n;
  if (oldLease === lease) return;
  if (oldLease !== 0n) lessor.detach(oldLease, request.key);
  if (lease !== 0n) lessor.attach(lease, request.key);
}

/** Deletes a range step by step. `isWaitedFor`: the deleted records are wanted if the request asks for them. */
export function* deleteSteps(
  keyspace: Keyspace,
  write: WriteTransaction,
  request: DeleteRangeRequest,
  isWaitedFor: boolean,
): Steps<DeletedResult> {
  const { store } = keyspace;
  let prevKvs;
  if (request.prevKv && isWaitedFor) {
    const job = write.openRange(rangeOf(request.key, request.rangeEnd));
    assert(typeof job !== "string", "the head can be read");
    while (job.step(JOB_STEP_BUDGET) === "running") yield;
    prevKvs = framedRecords(store, job, 3);
  }
  const job = write.deleteRange(request.key, request.rangeEnd);
  while (!job.step(JOB_STEP_BUDGET)) yield;
  if (job.leasedCount > 0) yield* detachDeleted(keyspace, job.firstRow, job.endRow);
  return { deleted: job.deleted, prevKvs };
}

function* detachDeleted(keyspace: Keyspace, firstRow: number, endRow: number): Steps<void> {
  const { store, lessor } = keyspace;
  for (let tombstone = firstRow, visited = 1; tombstone < endRow; tombstone++, visited++) {
    const row = store.previousRow(tombstone);
    if (store.hasLease(row)) lessor.detach(store.lease(row), store.key(row));
    if (visited % JOB_STEP_BUDGET === 0) yield;
  }
}

/** A plain range at the head. */
export function rangeOf(key: Uint8Array, rangeEnd: Uint8Array): RangeQuery {
  return {
    key,
    rangeEnd,
    revision: 0,
    limit: 0,
    sortOrder: 0,
    sortTarget: 0,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}
