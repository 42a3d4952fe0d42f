import { latin1, type Pair, utf8, utf8Text } from "../base/bytes.ts";
import { CLUSTER_VERSION } from "../base/version.ts";
import { type ChangeError, ChangeType, judgeChange, type MembershipChange } from "./change.ts";
import { jsonString } from "./json.ts";
import { idFromText, idText, type Member, memberFromJson, memberJson } from "./member.ts";
import { compareVersions, parseVersion, type Version, versionText } from "./version.ts";

/** What was agreed about going back to an older version: the version, empty if none, and whether it is on. */
export interface DowngradeInfo {
  readonly targetVersion: string;
  readonly isEnabled: boolean;
}

/** The pairs of etcd's buckets members, members_removed and cluster, each in the order of its keys. */
export interface MembershipRecords {
  readonly members: readonly Pair[];
  readonly membersRemoved: readonly Pair[];
  readonly cluster: readonly Pair[];
}

export interface MembershipOptions {
  /** As `--max-learners`; the same on all members. */
  readonly learnersMax?: number;
}

/** etcd's default. */
const LEARNERS_MAX_DEFAULT = 1;

const OWN_VERSION = parseVersion(CLUSTER_VERSION)!;

/** A value of the database, or an operation of the log, from which the members cannot be known. */
export class MembershipError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "MembershipError";
  }
}

/** The members of one cluster, as of the last applied entry. */
export class Membership {
  readonly #learnersMax: number;
  #version: Version | undefined;
  #downgrade: DowngradeInfo | undefined;
  readonly #members = new Map<bigint, Member>();
  readonly #removed = new Set<bigint>();

  constructor(options: MembershipOptions = {}) {
    this.#learnersMax = options.learnersMax ?? LEARNERS_MAX_DEFAULT;
  }

  // --- the version

  /** What the members agreed on, for example "3.7.0"; empty until they have. */
  get clusterVersion(): string {
    return this.#version === undefined ? "" : versionText(this.#version);
  }

  /** Whether the members agreed on this version or a later one. */
  hasVersion(major: number, minor: number): boolean {
    const atLeast = { major, minor, patch: 0, suffix: "" };
    return this.#version !== undefined && compareVersions(this.#version, atLeast) >= 0;
  }

  /** Throws MembershipError if it is none, or one that this program is too old for. */
  setClusterVersion(text: string): void {
    const version = parseVersion(text);
    if (version === undefined) throw new MembershipError(`${JSON.stringify(text)} is no version of a cluster`);
    if (compareVersions(version, OWN_VERSION) > 0) {
      throw new MembershipError(
        `invalid downgrade; server version is lower than determined cluster version: this program is ` +
          `${CLUSTER_VERSION}, the cluster ${text}; start a version of the program that is as new`,
      );
    }
    this.#version = version;
  }

  /** Undefined as long as nobody ever asked for one. */
  get downgrade(): DowngradeInfo | undefined {
    return this.#downgrade;
  }

  setDowngrade(downgrade: DowngradeInfo): void {
    this.#downgrade = downgrade;
  }

  // --- the members

  /** All members by ascending id. */
  list(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get(id: bigint): Member | undefined {
    return this.#members.get(id);
  }

  isRemoved(id: bigint): boolean {
    return this.#removed.has(id);
  }

  /** Ids that belonged to the cluster once and never will again. */
  removedIds(): bigint[] {
    return [...this.#removed];
  }

  /** Takes in a member of a cluster that begins with it: nothing is judged. */
  add(member: Member): void {
    this.#members.set(member.id, member);
  }

  /** Brings a committed change into force; undefined: it has taken effect. */
  change(change: MembershipChange): ChangeError | undefined {
    const current = { members: this.#members, removed: this.#removed, learnersMax: this.#learnersMax };
    const error = judgeChange(current, change);
    if (error === undefined) this.#carryOut(change);
    return error;
  }

  /** Takes in what a started member says of itself. It may have been removed since, but never been unknown. */
  updateAttributes(id: bigint, name: string, clientUrls: readonly string[]): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#members.set(id, { ...member, name, clientUrls });
    else if (!this.#removed.has(id)) {
      throw new MembershipError(`the log holds the name and addresses of member ${idText(id)}, which is unknown`);
    }
  }

  #carryOut({ type, id, context }: MembershipChange): void {
    if (context === undefined) {
      this.#members.delete(id);
      this.#removed.add(id);
      return;
    }
    const member = this.#members.get(id);
    if (member === undefined) this.#members.set(id, context.member);
    else if (type === ChangeType.UPDATE_NODE) this.#members.set(id, { ...member, peerUrls: context.member.peerUrls });
    else this.#members.set(id, { ...member, isLearner: false });
  }

  // --- on disk

  records(): MembershipRecords {
    const cluster: Pair[] = [];
    if (this.#version !== undefined) cluster.push([utf8("clusterVersion"), utf8(this.clusterVersion)]);
    if (this.#downgrade !== undefined) cluster.push([utf8("downgrade"), utf8(downgradeJson(this.#downgrade))]);
    const members = [...this.#members.values()].map((member) => [idText(member.id), memberJson(member)]);
    const removed = [...this.#removed].map((id) => [idText(id), "removed"]);
    return { members: textPairs(members), membersRemoved: textPairs(removed), cluster };
  }

  /** Replaces everything by what a database holds. Throws MembershipError; this membership is of no use then. */
  restore({ members, membersRemoved, cluster }: MembershipRecords): void {
    this.#members.clear();
    this.#removed.clear();
    this.#version = this.#downgrade = undefined;
    for (const [key, value] of members) {
      const id = idOf("members", key);
      const member = read("members", key, () => memberFromJson(utf8Text(value)));
      this.#members.set(id, { ...member, id });
    }
    for (const [key] of membersRemoved) this.#removed.add(idOf("members_removed", key));
    for (const [key, value] of cluster) {
      const name = latin1(key);
      if (name === "clusterVersion") this.setClusterVersion(utf8Text(value));
      else if (name === "downgrade") this.#downgrade = read("cluster", key, () => downgradeFrom(utf8Text(value)));
    }
  }
}

/** As etcd writes it (frozen). */
function downgradeJson({ isEnabled, targetVersion }: DowngradeInfo): string {
  return `{"target-version":${jsonString(targetVersion)},"enabled":${isEnabled}}`;
}

function downgradeFrom(json: string): DowngradeInfo {
  const value = JSON.parse(json) as { "target-version"?: string; enabled?: boolean };
  const downgrade = { isEnabled: value.enabled ?? false, targetVersion: value["target-version"] ?? "" };
  if (downgrade.isEnabled && parseVersion(downgrade.targetVersion) === undefined) {
    throw new SyntaxError(`${JSON.stringify(downgrade.targetVersion)} is no version`);
  }
  return downgrade;
}

function textPairs(texts: string[][]): Pair[] {
  return texts.sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([key, value]) => [utf8(key), utf8(value)]);
}

function idOf(bucket: string, key: Uint8Array): bigint {
  const id = idFromText(latin1(key));
  if (id === undefined) throw unreadable(bucket, key, "the key is no member's id");
  return id;
}

function read<T>(bucket: string, key: Uint8Array, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw unreadable(bucket, key, (error as Error).message);
  }
}

function unreadable(bucket: string, key: Uint8Array, reason: string): MembershipError {
  const name = JSON.stringify(latin1(key));
  return new MembershipError(
    `bucket ${bucket} of the database holds an unreadable entry under the key ${name}: ${reason}`,
  );
}
