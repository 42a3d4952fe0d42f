/**
 * Every error a client can see, with etcd's codes and texts. Clients compare the whole text, so it is never decorated.
 * Source: etcd 3.7.1, rpctypes.
 */
import type { ApplyError } from "../apply/mod.ts";
import { Code, RpcError } from "../io/rpc.ts";
import type { DowngradeError, MemberError, ReconfigurationError, TransferError } from "../member/mod.ts";

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
  /** Ours: another member has had it enabled. */
  AUTH_NOT_ENFORCED: new RpcError(
    Code.UNAVAILABLE,
    "keelson: authentication is enabled in this cluster, and this version does not enforce it yet, so that this member " +
      "serves nobody; ask a member that is etcd, or disable authentication there",
  ),
  AUTH_NOT_ENABLED: etcdError(Code.FAILED_PRECONDITION, "authentication is not enabled"),
  NO_LEADER: etcdError(Code.UNAVAILABLE, "no leader"),
  LEADER_CHANGED: etcdError(Code.UNAVAILABLE, "leader changed"),
  NOT_LEADER: etcdError(Code.FAILED_PRECONDITION, "not leader"),
  BAD_LEADER_TRANSFEREE: etcdError(Code.FAILED_PRECONDITION, "bad leader transferee"),
  MEMBER_BAD_URLS: etcdError(Code.INVALID_ARGUMENT, "given member URLs are invalid"),
  LEARNER_UNSUPPORTED: etcdError(Code.FAILED_PRECONDITION, "rpc not supported for learner"),
  WRONG_DOWNGRADE_VERSION_FORMAT: etcdError(Code.INVALID_ARGUMENT, "wrong downgrade target version format"),
  INVALID_DOWNGRADE_TARGET_VERSION: etcdError(Code.INVALID_ARGUMENT, "invalid downgrade target version"),
  CLUSTER_VERSION_UNAVAILABLE: etcdError(Code.FAILED_PRECONDITION, "cluster version not found during downgrade"),
  DOWNGRADE_IN_PROCESS: etcdError(Code.FAILED_PRECONDITION, "cluster has a downgrade job in progress"),
  STOPPED: etcdError(Code.UNAVAILABLE, "server stopped"),
  TIMEOUT: etcdError(Code.UNAVAILABLE, "request timed out"),
  TIMEOUT_LEADER_FAILURE: etcdError(Code.UNAVAILABLE, "request timed out, possibly due to previous leader failure"),
  TIMEOUT_CONNECTION_LOST: etcdError(Code.UNAVAILABLE, "request timed out, possibly due to connection lost"),
  CORRUPT: etcdError(Code.DATA_LOSS, "corrupt cluster"),
  WATCH_CANCELED: etcdError(Code.CANCELED, "watch canceled"),
  // A quirk of etcd: these reach the client without a code of their own.
  TOO_MANY_REQUESTS: etcdError(Code.UNKNOWN, "too many requests"),
  LEADER_TRANSFER_TIMEOUT: etcdError(Code.UNKNOWN, "request timed out, leader transfer took too long"),
  UNKNOWN_METHOD: etcdError(Code.UNKNOWN, "unknown method"),
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
  root_user_not_exist: etcdError(Code.FAILED_PRECONDITION, "root user does not exist"),
  root_role_not_exist: etcdError(Code.FAILED_PRECONDITION, "root user does not have root role"),
  user_exists: etcdError(Code.FAILED_PRECONDITION, "user name already exists"),
  user_empty: etcdError(Code.INVALID_ARGUMENT, "user name is empty"),
  user_not_found: etcdError(Code.FAILED_PRECONDITION, "user name not found"),
  role_exists: etcdError(Code.FAILED_PRECONDITION, "role name already exists"),
  role_empty: etcdError(Code.INVALID_ARGUMENT, "role name is empty"),
  role_not_found: etcdError(Code.FAILED_PRECONDITION, "role name not found"),
  role_not_granted: etcdError(Code.FAILED_PRECONDITION, "role is not granted to the user"),
  permission_not_given: etcdError(Code.INVALID_ARGUMENT, "permission not given"),
  permission_not_granted: etcdError(Code.FAILED_PRECONDITION, "permission is not granted to the role"),
  permission_denied: etcdError(Code.PERMISSION_DENIED, "permission denied"),
  auth_failed: etcdError(Code.INVALID_ARGUMENT, "authentication failed, invalid user ID or password"),
  // Another one that reaches the client without a code of its own.
  no_password_user: new RpcError(
    Code.UNKNOWN,
    "auth: authentication failed, password was given for no password user",
  ),
  auth_not_enabled: ApiError.AUTH_NOT_ENABLED,
  auth_old_revision: etcdError(Code.INVALID_ARGUMENT, "revision of auth store is old"),
  invalid_auth_management: etcdError(Code.INVALID_ARGUMENT, "invalid auth management"),
};

