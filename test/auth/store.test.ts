import { describe, expect, test } from "bun:test";
import { hex, type Pair, utf8 } from "../../src/base/bytes.ts";
import { type AuthRecords, AuthStore, PermissionType, PlainPasswordError, ROOT } from "../../src/auth/mod.ts";

const NONE = { plain: "", hashed: "" };
const EMPTY = new Uint8Array(0);

function text(pairs: readonly Pair[]): string[] {
  return pairs.map(([key, value]) => `${new TextDecoder().decode(key)} ${hex(value)}`);
}

function fromText(...lines: string[]): Pair[] {
  return lines.map((line) => {
    const [key, value] = line.split(" ");
    return [utf8(key), Uint8Array.from(value.match(/../g) ?? [], (byte) => parseInt(byte, 16))];
  });
}

const NOTHING: AuthRecords = { auth: [], authUsers: [], authRoles: [] };

describe("the saved form", () => {
  test("of a store that nobody touched is its revision", () => {
    const { auth, authUsers, authRoles } = new AuthStore().records();
    expect(text(auth)).toEqual(["authRevision 0000000000000001"]);
    expect([authUsers, authRoles]).toEqual([[], []]);
  });

  test("is etcd's to the byte", () => {
    const store = new AuthStore();
    store.addUser("ann", { plain: "", hashed: btoa("h") }, undefined);
    store.addUser("\u{1f600}", NONE, { noPassword: true });
    store.addUser("\uffee", NONE, { noPassword: false });
    store.addRole("r");
    store.grantPermission("r", { type: PermissionType.READWRITE, key: utf8("k"), rangeEnd: Uint8Array.of(0) });
    store.grantPermission("r", { type: PermissionType.READ, key: utf8("a"), rangeEnd: EMPTY });
    store.grantRole("ann", "r");
    store.grantRole("ann", ROOT);
    const { auth, authUsers, authRoles } = store.records();
    expect(text(auth)).toEqual(["authRevision 0000000000000009"]);
    expect(text(authUsers)).toEqual([
      "ann 0a03616e6e1201681a01721a04726f6f742200",
      "\uffee 0a03efbfae2200",
      "\u{1f600} 0a04f09f988022020801",
    ]);
    expect(text(authRoles)).toEqual(["r 0a01721203120161120808021201" + "6b1a0100"]);
  });

  test("says whether it is enabled once it ever was", () => {
    const store = new AuthStore();
    store.disable();
    expect(text(store.records().auth)).toEqual(["authRevision 0000000000000001"]);
    store.addUser(ROOT, NONE, undefined);
    store.grantRole(ROOT, ROOT);
    store.enable();
    expect(text(store.records().auth)).toEqual(["authEnabled 01", "authRevision 0000000000000003"]);
    store.disable();
    expect(text(store.records().auth)).toEqual(["authEnabled 00", "authRevision 0000000000000004"]);
  });

  test("is kept as it was read until it changes, with what this version does not know", () => {
    // Roles before the name, an unknown field 15, no options (etcd before 3.4), a role twice.
    const authUsers = fromText("ann 1a01721a01720a03616e6e120168" + "7a0178");
    const authRoles = fromText("r 1208" + "080212016b1a0100" + "0a01727a00");
    const store = new AuthStore();
    store.restore({ auth: fromText("authRevision 0000000000000007"), authUsers, authRoles });
    expect(store.records().authUsers).toEqual(authUsers);
    expect(store.records().authRoles).toEqual(authRoles);
    expect(store.user("ann")).toEqual({ name: "ann", password: utf8("h"), roles: ["r", "r"], options: undefined });
    store.changePassword("ann", { plain: "", hashed: btoa("i") });
    expect(text(store.records().authUsers)).toEqual(["ann 0a03616e6e1201691a01721a0172"]);
  });

  test("without a revision starts at 1, as a store that etcd has just created", () => {
    const store = new AuthStore();
    store.addRole("gone");
    store.restore(NOTHING);
    expect(store.revision).toBe(1);
    expect(store.roleNames()).toEqual([]);
  });

  const UNREADABLE: [what: string, records: Partial<AuthRecords>, message: string][] = [
    ["a short revision", { auth: fromText("authRevision 0001") }, `bucket auth of the database holds an unreadable`],
    ["an immense revision", { auth: fromText("authRevision ffffffffffffffff") }, "too large"],
    ["a torn user", { authUsers: fromText("ann 0a03616e") }, `bucket authUsers of the database holds an unreadable`],
    ["a user under another name", { authUsers: fromText("ann 0a03626f62") }, `key "ann": it is called "bob" there`],
    ["a name that is no text", { authUsers: fromText("ann 0a01ff") }, "a name is not UTF-8"],
    ["a torn role", { authRoles: fromText("r 1205") }, `bucket authRoles of the database holds an unreadable`],
  ];
  test.each(UNREADABLE)("with %s is refused by bucket and key", (_what, records, message) => {
    expect(() => new AuthStore().restore({ ...NOTHING, ...records })).toThrow(message);
  });
});

