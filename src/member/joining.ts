/**
 * Before a member has a log of its own: it asks the others of its cluster who they are, as etcd does, so that no member
 * begins a cluster that is there already, and none takes a place in one that is not its own.
 */
import { EMPTY_BYTES, utf8Text } from "../base/bytes.ts";
import { CLUSTER_VERSION } from "../base/version.ts";
import type { Crypto } from "../io/crypto.ts";
import type { Network } from "../io/net.ts";
import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import {
  bootstrapMemberId,
  compareVersions,
  idText,
  type Member as ClusterMember,
  membersFromJson,
  parseVersion,
  type Version,
} from "../membership/mod.ts";
import type { Answer, AskUrl } from "../peer/mod.ts";
import type { ClusterOrigin, ExistingCluster, InitialMember } from "./options.ts";
import { PeerUrlComparison } from "./peer_urls.ts";

export interface JoiningParts {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Logger;
  readonly network: Pick<Network, "resolve">;
  readonly ask: AskUrl;

  /** This member's name; one of `initial` has it. */
  readonly name: string;
  /** Who belongs to the cluster, as the operator says. */
  readonly initial: readonly InitialMember[];
  readonly clusterToken: string;
  readonly learnersMax: number;
  /** How long others get to say which version they are. */
  readonly requestTimeoutMs: number;
}

/** This member must not start like this; the text says why, in etcd's words where etcd would refuse too, and what to do. */
export class JoiningError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "JoiningError";
  }
}

/** How long others are waited for, and whether to ask again whoever gave this answer. */
interface Patience {
  readonly timeoutMs: number;
  readonly asksAgain: (answer: Answer | undefined) => boolean;
}

/**
 * A member that begins a cluster can do nothing before the others are there, and they may just be starting too: it asks
 * until it hears from them, as long as etcd waits for an answer.
 */
const BEGINNING: Patience = { timeoutMs: 1000, asksAgain: (answer) => answer === undefined || isStarting(answer) };
/** One that joins is told soon where nobody is. */
const JOINING: Patience = { timeoutMs: 10_000, asksAgain: (answer) => answer !== undefined && isStarting(answer) };
const RETRY_MS = 100;

/** The oldest cluster version that a member can join (etcd's). */
const CLUSTER_VERSION_MIN: Version = { major: 3, minor: 0, patch: 0, suffix: "" };

const REPLACE =
  "remove it from the cluster (etcdctl member remove), add it again (etcdctl member add), which gives it a new identity, " +
  "and start it with an empty data directory and --initial-cluster-state=existing";

/**
 * The cluster that this member begins together with the others. Rejects with JoiningError if one of them knows that it has
 * begun before: without its log this member has forgotten what it voted for and what it promised to keep.
 */
export async function beginNewCluster(parts: JoiningParts): Promise<ClusterOrigin> {
  const { initial, name, clusterToken, crypto } = parts;
  const own = initial.find((member) => member.name === name)!;
  const id = bootstrapMemberId(own.peerUrls, clusterToken, (data) => crypto.sha1(data));
  // All of them: one whose disk was wiped as well, and that has begun again, would not know.
  await Promise.all(
    otherUrls(parts).map(async (url) => {
      const told = await askForCluster(parts, url, BEGINNING);
      if (typeof told !== "string") checkNotStarted(told.members, id);
    }),
  );
  return { initial };
}

/** The cluster that is there already and that this member was added to. Rejects with JoiningError. */
export async function joinExistingCluster(parts: JoiningParts): Promise<ClusterOrigin> {
  const { clusterId, members } = await fetchCluster(parts);
  const memberId = await findOwnId(parts, clusterId, members);
  checkNotStarted(members, memberId);
  if (!await isCompatible(parts)) {
    throw new JoiningError(
      "incompatible with current running cluster: see the lines above for what its members said of their version",
    );
  }
  const learnersCount = members.filter(({ isLearner }) => isLearner).length;
  if (learnersCount > parts.learnersMax) {
    throw new JoiningError(
      `membership: too many learner members in cluster: it has ${learnersCount}, and --max-learners is ` +
        `${parts.learnersMax}; set it as the other members have it`,
    );
  }
  return { existing: { clusterId, memberId, members } };
}

