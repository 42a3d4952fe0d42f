import type { Member } from "./member.ts";

/** What was agreed about going back to an older version: the version, empty if none, and whether it is on. */
export interface DowngradeInfo {
  readonly targetVersion: string;
  readonly isEnabled: boolean;
}

/** The members of one cluster, as of the last applied entry. */
export class Membership {
  #clusterVersion = "";
  #downgrade: DowngradeInfo | undefined;
  readonly #members = new Map<bigint, Member>();
  readonly #removed = new Set<bigint>();

  /** What the members agreed on, for example "3.7.0"; empty until they have. */
  get clusterVersion(): string {
    return this.#clusterVersion;
  }

  setClusterVersion(version: string): void {
    this.#clusterVersion = version;
  }

  /** Undefined as long as nobody ever asked for one. */
  get downgrade(): DowngradeInfo | undefined {
    return this.#downgrade;
  }

  setDowngrade(downgrade: DowngradeInfo): void {
    this.#downgrade = downgrade;
  }

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

  add(member: Member): void {
    this.#members.set(member.id, member);
  }

  /** Takes in what a database says: an id that belonged to the cluster once. */
  restoreRemoved(id: bigint): void {
    this.#removed.add(id);
  }

  remove(id: bigint): void {
    this.#members.delete(id);
    this.#removed.add(id);
  }

  updatePeerUrls(id: bigint, peerUrls: readonly string[]): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#members.set(id, { ...member, peerUrls });
  }

  /** Takes in what a started member says of itself. Unknown ids are ignored, as a member may be removed before it publishes. */
  updateAttributes(id: bigint, name: string, clientUrls: readonly string[]): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#members.set(id, { ...member, name, clientUrls });
  }
}
