import { create, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../base/bytes.ts";
import { ConfChangeSchema, type ConfChangeType } from "../gen/raftpb/raft_pb.ts";
import { ChangeType, idText, memberJson, type Membership, promotionJson } from "../membership/mod.ts";
import { type Entry, EntryType } from "../raft/mod.ts";
import { DataDirectoryError } from "../storage/data_directory.ts";

/**
 * The entries, behind `last`, that leave a member alone in its cluster (`--force-new-cluster`): as etcd's, one conf change
 * for each of the others, and before them what makes a voter of this one where it is none, since there must always be one.
 * Throws DataDirectoryError where it can never be a member again.
 */
export function entriesOfLoneMember(
  memberId: bigint,
  membership: Membership,
  peerUrls: readonly string[],
  last: { readonly term: number; readonly index: number },
): Entry[] {
  if (membership.isRemoved(memberId)) {
    throw new DataDirectoryError(
      `member ${
        idText(memberId)
      } was removed from its cluster, and a removed member never comes back; make a cluster of ` +
        "this data with a snapshot of it (etcdutl snapshot restore member/snap/db --skip-hash-check)",
    );
  }
  const changes: Uint8Array[] = [];
  const own = membership.get(memberId);
  if (own === undefined) {
    const member = { id: memberId, name: "", peerUrls, clientUrls: [], isLearner: false };
    changes.push(encodeChange(ChangeType.ADD_NODE, memberId, memberJson(member)));
  } else if (own.isLearner) {
    changes.push(encodeChange(ChangeType.ADD_NODE, memberId, promotionJson(memberId)));
  }
  for (const { id } of membership.list()) {
    if (id !== memberId) changes.push(encodeChange(ChangeType.REMOVE_NODE, id, ""));
  }
  return changes.map((data, i) => ({
    term: last.term,
    index: last.index + 1 + i,
    type: EntryType.CONF_CHANGE,
    data,
  }));
}

function encodeChange(type: number, nodeId: bigint, context: string): Uint8Array {
  const change = { type: type as ConfChangeType, nodeId, context: utf8(context) };
  return toBinary(ConfChangeSchema, create(ConfChangeSchema, change));
}
