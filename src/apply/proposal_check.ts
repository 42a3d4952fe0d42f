/**
 * What another member asks to have put into the log, looked at before it gets there. Every member stops at an entry that it
 * cannot carry out, and stops there again after each start: one such request would end the whole cluster. (In etcd it does.)
 */
import { type DescMessage, fromBinary } from "@bufbuild/protobuf";
import { PlainPasswordError } from "../auth/mod.ts";
import { utf8Text } from "../base/bytes.ts";
import {
  AuthRoleAddRequestSchema,
  AuthRoleDeleteRequestSchema,
  AuthRoleGetRequestSchema,
  AuthRoleGrantPermissionRequestSchema,
  AuthRoleRevokePermissionRequestSchema,
  AuthUserAddRequestSchema,
  AuthUserChangePasswordRequestSchema,
  AuthUserDeleteRequestSchema,
  AuthUserGetRequestSchema,
  AuthUserGrantRoleRequestSchema,
  AuthUserRevokeRoleRequestSchema,
} from "../gen/etcdserverpb/auth_pb.ts";
import {
  LeaseCheckpointRequestSchema,
  LeaseGrantRequestSchema,
  LeaseRevokeRequestSchema,
} from "../gen/etcdserverpb/lease_pb.ts";
import { AlarmRequestSchema } from "../gen/etcdserverpb/maintenance_pb.ts";
import { InternalAuthenticateRequestSchema } from "../gen/etcdserverpb/raft_internal_pb.ts";
import { ConfChangeSchema } from "../gen/raftpb/raft_pb.ts";
import { Membership, readChange } from "../membership/mod.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRaftRequest,
  decodeTxnRequest,
  RaftOperation,
} from "../wire/mod.ts";
import { UnknownOperationError } from "./applier.ts";
import { applyCluster } from "./cluster.ts";

/** Throws what is wrong with `data`, the content of a normal entry. `membership` is not changed. */
export function checkProposal(membership: Membership, data: Uint8Array): void {
  if (data.length === 0) return;
  const { operation, body } = decodeRaftRequest(data);
  switch (operation) {
    case RaftOperation.PUT:
      decodePutRequest(body);
      return;
    case RaftOperation.TXN:
      decodeTxnRequest(body);
      return;
    case RaftOperation.DELETE_RANGE:
      decodeDeleteRangeRequest(body);
      return;
    case RaftOperation.COMPACTION:
      decodeCompactionRequest(body);
      return;
    default:
      checkRare(membership, operation, body);
  }
}

/** Throws what is wrong with `data`, the content of an entry that changes the membership. */
export function checkConfChange(data: Uint8Array): void {
  const { type, nodeId, context } = fromBinary(ConfChangeSchema, data);
  readChange(type, nodeId, utf8Text(context));
  if (nodeId === 0n) throw new Error("a membership change that is about no member");
}

function checkRare(membership: Membership, operation: number, body: Uint8Array): void {
  if (WITHOUT_CONTENT.has(operation)) return;
  if (operation === RaftOperation.AUTH_USER_ADD) return checkPassword(fromBinary(AuthUserAddRequestSchema, body));
  if (operation === RaftOperation.AUTH_USER_CHANGE_PASSWORD) {
    return checkPassword(fromBinary(AuthUserChangePasswordRequestSchema, body));
  }
  const schema = SCHEMAS.get(operation);
  if (schema !== undefined) {
    fromBinary(schema, body);
    return;
  }
  // A trial on the members as they are; what comes of it has to be readable at the next start, too.
  const trial = new Membership();
  trial.restore(membership.records());
  if (!applyCluster(trial, operation, body)) throw new UnknownOperationError(operation);
  trial.restore(trial.records());
}

function checkPassword(
  user: { readonly name: string; readonly password: string; readonly hashedPassword: string },
): void {
  if (user.password !== "" && user.hashedPassword === "") throw new PlainPasswordError(user.name);
}

/** Of these only the number counts. */
const WITHOUT_CONTENT: ReadonlySet<number> = new Set([
  RaftOperation.RANGE,
  RaftOperation.AUTH_ENABLE,
  RaftOperation.AUTH_DISABLE,
  RaftOperation.AUTH_STATUS,
  RaftOperation.AUTH_USER_LIST,
  RaftOperation.AUTH_ROLE_LIST,
]);

const SCHEMAS: ReadonlyMap<number, DescMessage> = new Map<number, DescMessage>([
  [RaftOperation.LEASE_GRANT, LeaseGrantRequestSchema],
  [RaftOperation.LEASE_REVOKE, LeaseRevokeRequestSchema],
  [RaftOperation.LEASE_CHECKPOINT, LeaseCheckpointRequestSchema],
  [RaftOperation.ALARM, AlarmRequestSchema],
  [RaftOperation.AUTHENTICATE, InternalAuthenticateRequestSchema],
  [RaftOperation.AUTH_USER_DELETE, AuthUserDeleteRequestSchema],
  [RaftOperation.AUTH_USER_GET, AuthUserGetRequestSchema],
  [RaftOperation.AUTH_USER_GRANT_ROLE, AuthUserGrantRoleRequestSchema],
  [RaftOperation.AUTH_USER_REVOKE_ROLE, AuthUserRevokeRoleRequestSchema],
  [RaftOperation.AUTH_ROLE_ADD, AuthRoleAddRequestSchema],
  [RaftOperation.AUTH_ROLE_DELETE, AuthRoleDeleteRequestSchema],
  [RaftOperation.AUTH_ROLE_GET, AuthRoleGetRequestSchema],
  [RaftOperation.AUTH_ROLE_GRANT_PERMISSION, AuthRoleGrantPermissionRequestSchema],
  [RaftOperation.AUTH_ROLE_REVOKE_PERMISSION, AuthRoleRevokePermissionRequestSchema],
]);
