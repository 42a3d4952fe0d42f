/**
 * What access control forbids, asked again when an entry is applied: permissions may have changed since it was proposed.
 * Only asked while access control is enabled. A requester who may not do one part of a request may do nothing of it; why
 * is the same for every part (no name, an old revision, or no permission), so that their order does not matter.
 */
import type { AuthError, Requester } from "../auth/mod.ts";
import { fromBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import { LeaseRevokeRequestSchema } from "../gen/etcdserverpb/lease_pb.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import {
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeTxnRequest,
  type DeleteRangeRequest,
  type PutRequest,
  RaftOperation,
  type RequestOp,
  type TxnRequest,
} from "../wire/mod.ts";
import type { Steps } from "./outcome.ts";

/** Undefined: allowed. */
type Access = AuthError | undefined;

/** Whether the requester may do this to keys; operations on users and roles look after themselves. */
export function* checkAccess(
  keyspace: Keyspace,
  operation: number,
  body: Uint8Array,
  requester: Requester,
): Steps<Access> {
  switch (operation) {
    case RaftOperation.PUT:
      return yield* putAccess(keyspace, requester, decodePutRequest(body));
    case RaftOperation.DELETE_RANGE:
      return deleteAccess(keyspace, requester, decodeDeleteRangeRequest(body));
    case RaftOperation.TXN:
      return yield* txnAccess(keyspace, requester, decodeTxnRequest(body));
    case RaftOperation.LEASE_REVOKE:
      return yield* leaseAccess(keyspace, requester, fromBinary(LeaseRevokeRequestSchema, body).ID);
    default:
      return undefined;
  }
}

function* putAccess(keyspace: Keyspace, requester: Requester, request: PutRequest): Steps<Access> {
  const { auth } = keyspace;
  return auth.checkWrite(requester, request.key, EMPTY_BYTES) ??
    (request.prevKv ? auth.checkRead(requester, request.key, EMPTY_BYTES) : undefined) ??
    (yield* leaseAccess(keyspace, requester, request.lease));
}

function deleteAccess({ auth }: Keyspace, requester: Requester, request: DeleteRangeRequest): Access {
  return auth.checkWrite(requester, request.key, request.rangeEnd) ??
    (request.prevKv ? auth.checkRead(requester, request.key, request.rangeEnd) : undefined);
}

/** Both branches count, chosen or not. */
function* txnAccess(keyspace: Keyspace, requester: Requester, request: TxnRequest): Steps<Access> {
  for (const { key, rangeEnd } of request.compare) {
    const error = keyspace.auth.checkRead(requester, key, rangeEnd);
    if (error !== undefined) return error;
  }
  for (const branch of [request.success, request.failure]) {
    for (const operation of branch) {
      const error = yield* operationAccess(keyspace, requester, operation);
      if (error !== undefined) return error;
    }
  }
  return undefined;
}

function* operationAccess(keyspace: Keyspace, requester: Requester, operation: RequestOp): Steps<Access> {
  switch (operation.kind) {
    case "range":
      return keyspace.auth.checkRead(requester, operation.range.key, operation.range.rangeEnd);
    case "put":
      return yield* putAccess(keyspace, requester, operation.put);
    case "delete":
      return deleteAccess(keyspace, requester, operation.delete);
    case "txn":
      return yield* txnAccess(keyspace, requester, operation.txn);
    case "none":
      return undefined;
  }
}

/** To revoke a lease, or to attach one more key to it, is to decide on the keys that are attached. */
function* leaseAccess(keyspace: Keyspace, requester: Requester, id: bigint): Steps<Access> {
  const { auth, lessor } = keyspace;
  if (auth.checkAdmin(requester) === undefined) return undefined;
  const next = lessor.keyPortions(id);
  for (let keys = next(JOB_STEP_BUDGET); keys.length > 0; keys = next(JOB_STEP_BUDGET)) {
    for (const key of keys) {
      const error = auth.checkWrite(requester, key, EMPTY_BYTES);
      if (error !== undefined) return error;
    }
    yield;
  }
  return undefined;
}
