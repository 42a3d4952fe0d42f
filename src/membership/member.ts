import { concatBytes, utf8 } from "../base/bytes.ts";

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

/** The member as etcd writes it into conf change entries and its `members` bucket. Ids exceed what JSON.stringify can write. */
export function memberJson(member: Member): string {
  const fields = [`"id":${member.id}`, `"peerURLs":${JSON.stringify(member.peerUrls)}`];
  if (member.isLearner) fields.push(`"isLearner":true`);
  if (member.name !== "") fields.push(`"name":${JSON.stringify(member.name)}`);
  if (member.clientUrls.length > 0) fields.push(`"clientURLs":${JSON.stringify(member.clientUrls)}`);
  return `{${fields.join(",")}}`;
}

/** Reads what `memberJson` (or etcd) wrote. The id is taken from the conf change itself, where it is exact. */
export function memberFromJson(id: bigint, json: string): Member {
  const value = JSON.parse(json) as {
    name?: string;
    peerURLs?: string[] | null;
    clientURLs?: string[] | null;
    isLearner?: boolean;
  };
  return {
    id,
    name: value.name ?? "",
    peerUrls: value.peerURLs ?? [],
    clientUrls: value.clientURLs ?? [],
    isLearner: value.isLearner ?? false,
  };
}

/** Ids in logs and file names: lower case hexadecimal without padding. */
export function idText(id: bigint): string {
  return id.toString(16);
}

function firstUint64(digest: Uint8Array): bigint {
  return new DataView(digest.buffer, digest.byteOffset).getBigUint64(0);
}

function bigEndianUint64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
