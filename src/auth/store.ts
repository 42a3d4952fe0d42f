import { compareBytes, latin1, type Pair, utf8 } from "../base/bytes.ts";
import { WireError } from "../base/varint.ts";
import { type AuthError, AuthRecordError } from "./errors.ts";
import { type UserRanges, userRanges } from "./key_ranges.ts";
import { decodeHash, PlainPasswordError } from "./password.ts";
import { isValidRange, type Permission, ROOT_PERMISSION, withoutPermission, withPermission } from "./permission.ts";
import { decodeRole, decodeUser, encodeRole, encodeUser, type Role, type User, type UserOptions } from "./record.ts";

/** The user and the role that may do everything. */
export const ROOT = "root";

/** The pairs of etcd's three buckets, each in the order of its keys. */
export interface AuthRecords {
  readonly auth: readonly Pair[];
  readonly authUsers: readonly Pair[];
  readonly authRoles: readonly Pair[];
}

/** A password as requests carry it: `hashed` is base64; `plain` comes from logs of etcd before 3.5 only. */
export interface Password {
  readonly plain: string;
  readonly hashed: string;
}

/** On whose behalf an operation was proposed: no name while access control was disabled. */
export interface Requester {
  readonly username: string;
  /** The auth revision at which the proposer looked at the user's permissions. */
  readonly authRevision: number;
}

interface Stored<T> {
  readonly value: T;
  /** The value as it stands in the database: what was read is kept as it was until it changes. */
  readonly bytes: Uint8Array;
}

/** Users, roles, and whether they count. See mod.ts. */
export class AuthStore {
  #isEnabled = false;
  /** Whether the database says enabled or disabled; a store that was never enabled says neither. */
  #saysEnabled = false;
  #revision = 1;
  readonly #users = new Map<string, Stored<User>>();
  readonly #roles = new Map<string, Stored<Role>>();
  /** What users may do, as far as somebody asked since the last change. */
  readonly #ranges = new Map<string, UserRanges>();

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** Starts at 1 and is raised by every change, except enabling. */
  get revision(): number {
    return this.#revision;
  }

  // --- enabling

