/**
 * Users and roles as etcd's database holds them (frozen: on disk): the values of its buckets authUsers and authRoles,
 * whose keys are the names.
 *
 *     authpb.User  { name(1) bytes  password(2) bytes  roles(3) string, repeated  options(4) { no_password(1) bool } }
 *     authpb.Role  { name(1) bytes  keyPermission(2), repeated { permType(1) enum  key(2) bytes  range_end(3) bytes } }
 *
 * Fields stand in this order; what is zero or empty is left out, but options are there even when empty. Only users added
 * by etcd 3.3 or before have none.
 */
import { utf8 } from "../base/bytes.ts";
import { WireError, WireReader, WireWriter } from "../base/varint.ts";
import type { Permission } from "./permission.ts";

export interface User {
  readonly name: string;
  /** The text of a bcrypt hash; empty when the user has no password. */
  readonly password: Uint8Array;
  /** In the order of their bytes. */
  readonly roles: readonly string[];
  readonly options: UserOptions | undefined;
}

export interface UserOptions {
  /** The user can authenticate by certificate only. */
  readonly noPassword: boolean;
}

export interface Role {
  readonly name: string;
  /** In the order of their keys. */
  readonly permissions: readonly Permission[];
}

export function encodeUser(user: User): Uint8Array {
  const writer = new WireWriter(160);
  writer.bytesField(1, utf8(user.name));
  writer.bytesField(2, user.password);
  for (const role of user.roles) writer.messageField(3, utf8(role));
  if (user.options !== undefined) {
    const options = new WireWriter(2);
    options.boolField(1, user.options.noPassword);
    writer.messageField(4, options.view());
  }
  return writer.finish();
}

export function encodeRole(role: Role): Uint8Array {
  const writer = new WireWriter();
  writer.bytesField(1, utf8(role.name));
  for (const permission of role.permissions) writer.messageField(2, encodePermission(permission));
  return writer.finish();
}

/** authpb.Permission: inside a role, and in answers about one. */
export function encodePermission({ type, key, rangeEnd }: Permission): Uint8Array {
  const writer = new WireWriter(64);
  writer.integerField(1, type);
  writer.bytesField(2, key);
  writer.bytesField(3, rangeEnd);
  return writer.finish();
}

/** Reads what etcd wrote, in any order of fields. Throws WireError. */
export function decodeUser(bytes: Uint8Array): User {
  let name = "";
  let password: Uint8Array = new Uint8Array(0);
  let options: UserOptions | undefined;
  const roles: string[] = [];
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 10) name = readText(reader);
    else if (tag === 18) password = reader.copy();
    else if (tag === 26) roles.push(readText(reader));
    else if (tag === 34) options = readOptions(reader.view(), options);
    else reader.skip(tag);
  }
  return { name, password, roles, options };
}

export function decodeRole(bytes: Uint8Array): Role {
  let name = "";
  const permissions: Permission[] = [];
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 10) name = readText(reader);
    else if (tag === 18) permissions.push(readPermission(reader.view()));
    else reader.skip(tag);
  }
  return { name, permissions };
}

function readOptions(bytes: Uint8Array, before: UserOptions | undefined): UserOptions {
  let noPassword = before?.noPassword ?? false;
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 8) noPassword = reader.bool();
    else reader.skip(tag);
  }
  return { noPassword };
}

function readPermission(bytes: Uint8Array): Permission {
  let type = 0;
  let key: Uint8Array = new Uint8Array(0);
  let rangeEnd: Uint8Array = key;
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 8) type = reader.int32();
    else if (tag === 18) key = reader.copy();
    else if (tag === 26) rangeEnd = reader.copy();
    else reader.skip(tag);
  }
  return { type, key, rangeEnd };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Names are kept as text, so that one which is none cannot be kept at all. */
function readText(reader: WireReader): string {
  try {
    return decoder.decode(reader.view());
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw new WireError("a name is not UTF-8");
  }
}
