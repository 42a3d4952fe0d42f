/** How members make themselves known to one another, in header fields of every request (frozen: etcd's). */

import type { HttpField } from "../io/net.ts";
import { compareVersions, idText, parseVersion, type Version } from "../membership/mod.ts";
import { fieldValue } from "./http/mod.ts";

export interface Identity {
  readonly id: bigint;
  readonly clusterId: bigint;
  /** Where others may reach this member. */
  readonly peerUrls: readonly string[];
  /** "3.7.1" */
  readonly version: string;
}

export const CLUSTER_ID_FIELD = "x-etcd-cluster-id";
export const SERVER_FROM_FIELD = "x-server-from";
export const SERVER_VERSION_FIELD = "x-server-version";
export const MIN_CLUSTER_VERSION_FIELD = "x-min-cluster-version";
export const PEER_URLS_FIELD = "x-peerurls";
export const RAFT_TO_FIELD = "x-raft-to";

/** The oldest version of a cluster that this program can be a member of. */
const MIN_CLUSTER_VERSION = "3.0.0";
/** What a member is that does not say (etcd 2.0 did not). */
const UNSAID_VERSION = "2.0.0";
/** The first version that has the streams. */
const FIRST_STREAM_VERSION: Version = { major: 2, minor: 1, patch: 0, suffix: "" };

/** What goes with every request, with the names as etcd writes them. */
export function identityFields({ id, clusterId, peerUrls, version }: Identity): HttpField[] {
  return [
    ["X-Server-From", idText(id)],
    ["X-Server-Version", version],
    ["X-Min-Cluster-Version", MIN_CLUSTER_VERSION],
    ["X-Etcd-Cluster-ID", idText(clusterId)],
    ["X-PeerURLs", peerUrls.join(",")],
  ];
}

export type Incompatibility = "incompatible version" | "cluster ID mismatch";

/** Whether requests with these fields come from a member of this cluster; undefined: they do. */
export function incompatibility(fields: readonly HttpField[], identity: Identity): Incompatibility | undefined {
  const remote = versionIn(fields, SERVER_VERSION_FIELD);
  const remoteMin = versionIn(fields, MIN_CLUSTER_VERSION_FIELD);
  if (remote === undefined || remoteMin === undefined) return "incompatible version";
  if (compareMinor(remote, parseVersion(MIN_CLUSTER_VERSION)!) < 0) return "incompatible version";
  if (compareMinor(remoteMin, parseVersion(identity.version)!) > 0) return "incompatible version";
  return fieldValue(fields, CLUSTER_ID_FIELD) === idText(identity.clusterId) ? undefined : "cluster ID mismatch";
}

/** Whether whoever answered so is a program that has streams. */
export function hasStreams(fields: readonly HttpField[]): boolean {
  const version = versionIn(fields, SERVER_VERSION_FIELD);
  return version !== undefined && compareMinor(version, FIRST_STREAM_VERSION) >= 0;
}

/** Undefined: the field is there and no version. */
function versionIn(fields: readonly HttpField[], name: string): Version | undefined {
  return parseVersion(fieldValue(fields, name) || UNSAID_VERSION);
}

function compareMinor(a: Version, b: Version): number {
  return compareVersions({ ...a, patch: 0 }, { ...b, patch: 0 });
}
