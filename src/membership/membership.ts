import type { Member } from "./member.ts";

/** The members of one cluster, as of the last applied entry. */
export class Membership {
  #clusterVersion = "";
  readonly #members = new Map<bigint, Member>();
  readonly #removed = new Set<bigint>();

  /** What the members agreed on, for example "3.7.0"; empty until they have. */
  get clusterVersion(): string {
    return this.#clusterVersion;
  }

  setClusterVersion(version: string): void {
    this.#clusterVersion = version;
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
