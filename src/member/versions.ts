/**
 * The version that the members of a cluster agree on, and the way back to an older one: both follow from what the members
 * say they are, and change through the log.
 *
 * The cluster version rises to the oldest member's, by the leader. A downgrade that was asked for lowers it by one minor
 * version, so that members of that version may join; it is over once all members are of that version.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { ETCD_VERSION } from "../base/version.ts";
import { ClusterVersionSetRequestSchema, DowngradeInfoSetRequestSchema } from "../gen/membershippb/membership_pb.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import { compareVersions, idText, type Membership, parseVersion, type Version } from "../membership/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import type { Read } from "./pending_reads.ts";
import type { MemberError, Settle } from "./proposals.ts";

export interface VersionsParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly membership: Membership;
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly isLeader: () => boolean;
  /** What every member says it is, "3.7.1"; undefined for one that cannot be asked now. */
  readonly memberVersions: () => readonly (string | undefined)[];
  readonly linearizableRead: (read: Read) => void;
  readonly propose: (operation: number, body: Uint8Array, settle: Settle) => void;
  /** Brings the state as it is now, and so the version of its schema, into the database file. */
  readonly saveState: () => Promise<void>;
  /** Time between looks at a running downgrade; 0: it is never looked at, and so never ends by itself. */
  readonly downgradeCheckMs: number;
}

/** Why a downgrade is refused, besides what may befall any request. */
export type DowngradeError =
  | "cluster_version_unavailable"
  | "wrong_downgrade_version_format"
  | "invalid_downgrade_target_version"
  | "downgrade_in_process";

export type DowngradeSettle = (error: DowngradeError | MemberError | undefined) => void;

/** What a new cluster agrees on as long as not all of its members can be asked (etcd's). */
const OLDEST_VERSION = "3.0.0";
/** etcd's: a second less than the write timeout between members. */
const CHECK_INTERVAL_MS = 4000;

export class Versions {
  readonly #parts: VersionsParts;
  #timers: Timer[] = [];
  #isChanging = false;
  /** The version that the database file still has to be brought to; empty if none. */
  #unsaved = "";
  /** The cluster version that was in force before. */
  #known = "";

  constructor(parts: VersionsParts) {
    this.#parts = parts;
  }

  /** Calls back once the cluster version has been looked at for the first time. */
  start(onSettled: () => void): void {
    const { clock, downgradeCheckMs, membership } = this.#parts;
    this.#known = membership.clusterVersion;
    this.#timers.push(clock.every(CHECK_INTERVAL_MS, () => this.#update(() => {})));
    if (downgradeCheckMs > 0) this.#timers.push(clock.every(downgradeCheckMs, () => this.#endDowngrade()));
    this.#update(onSettled);
  }

  /** This member leads now: what is to be decided need not wait for the next look. */
  consider(): void {
    if (this.#timers.length > 0) this.#update(() => {});
  }

  /** A cluster version is in force here. A program of that version has to find it in the database file, on every member. */
  onApplied(): void {
    const { membership: { clusterVersion }, log } = this.#parts;
    const previous = this.#known;
    this.#known = clusterVersion;
    if (previous === "" || previous === clusterVersion) return;
    if (compareVersions(parseVersion(clusterVersion)!, parseVersion(previous)!) < 0) {
      log.info("Cluster version downgrade detected, forcing snapshot", {
        "prev-cluster-version": previous,
        "new-cluster-version": clusterVersion,
      });
    }
    this.#save(clusterVersion);
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }

  /** Whether a downgrade to `target`, "3.6" or "3.6.0", could begin now. */
  validateDowngrade(target: string, settle: DowngradeSettle): void {
    const { membership, linearizableRead } = this.#parts;
    const version = parseTarget(target);
    if (version === undefined) return settle("wrong_downgrade_version_format");
    if (membership.clusterVersion === "") return settle("cluster_version_unavailable");
    linearizableRead((error) => {
      if (error !== undefined) settle(error);
      else if (!isPrevious(version, membership.clusterVersion)) settle("invalid_downgrade_target_version");
      else settle(membership.downgrade?.isEnabled === true ? "downgrade_in_process" : undefined);
    });
  }

  enableDowngrade(target: string, settle: DowngradeSettle): void {
    this.validateDowngrade(target, (error) => {
      if (error !== undefined) {
        this.#parts.log.warn("reject downgrade request", { error });
        return settle(error);
      }
      this.#setDowngrade(true, versionText(parseTarget(target)!), settle);
    });
  }

  /** Whatever comes of it is only logged, as in etcd. */
  cancelDowngrade(settle: () => void): void {
    const { membership, linearizableRead, log } = this.#parts;
    const finish = (error: string | undefined): void => {
      if (error !== undefined) log.warn("failed to cancel downgrade", { error });
      settle();
    };
    linearizableRead((error) => {
      if (error !== undefined) finish(error);
      else if (membership.downgrade?.isEnabled !== true) finish("etcdserver: no inflight downgrade job");
      else this.#setDowngrade(false, "", finish);
    });
  }

  #setDowngrade(enabled: boolean, ver: string, settle: (error: MemberError | undefined) => void): void {
    const body = toBinary(DowngradeInfoSetRequestSchema, create(DowngradeInfoSetRequestSchema, { enabled, ver }));
    this.#parts.propose(RaftOperation.DOWNGRADE_INFO_SET, body, (_outcome, error) => settle(error));
  }

