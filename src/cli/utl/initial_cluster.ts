/** The cluster that a restored member is to belong to, from flags, checked as etcdutl does. */

import { lookup } from "node:dns/promises";
import { CommandError, ExitCode } from "../command_line/mod.ts";
import { type MemberUrl, parseUrls } from "../../membership/mod.ts";

/** Peer URLs by the name of the member, sorted. */
export type InitialCluster = ReadonlyMap<string, readonly MemberUrl[]>;

/** Throws a CommandError with etcdutl's text. */
export async function readInitialCluster(
  name: string,
  initialCluster: string,
  advertisedUrls: string,
): Promise<InitialCluster> {
  const advertised = readUrls(advertisedUrls.split(","));
  const members = new Map([...urlsByName(initialCluster)].map(([name, urls]) => [name, readUrls(urls)]));
  const own = members.get(name);
  if (own === undefined) {
    throw refused(`couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`);
  }
  await checkAdvertised(name, own, advertised);
  const all = [...members.values()].flat().map((url) => url.text);
  if (new Set(all).size < all.length) {
    const shown = [...members].flatMap(([name, urls]) => urls.map((url) => `${name}=${url.text}`)).sort().join(",");
    throw refused(`initial cluster ${shown} has duplicate url`);
  }
  return members;
}

function refused(message: string): CommandError {
  return new CommandError(ExitCode.ERROR, message);
}

/** "a=http://x,a=http://y,b=http://z" */
function urlsByName(text: string): Map<string, string[]> {
  const urls = new Map<string, string[]>();
  for (const part of text.split(",")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    urls.set(name, [...urls.get(name) ?? [], equals < 0 ? "" : part.slice(equals + 1)]);
  }
  return urls;
}

function readUrls(texts: readonly string[]): MemberUrl[] {
  try {
    return parseUrls(texts);
  } catch (error) {
    throw refused((error as Error).message);
  }
}

/** The same addresses must be named in both places; a name and its address are the same. */
async function checkAdvertised(
  name: string,
  listed: readonly MemberUrl[],
  advertised: readonly MemberUrl[],
): Promise<void> {
  const difference = await findDifference(advertised, listed);
  if (difference === undefined) return;
  const texts = (urls: readonly MemberUrl[]) => urls.map((url) => url.text);
  const missing = texts(listed).filter((text) => !texts(advertised).includes(text));
  if (missing.length > 0) {
    throw refused(
      `--initial-cluster has ${missing.map((text) => `${name}=${text}`).join(",")} but missing from ` +
        `--initial-advertise-peer-urls=${texts(advertised).join(",")} (${difference})`,
    );
  }
  const unlisted = texts(advertised).filter((text) => !texts(listed).includes(text));
  throw refused(
    `--initial-advertise-peer-urls has ${unlisted.join(",")} but missing from ` +
      `--initial-cluster=${texts(advertised).map((text) => `${name}=${text}`).join(",")}`,
  );
}

async function findDifference(
  advertised: readonly MemberUrl[],
  listed: readonly MemberUrl[],
): Promise<string | undefined> {
  if (advertised.length !== listed.length) {
    const shown = (urls: readonly MemberUrl[]) => `[${urls.map((url) => JSON.stringify(url.text)).join(" ")}]`;
    return `len(${shown(advertised)}) != len(${shown(listed)})`;
  }
  // What is written alike is not looked up: names of a cluster to come need not be known yet.
  if (advertised.every((url, index) => url.text === listed[index].text)) return undefined;
  const [resolved, expected] = await Promise.all([resolveAll(advertised), resolveAll(listed)]);
  const index = resolved.findIndex((text, index) => text !== expected[index]);
  if (index < 0) return undefined;
  return `resolved urls: ${JSON.stringify(resolved[index])} != ${JSON.stringify(expected[index])}`;
}

/** With addresses for names, sorted. "localhost" stays as it is, as in etcd. */
async function resolveAll(urls: readonly MemberUrl[]): Promise<string[]> {
  return (await Promise.all(urls.map(resolveUrl))).sort();
}

async function resolveUrl({ text, scheme, host, port }: MemberUrl): Promise<string> {
  if (scheme === "unix" || scheme === "unixs" || host === "" || host === "localhost") return text;
  try {
    const { address, family } = await lookup(host);
    return `${scheme}://${family === 6 ? `[${address}]` : address}:${port}`;
  } catch (error) {
    throw refused(`failed to resolve ${JSON.stringify(text)} (${(error as Error).message})`);
  }
}
