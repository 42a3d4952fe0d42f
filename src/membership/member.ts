import { concatBytes, utf8 } from "../base/bytes.ts";
import { idFromValue, jsonString, jsonStrings, parseWithIds } from "./json.ts";

export interface Member {
  readonly id: bigint;
  /** Empty until the member has started and published itself. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** SHA-1, handed in since this room has no cryptography of its own. */
export type Sha1 = (data: Uint8Array) => Uint8Array;

/** The id of a member that bootstraps a cluster: a hash of its peer URLs and the cluster token (etcd's derivation, frozen). */
export function bootstrapMemberId(peerUrls: readonly string[], clusterToken: string, sha1: Sha1): bigint {
  return firstUint64(sha1(utf8([...peerUrls].sort().join("") + clusterToken)));
}

/** The id of a cluster: a hash of the ids of the members that bootstrap it (etcd's derivation, frozen). */
export function bootstrapClusterId(memberIds: readonly bigint[], sha1: Sha1): bigint {
  const sorted = [...memberIds].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return firstUint64(sha1(concatBytes(sorted.map(bigEndianUint64))));
}

/** The member as etcd writes it into conf change entries and its `members` bucket (frozen). */
export function memberJson(member: Member): string {
  return `{${memberFields(member)}}`;
}

/** A list of members as etcd tells it other members (frozen). */
export function membersJson(members: readonly Member[]): string {
  return members.length === 0 ? "null" : `[${members.map(memberJson).join(",")}]`;
}

/** The context of a conf change that makes a learner a voter: nothing else of it is looked at (frozen). */
export function promotionJson(id: bigint): string {
  return `{"id":${id},"peerURLs":null,"isPromote":true}`;
}

function memberFields(member: Member): string {
  const fields = [`"id":${member.id}`, `"peerURLs":${jsonStrings(member.peerUrls)}`];
  if (member.isLearner) fields.push(`"isLearner":true`);
  if (member.name !== "") fields.push(`"name":${jsonString(member.name)}`);
  if (member.clientUrls.length > 0) fields.push(`"clientURLs":${jsonStrings(member.clientUrls)}`);
  return fields.join(",");
}

/** What a conf change says of a member. */
export interface ChangeContext {
  readonly member: Member;
  /** The member is there, a learner, and becomes a voter. */
  readonly isPromote: boolean;
}

/** Reads what `memberJson` (or etcd) wrote. Throws SyntaxError. */
export function memberFromJson(json: string): Member {
  return changeContextFromJson(json).member;
}

/** Reads what `promotionJson` or `memberJson` (or etcd) wrote. Throws SyntaxError. */
export function changeContextFromJson(json: string): ChangeContext {
  const value = parseWithIds(json) as MemberValue;
  return { member: memberFromValue(value), isPromote: value.isPromote === true };
}

/** Reads what `membersJson` (or etcd) wrote. Throws SyntaxError. */
export function membersFromJson(json: string): Member[] {
  const values = parseWithIds(json) ?? [];
  if (!Array.isArray(values)) throw new SyntaxError(`not a list of members: ${json.slice(0, 200)}`);
  return values.map(memberFromValue);
}

/** Whoever wrote it may be anybody. */
interface MemberValue {
  readonly id?: unknown;
  readonly name?: unknown;
  readonly peerURLs?: unknown;
  readonly clientURLs?: unknown;
  readonly isLearner?: unknown;
  readonly isPromote?: unknown;
}

function memberFromValue(value: MemberValue): Member {
  const id = idFromValue(value?.id);
  const name = value?.name ?? "";
  const peerUrls = value?.peerURLs ?? [];
  const clientUrls = value?.clientURLs ?? [];
  if (id === undefined) throw new SyntaxError(`a member without an id: ${JSON.stringify(value)}`);
  if (typeof name !== "string" || !areTexts(peerUrls) || !areTexts(clientUrls)) {
    throw new SyntaxError(`a member without a name and URLs that are texts: ${JSON.stringify(value)}`);
  }
  return { id, name, peerUrls, clientUrls, isLearner: value.isLearner === true };
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

/** Ids in logs, file names and keys of the database: lower case hexadecimal without padding. */
export function idText(id: bigint): string {
  return id.toString(16);
}

/** Reads an id as Go does: hexadecimal of 64 bits in any case, with or without padding. Undefined: it is none. */
export function idFromText(text: string): bigint | undefined {
  if (!/^[0-9a-fA-F]+$/.test(text)) return undefined;
  const id = BigInt(`0x${text}`);
  return id === BigInt.asUintN(64, id) ? id : undefined;
}

function firstUint64(digest: Uint8Array): bigint {
  return new DataView(digest.buffer, digest.byteOffset).getBigUint64(0);
}

function bigEndianUint64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
