/** What the log says of the cluster: its members, their names and addresses, its version. */
import { fromBinary } from "@bufbuild/protobuf";
import { utf8Text } from "../base/bytes.ts";
import {
  ClusterMemberAttrSetRequestSchema,
  ClusterVersionSetRequestSchema,
  DowngradeInfoSetRequestSchema,
} from "../gen/membershippb/membership_pb.ts";
import { ConfChangeSchema } from "../gen/raftpb/raft_pb.ts";
import { type ChangeError, idFromText, type Membership, readChange } from "../membership/mod.ts";
import { decodeV2Request, RaftOperation } from "../wire/mod.ts";

/** Executes one operation on the cluster; false: `operation` is not one of them. */
export function applyCluster(membership: Membership, operation: number, body: Uint8Array): boolean {
  switch (operation) {
    case RaftOperation.CLUSTER_VERSION_SET:
      membership.setClusterVersion(fromBinary(ClusterVersionSetRequestSchema, body).ver);
      return true;
    case RaftOperation.CLUSTER_MEMBER_ATTR_SET: {
      const { memberID, memberAttributes } = fromBinary(ClusterMemberAttrSetRequestSchema, body);
      membership.updateAttributes(memberID, memberAttributes?.name ?? "", memberAttributes?.clientUrls ?? []);
      return true;
    }
    case RaftOperation.DOWNGRADE_INFO_SET: {
      const { enabled, ver } = fromBinary(DowngradeInfoSetRequestSchema, body);
      membership.setDowngrade({ isEnabled: enabled, targetVersion: enabled ? ver : "" });
      return true;
    }
    case RaftOperation.DOWNGRADE_VERSION_TEST:
      return true;
    case RaftOperation.V2:
      applyV2(membership, body);
      return true;
    default:
      return false;
  }
}

/** Writes to a store that no version of etcd has had since 3.6; nothing of it could be kept. */
export class V2RequestError extends Error {
  constructor(method: string, path: string) {
    super(
      `the log holds a request of the v2 API (${method} ${path}), whose data this version cannot keep, as no etcd since ` +
        `3.6; with etcd 3.5, move the data to the v3 API and wait for a snapshot, then start this program`,
    );
    this.name = "V2RequestError";
  }
}

const MEMBER_ATTRIBUTES = /^\/0\/members\/([0-9a-f]{1,16})\/attributes$/;

/** Members of etcd up to 3.5 publish themselves, and agree on the version, by requests of the v2 API. */
function applyV2(membership: Membership, body: Uint8Array): void {
  const { method, path, value } = decodeV2Request(body);
  // A read, and the expiry of what cannot be there.
  if (method === "QGET" || method === "SYNC") return;
  const id = MEMBER_ATTRIBUTES.exec(path)?.[1];
  if (method === "PUT" && id !== undefined) {
    const { name, clientURLs } = JSON.parse(value) as { name?: string; clientURLs?: string[] | null };
    membership.updateAttributes(idFromText(id)!, name ?? "", clientURLs ?? []);
  } else if (method === "PUT" && path === "/0/version") membership.setClusterVersion(value);
  else throw new V2RequestError(method, path);
}

/** A committed change of the membership, as raft has to carry it out: of member 0, without effect, if it was refused. */
export interface AppliedConfChange {
  /** raftpb.ConfChangeType. */
  readonly type: number;
  readonly memberId: bigint;
  /** Whoever waits for this request is told. */
  readonly requestId: bigint;
  readonly error: ChangeError | undefined;
}

/** Brings the change of an entry of type ConfChange into force, if it is still allowed. */
export function applyConfChange(membership: Membership, entry: Uint8Array): AppliedConfChange {
  const { type, nodeId, context, id } = fromBinary(ConfChangeSchema, entry);
  const error = membership.change(readChange(type, nodeId, utf8Text(context)));
  return { type, memberId: error === undefined ? nodeId : 0n, requestId: id, error };
}
