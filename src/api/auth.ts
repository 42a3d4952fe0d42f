import {
  AuthDisableRequestSchema,
  AuthenticateRequestSchema,
  AuthStatusRequestSchema,
} from "../gen/etcdserverpb/auth_pb.ts";
import { WireWriter } from "../base/varint.ts";
import type { Method } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import { ApiError, notBuilt } from "./errors.ts";
import { replyWithHeader } from "./header.ts";
import { fail, ignoringRequest } from "./request.ts";

const SERVICE = "/etcdserverpb.Auth/";

/** Access control is not built yet: what can be said truthfully is answered as by an etcd on which it is disabled. */
export function authService(member: Member): Method[] {
  const later = [
    "AuthEnable",
    "UserAdd",
    "UserGet",
    "UserList",
    "UserDelete",
    "UserChangePassword",
    "UserGrantRole",
    "UserRevokeRole",
    "RoleAdd",
    "RoleGet",
    "RoleList",
    "RoleDelete",
    "RoleGrantPermission",
    "RoleRevokePermission",
  ].map((name): Method => ({
    kind: "unary",
    path: `${SERVICE}${name}`,
    handle: (call) => fail(call, notBuilt("access control (users, roles, authentication)")),
  }));
  return [
    {
      kind: "unary",
      path: `${SERVICE}AuthStatus`,
      handle: ignoringRequest(AuthStatusRequestSchema, (call) => {
        const writer = new WireWriter(8);
        writer.integerField(3, member.keyspace.auth.revision);
        replyWithHeader(call, member, 0, [writer.finish()]);
      }),
    },
    // etcd accepts disabling what is not enabled.
    {
      kind: "unary",
      path: `${SERVICE}AuthDisable`,
      handle: ignoringRequest(AuthDisableRequestSchema, (call) => replyWithHeader(call, member, 0, [])),
    },
    {
      kind: "unary",
      path: `${SERVICE}Authenticate`,
      handle: ignoringRequest(AuthenticateRequestSchema, (call) => fail(call, ApiError.AUTH_NOT_ENABLED)),
    },
    ...later,
  ];
}