/** A member that has told the cluster its client URLs has run before. */
function checkNotStarted(members: readonly ClusterMember[], id: bigint): void {
  const known = members.find((member) => member.id === id);
  if (known === undefined || known.clientUrls.length === 0) return;
  throw new JoiningError(
    `member ${
      idText(id)
    } has already been bootstrapped, but its data directory has no log: it must not go on under its ` +
      `old identity; put the data directory back, or ${REPLACE}`,
  );
}

/** Peer URLs of the other members. */
function otherUrls({ initial, name }: JoiningParts): string[] {
  return initial.filter((member) => member.name !== name).flatMap(({ peerUrls }) => peerUrls).sort();
}

type TellsCluster = Omit<ExistingCluster, "memberId">;

/** What the first of the others says that can tell; all are asked at once. */
async function fetchCluster(parts: JoiningParts): Promise<TellsCluster> {
  const failures: string[] = [];
  const { promise, resolve } = Promise.withResolvers<TellsCluster | undefined>();
  const asked = otherUrls(parts).map(async (url) => {
    const told = await askForCluster(parts, url, JOINING);
    if (typeof told !== "string") return resolve(told);
    parts.log.warn("failed to get cluster response", { "address": `${url}/members`, "error": told });
    failures.push(`${url}: ${told}`);
  });
  Promise.all(asked).then(() => resolve(undefined));
  const cluster = await promise;
  if (cluster !== undefined) return cluster;
  const reason = failures.length === 0 ? "--initial-cluster names nobody but this member" : failures.join("; ");
  throw new JoiningError(
    "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs " +
      `(${reason}): name members that run in --initial-cluster, or start a new cluster with --initial-cluster-state=new`,
  );
}

/** A text: why there is no answer. */
async function askForCluster(parts: JoiningParts, url: string, patience: Patience): Promise<TellsCluster | string> {
  const { ask, clock } = parts;
  const question = { method: "GET", path: "/members", contentType: "", body: EMPTY_BYTES } as const;
  const endMs = clock.monotonicMs() + patience.timeoutMs;
  for (let leftMs = patience.timeoutMs;; leftMs = endMs - clock.monotonicMs()) {
    const answer = await ask(url, question, leftMs);
    if (!patience.asksAgain(answer) || endMs - clock.monotonicMs() <= RETRY_MS) return clusterOf(answer);
    await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
  }
}

/** It is there, and does not take part in its cluster yet. */
function isStarting({ status }: Answer): boolean {
  return status === 503;
}

function clusterOf(answer: Answer | undefined): TellsCluster | string {
  if (answer === undefined) return "no answer";
  const { status, clusterId, body } = answer;
  if (status !== 200) return `status ${status}`;
  if (clusterId === undefined) return "the answer does not say which cluster it is of";
  try {
    const members = membersFromJson(utf8Text(body));
    return members.length === 0 ? "it knows no member yet" : { clusterId, members };
  } catch (error) {
    return (error as Error).message;
  }
}

/** Matches the members of both sides by their peer URLs: each that is there must be named, and nobody else. */
async function findOwnId(
  parts: JoiningParts,
  clusterId: bigint,
  members: readonly ClusterMember[],
): Promise<bigint> {
  const refuse = (reason: string): JoiningError =>
    new JoiningError(
      `error validating peerURLs of cluster ${idText(clusterId)} (${members.map(describe).join("; ")}): ${reason}; ` +
        "--initial-cluster must name exactly its members, this one included: add it first (etcdctl member add)",
    );
  if (members.length !== parts.initial.length) throw refuse("member count is unequal");
  const comparison = new PeerUrlComparison(parts);
  let ownId: bigint | undefined;
  for (const { id, peerUrls } of members) {
    const { name, reason } = await findName(parts.initial, peerUrls, comparison);
    if (name === undefined) {
      throw refuse(
        `PeerURLs: no match found for existing member (${idText(id)}, [${peerUrls.join(" ")}]), ` +
          `last resolver error (${reason})`,
      );
    }
    if (name === parts.name) ownId = id;
  }
  if (ownId === undefined) throw refuse(`no member has the peer URLs of ${JSON.stringify(parts.name)}`);
  return ownId;
}

