/** The cluster that a new member belongs to: what `--initial-cluster` says, checked as etcd checks it, then asked for. */

import type { Clock } from "../io/clock.ts";
import type { Crypto } from "../io/crypto.ts";
import type { Logger } from "../io/log.ts";
import type { Network } from "../io/net.ts";
import {
  beginNewCluster,
  type ClusterOrigin,
  type InitialMember,
  joinExistingCluster,
  PeerUrlComparison,
} from "../member/mod.ts";
import type { AskUrl } from "../peer/mod.ts";
import { type Config, ConfigError, notBuilt } from "./config.ts";
import { parseUrls } from "../membership/mod.ts";

export interface ClusterParts {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Logger;
  readonly network: Pick<Network, "resolve">;
  readonly ask: AskUrl;
  /** How long others get to say which version they are. */
  readonly requestTimeoutMs: number;
}

/**
 * How a member without a log comes to its cluster. Looked at only then, as in etcd: a restart takes no notice of what it
 * says. Rejects with a ConfigError or a JoiningError.
 */
export async function clusterOrigin(config: Config, parts: ClusterParts): Promise<ClusterOrigin> {
  const initial = initialMembers(config.initialCluster);
  const { name, initialClusterToken: clusterToken, maxLearners: learnersMax } = config;
  checkContainsSelf(name, initial);
  const isNew = config.initialClusterState === "new";
  if (isNew) await checkAdvertised(config, initial, new PeerUrlComparison(parts));
  checkDuplicates(initial);
  checkReachable(initial);
  const joining = { ...parts, name, initial, clusterToken, learnersMax };
  return isNew ? await beginNewCluster(joining) : await joinExistingCluster(joining);
}

/** The members that `--initial-cluster` lists, their URLs sorted. Throws a ConfigError if one of them is wrong. */
export function initialMembers(text: string): InitialMember[] {
  const urlsByName = new Map<string, string[]>();
  for (const part of text.split(",")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    const urls = urlsByName.get(name) ?? [];
    urlsByName.set(name, urls);
    urls.push(equals < 0 ? "" : part.slice(equals + 1));
  }
  return [...urlsByName].map(([name, urls]) => {
    try {
      return { name, peerUrls: parseUrls(urls).map((url) => url.text) };
    } catch (error) {
      throw new ConfigError(`error setting up initial cluster: ${(error as Error).message}`);
    }
  });
}

function checkContainsSelf(name: string, initial: readonly InitialMember[]): void {
  if (initial.some((member) => member.name === name)) return;
  throw new ConfigError(
    `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration: --initial-cluster names ` +
      `${
        initial.length === 0 ? "nobody" : initial.map((member) => member.name).join(",")
      }; name this member there, or ` +
      "give it one of these names with --name",
  );
}

/** A new member must be listed under the URLs that it advertises. Throws a ConfigError in etcd's words. */
async function checkAdvertised(
  { name, initialAdvertisePeerUrls }: Config,
  initial: readonly InitialMember[],
  comparison: PeerUrlComparison,
): Promise<void> {
  const { peerUrls: listed } = initial.find((member) => member.name === name)!;
  const advertised = initialAdvertisePeerUrls.map((url) => url.text);
  const difference = await comparison.difference(advertised, listed);
  if (difference === undefined) return;
  const as = (urls: readonly string[]) => urls.map((url) => `${name}=${url}`).join(",");
  const missing = listed.filter((url) => !advertised.includes(url));
  if (missing.length > 0) {
    const twins = listed.length > 1 ? `; does --initial-cluster give the name ${name} to two members?` : "";
    throw new ConfigError(
      `--initial-cluster has ${as(missing)} but missing from ` +
        `--initial-advertise-peer-urls=${advertised.join(",")} (${difference})${twins}`,
    );
  }
  const unlisted = advertised.filter((url) => !listed.includes(url));
  if (unlisted.length > 0) {
    throw new ConfigError(
      `--initial-advertise-peer-urls has ${unlisted.join(",")} but missing from --initial-cluster=${as(advertised)}`,
    );
  }
  throw new ConfigError(
    `failed to resolve ${advertised.join(",")} to match --initial-cluster=${as(advertised)} (${difference})`,
  );
}

function checkDuplicates(initial: readonly InitialMember[]): void {
  const urls = initial.flatMap(({ peerUrls }) => peerUrls);
  if (new Set(urls).size === urls.length) return;
  const shown = initial.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`)).sort().join(",");
  throw new ConfigError(`initial cluster ${shown} has duplicate url`);
}

function checkReachable(initial: readonly InitialMember[]): void {
  for (const url of initial.flatMap(({ peerUrls }) => peerUrls)) {
    if (url.startsWith("https:") || url.startsWith("unixs:")) throw notBuilt(`reaching a member at ${url}`, "TLS");
  }
}
