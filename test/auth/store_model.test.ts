import { expect, test } from "bun:test";
import fc from "fast-check";
import { latin1, utf8 } from "../../src/base/bytes.ts";
import { AuthStore, type Permission, PermissionType } from "../../src/auth/mod.ts";

interface ModelUser {
  hash: string;
  readonly roles: Set<string>;
  readonly noPassword: boolean;
}

interface Grant {
  readonly key: string;
  readonly rangeEnd: string;
  type: number;
}

/** Plain maps; permissions are lists in the order they were granted, and all keys there are can be asked one by one. */
class Model {
  isEnabled = false;
  revision = 1;
  readonly users = new Map<string, ModelUser>();
  readonly roles = new Map<string, Grant[]>();

  may(username: string, kind: "read" | "write", key: string, rangeEnd: string): boolean {
    const user = this.users.get(username);
    if (user === undefined) return false;
    if (user.roles.has("root")) return true;
    const grants = [...user.roles].flatMap((role) => this.roles.get(role) ?? []).filter(({ type }) =>
      type === PermissionType.READWRITE || type === (kind === "read" ? PermissionType.READ : PermissionType.WRITE)
    );
    const asked = POINTS.filter((point) => point === key || isWithin(point, key, rangeEnd));
    const reachesTheEnd = rangeEnd === "\0" && !grants.some((grant) => grant.rangeEnd === "\0");
    return !reachesTheEnd && asked.every((point) => grants.some((grant) => isWithin(point, grant.key, grant.rangeEnd)));
  }
}

const LETTERS = ["a", "b", "c", "d"];
/** Between two letters lie more keys than the letters: one right behind each, and one further away. */
const POINTS = LETTERS.flatMap((letter) => [letter, `${letter}\0`, `${letter}m`]);

function isWithin(point: string, key: string, rangeEnd: string): boolean {
  if (rangeEnd === "") return point === key;
  return point >= key && (rangeEnd === "\0" || point < rangeEnd);
}

const user = fc.constantFrom<string[]>("root", "ann", "\u{1f600}", "\uffee", "");
const role = fc.constantFrom<string[]>("root", "one", "two", "three");
const hash = fc.constantFrom("", btoa("hash"), btoa("other hash"), "not base64!");
const key = fc.constantFrom(...LETTERS);
const rangeEnd = fc.constantFrom("", "\0", ...LETTERS);
const type = fc.constantFrom(0, 1, 2);
const action = fc.oneof(
  fc.record({ kind: fc.constant("enable" as const) }),
  fc.record({ kind: fc.constant("disable" as const) }),
  fc.record({ kind: fc.constant("addUser" as const), user, hash, noPassword: fc.boolean() }),
  fc.record({ kind: fc.constant("deleteUser" as const), user }),
  fc.record({ kind: fc.constant("changePassword" as const), user, hash }),
  fc.record({ kind: fc.constant("grantRole" as const), user, role }),
  fc.record({ kind: fc.constant("revokeRole" as const), user, role }),
  fc.record({ kind: fc.constant("addRole" as const), role }),
  fc.record({ kind: fc.constant("deleteRole" as const), role }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("grant" as const), role, key, rangeEnd, type }) },
  fc.record({ kind: fc.constant("revoke" as const), role, key, rangeEnd }),
  fc.record({ kind: fc.constant("authenticate" as const), user }),
  fc.record({ kind: fc.constant("restart" as const) }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

test("any sequence of operations agrees with a model of plain maps", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120, size: "max" }), (actions) => {
      let store = new AuthStore();
      const model = new Model();
      for (const step of actions) {
        if (step.kind === "restart") {
          const records = store.records();
          store = new AuthStore();
          store.restore(records);
          expect(store.records()).toEqual(records);
        } else {
          const before = store.revision;
          const error = perform(store, step);
          expect(error).toBe(predict(model, step) as typeof error);
          if (error !== undefined) expect(store.revision).toBe(before);
        }
        expectEqualState(store, model);
      }
    }),
    { numRuns: 120 },
  );
});

