/** Operations as they are recorded, to and from the messages that members understand. */

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  CompactionRequestSchema,
  CompactionResponseSchema,
  Compare_CompareResult,
  Compare_CompareTarget,
  type CompareSchema,
  DeleteRangeRequestSchema,
  type DeleteRangeResponse as DeleteRangeResponseMessage,
  DeleteRangeResponseSchema,
  PutRequestSchema,
  type PutResponse as PutResponseMessage,
  PutResponseSchema,
  RangeRequestSchema,
  type RangeResponse as RangeResponseMessage,
  RangeResponseSchema,
  type RequestOpSchema,
  type ResponseOp,
  TxnRequestSchema,
  TxnResponseSchema,
} from "../../../src/gen/etcdserverpb/kv_pb.ts";
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseRevokeResponseSchema,
} from "../../../src/gen/etcdserverpb/lease_pb.ts";
import type { KeyValue as KeyValueMessage } from "../../../src/gen/mvccpb/kv_pb.ts";
import type {
  Compare,
  DeleteRangeRequest,
  KeyValue,
  PutRequest,
  RangeRequest,
  Request,
  Response,
  TxnOperation,
  TxnOperationResponse,
} from "../observations.ts";

/** One call of a method: what is sent, and what its answer says. */
export interface Encoded {
  readonly path: string;
  readonly bytes: Uint8Array;
  decode(answer: Uint8Array): Response;
}

const KV = "/etcdserverpb.KV/";
const LEASE = "/etcdserverpb.Lease/";

/** A byte per code unit. */
export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export function toText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function toKeyValue(kv: KeyValueMessage): KeyValue {
  return {
    key: toText(kv.key),
    value: toText(kv.value),
    createRevision: Number(kv.createRevision),
    modRevision: Number(kv.modRevision),
    version: Number(kv.version),
    lease: kv.lease,
  };
}

export function encode(request: Request): Encoded {
  switch (request.kind) {
    case "range":
      return call(`${KV}Range`, RangeRequestSchema, rangeInit(request), RangeResponseSchema, (message) => ({
        ...rangeResponse(message),
        revision: revisionOf(message),
      }));
    case "put":
      return call(`${KV}Put`, PutRequestSchema, putInit(request), PutResponseSchema, (message) => ({
        ...putResponse(message),
        revision: revisionOf(message),
      }));
    case "deleteRange":
      return call(
        `${KV}DeleteRange`,
        DeleteRangeRequestSchema,
        deleteInit(request),
        DeleteRangeResponseSchema,
        (message) => ({ ...deleteResponse(message), revision: revisionOf(message) }),
      );
    case "txn": {
      const { compares, success, failure } = request;
      const init = {
        compare: compares.map(compareInit),
        success: success.map(operationInit),
        failure: failure.map(operationInit),
      };
      return call(`${KV}Txn`, TxnRequestSchema, init, TxnResponseSchema, (message) => ({
        kind: "txn",
        revision: revisionOf(message),
        succeeded: message.succeeded,
        responses: message.responses.map(operationResponse),
      }));
    }
    case "compact": {
      const init = { revision: BigInt(request.revision), physical: request.revision % 2 === 0 };
      return call(`${KV}Compact`, CompactionRequestSchema, init, CompactionResponseSchema, plain("compact"));
    }
    case "leaseGrant": {
      const init = { ID: request.id, TTL: BigInt(request.ttlMs / 1000) };
      return call(`${LEASE}LeaseGrant`, LeaseGrantRequestSchema, init, LeaseGrantResponseSchema, (message) => ({
        kind: "leaseGrant",
        revision: revisionOf(message),
        ttlMs: Number(message.TTL) * 1000,
      }));
    }
    case "leaseRevoke":
      return call(
        `${LEASE}LeaseRevoke`,
        LeaseRevokeRequestSchema,
        { ID: request.id },
        LeaseRevokeResponseSchema,
        plain("leaseRevoke"),
      );
    case "leaseKeepAlive": {
      const init = { ID: request.id };
      return call(
        `${LEASE}LeaseKeepAlive`,
        LeaseKeepAliveRequestSchema,
        init,
        LeaseKeepAliveResponseSchema,
        (message) => ({
          kind: "leaseKeepAlive",
          revision: revisionOf(message),
          ttlMs: Number(message.TTL) * 1000,
        }),
      );
    }
  }
}

