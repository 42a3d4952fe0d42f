/**
 * The membership as a tree in JSON: what etcd up to 3.6 finds in a raft snapshot (frozen: on disk and between members).
 *
 *   /0/members/<id>/raftAttributes   {"peerURLs":[...],"isLearner":true}
 *   /0/members/<id>/attributes       {"name":"...","clientURLs":[...]}      once it has published itself
 *   /0/removed_members/<id>
 *   /0/version                       3.7.0
 *   /1                               always there, and empty
 *
 * Its event history and counters are left out: readers begin with empty ones.
 */

import { utf8 } from "../base/bytes.ts";
import { idText, type Membership } from "../membership/mod.ts";

interface Node {
  readonly Path: string;
  readonly CreatedIndex: number;
  readonly ModifiedIndex: number;
  /** Go's zero time: never. */
  readonly ExpireTime: string;
  readonly Value: string;
  /** Null for a leaf. */
  readonly Children: Record<string, Node> | null;
}

/** The membership in the form above. */
export function encodeV2Store(membership: Membership): Uint8Array {
  const tree = new Tree();
  for (const { id, name, peerUrls, clientUrls, isLearner } of membership.list()) {
    const path = `/0/members/${idText(id)}`;
    tree.set(`${path}/raftAttributes`, JSON.stringify({ peerURLs: peerUrls, isLearner: isLearner || undefined }));
    if (clientUrls.length > 0) tree.set(`${path}/attributes`, JSON.stringify({ name, clientURLs: clientUrls }));
  }
  for (const id of membership.removedIds()) tree.set(`/0/removed_members/${idText(id)}`, "");
  if (membership.clusterVersion !== "") tree.set("/0/version", membership.clusterVersion);
  return utf8(JSON.stringify({ Root: tree.root, CurrentIndex: tree.index, CurrentVersion: 2 }));
}

class Tree {
  readonly root = node("/", 0, "", {});
  /** Grows with every value set. */
  index = 0;

  constructor() {
    for (const name of ["0", "1"]) this.root.Children![name] = node(`/${name}`, 0, "", {});
  }

  set(path: string, value: string): void {
    this.index++;
    const names = path.slice(1).split("/");
    const last = names.pop()!;
    let parent = this.root;
    let at = "";
    for (const name of names) {
      at += `/${name}`;
      parent = parent.Children![name] ??= node(at, this.index, "", {});
    }
    parent.Children![last] = node(path, this.index, value, null);
  }
}

function node(path: string, index: number, value: string, children: Record<string, Node> | null): Node {
  return {
    Path: path,
    CreatedIndex: index,
    ModifiedIndex: index,
    ExpireTime: "0001-01-01T00:00:00Z",
    Value: value,
    Children: children,
  };
}