test("what a user may do is the union of what its roles permit", () => {
  const kind = fc.constantFrom("read" as const, "write" as const);
  const setup = fc.record({
    grants: fc.array(fc.record({ role: fc.constantFrom("one", "two"), key, rangeEnd, type }), { maxLength: 8 }),
    key,
    rangeEnd,
    kind,
  });
  fc.assert(
    fc.property(setup, (question) => {
      const store = new AuthStore();
      const model = new Model();
      const both = (step: Action) => expect(perform(store, step)).toBe(predict(model, step) as undefined);
      for (const name of ["root", "ann"]) both({ kind: "addUser", user: name, hash: "", noPassword: true });
      both({ kind: "grantRole", user: "root", role: "root" });
      for (const name of ["one", "two"]) {
        both({ kind: "addRole", role: name });
        both({ kind: "grantRole", user: "ann", role: name });
      }
      for (const grant of question.grants) both({ kind: "grant", ...grant });
      both({ kind: "enable" });
      const requester = { username: "ann", authRevision: store.revision };
      const check = question.kind === "read" ? "checkRead" : "checkWrite";
      const error = store[check](requester, utf8(question.key), utf8(question.rangeEnd));
      // A range that ends before it begins is asked as its first key.
      const end = question.rangeEnd !== "\0" && question.rangeEnd <= question.key ? "" : question.rangeEnd;
      expect(error === undefined).toBe(model.may("ann", question.kind, question.key, end));
      expect(store[check]({ ...requester, username: "root" }, utf8("z"), utf8("\0"))).toBeUndefined();
    }),
    { numRuns: 1500 },
  );
});

function perform(store: AuthStore, step: Action): string | undefined {
  switch (step.kind) {
    case "enable":
      return store.enable();
    case "disable":
      return void store.disable();
    case "addUser":
      return store.addUser(step.user, { plain: "", hashed: step.hash }, { noPassword: step.noPassword });
    case "deleteUser":
      return store.deleteUser(step.user);
    case "changePassword":
      return store.changePassword(step.user, { plain: "", hashed: step.hash });
    case "grantRole":
      return store.grantRole(step.user, step.role);
    case "revokeRole":
      return store.revokeRole(step.user, step.role);
    case "addRole":
      return store.addRole(step.role);
    case "deleteRole":
      return store.deleteRole(step.role);
    case "grant":
      return store.grantPermission(step.role, permissionOf(step));
    case "revoke":
      return store.revokePermission(step.role, utf8(step.key), utf8(step.rangeEnd));
    case "authenticate":
      return store.authenticate(step.user);
    case "restart":
      return undefined;
  }
}

function permissionOf({ type, key, rangeEnd }: Grant): Permission {
  return { type, key: utf8(key), rangeEnd: utf8(rangeEnd) };
}

/** Performs the step on the model; returns the error it has to give. */
function predict(model: Model, step: Action): string | undefined {
  const error = predictError(model, step);
  if (error === undefined) change(model, step);
  return error;
}

function predictError({ isEnabled, users, roles }: Model, step: Action): string | undefined {
  switch (step.kind) {
    case "enable":
      if (isEnabled) return undefined;
      if (!users.has("root")) return "root_user_not_exist";
      return users.get("root")!.roles.has("root") ? undefined : "root_role_not_exist";
    case "addUser":
      if (step.user === "") return "user_empty";
      if (users.has(step.user)) return "user_exists";
      return !step.noPassword && step.hash.includes("!") ? "no_password_user" : undefined;
    case "deleteUser":
      if (isEnabled && step.user === "root") return "invalid_auth_management";
      return users.has(step.user) ? undefined : "user_not_found";
    case "changePassword":
      if (!users.has(step.user)) return "user_not_found";
      return !users.get(step.user)!.noPassword && step.hash.includes("!") ? "no_password_user" : undefined;
    case "grantRole":
      if (!users.has(step.user)) return "user_not_found";
      return step.role === "root" || roles.has(step.role) ? undefined : "role_not_found";
    case "revokeRole":
      if (isEnabled && step.user === "root" && step.role === "root") return "invalid_auth_management";
      if (!users.has(step.user)) return "user_not_found";
      return users.get(step.user)!.roles.has(step.role) ? undefined : "role_not_granted";
    case "addRole":
      return roles.has(step.role) ? "role_exists" : undefined;
    case "deleteRole":
      if (isEnabled && step.role === "root") return "invalid_auth_management";
      return roles.has(step.role) ? undefined : "role_not_found";
    case "grant":
      if (step.rangeEnd !== "" && step.rangeEnd !== "\0" && step.key >= step.rangeEnd) return "invalid_auth_management";
      return roles.has(step.role) ? undefined : "role_not_found";
    case "revoke": {
      const grants = roles.get(step.role);
      if (grants === undefined) return "role_not_found";
      return grants.some((grant) => isSameRange(grant, step)) ? undefined : "permission_not_granted";
    }
    case "authenticate":
      if (!isEnabled) return "auth_not_enabled";
      return users.get(step.user)?.noPassword === false ? undefined : "auth_failed";
    case "disable":
    case "restart":
      return undefined;
  }
}

