/**
 * Responses of the key-value operations, written from results into parts: runs of bytes, and large contents left in the
 * store until there is room for them on the wire.
 */
import { varintSize, WIRE_BYTES, wireTag, WireWriter } from "../base/varint.ts";
import { RESPONSE_COPY_SIZE_MAX } from "../base/limits.ts";
import { type RangeJob, RECORD_FULL, type Store } from "../mvcc/mod.ts";
import type { Part, PartSource } from "../wire/mod.ts";

/** The result of one operation of a transaction; `size` is that of its encoded response. */
export type OperationResult =
  | { readonly kind: "range"; readonly revision: number; readonly job: RangeJob; readonly size: number }
  | { readonly kind: "put"; readonly revision: number; readonly prevKv: Uint8Array | undefined; readonly size: number }
  | { readonly kind: "delete"; readonly revision: number; readonly deleted: DeletedResult; readonly size: number }
  | { readonly kind: "txn"; readonly txn: TxnResult; readonly size: number };

export interface DeletedResult {
  readonly deleted: number;
  /** The deleted records, framed as field 3; undefined when not asked for. */
  readonly prevKvs: Part | undefined;
}

export interface TxnResult {
  readonly succeeded: boolean;
  readonly operations: readonly OperationResult[];
}

/** Response fields of ResponseOp (frozen). */
const OPERATION_FIELD = { range: 1, put: 2, delete: 3, txn: 4 } as const;

/** `revision` is that of the response's header. */
export function rangeResult(job: RangeJob, revision: number): OperationResult {
  return { kind: "range", revision, job, size: headerSize(revision) + rangeBodySize(job) };
}

export function putResult(revision: number, prevKv: Uint8Array | undefined): OperationResult {
  return { kind: "put", revision, prevKv, size: headerSize(revision) + (prevKv?.length ?? 0) };
}

export function deleteResult(revision: number, deleted: DeletedResult): OperationResult {
  return { kind: "delete", revision, deleted, size: headerSize(revision) + deletedSize(deleted) };
}

export function nestedTxnResult(txn: TxnResult): OperationResult {
  // etcd leaves the header of a nested transaction empty, yet present.
  return { kind: "txn", txn, size: 2 + txnBodySize(txn) };
}

/** RangeResponse without its header: kvs(2), more(3), count(4). */
export function rangeBody(job: RangeJob): Part[] {
  const writer = new PartWriter();
  writer.rangeBody(job);
  return writer.finish();
}

/** DeleteRangeResponse without its header: deleted(2), prev_kvs(3). */
export function deletedBody(deleted: DeletedResult): Part[] {
  const writer = new PartWriter();
  writer.deletedBody(deleted);
  return writer.finish();
}

/** TxnResponse without its header: succeeded(2), responses(3). */
export function txnBody(txn: TxnResult): Part[] {
  const writer = new PartWriter();
  writer.txnBody(txn);
  return writer.finish();
}

/** Releases whatever a result still holds in the store, when it is not going to be sent. */
export function closeTxnResult(txn: TxnResult): void {
  for (const operation of txn.operations) {
    if (operation.kind === "range") operation.job.close();
    else if (operation.kind === "txn") closeTxnResult(operation.txn);
    else if (operation.kind === "delete") closePart(operation.deleted.prevKvs);
  }
}

function closePart(part: Part | undefined): void {
  if (part !== undefined && !(part instanceof Uint8Array)) part.close();
}

/** One record framed as `field`, copied out. */
export function copyFramed(store: Store, row: number, field: number): Uint8Array {
  const bytes = new Uint8Array(store.recordSize(row, RECORD_FULL));
  store.copyRecord(row, RECORD_FULL, bytes, 0);
  bytes[0] = wireTag(field, WIRE_BYTES);
  return bytes;
}

/**
 * All records of a finished job, framed as `field`: copied and the job closed when they are few, otherwise left in the
 * store, which the open job keeps them in.
 */
export function framedRecords(store: Store, job: RangeJob, field: number): Part {
  const source = new FramedRecords(store, job, field);
  if (source.size > RESPONSE_COPY_SIZE_MAX) return source;
  const bytes = new Uint8Array(source.size);
  for (let offset = 0; offset < bytes.length;) offset += source.read(bytes.subarray(offset));
  source.close();
  return bytes;
}

class FramedRecords implements PartSource {
  readonly size: number;
  readonly #store: Store;
  readonly #job: RangeJob;
  readonly #tag: number;
  #position = 0;
  /** A record that did not fit, and what of it was already handed out. */
  #rest: Uint8Array | undefined;
  #restOffset = 0;

