import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { EMPTY_BYTES, utf8 } from "../../src/base/bytes.ts";
import { Permission_Type as Type } from "../../src/gen/authpb/auth_pb.ts";
import {
  AuthDisableRequestSchema,
  AuthEnableRequestSchema,
  AuthRoleAddRequestSchema,
  AuthRoleDeleteRequestSchema,
  AuthRoleGetRequestSchema,
  AuthRoleGetResponseSchema,
  AuthRoleGrantPermissionRequestSchema,
  AuthRoleListRequestSchema,
  AuthRoleListResponseSchema,
  AuthRoleRevokePermissionRequestSchema,
  AuthStatusRequestSchema,
  AuthStatusResponseSchema,
  AuthUserAddRequestSchema,
  AuthUserChangePasswordRequestSchema,
  AuthUserDeleteRequestSchema,
  AuthUserGetRequestSchema,
  AuthUserGetResponseSchema,
  AuthUserGrantRoleRequestSchema,
  AuthUserListRequestSchema,
  AuthUserListResponseSchema,
  AuthUserRevokeRoleRequestSchema,
} from "../../src/gen/etcdserverpb/auth_pb.ts";
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { InternalAuthenticateRequestSchema } from "../../src/gen/etcdserverpb/raft_internal_pb.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { World } from "./world.ts";

const ALL = utf8("\0");

/** The result of an operation on users and roles: its error, or the bytes of its response. */
function run<Request extends DescMessage>(
  world: World,
  operation: number,
  schema: Request,
  request: MessageInitShape<Request>,
): string | Uint8Array {
  const { error, body } = world.run(operation, toBinary(schema, create(schema, request)));
  return error ?? body;
}

function ok<Request extends DescMessage>(
  world: World,
  operation: number,
  schema: Request,
  request: MessageInitShape<Request>,
): void {
  expect(run(world, operation, schema, request)).toEqual(EMPTY_BYTES);
}

/** A store with users root, ann (role r: read a to c, write b) and bob (no role). */
function withUsers(): World {
  const world = new World();
  for (const name of ["root", "ann", "bob"]) {
    ok(world, RaftOperation.AUTH_USER_ADD, AuthUserAddRequestSchema, { name, hashedPassword: btoa("h") });
  }
  ok(world, RaftOperation.AUTH_USER_GRANT_ROLE, AuthUserGrantRoleRequestSchema, { user: "root", role: "root" });
  ok(world, RaftOperation.AUTH_ROLE_ADD, AuthRoleAddRequestSchema, { name: "r" });
  ok(world, RaftOperation.AUTH_USER_GRANT_ROLE, AuthUserGrantRoleRequestSchema, { user: "ann", role: "r" });
  for (
    const perm of [
      { permType: Type.READ, key: utf8("a"), rangeEnd: utf8("c") },
      { permType: Type.WRITE, key: utf8("b") },
    ]
  ) ok(world, RaftOperation.AUTH_ROLE_GRANT_PERMISSION, AuthRoleGrantPermissionRequestSchema, { name: "r", perm });
  return world;
}

/** The same with access control. */
function enabled(): World {
  const world = withUsers();
  for (const key of ["a", "b", "z"]) world.put(key, key);
  ok(world, RaftOperation.AUTH_ENABLE, AuthEnableRequestSchema, {});
  return world;
}

function as(world: World, username: string): World {
  world.requester = { username, authRevision: username === "" ? 0 : world.keyspace.auth.revision };
  return world;
}

