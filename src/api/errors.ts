/**
 * Every error a client can see, with etcd's codes and texts. Clients compare the whole text, so it is never decorated.
 * Source: etcd 3.7.1, rpctypes.
 */
import type { ApplyError } from "../apply/mod.ts";
import { Code, RpcError } from "../io/rpc.ts";
import type { MemberError } from "../member/mod.ts";

function etcdError(code: Code, text: string): RpcError {
  return new RpcError(code, `etcdserver: ${text}`);
}

export const ApiError = {
  EMPTY_KEY: etcdError(Code.INVALID_ARGUMENT, "key is not provided"),
  KEY_NOT_FOUND: etcdError(Code.INVALID_ARGUMENT, "key not found"),
  VALUE_PROVIDED: etcdError(Code.INVALID_ARGUMENT, "value is provided"),
  LEASE_PROVIDED: etcdError(Code.INVALID_ARGUMENT, "lease is provided"),
  TOO_MANY_OPERATIONS: etcdError(Code.INVALID_ARGUMENT, "too many operations in txn request"),
  DUPLICATE_KEY: etcdError(Code.INVALID_ARGUMENT, "duplicate key given in txn request"),
  INVALID_CLIENT_API_VERSION: etcdError(Code.INVALID_ARGUMENT, "invalid client api version"),
  INVALID_SORT_OPTION: etcdError(Code.INVALID_ARGUMENT, "invalid sort option"),
  REQUEST_TOO_LARGE: etcdError(Code.INVALID_ARGUMENT, "request is too large"),
  COMPACTED: etcdError(Code.OUT_OF_RANGE, "mvcc: required revision has been compacted"),
  FUTURE_REVISION: etcdError(Code.OUT_OF_RANGE, "mvcc: required revision is a future revision"),
  LEASE_TTL_TOO_LARGE: etcdError(Code.OUT_OF_RANGE, "too large lease TTL"),
  NO_SPACE: etcdError(Code.RESOURCE_EXHAUSTED, "mvcc: database space exceeded"),
  LEASE_NOT_FOUND: etcdError(Code.NOT_FOUND, "requested lease not found"),
  LEASE_EXISTS: etcdError(Code.FAILED_PRECONDITION, "lease already exists"),
  AUTH_NOT_ENABLED: etcdError(Code.FAILED_PRECONDITION, "authentication is not enabled"),
  NO_LEADER: etcdError(Code.UNAVAILABLE, "no leader"),
  LEADER_CHANGED: etcdError(Code.UNAVAILABLE, "leader changed"),
  STOPPED: etcdError(Code.UNAVAILABLE, "server stopped"),
  TIMEOUT: etcdError(Code.UNAVAILABLE, "request timed out"),
  CORRUPT: etcdError(Code.DATA_LOSS, "corrupt cluster"),
  WATCH_CANCELED: etcdError(Code.CANCELED, "watch canceled"),
  // A quirk of etcd: these two reach the client without a code of their own.
  TOO_MANY_REQUESTS: etcdError(Code.UNKNOWN, "too many requests"),
  RANGE_STREAM_SORT: new RpcError(Code.UNIMPLEMENTED, "RangeStream does not support custom sort orders"),
  RANGE_STREAM_FILTER: new RpcError(Code.UNIMPLEMENTED, "RangeStream does not support revision filters"),
  /** Ours: the process already holds as much response data as it may (`RESPONSE_ROWS_SIZE_MAX`). */
  RESPONSES_TOO_LARGE: new RpcError(
    Code.RESOURCE_EXHAUSTED,
    "keelson: too much response data is waiting for slow clients; retry, or ask for fewer keys with a limit",
  ),
} as const;
export type ApiError = RpcError;

const FROM_APPLY: Record<ApplyError, RpcError> = {
  key_not_found: ApiError.KEY_NOT_FOUND,
  lease_not_found: ApiError.LEASE_NOT_FOUND,
  lease_exists: ApiError.LEASE_EXISTS,
  lease_ttl_too_large: ApiError.LEASE_TTL_TOO_LARGE,
  compacted: ApiError.COMPACTED,
  future_revision: ApiError.FUTURE_REVISION,
  no_space: ApiError.NO_SPACE,
  corrupt: ApiError.CORRUPT,
};

const FROM_MEMBER: Record<MemberError, RpcError> = {
  no_leader: ApiError.NO_LEADER,
  leader_changed: ApiError.LEADER_CHANGED,
  timeout: ApiError.TIMEOUT,
  stopped: ApiError.STOPPED,
  too_many_requests: ApiError.TOO_MANY_REQUESTS,
  request_too_large: ApiError.REQUEST_TOO_LARGE,
};

export function fromApply(error: ApplyError): RpcError {
  return FROM_APPLY[error];
}

export function fromMember(error: MemberError): RpcError {
  return FROM_MEMBER[error];
}

/** A feature of etcd that this version does not have yet: said plainly, never pretended. */
export function notBuilt(what: string): RpcError {
  return new RpcError(Code.UNIMPLEMENTED, `keelson: ${what} is not built yet`);
}