  constructor(store: Store, job: RangeJob, field: number) {
    this.size = job.size;
    this.#store = store;
    this.#job = job;
    this.#tag = wireTag(field, WIRE_BYTES);
  }

  read(target: Uint8Array): number {
    let offset = 0;
    while (offset < target.length) {
      if (this.#rest !== undefined) {
        const count = Math.min(target.length - offset, this.#rest.length - this.#restOffset);
        target.set(this.#rest.subarray(this.#restOffset, this.#restOffset + count), offset);
        offset += count;
        this.#restOffset += count;
        if (this.#restOffset === this.#rest.length) this.#rest = undefined;
        continue;
      }
      if (this.#position === this.#job.rowCount) break;
      const row = this.#job.row(this.#position++);
      const size = this.#store.recordSize(row, RECORD_FULL);
      if (size <= target.length - offset) {
        this.#store.copyRecord(row, RECORD_FULL, target, offset);
        target[offset] = this.#tag;
        offset += size;
      } else {
        this.#rest = new Uint8Array(size);
        this.#restOffset = 0;
        this.#store.copyRecord(row, RECORD_FULL, this.#rest, 0);
        this.#rest[0] = this.#tag;
      }
    }
    return offset;
  }

  close(): void {
    this.#job.close();
  }
}

/** Bytes in one buffer until a part comes that stays in the store. */
class PartWriter {
  readonly #parts: Part[] = [];
  #writer = new WireWriter();

  finish(): Part[] {
    this.#cut();
    return this.#parts;
  }

  rangeBody(job: RangeJob): void {
    if (job.size > RESPONSE_COPY_SIZE_MAX) {
      this.#cut();
      this.#parts.push(job);
    } else {
      const writer = this.#writer;
      writer.reserve(job.size);
      writer.position = job.copyAll(writer.bytes, writer.position);
      job.close();
    }
    this.#writer.boolField(3, job.more);
    this.#writer.integerField(4, job.count);
  }

  deletedBody(deleted: DeletedResult): void {
    this.#writer.integerField(2, deleted.deleted);
    if (deleted.prevKvs !== undefined) this.#part(deleted.prevKvs);
  }

  txnBody(txn: TxnResult): void {
    this.#writer.boolField(2, txn.succeeded);
    for (const operation of txn.operations) {
      const writer = this.#writer;
      writer.tag(3, WIRE_BYTES);
      writer.varint(operationSize(operation));
      writer.tag(OPERATION_FIELD[operation.kind], WIRE_BYTES);
      writer.varint(operation.size);
      this.#operation(operation);
    }
  }

  #operation(operation: OperationResult): void {
    if (operation.kind === "txn") {
      this.#header(0);
      this.txnBody(operation.txn);
      return;
    }
    this.#header(operation.revision);
    if (operation.kind === "range") this.rangeBody(operation.job);
    else if (operation.kind === "delete") this.deletedBody(operation.deleted);
    else if (operation.prevKv !== undefined) this.#writer.raw(operation.prevKv);
  }

  #header(revision: number): void {
    this.#writer.tag(1, WIRE_BYTES);
    this.#writer.varint(revision === 0 ? 0 : 1 + varintSize(revision));
    this.#writer.integerField(3, revision);
  }

  #part(part: Part): void {
    if (part instanceof Uint8Array) {
      this.#writer.raw(part);
      return;
    }
    this.#cut();
    this.#parts.push(part);
  }

  #cut(): void {
    if (this.#writer.position === 0) return;
    this.#parts.push(this.#writer.view());
    this.#writer = new WireWriter();
  }
}

/** ResponseHeader with nothing but a revision, tag and length included. */
function headerSize(revision: number): number {
  return revision === 0 ? 2 : 3 + varintSize(revision);
}

function rangeBodySize(job: RangeJob): number {
  return job.size + (job.more ? 2 : 0) + (job.count === 0 ? 0 : 1 + varintSize(job.count));
}

function deletedSize({ deleted, prevKvs }: DeletedResult): number {
  const prevKvsSize = prevKvs === undefined ? 0 : prevKvs instanceof Uint8Array ? prevKvs.length : prevKvs.size;
  return (deleted === 0 ? 0 : 1 + varintSize(deleted)) + prevKvsSize;
}

/** A ResponseOp without its own tag and length. */
function operationSize(operation: OperationResult): number {
  return 1 + varintSize(operation.size) + operation.size;
}

function txnBodySize(txn: TxnResult): number {
  let size = txn.succeeded ? 2 : 0;
  for (const operation of txn.operations) {
    const inner = operationSize(operation);
    size += 1 + varintSize(inner) + inner;
  }
  return size;
}