describe("users and roles", () => {
  test("are changed by the operations of the log", () => {
    const world = withUsers();
    const { auth } = world.keyspace;
    expect(auth.revision).toBe(9);
    ok(world, RaftOperation.AUTH_USER_CHANGE_PASSWORD, AuthUserChangePasswordRequestSchema, {
      name: "bob",
      hashedPassword: btoa("i"),
    });
    expect(auth.user("bob")?.password).toEqual(utf8("i"));
    ok(world, RaftOperation.AUTH_ROLE_REVOKE_PERMISSION, AuthRoleRevokePermissionRequestSchema, {
      role: "r",
      key: utf8("a"),
      rangeEnd: utf8("c"),
    });
    expect(auth.permissions("r")).toEqual([{ type: Type.WRITE, key: utf8("b"), rangeEnd: EMPTY_BYTES }]);
    ok(world, RaftOperation.AUTH_USER_REVOKE_ROLE, AuthUserRevokeRoleRequestSchema, { name: "ann", role: "r" });
    ok(world, RaftOperation.AUTH_ROLE_DELETE, AuthRoleDeleteRequestSchema, { role: "r" });
    ok(world, RaftOperation.AUTH_USER_DELETE, AuthUserDeleteRequestSchema, { name: "bob" });
    ok(world, RaftOperation.AUTH_ENABLE, AuthEnableRequestSchema, {});
    as(world, "root");
    ok(world, RaftOperation.AUTH_DISABLE, AuthDisableRequestSchema, {});
    expect([auth.isEnabled, auth.revision]).toEqual([false, 15]);
    expect([auth.userNames(), auth.roleNames()]).toEqual([["ann", "root"], []]);
  });

  test("do not keep the bytes of the log", () => {
    const world = withUsers();
    const perm = { permType: Type.READ, key: utf8("kept"), rangeEnd: utf8("too") };
    const body = toBinary(
      AuthRoleGrantPermissionRequestSchema,
      create(AuthRoleGrantPermissionRequestSchema, { name: "r", perm }),
    );
    world.run(RaftOperation.AUTH_ROLE_GRANT_PERMISSION, body);
    body.fill(0);
    expect(world.keyspace.auth.permissions("r")![2]).toEqual({
      type: Type.READ,
      key: utf8("kept"),
      rangeEnd: utf8("too"),
    });
  });

  test("are told to whoever waits", () => {
    const world = withUsers();
    const answer = <Request extends DescMessage, Response extends DescMessage>(
      operation: number,
      request: Request,
      init: MessageInitShape<Request>,
      response: Response,
    ) => fromBinary(response, run(world, operation, request, init) as Uint8Array);
    const { AUTH_STATUS, AUTH_USER_GET, AUTH_USER_LIST, AUTH_ROLE_GET, AUTH_ROLE_LIST } = RaftOperation;
    expect(answer(AUTH_STATUS, AuthStatusRequestSchema, {}, AuthStatusResponseSchema))
      .toMatchObject({ enabled: false, authRevision: 9n });
    expect(answer(AUTH_USER_LIST, AuthUserListRequestSchema, {}, AuthUserListResponseSchema))
      .toMatchObject({ users: ["ann", "bob", "root"] });
    expect(answer(AUTH_ROLE_LIST, AuthRoleListRequestSchema, {}, AuthRoleListResponseSchema))
      .toMatchObject({ roles: ["r"] });
    expect(answer(AUTH_USER_GET, AuthUserGetRequestSchema, { name: "ann" }, AuthUserGetResponseSchema))
      .toMatchObject({ roles: ["r"] });
    expect(answer(AUTH_ROLE_GET, AuthRoleGetRequestSchema, { role: "r" }, AuthRoleGetResponseSchema).perm)
      .toMatchObject([{ permType: Type.READ, rangeEnd: utf8("c") }, { permType: Type.WRITE, key: utf8("b") }]);
    expect(run(world, AUTH_USER_GET, AuthUserGetRequestSchema, { name: "x" })).toBe("user_not_found");
    expect(run(world, AUTH_ROLE_GET, AuthRoleGetRequestSchema, { role: "root" })).toBe("role_not_found");
    ok(world, RaftOperation.AUTH_ROLE_ADD, AuthRoleAddRequestSchema, { name: "root" });
    expect(answer(AUTH_ROLE_GET, AuthRoleGetRequestSchema, { role: "root" }, AuthRoleGetResponseSchema).perm)
      .toMatchObject([{ permType: Type.READWRITE, key: EMPTY_BYTES, rangeEnd: ALL }]);
  });

  const ADMINISTRATION = [
    ...["AUTH_ENABLE", "AUTH_DISABLE", "AUTH_USER_ADD", "AUTH_USER_DELETE", "AUTH_USER_CHANGE_PASSWORD"],
    ...["AUTH_USER_GRANT_ROLE", "AUTH_USER_REVOKE_ROLE", "AUTH_USER_LIST", "AUTH_ROLE_LIST", "AUTH_ROLE_ADD"],
    ...["AUTH_ROLE_DELETE", "AUTH_ROLE_GRANT_PERMISSION", "AUTH_ROLE_REVOKE_PERMISSION"],
  ] as const;
  test.each(ADMINISTRATION.map((name) => [name]))("%s is for those with the root role", (name) => {
    const world = enabled();
    const before = world.keyspace.auth.records();
    const error = () => world.run(RaftOperation[name], EMPTY_BYTES).error;
    as(world, "");
    expect(error()).toBe("user_empty");
    as(world, "bob");
    expect(error()).toBe("permission_denied");
    expect(world.keyspace.auth.records()).toEqual(before);
    as(world, "root");
    expect(error()).not.toBe("permission_denied");
  });

  test("everybody may ask about himself, his roles, and whether there is access control", () => {
    const world = as(enabled(), "ann");
    const { AUTH_STATUS, AUTH_USER_GET, AUTH_ROLE_GET, AUTHENTICATE } = RaftOperation;
    expect(run(world, AUTH_STATUS, AuthStatusRequestSchema, {})).toBeInstanceOf(Uint8Array);
    expect(run(world, AUTH_USER_GET, AuthUserGetRequestSchema, { name: "ann" })).toBeInstanceOf(Uint8Array);
    expect(run(world, AUTH_USER_GET, AuthUserGetRequestSchema, { name: "bob" })).toBe("permission_denied");
    expect(run(world, AUTH_ROLE_GET, AuthRoleGetRequestSchema, { role: "r" })).toBeInstanceOf(Uint8Array);
    expect(run(world, AUTH_ROLE_GET, AuthRoleGetRequestSchema, { role: "x" })).toBe("permission_denied");
    as(world, "");
    ok(world, AUTHENTICATE, InternalAuthenticateRequestSchema, { name: "bob" });
    expect(run(world, AUTHENTICATE, InternalAuthenticateRequestSchema, { name: "x" })).toBe("auth_failed");
  });
});