function call<I extends DescMessage, O extends DescMessage>(
  path: string,
  input: I,
  init: MessageInitShape<I>,
  output: O,
  decode: (message: MessageShape<O>) => Response,
): Encoded {
  return {
    path,
    bytes: toBinary(input, create(input, init)),
    decode: (answer) => decode(fromBinary(output, answer)),
  };
}

function revisionOf(message: { readonly header?: { readonly revision: bigint } }): number {
  return Number(message.header?.revision ?? 0n);
}

function plain(kind: "compact" | "leaseRevoke") {
  return (message: { readonly header?: { readonly revision: bigint } }): Response => ({
    kind,
    revision: revisionOf(message),
  });
}

function rangeInit(request: RangeRequest): MessageInitShape<typeof RangeRequestSchema> {
  return {
    key: toBytes(request.key),
    rangeEnd: toBytes(request.rangeEnd),
    revision: BigInt(request.revision),
    limit: BigInt(request.limit),
    serializable: request.isSerializable,
    countOnly: request.isCountOnly,
  };
}

function putInit(request: PutRequest): MessageInitShape<typeof PutRequestSchema> {
  return {
    key: toBytes(request.key),
    value: toBytes(request.value),
    lease: request.lease,
    prevKv: request.wantsPrevious,
  };
}

function deleteInit(request: DeleteRangeRequest): MessageInitShape<typeof DeleteRangeRequestSchema> {
  return { key: toBytes(request.key), rangeEnd: toBytes(request.rangeEnd), prevKv: request.wantsPrevious };
}

function operationInit(operation: TxnOperation): MessageInitShape<typeof RequestOpSchema> {
  switch (operation.kind) {
    case "range":
      return { request: { case: "requestRange", value: rangeInit(operation) } };
    case "put":
      return { request: { case: "requestPut", value: putInit(operation) } };
    case "deleteRange":
      return { request: { case: "requestDeleteRange", value: deleteInit(operation) } };
  }
}

const RELATIONS = {
  "=": Compare_CompareResult.EQUAL,
  "!=": Compare_CompareResult.NOT_EQUAL,
  "<": Compare_CompareResult.LESS,
  ">": Compare_CompareResult.GREATER,
} as const;

function compareInit({ key, target, relation, operand }: Compare): MessageInitShape<typeof CompareSchema> {
  const base = { key: toBytes(key), result: RELATIONS[relation] };
  switch (target) {
    case "value":
      return {
        ...base,
        target: Compare_CompareTarget.VALUE,
        targetUnion: { case: "value", value: toBytes(String(operand)) },
      };
    case "version":
      return {
        ...base,
        target: Compare_CompareTarget.VERSION,
        targetUnion: { case: "version", value: BigInt(operand) },
      };
    case "createRevision":
      return {
        ...base,
        target: Compare_CompareTarget.CREATE,
        targetUnion: { case: "createRevision", value: BigInt(operand) },
      };
    case "modRevision":
      return {
        ...base,
        target: Compare_CompareTarget.MOD,
        targetUnion: { case: "modRevision", value: BigInt(operand) },
      };
    case "lease":
      return { ...base, target: Compare_CompareTarget.LEASE, targetUnion: { case: "lease", value: BigInt(operand) } };
  }
}

function rangeResponse(message: RangeResponseMessage): TxnOperationResponse {
  return {
    kind: "range",
    revision: 0,
    kvs: message.kvs.map(toKeyValue),
    count: Number(message.count),
    more: message.more,
  };
}

function putResponse(message: PutResponseMessage): TxnOperationResponse {
  return { kind: "put", revision: 0, previous: message.prevKv && toKeyValue(message.prevKv) };
}

function deleteResponse(message: DeleteRangeResponseMessage): TxnOperationResponse {
  return {
    kind: "deleteRange",
    revision: 0,
    deleted: Number(message.deleted),
    previous: message.prevKvs.map(toKeyValue),
  };
}

function operationResponse({ response }: ResponseOp): TxnOperationResponse {
  switch (response.case) {
    case "responseRange":
      return rangeResponse(response.value);
    case "responsePut":
      return putResponse(response.value);
    case "responseDeleteRange":
      return deleteResponse(response.value);
    default:
      throw new Error(`a transaction answered an operation with ${response.case ?? "nothing"}`);
  }
}