  enable(): AuthError | undefined {
    if (this.#isEnabled) return undefined;
    const root = this.user(ROOT);
    if (root === undefined) return "root_user_not_exist";
    if (!hasRole(root, ROOT)) return "root_role_not_exist";
    this.#isEnabled = true;
    this.#saysEnabled = true;
    return undefined;
  }

  disable(): void {
    if (!this.#isEnabled) return;
    this.#isEnabled = false;
    this.#changed();
  }

  // --- users

  addUser(name: string, password: Password, options: UserOptions | undefined): AuthError | undefined {
    if (name === "") return "user_empty";
    if (this.#users.has(name)) return "user_exists";
    const hash = options?.noPassword === true ? NO_PASSWORD : passwordHash(name, password);
    if (hash === undefined) return "no_password_user";
    this.#putUser({ name, password: hash, roles: [], options: { noPassword: options?.noPassword ?? false } });
    this.#changed();
    return undefined;
  }

  deleteUser(name: string): AuthError | undefined {
    if (this.#isEnabled && name === ROOT) return "invalid_auth_management";
    if (!this.#users.delete(name)) return "user_not_found";
    this.#changed();
    return undefined;
  }

  changePassword(name: string, password: Password): AuthError | undefined {
    const user = this.user(name);
    if (user === undefined) return "user_not_found";
    const hash = user.options?.noPassword === true ? NO_PASSWORD : passwordHash(name, password);
    if (hash === undefined) return "no_password_user";
    this.#putUser({ ...user, password: hash });
    this.#changed();
    return undefined;
  }

  /** The root role needs not exist to be granted. */
  grantRole(name: string, role: string): AuthError | undefined {
    const user = this.user(name);
    if (user === undefined) return "user_not_found";
    if (role !== ROOT && !this.#roles.has(role)) return "role_not_found";
    if (hasRole(user, role)) return undefined;
    this.#putUser({ ...user, roles: [...user.roles, role].sort(compareNames) });
    this.#changed();
    return undefined;
  }

  revokeRole(name: string, role: string): AuthError | undefined {
    if (this.#isEnabled && name === ROOT && role === ROOT) return "invalid_auth_management";
    const user = this.user(name);
    if (user === undefined) return "user_not_found";
    if (!this.#takeRole(user, role)) return "role_not_granted";
    this.#changed();
    return undefined;
  }

  /** Whether this user may be given a token; the password was looked at before, by whoever proposed it. */
  authenticate(name: string): AuthError | undefined {
    if (!this.#isEnabled) return "auth_not_enabled";
    const user = this.user(name);
    return user === undefined || user.options?.noPassword === true ? "auth_failed" : undefined;
  }

  user(name: string): User | undefined {
    return this.#users.get(name)?.value;
  }

  /** In the order of their bytes. */
  userNames(): string[] {
    return [...this.#users.keys()].sort(compareNames);
  }

  // --- roles

  addRole(name: string): AuthError | undefined {
    if (name === "") return "role_empty";
    if (this.#roles.has(name)) return "role_exists";
    this.#putRole({ name, permissions: [] });
    this.#changed();
    return undefined;
  }

  /** Takes the role from every user that has it, too. */
  deleteRole(name: string): AuthError | undefined {
    if (this.#isEnabled && name === ROOT) return "invalid_auth_management";
    if (!this.#roles.delete(name)) return "role_not_found";
    for (const { value } of this.#users.values()) this.#takeRole(value, name);
    this.#changed();
    return undefined;
  }

  grantPermission(name: string, permission: Permission | undefined): AuthError | undefined {
    if (permission === undefined) return "permission_not_given";
    if (!isValidRange(permission.key, permission.rangeEnd)) return "invalid_auth_management";
    const role = this.#roles.get(name)?.value;
    if (role === undefined) return "role_not_found";
    this.#putRole({ name, permissions: withPermission(role.permissions, permission) });
    this.#changed();
    return undefined;
  }

  revokePermission(name: string, key: Uint8Array, rangeEnd: Uint8Array): AuthError | undefined {
    const role = this.#roles.get(name)?.value;
    if (role === undefined) return "role_not_found";
    const permissions = withoutPermission(role.permissions, key, rangeEnd);
    if (permissions.length === role.permissions.length) return "permission_not_granted";
    this.#putRole({ name, permissions });
    this.#changed();
    return undefined;
  }

  /** What a role permits: for the root role everything, once it exists. Undefined: there is no such role. */
  permissions(name: string): readonly Permission[] | undefined {
    const role = this.#roles.get(name)?.value;
    return role !== undefined && name === ROOT ? [ROOT_PERMISSION] : role?.permissions;
  }

  /** In the order of their bytes. */
  roleNames(): string[] {
    return [...this.#roles.keys()].sort(compareNames);
  }

  // --- what a user may do, as the state machine asks it; undefined: it is allowed

  /** Whether the requester may administer. Everybody may while access control is disabled. */
  checkAdmin({ username }: Requester): AuthError | undefined {
    if (!this.#isEnabled) return undefined;
    if (username === "") return "user_empty";
    const user = this.user(username);
    if (user === undefined) return "user_not_found";
    return hasRole(user, ROOT) ? undefined : "permission_denied";
  }

  /** Whether the requester may read a range, in RangeRequest's terms. */
  checkRead(requester: Requester, key: Uint8Array, rangeEnd: Uint8Array): AuthError | undefined {
    return this.#check(requester, key, rangeEnd, "read");
  }

  /** Whether the requester may put or delete there. */
  checkWrite(requester: Requester, key: Uint8Array, rangeEnd: Uint8Array): AuthError | undefined {
    return this.#check(requester, key, rangeEnd, "write");
  }

  /** Whether the user has been granted the role. */
  hasRole(username: string, role: string): boolean {
    return this.user(username)?.roles.includes(role) ?? false;
  }

  // --- on disk

  records(): AuthRecords {
    const auth: Pair[] = [[utf8("authRevision"), bigEndian(this.#revision)]];
    if (this.#saysEnabled) auth.unshift([utf8("authEnabled"), Uint8Array.of(this.#isEnabled ? 1 : 0)]);
    return { auth, authUsers: pairs(this.#users), authRoles: pairs(this.#roles) };
  }

  /** Replaces everything by what a database holds. Throws AuthRecordError; this store is of no use then. */
  restore({ auth, authUsers, authRoles }: AuthRecords): void {
    this.#isEnabled = this.#saysEnabled = false;
    this.#revision = 1;
    this.#ranges.clear();
    for (const [key, value] of auth) this.#restoreState(latin1(key), value);
    restoreAll("authUsers", this.#users, authUsers, decodeUser);
    restoreAll("authRoles", this.#roles, authRoles, decodeRole);
  }

  #restoreState(key: string, value: Uint8Array): void {
    if (key === "authEnabled") {
      this.#saysEnabled = true;
      this.#isEnabled = value.length === 1 && value[0] === 1;
    } else if (key === "authRevision") {
      if (value.length !== 8) throw new AuthRecordError("auth", key, `it has ${value.length} bytes instead of 8`);
      const revision = Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0));
      if (!Number.isSafeInteger(revision)) throw new AuthRecordError("auth", key, `${revision} is too large`);
      // etcd writes no 0 and takes it for none.
      this.#revision = Math.max(revision, 1);
    }
  }

  #check(
    { username, authRevision }: Requester,
    key: Uint8Array,
    rangeEnd: Uint8Array,
    kind: keyof UserRanges,
  ): AuthError | undefined {
    if (!this.#isEnabled) return undefined;
    if (authRevision === 0) return "user_empty";
    if (authRevision < this.#revision) return "auth_old_revision";
    const user = this.user(username);
    if (user === undefined) return "permission_denied";
    if (hasRole(user, ROOT)) return undefined;
    return this.#rangesOf(user)[kind].covers(key, rangeEnd) ? undefined : "permission_denied";
  }

  #rangesOf(user: User): UserRanges {
    let ranges = this.#ranges.get(user.name);
    if (ranges === undefined) {
      // A role that was granted and does not exist can only be root's, which never comes here.
      ranges = userRanges(user.roles.flatMap((role) => this.#roles.get(role)?.value.permissions ?? []));
      this.#ranges.set(user.name, ranges);
    }
    return ranges;
  }

  /** False: the user does not have it. */
  #takeRole(user: User, role: string): boolean {
    const roles = user.roles.filter((name) => name !== role);
    if (roles.length === user.roles.length) return false;
    this.#putUser({ ...user, roles });
    return true;
  }

  #putUser(user: User): void {
    this.#users.set(user.name, { value: user, bytes: encodeUser(user) });
  }

  #putRole(role: Role): void {
    this.#roles.set(role.name, { value: role, bytes: encodeRole(role) });
  }

  #changed(): void {
    this.#revision++;
    this.#ranges.clear();
  }
}

const NO_PASSWORD = new Uint8Array(0);

/** Undefined: it cannot be read. An empty hash is that of a user who has not been given a password. */
function passwordHash(user: string, { plain, hashed }: Password): Uint8Array | undefined {
  if (plain !== "" && hashed === "") throw new PlainPasswordError(user);
  return decodeHash(hashed);
}

/** By etcd's binary search, which may miss a role only in a list that is not sorted. */
function hasRole({ roles }: User, role: string): boolean {
  let low = 0;
  let high = roles.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareNames(roles[middle], role) < 0) low = middle + 1;
    else high = middle;
  }
  return low < roles.length && roles[low] === role;
}

/** The order of their UTF-8, which is not that of JavaScript's strings. */
function compareNames(a: string, b: string): number {
  return a === b ? 0 : compareBytes(utf8(a), utf8(b));
}

function pairs<T extends { readonly name: string }>(stored: ReadonlyMap<string, Stored<T>>): Pair[] {
  const result = [...stored].map(([name, { bytes }]): Pair => [utf8(name), bytes]);
  return result.sort((a, b) => compareBytes(a[0], b[0]));
}

function restoreAll<T extends { readonly name: string }>(
  bucket: string,
  stored: Map<string, Stored<T>>,
  pairs: readonly Pair[],
  decode: (bytes: Uint8Array) => T,
): void {
  stored.clear();
  for (const [key, bytes] of pairs) {
    const value = readValue(bucket, key, bytes, decode);
    stored.set(value.name, { value, bytes: bytes.slice() });
  }
}

function readValue<T extends { readonly name: string }>(
  bucket: string,
  key: Uint8Array,
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => T,
): T {
  let value;
  try {
    value = decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new AuthRecordError(bucket, latin1(key), error.message);
  }
  if (compareBytes(utf8(value.name), key) === 0) return value;
  throw new AuthRecordError(bucket, latin1(key), `it is called ${JSON.stringify(value.name)} there`);
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}
