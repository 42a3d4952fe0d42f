import { EMPTY_BYTES } from "../base/bytes.ts";
import { TXN_DEPTH_MAX } from "../base/limits.ts";
import { WireError, WireReader } from "../base/varint.ts";

/** RangeRequest.SortOrder and SortTarget (frozen). Unknown numbers are kept as they came, for the validation to refuse. */
export const SortOrder = { NONE: 0, ASCEND: 1, DESCEND: 2 } as const;
export const SortTarget = { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 } as const;

export interface RangeRequest {
  key: Uint8Array;
  rangeEnd: Uint8Array;
  limit: number;
  revision: number;
  sortOrder: number;
  sortTarget: number;
  serializable: boolean;
  keysOnly: boolean;
  countOnly: boolean;
  minModRevision: number;
  maxModRevision: number;
  minCreateRevision: number;
  maxCreateRevision: number;
}

export interface PutRequest {
  key: Uint8Array;
  value: Uint8Array;
  lease: bigint;
  prevKv: boolean;
  ignoreValue: boolean;
  ignoreLease: boolean;
}

export interface DeleteRangeRequest {
  key: Uint8Array;
  rangeEnd: Uint8Array;
  prevKv: boolean;
}

/** Compare.CompareResult and CompareTarget (frozen). */
export const CompareResult = { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } as const;
export const CompareTarget = { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } as const;

export interface Compare {
  result: number;
  target: number;
  key: Uint8Array;
  rangeEnd: Uint8Array;
  /** Which member of the union was given, as a CompareTarget; -1 for none. The target may name another one. */
  union: number;
  /** The union's number, for VERSION, CREATE and MOD. */
  revision: number;
  /** The union's bytes, for VALUE. */
  value: Uint8Array;
  /** The union's lease, for LEASE. */
  lease: bigint;
}

export type RequestOp =
  | { readonly kind: "range"; readonly range: RangeRequest }
  | { readonly kind: "put"; readonly put: PutRequest }
  | { readonly kind: "delete"; readonly delete: DeleteRangeRequest }
  | { readonly kind: "txn"; readonly txn: TxnRequest }
  | { readonly kind: "none" };

export interface TxnRequest {
  compare: Compare[];
  success: RequestOp[];
  failure: RequestOp[];
}

export interface CompactionRequest {
  revision: number;
  physical: boolean;
}

/** Transactions nested deeper than they are decoded. */
export class DepthError extends WireError {
  constructor() {
    super("transactions nested too deeply");
    this.name = "DepthError";
  }
}

/** Levels of nested transactions, counted without recursion; the request may be malformed. */
export function txnDepth(bytes: Uint8Array): number {
  let depthMax = 0;
  const open = [new WireReader(bytes)];
  while (open.length > 0) {
    const reader = open[open.length - 1];
    const tag = reader.nextTag();
    // Transactions and their operations alternate: at even positions a transaction is open.
    const isTxn = open.length % 2 === 1;
    if (tag === 0) open.pop();
    else if (isTxn ? tag === 18 || tag === 26 : tag === 34) {
      open.push(enter(reader));
      depthMax = Math.max(depthMax, open.length >> 1);
    } else reader.skip(tag);
  }
  return depthMax;
}

export function decodeRangeRequest(bytes: Uint8Array): RangeRequest {
  const request = newRangeRequest();
  readRange(new WireReader(bytes), request);
  return request;
}

export function decodePutRequest(bytes: Uint8Array): PutRequest {
  const request = newPutRequest();
  readPut(new WireReader(bytes), request);
  return request;
}

export function decodeDeleteRangeRequest(bytes: Uint8Array): DeleteRangeRequest {
  const request = newDeleteRangeRequest();
  readDeleteRange(new WireReader(bytes), request);
  return request;
}

export function decodeTxnRequest(bytes: Uint8Array): TxnRequest {
  const request = newTxnRequest();
  readTxn(new WireReader(bytes), request, 0);
  return request;
}

export function decodeCompactionRequest(bytes: Uint8Array): CompactionRequest {
  const reader = new WireReader(bytes);
  const request: CompactionRequest = { revision: 0, physical: false };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 8) request.revision = reader.int64();
    else if (tag === 16) request.physical = reader.bool();
    else reader.skip(tag);
  }
  return request;
}