function isSameRange(a: Omit<Grant, "type">, b: Omit<Grant, "type">): boolean {
  return a.key === b.key && a.rangeEnd === b.rangeEnd;
}

function change(model: Model, step: Action): void {
  const { users, roles } = model;
  let raises = 1;
  switch (step.kind) {
    case "enable":
      model.isEnabled = true;
      raises = 0;
      break;
    case "disable":
      raises = model.isEnabled ? 1 : 0;
      model.isEnabled = false;
      break;
    case "addUser":
      users.set(step.user, {
        hash: step.noPassword ? "" : atob(step.hash),
        roles: new Set(),
        noPassword: step.noPassword,
      });
      break;
    case "deleteUser":
      users.delete(step.user);
      break;
    case "changePassword": {
      const user = users.get(step.user)!;
      user.hash = user.noPassword ? "" : atob(step.hash);
      break;
    }
    case "grantRole":
      if (users.get(step.user)!.roles.has(step.role)) raises = 0;
      users.get(step.user)!.roles.add(step.role);
      break;
    case "revokeRole":
      users.get(step.user)!.roles.delete(step.role);
      break;
    case "addRole":
      roles.set(step.role, []);
      break;
    case "deleteRole":
      roles.delete(step.role);
      for (const user of users.values()) user.roles.delete(step.role);
      break;
    case "grant": {
      const grants = roles.get(step.role)!;
      // etcd looks for the same range at the first permission of the key only.
      const first = grants.find(({ key }) => key === step.key);
      if (first !== undefined && isSameRange(first, step)) first.type = step.type;
      else grants.push({ key: step.key, rangeEnd: step.rangeEnd, type: step.type });
      break;
    }
    case "revoke":
      roles.set(step.role, roles.get(step.role)!.filter((grant) => !isSameRange(grant, step)));
      break;
    case "authenticate":
      raises = 0;
  }
  model.revision += raises;
}

/** Grants beyond this many are sorted by more than insertion, so that those of one key may stand in any order. */
const ORDERED_GRANTS_MAX = 12;

function expectEqualState(store: AuthStore, { isEnabled, revision, users, roles }: Model): void {
  expect(store.isEnabled).toBe(isEnabled);
  expect(store.revision).toBe(revision);
  expect(store.userNames()).toEqual([...users.keys()].sort(compareCodePoints));
  expect(store.roleNames()).toEqual([...roles.keys()].sort());
  for (const [name, { hash, roles, noPassword }] of users) {
    const user = store.user(name)!;
    expect(latin1(user.password)).toBe(hash);
    expect(user.roles).toEqual([...roles].sort());
    expect(user.options).toEqual({ noPassword });
    for (const role of ["root", "one"]) expect(store.hasRole(name, role)).toBe(roles.has(role));
  }
  for (const [name, grants] of roles) {
    if (name === "root" || grants.length > ORDERED_GRANTS_MAX) continue;
    const sorted = grants.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    expect(store.permissions(name)).toEqual(sorted.map(permissionOf));
  }
}

function compareCodePoints(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => [...text].map((character) => character.codePointAt(0)!));
  const at = left.findIndex((value, i) => value !== right[i]);
  return at < 0 ? left.length - right.length : left[at] - (right[at] ?? -1);
}