describe("passwords", () => {
  const HASHES: [hashed: string, password: string | undefined][] = [
    ["", ""],
    ["aA==", "h"],
    ["a\nA=\r=", "h"],
    ["aGg=", "hh"],
    // Bits that no byte takes are ignored.
    ["aP==", "h"],
    ["aA", undefined],
    ["aA=", undefined],
    [" aA==", undefined],
    ["aA==aA==", undefined],
    ["a-_=", undefined],
  ];
  test.each(HASHES)("are read from %j as Go reads base64", (hashed, password) => {
    const store = new AuthStore();
    const error = store.addUser("ann", { plain: "", hashed }, undefined);
    expect(error).toBe(password === undefined ? "no_password_user" : undefined);
    expect(store.user("ann")?.password).toEqual(password === undefined ? undefined : utf8(password));
  });

  test("in plain text stop whoever would have to hash them", () => {
    const store = new AuthStore();
    const password = { plain: "secret", hashed: "" };
    expect(() => store.addUser("ann", password, undefined)).toThrow(PlainPasswordError);
    expect(store.addUser("ann", password, { noPassword: true })).toBeUndefined();
    expect(store.changePassword("ann", password)).toBeUndefined();
    expect(store.addUser("bob", { plain: "secret", hashed: "aA==" }, undefined)).toBeUndefined();
    expect(() => store.changePassword("bob", password)).toThrow("in plain text");
  });
});

describe("once enabled", () => {
  function enabled(): AuthStore {
    const store = new AuthStore();
    store.addUser(ROOT, NONE, undefined);
    store.grantRole(ROOT, ROOT);
    store.addUser("ann", NONE, undefined);
    store.enable();
    return store;
  }

  test("only those with the root role may administer", () => {
    const store = enabled();
    const check = (username: string) => store.checkAdmin({ username, authRevision: 0 });
    expect(["", "nobody", "ann", ROOT].map(check)).toEqual([
      "user_empty",
      "user_not_found",
      "permission_denied",
      undefined,
    ]);
    store.disable();
    expect(["", "nobody", "ann", ROOT].map(check)).toEqual(new Array(4).fill(undefined));
  });

  test("requests are refused that were admitted before the last change, or without a name", () => {
    const store = enabled();
    const check = (username: string, authRevision: number) =>
      store.checkWrite({ username, authRevision }, utf8("k"), EMPTY);
    expect(check("", 0)).toBe("user_empty");
    expect(check(ROOT, store.revision - 1)).toBe("auth_old_revision");
    expect(check("nobody", store.revision)).toBe("permission_denied");
    expect(check("ann", store.revision)).toBe("permission_denied");
    expect(check(ROOT, store.revision)).toBeUndefined();
  });

  test("a role that is deleted takes its permissions along", () => {
    const store = enabled();
    store.addRole("r");
    store.grantRole("ann", "r");
    store.grantPermission("r", { type: PermissionType.WRITE, key: utf8("k"), rangeEnd: EMPTY });
    const check = () => store.checkWrite({ username: "ann", authRevision: store.revision }, utf8("k"), EMPTY);
    expect(check()).toBeUndefined();
    store.deleteRole("r");
    expect(check()).toBe("permission_denied");
    expect(store.user("ann")?.roles).toEqual([]);
  });

  test("old ranges without a first key permit nothing", () => {
    const store = enabled();
    const authRoles = fromText("r 0a01721205" + "08021a0100");
    store.restore({ ...store.records(), authRoles });
    store.grantRole("ann", "r");
    const requester = { username: "ann", authRevision: store.revision };
    expect(store.checkRead(requester, utf8("k"), EMPTY)).toBe("permission_denied");
  });
});