describe("access control", () => {
  const a = utf8("a"), b = utf8("b"), c = utf8("c"), z = utf8("z");
  const put = (key: Uint8Array, lease = 0n, prevKv = false) => ({
    request: { case: "requestPut" as const, value: { key, lease, prevKv } },
  });
  const get = (key: Uint8Array) => ({ request: { case: "requestRange" as const, value: { key } } });
  const del = (key: Uint8Array, prevKv = false) => ({
    request: { case: "requestDeleteRange" as const, value: { key, prevKv } },
  });

  const REQUESTS: [what: string, isAllowed: boolean, run: (world: World) => string | undefined][] = [
    ["put b", true, (world) => world.putWith({ key: b }).error],
    ["put a", false, (world) => world.putWith({ key: a }).error],
    ["put b and see what it was", true, (world) => world.putWith({ key: b, prevKv: true }).error],
    ["put b with a lease of b", true, (world) => world.putWith({ key: b, lease: 5n }).error],
    ["put b with a lease of z", false, (world) => world.putWith({ key: b, lease: 6n }).error],
    ["put b with a lease without keys", true, (world) => world.putWith({ key: b, lease: 7n }).error],
    ["delete b", true, (world) => world.deleteRange({ key: b, prevKv: true }).error],
    ["delete b to c", false, (world) => world.deleteRange({ key: b, rangeEnd: c }).error],
    ["revoke the lease of b", true, (world) => world.revoke(5n).error],
    ["revoke the lease of z", false, (world) => world.revoke(6n).error],
    ["look and put", true, (world) => world.txn({ compare: [{ key: a }], success: [put(b), get(b)] }).error],
    ["compare z", false, (world) => world.txn({ compare: [{ key: z }] }).error],
    ["compare a to z", false, (world) => world.txn({ compare: [{ key: a, rangeEnd: z }] }).error],
    ["read z, if at all", false, (world) => world.txn({ failure: [get(z)] }).error],
    ["put z, if at all", false, (world) => world.txn({ failure: [put(z)] }).error],
    ["delete a in a transaction", false, (world) => world.txn({ success: [del(a, true)] }).error],
    ["delete b in one", true, (world) => world.txn({ success: [del(b, true)] }).error],
    ["put a lease of z in one", false, (world) => world.txn({ success: [put(b, 6n)] }).error],
    [
      "put z in a nested one",
      false,
      (world) => world.txn({ success: [{ request: { case: "requestTxn", value: { success: [put(z)] } } }] }).error,
    ],
    ["a transaction without anything", true, (world) => world.txn({}).error],
    ["compact", true, (world) => world.compact(2n).error],
    ["grant a lease", true, (world) => world.grant(9n).error],
  ];

  function withLeases(): World {
    const world = withUsers();
    for (const id of [5n, 6n, 7n]) world.grant(id);
    world.put("a", "");
    world.put("b", "", 5n);
    world.put("z", "", 6n);
    ok(world, RaftOperation.AUTH_ENABLE, AuthEnableRequestSchema, {});
    return world;
  }

  test.each(REQUESTS)("%s: allowed? %p", (_what, isAllowed, run) => {
    const world = as(withLeases(), "ann");
    const { revision } = world.keyspace.store;
    expect(run(world)).toBe(isAllowed ? undefined : "permission_denied");
    if (!isAllowed) expect(world.keyspace.store.revision).toBe(revision);
    expect(run(as(withLeases(), "root"))).toBeUndefined();
  });

  test("refuses requests without a name, and those admitted before the last change", () => {
    const world = as(withLeases(), "");
    expect(world.put("b", "").error).toBe("user_empty");
    as(world, "root");
    ok(world, RaftOperation.AUTH_ROLE_ADD, AuthRoleAddRequestSchema, { name: "new" });
    expect(world.put("b", "").error).toBe("auth_old_revision");
    expect(world.revoke(6n).error).toBeUndefined();
  });

  test("is asked after alarms", () => {
    const world = as(withLeases(), "ann");
    world.alarm({ action: Action.ACTIVATE, memberID: 1n, alarm: AlarmType.NOSPACE });
    expect(world.put("z", "").error).toBe("no_space");
    expect(world.deleteRange({ key: z }).error).toBe("permission_denied");
    world.alarm({ action: Action.ACTIVATE, memberID: 1n, alarm: AlarmType.CORRUPT });
    expect(world.deleteRange({ key: z }).error).toBe("corrupt");
  });

  test("looks at the keys of a lease in steps", () => {
    const world = withUsers();
    world.grant(5n);
    const perm = { permType: Type.WRITE, key: utf8("key"), rangeEnd: utf8("kez") };
    ok(world, RaftOperation.AUTH_ROLE_GRANT_PERMISSION, AuthRoleGrantPermissionRequestSchema, { name: "r", perm });
    for (let i = 0; i < 5000; i++) world.put(`key${i}`, "", 5n);
    ok(world, RaftOperation.AUTH_ENABLE, AuthEnableRequestSchema, {});
    as(world, "ann");
    const { error, stepCount } = world.putWith({ key: utf8("b"), lease: 5n });
    expect(error).toBeUndefined();
    expect(stepCount).toBeGreaterThan(2);
  });
});