async function findName(
  initial: readonly InitialMember[],
  peerUrls: readonly string[],
  comparison: PeerUrlComparison,
): Promise<{ name?: string; reason?: string }> {
  let reason: string | undefined;
  for (const member of initial) {
    reason = await comparison.difference(peerUrls, member.peerUrls);
    if (reason === undefined) return { name: member.name };
  }
  return { reason };
}

function describe({ id, name, peerUrls }: ClusterMember): string {
  return `${idText(id)} ${name === "" ? "unstarted" : name} ${peerUrls.join(",")}`;
}

/** At least one other member must tell the cluster's version, and none one that this program cannot take part in. */
async function isCompatible(parts: JoiningParts): Promise<boolean> {
  const { log, initial, name } = parts;
  const others = initial.filter((member) => member.name !== name);
  const [versions, isDowngrading] = await Promise.all([
    Promise.all(others.map((member) => clusterVersionOf(parts, member))),
    isDowngradeEnabled(parts, others),
  ]);
  const own = parseVersion(CLUSTER_VERSION)!;
  // A member that takes part in a downgrade joins a cluster that is still one version ahead.
  const max = isDowngrading ? { ...own, minor: own.minor + 1 } : own;
  const min = isDowngrading ? max : CLUSTER_VERSION_MIN;
  let isKnown = false;
  for (const [i, text] of versions.entries()) {
    if (text === undefined) continue;
    const remote = { "remote-member-name": others[i].name, "remote-member-cluster-version": text };
    const version = parseVersion(text);
    if (version === undefined) {
      log.warn("failed to parse cluster version of remote member", remote);
    } else if (compareVersions(version, min) < 0) {
      log.warn("cluster version of remote member is not compatible; too low", {
        ...remote,
        "minimum-cluster-version-supported": `${min.major}.${min.minor}.0`,
      });
      return false;
    } else if (compareVersions(version, max) > 0) {
      log.warn("cluster version of remote member is not compatible; too high", {
        ...remote,
        "maximum-cluster-version-supported": `${max.major}.${max.minor}.0`,
      });
      return false;
    } else isKnown = true;
  }
  return isKnown;
}

/** The version that the cluster has agreed on, as a member says. */
async function clusterVersionOf(parts: JoiningParts, { name, peerUrls }: InitialMember): Promise<string | undefined> {
  for (const url of peerUrls) {
    const text = await get(parts, url, "/version");
    if (text === undefined) continue;
    try {
      const { etcdcluster } = JSON.parse(text) as { etcdcluster?: unknown };
      if (typeof etcdcluster === "string") return etcdcluster;
    } catch {
      // Whatever it is, it is no answer.
    }
  }
  parts.log.warn("failed to get version", { "remote-member-name": name });
  return undefined;
}

async function isDowngradeEnabled(parts: JoiningParts, others: readonly InitialMember[]): Promise<boolean> {
  for (const { name, peerUrls } of others) {
    for (const url of peerUrls) {
      const text = await get(parts, url, "/downgrade/enabled");
      if (text === "true" || text === "false") return text === "true";
    }
    parts.log.warn("failed to get downgrade enabled status", { "remote-member-name": name });
  }
  return false;
}

async function get(
  { ask, log, requestTimeoutMs }: JoiningParts,
  url: string,
  path: string,
): Promise<string | undefined> {
  const answer = await ask(url, { method: "GET", path, contentType: "", body: EMPTY_BYTES }, requestTimeoutMs);
  if (answer?.status === 200) return utf8Text(answer.body);
  log.warn("failed to reach the peer URL", { "address": url + path, ...(answer && { "status": answer.status }) });
  return undefined;
}