function newRangeRequest(): RangeRequest {
  return {
    key: EMPTY_BYTES,
    rangeEnd: EMPTY_BYTES,
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}

function newPutRequest(): PutRequest {
  return { key: EMPTY_BYTES, value: EMPTY_BYTES, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };
}

function newDeleteRangeRequest(): DeleteRangeRequest {
  return { key: EMPTY_BYTES, rangeEnd: EMPTY_BYTES, prevKv: false };
}

function newTxnRequest(): TxnRequest {
  return { compare: [], success: [], failure: [] };
}

function readRange(reader: WireReader, request: RangeRequest): void {
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 10:
        request.key = reader.view();
        break;
      case 18:
        request.rangeEnd = reader.view();
        break;
      case 24:
        request.limit = reader.int64();
        break;
      case 32:
        request.revision = reader.int64();
        break;
      case 40:
        request.sortOrder = reader.int32();
        break;
      case 48:
        request.sortTarget = reader.int32();
        break;
      case 56:
        request.serializable = reader.bool();
        break;
      case 64:
        request.keysOnly = reader.bool();
        break;
      case 72:
        request.countOnly = reader.bool();
        break;
      case 80:
        request.minModRevision = reader.int64();
        break;
      case 88:
        request.maxModRevision = reader.int64();
        break;
      case 96:
        request.minCreateRevision = reader.int64();
        break;
      case 104:
        request.maxCreateRevision = reader.int64();
        break;
      default:
        reader.skip(tag);
    }
  }
}

function readPut(reader: WireReader, request: PutRequest): void {
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 10:
        request.key = reader.view();
        break;
      case 18:
        request.value = reader.view();
        break;
      case 24:
        request.lease = reader.exactInt64();
        break;
      case 32:
        request.prevKv = reader.bool();
        break;
      case 40:
        request.ignoreValue = reader.bool();
        break;
      case 48:
        request.ignoreLease = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
}

function readDeleteRange(reader: WireReader, request: DeleteRangeRequest): void {
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 10:
        request.key = reader.view();
        break;
      case 18:
        request.rangeEnd = reader.view();
        break;
      case 24:
        request.prevKv = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
}

function readTxn(reader: WireReader, request: TxnRequest, depth: number): void {
  if (depth > TXN_DEPTH_MAX) throw new DepthError();
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 10:
        request.compare.push(readCompare(reader));
        break;
      case 18:
        request.success.push(readRequestOp(reader, depth));
        break;
      case 26:
        request.failure.push(readRequestOp(reader, depth));
        break;
      default:
        reader.skip(tag);
    }
  }
}

function readCompare(outer: WireReader): Compare {
  const reader = enter(outer);
  const compare: Compare = {
    result: 0,
    target: 0,
    key: EMPTY_BYTES,
    rangeEnd: EMPTY_BYTES,
    union: -1,
    revision: 0,
    value: EMPTY_BYTES,
    lease: 0n,
  };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 8:
        compare.result = reader.int32();
        break;
      case 16:
        compare.target = reader.int32();
        break;
      case 26:
        compare.key = reader.view();
        break;
      case 32:
      case 40:
      case 48:
        compare.union = (tag >> 3) - 4;
        compare.revision = reader.int64();
        break;
      case 58:
        compare.union = CompareTarget.VALUE;
        compare.value = reader.view();
        break;
      case 64:
        compare.union = CompareTarget.LEASE;
        compare.lease = reader.exactInt64();
        break;
      case 514:
        compare.rangeEnd = reader.view();
        break;
      default:
        reader.skip(tag);
    }
  }
  return compare;
}

const NO_OP: RequestOp = { kind: "none" };

function readRequestOp(outer: WireReader, depth: number): RequestOp {
  const reader = enter(outer);
  let op: RequestOp = NO_OP;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 10: {
        const range = op.kind === "range" ? op.range : newRangeRequest();
        readRange(enter(reader), range);
        op = { kind: "range", range };
        break;
      }
      case 18: {
        const put = op.kind === "put" ? op.put : newPutRequest();
        readPut(enter(reader), put);
        op = { kind: "put", put };
        break;
      }
      case 26: {
        const deletion = op.kind === "delete" ? op.delete : newDeleteRangeRequest();
        readDeleteRange(enter(reader), deletion);
        op = { kind: "delete", delete: deletion };
        break;
      }
      case 34: {
        const txn = op.kind === "txn" ? op.txn : newTxnRequest();
        readTxn(enter(reader), txn, depth + 1);
        op = { kind: "txn", txn };
        break;
      }
      default:
        reader.skip(tag);
    }
  }
  return op;
}

/** A reader of the submessage that starts here; the outer one moves past it. */
function enter(outer: WireReader): WireReader {
  const length = outer.length();
  const start = outer.position;
  outer.position = start + length;
  return new WireReader(outer.bytes, start, start + length);
}