const FROM_MEMBER: Record<MemberError, RpcError> = {
  no_leader: ApiError.NO_LEADER,
  leader_changed: ApiError.LEADER_CHANGED,
  timeout: ApiError.TIMEOUT,
  timeout_leader_failure: ApiError.TIMEOUT_LEADER_FAILURE,
  timeout_connection_lost: ApiError.TIMEOUT_CONNECTION_LOST,
  stopped: ApiError.STOPPED,
  too_many_requests: ApiError.TOO_MANY_REQUESTS,
  request_too_large: ApiError.REQUEST_TOO_LARGE,
};

const MEMBER_NOT_FOUND = etcdError(Code.NOT_FOUND, "member not found");

const FROM_RECONFIGURATION: Record<ReconfigurationError | MemberError, RpcError> = {
  ...FROM_MEMBER,
  member_not_found: MEMBER_NOT_FOUND,
  member_removed: MEMBER_NOT_FOUND,
  member_exists: etcdError(Code.FAILED_PRECONDITION, "member ID already exist"),
  peer_url_exists: etcdError(Code.FAILED_PRECONDITION, "Peer URLs already exists"),
  member_not_learner: etcdError(Code.FAILED_PRECONDITION, "can only promote a learner member"),
  learner_not_ready: etcdError(
    Code.FAILED_PRECONDITION,
    "can only promote a learner member which is in sync with leader",
  ),
  too_many_learners: etcdError(Code.FAILED_PRECONDITION, "too many learner members in cluster"),
  not_leader: ApiError.NOT_LEADER,
  // One more that reaches the client without a code of its own.
  not_enough_started_members: etcdError(
    Code.UNKNOWN,
    "re-configuration failed due to not enough started members",
  ),
  unhealthy_cluster: etcdError(Code.UNAVAILABLE, "unhealthy cluster"),
  timeout_applied_index: etcdError(
    Code.UNAVAILABLE,
    "request timed out, waiting for the applied index took too long",
  ),
};

const FROM_TRANSFER: Record<TransferError, RpcError> = {
  not_leader: ApiError.NOT_LEADER,
  bad_leader_transferee: ApiError.BAD_LEADER_TRANSFEREE,
  leader_transfer_timeout: ApiError.LEADER_TRANSFER_TIMEOUT,
};

const FROM_DOWNGRADE: Record<DowngradeError | MemberError, RpcError> = {
  ...FROM_MEMBER,
  cluster_version_unavailable: ApiError.CLUSTER_VERSION_UNAVAILABLE,
  wrong_downgrade_version_format: ApiError.WRONG_DOWNGRADE_VERSION_FORMAT,
  invalid_downgrade_target_version: ApiError.INVALID_DOWNGRADE_TARGET_VERSION,
  downgrade_in_process: ApiError.DOWNGRADE_IN_PROCESS,
};

export function fromTransfer(error: TransferError): RpcError {
  return FROM_TRANSFER[error];
}

export function fromReconfiguration(error: ReconfigurationError | MemberError): RpcError {
  return FROM_RECONFIGURATION[error];
}

export function fromDowngrade(error: DowngradeError | MemberError): RpcError {
  return FROM_DOWNGRADE[error];
}

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
