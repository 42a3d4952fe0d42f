/** The operations on users and roles. */
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type AuthError, type AuthStore, type Permission, type Requester } from "../auth/mod.ts";
import {
  AuthRoleAddRequestSchema,
  AuthRoleDeleteRequestSchema,
  AuthRoleGetRequestSchema,
  AuthRoleGetResponseSchema,
  AuthRoleGrantPermissionRequestSchema,
  AuthRoleListResponseSchema,
  AuthRoleRevokePermissionRequestSchema,
  AuthStatusResponseSchema,
  AuthUserAddRequestSchema,
  AuthUserChangePasswordRequestSchema,
  AuthUserDeleteRequestSchema,
  AuthUserGetRequestSchema,
  AuthUserGetResponseSchema,
  AuthUserGrantRoleRequestSchema,
  AuthUserListResponseSchema,
  AuthUserRevokeRoleRequestSchema,
} from "../gen/etcdserverpb/auth_pb.ts";
import { InternalAuthenticateRequestSchema } from "../gen/etcdserverpb/raft_internal_pb.ts";
import type { Permission as PermissionMessage } from "../gen/authpb/auth_pb.ts";
import { RaftOperation } from "../wire/mod.ts";

/** An error, or the response after its header: nothing, for most. */
type Answer = AuthError | Uint8Array;

type Operation = (auth: AuthStore, body: Uint8Array, requester: Requester) => Answer | undefined;

/** Executes one operation on users and roles; undefined: `operation` is not one of them. */
export function applyAuth(
  auth: AuthStore,
  operation: number,
  body: Uint8Array,
  requester: Requester,
): { readonly error: AuthError | undefined; readonly response: Uint8Array | undefined } | undefined {
  const administer = ADMINISTRATION.get(operation);
  const perform = administer ?? OTHERS.get(operation);
  if (perform === undefined) return undefined;
  const answer = (administer && auth.checkAdmin(requester)) ?? perform(auth, body, requester);
  return typeof answer === "string" ? { error: answer, response: undefined } : { error: undefined, response: answer };
}

/** What only somebody with the root role may do, once access control is enabled. */
const ADMINISTRATION: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [RaftOperation.AUTH_ENABLE, (auth) => auth.enable()],
  [RaftOperation.AUTH_DISABLE, (auth) => {
    auth.disable();
    return undefined;
  }],
  [RaftOperation.AUTH_USER_ADD, (auth, body) => {
    const { name, password, hashedPassword, options } = fromBinary(AuthUserAddRequestSchema, body);
    return auth.addUser(name, { plain: password, hashed: hashedPassword }, options);
  }],
  [RaftOperation.AUTH_USER_DELETE, (auth, body) => {
    return auth.deleteUser(fromBinary(AuthUserDeleteRequestSchema, body).name);
  }],
  [RaftOperation.AUTH_USER_CHANGE_PASSWORD, (auth, body) => {
    const { name, password, hashedPassword } = fromBinary(AuthUserChangePasswordRequestSchema, body);
    return auth.changePassword(name, { plain: password, hashed: hashedPassword });
  }],
  [RaftOperation.AUTH_USER_GRANT_ROLE, (auth, body) => {
    const { user, role } = fromBinary(AuthUserGrantRoleRequestSchema, body);
    return auth.grantRole(user, role);
  }],
  [RaftOperation.AUTH_USER_REVOKE_ROLE, (auth, body) => {
    const { name, role } = fromBinary(AuthUserRevokeRoleRequestSchema, body);
    return auth.revokeRole(name, role);
  }],
  [RaftOperation.AUTH_USER_LIST, (auth) => encode(AuthUserListResponseSchema, { users: auth.userNames() })],
  [RaftOperation.AUTH_ROLE_LIST, (auth) => encode(AuthRoleListResponseSchema, { roles: auth.roleNames() })],
  [RaftOperation.AUTH_ROLE_ADD, (auth, body) => auth.addRole(fromBinary(AuthRoleAddRequestSchema, body).name)],
  [RaftOperation.AUTH_ROLE_DELETE, (auth, body) => {
    return auth.deleteRole(fromBinary(AuthRoleDeleteRequestSchema, body).role);
  }],
  [RaftOperation.AUTH_ROLE_GRANT_PERMISSION, (auth, body) => {
    const { name, perm } = fromBinary(AuthRoleGrantPermissionRequestSchema, body);
    return auth.grantPermission(name, perm && fromMessage(perm));
  }],
  [RaftOperation.AUTH_ROLE_REVOKE_PERMISSION, (auth, body) => {
    const { role, key, rangeEnd } = fromBinary(AuthRoleRevokePermissionRequestSchema, body);
    return auth.revokePermission(role, key, rangeEnd);
  }],
]);

/** What everybody may ask, or everybody about himself. */
const OTHERS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [RaftOperation.AUTHENTICATE, (auth, body) => {
    return auth.authenticate(fromBinary(InternalAuthenticateRequestSchema, body).name);
  }],
  [RaftOperation.AUTH_STATUS, (auth) => {
    const authRevision = BigInt(auth.revision);
    return encode(AuthStatusResponseSchema, { enabled: auth.isEnabled, authRevision });
  }],
  [RaftOperation.AUTH_USER_GET, (auth, body, requester) => {
    const { name } = fromBinary(AuthUserGetRequestSchema, body);
    const error = name === requester.username ? undefined : auth.checkAdmin(requester);
    if (error !== undefined) return error;
    const user = auth.user(name);
    return user === undefined ? "user_not_found" : encode(AuthUserGetResponseSchema, { roles: [...user.roles] });
  }],
  [RaftOperation.AUTH_ROLE_GET, (auth, body, requester) => {
    const { role } = fromBinary(AuthRoleGetRequestSchema, body);
    const error = auth.hasRole(requester.username, role) ? undefined : auth.checkAdmin(requester);
    if (error !== undefined) return error;
    const permissions = auth.permissions(role);
    if (permissions === undefined) return "role_not_found";
    return encode(AuthRoleGetResponseSchema, { perm: permissions.map(toMessage) });
  }],
]);

function fromMessage({ permType, key, rangeEnd }: PermissionMessage): Permission {
  return { type: permType, key: key.slice(), rangeEnd: rangeEnd.slice() };
}

function toMessage({ type, key, rangeEnd }: Permission) {
  return { permType: type, key, rangeEnd };
}

function encode<Message extends DescMessage>(schema: Message, init: MessageInitShape<Message>): Uint8Array {
  return toBinary(schema, create(schema, init));
}
