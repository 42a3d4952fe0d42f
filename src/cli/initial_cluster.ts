/** The cluster that a new member belongs to: what the flags say is checked as etcd checks it, then the others are asked. */

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
import { advertisedProblem, duplicateProblem, nameProblem, readInitialMembers } from "./initial_members.ts";

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
  const { name, initialClusterToken: clusterToken, maxLearners: learnersMax } = config;
  const isNew = config.initialClusterState === "new";
  const initial = membersOf(config);
  checkName(name, initial);
  if (isNew) await checkAdvertised(config, initial, new PeerUrlComparison(parts));
  const problem = duplicateProblem(initial);
  if (problem !== undefined) throw new ConfigError(problem);
  checkReachable(initial);
  const joining = { ...parts, name, initial, clusterToken, learnersMax };
  return isNew ? await beginNewCluster(joining) : await joinExistingCluster(joining);
}

function membersOf({ initialCluster }: Config): InitialMember[] {
  try {
    return readInitialMembers(initialCluster);
  } catch (error) {
    throw new ConfigError(`error setting up initial cluster: ${(error as Error).message}`);
  }
}

function checkName(name: string, initial: readonly InitialMember[]): void {
  const problem = nameProblem(name, initial);
  if (problem === undefined) return;
  const names = initial.length === 0 ? "nobody" : initial.map((member) => member.name).join(",");
  throw new ConfigError(
    `${problem}: --initial-cluster names ${names}; name this member there, or give it one of these names with --name`,
  );
}

async function checkAdvertised(
  { name, initialAdvertisePeerUrls }: Config,
  initial: readonly InitialMember[],
  comparison: PeerUrlComparison,
): Promise<void> {
  const advertised = initialAdvertisePeerUrls.map((url) => url.text);
  const problem = await advertisedProblem(name, advertised, initial, comparison);
  if (problem === undefined) return;
  const isTwice = initial.find((member) => member.name === name)!.peerUrls.length > advertised.length;
  throw new ConfigError(problem + (isTwice ? `; does --initial-cluster give the name ${name} to two members?` : ""));
}

function checkReachable(initial: readonly InitialMember[]): void {
  for (const url of initial.flatMap(({ peerUrls }) => peerUrls)) {
    if (url.startsWith("https:") || url.startsWith("unixs:")) throw notBuilt(`reaching a member at ${url}`, "TLS");
  }
}
