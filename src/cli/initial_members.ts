/** What `--initial-cluster` says, and what etcd finds wrong with it, in etcd's words: of a member and of its tools alike. */

import type { InitialMember, PeerUrlComparison } from "../member/mod.ts";
import { parseUrls } from "../membership/mod.ts";

/** The members that "a=http://x,a=http://y,b=http://z" lists, their URLs sorted. Throws if one of these is wrong. */
export function readInitialMembers(text: string): InitialMember[] {
  const urlsByName = new Map<string, string[]>();
  for (const part of text.split(",")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    const urls = urlsByName.get(name) ?? [];
    urlsByName.set(name, urls);
    urls.push(equals < 0 ? "" : part.slice(equals + 1));
  }
  return [...urlsByName].map(([name, urls]) => ({ name, peerUrls: parseUrls(urls).map((url) => url.text) }));
}

/** Undefined, here and below: nothing is wrong. */
export function nameProblem(name: string, members: readonly InitialMember[]): string | undefined {
  if (members.some((member) => member.name === name)) return undefined;
  return `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`;
}

/** A new member is listed under the URLs that it advertises; a name and its address are the same. */
export async function advertisedProblem(
  name: string,
  advertised: readonly string[],
  members: readonly InitialMember[],
  comparison: PeerUrlComparison,
): Promise<string | undefined> {
  const { peerUrls: listed } = members.find((member) => member.name === name)!;
  const difference = await comparison.difference(advertised, listed);
  if (difference === undefined) return undefined;
  const as = (urls: readonly string[]) => urls.map((url) => `${name}=${url}`).join(",");
  const missing = listed.filter((url) => !advertised.includes(url));
  if (missing.length > 0) {
    return `--initial-cluster has ${as(missing)} but missing from ` +
      `--initial-advertise-peer-urls=${advertised.join(",")} (${difference})`;
  }
  const unlisted = advertised.filter((url) => !listed.includes(url));
  if (unlisted.length > 0) {
    return `--initial-advertise-peer-urls has ${unlisted.join(",")} but missing from --initial-cluster=${
      as(advertised)
    }`;
  }
  return `failed to resolve ${advertised.join(",")} to match --initial-cluster=${as(advertised)} (${difference})`;
}

export function duplicateProblem(members: readonly InitialMember[]): string | undefined {
  const urls = members.flatMap(({ peerUrls }) => peerUrls);
  if (new Set(urls).size === urls.length) return undefined;
  const shown = members.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`)).sort().join(",");
  return `initial cluster ${shown} has duplicate url`;
}