  #update(onSettled: () => void): void {
    if (this.#unsaved !== "" && !this.#isChanging) this.#save(this.#unsaved);
    const version = this.#isChanging || !this.#parts.isLeader() ? undefined : this.#decide();
    if (version === undefined) return onSettled();
    this.#isChanging = true;
    this.#setClusterVersion(version, () => {
      this.#isChanging = false;
      onSettled();
    });
  }

  #setClusterVersion(version: string, onSettled: () => void): void {
    const { clusterId, memberId, membership, propose, log } = this.#parts;
    const change = membership.clusterVersion === ""
      ? { "cluster-version": shortVersion(version) }
      : { from: shortVersion(membership.clusterVersion), to: shortVersion(version) };
    const isFirst = membership.clusterVersion === "";
    log.info(`${isFirst ? "setting up initial" : "updating"} cluster version using v3 API`, change);
    const body = toBinary(ClusterVersionSetRequestSchema, create(ClusterVersionSetRequestSchema, { ver: version }));
    propose(RaftOperation.CLUSTER_VERSION_SET, body, (_outcome, error) => {
      if (error === undefined) {
        const ids = { "cluster-id": idText(clusterId), "local-member-id": idText(memberId) };
        log.info(`${isFirst ? "set initial" : "updated"} cluster version`, { ...ids, ...change });
        log.info("cluster version is updated", { "cluster-version": shortVersion(version) });
      } else log.warn("failed to update cluster version", { error });
      onSettled();
    });
  }

  #save(version: string): void {
    const { saveState, membership, log } = this.#parts;
    this.#unsaved = "";
    saveState().then(
      () => {
        log.info("updated storage version", { "new-storage-version": version });
        if (membership.downgrade?.isEnabled === true) {
          log.info("The server is ready to downgrade", {
            "target-version": membership.downgrade.targetVersion,
            "server-version": ETCD_VERSION,
          });
        }
      },
      (error: Error) => {
        log.error("failed to update storage version", { "cluster-version": version, error: error.message });
        this.#unsaved = version;
      },
    );
  }

  /** The cluster version that should be, where it is not what it is. */
  #decide(): string | undefined {
    const { membership, log } = this.#parts;
    const { clusterVersion, downgrade } = membership;
    const oldest = this.#oldestMember();
    // A cluster begins whether or not all of its members are there.
    if (clusterVersion === "") return oldest === undefined ? OLDEST_VERSION : versionText(oldest);
    if (oldest === undefined) return undefined;
    if (downgrade?.isEnabled !== true) {
      return compareVersions(minorVersion(clusterVersion)!, oldest) < 0 ? versionText(oldest) : undefined;
    }
    const target = parseTarget(downgrade.targetVersion);
    if (target === undefined || versionText(target) === clusterVersion) return undefined;
    if (isPrevious(target, clusterVersion) && isPrevious(target, versionText(oldest))) return versionText(target);
    log.error("Failed to monitor cluster version", { error: "invalid downgrade target" });
    return undefined;
  }

  /** Undefined as long as one of them cannot be asked. */
  #oldestMember(): Version | undefined {
    let oldest: Version | undefined;
    for (const text of this.#parts.memberVersions()) {
      const version = text === undefined ? undefined : minorVersion(text);
      if (version === undefined) return undefined;
      if (oldest === undefined || compareVersions(version, oldest) < 0) oldest = version;
    }
    return oldest;
  }

  #endDowngrade(): void {
    const { isLeader, membership, memberVersions, log } = this.#parts;
    if (!isLeader() || membership.downgrade?.isEnabled !== true) return;
    const { targetVersion } = membership.downgrade;
    const target = parseTarget(targetVersion);
    for (const text of memberVersions()) {
      const version = text === undefined ? undefined : minorVersion(text);
      if (target === undefined || version === undefined || compareVersions(version, target) !== 0) return;
    }
    log.info("the cluster has been downgraded", { "cluster-version": targetVersion });
    this.cancelDowngrade(() => {});
  }
}

/** A version as the cluster counts it: without the patch release. Undefined where the text is no version. */
function minorVersion(text: string): Version | undefined {
  const version = parseVersion(text);
  return version === undefined ? undefined : { ...version, patch: 0, suffix: "" };
}

/** The same of a text that may leave the patch release out. */
function parseTarget(text: string): Version | undefined {
  return minorVersion(text) ?? minorVersion(`${text}.0`);
}

function versionText({ major, minor }: Version): string {
  return `${major}.${minor}.0`;
}

/** "3.7": how etcd names the version of a cluster to people. */
export function shortVersion(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}

/** Whether `version` is the one minor version that a cluster of `from` may go back to. */
function isPrevious(version: Version, from: string): boolean {
  const current = parseVersion(from)!;
  return version.major === current.major && version.minor === current.minor - 1;
}
