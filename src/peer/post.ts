/** Raft messages that do not go over a stream: POST requests that are answered once the message was taken in. */

import { utf8Text } from "../base/bytes.ts";
import { PEER_REPLY_SIZE_MAX } from "../base/limits.ts";
import type { HttpField } from "../io/net.ts";
import { idText } from "../membership/mod.ts";
import type { PeerContext } from "./context.ts";
import { fieldValue, type HttpAnswer, type HttpBody, HttpError, type HttpPatience } from "./http/mod.ts";
import { CLUSTER_ID_FIELD } from "./identity.ts";
import type { PeerStatus } from "./peer_status.ts";
import type { UrlPicker } from "./url_picker.ts";

/**
 * What tells "you were removed" from the other 403, "I am not whom you mean": that is what the next member at an address
 * says to one that has not heard yet of the change. And who passes on what a removed member has asked of it is told so by
 * etcd, too. (etcd takes all of it for its own removal, and ends.)
 */
const REMOVED_TEXT = "from removed member";

export interface Post {
  readonly peerId: bigint;
  readonly picker: UrlPicker;
  readonly status: PeerStatus;
  readonly path: string;
  /** Whose message it is. */
  readonly from: bigint;
  readonly contentType: string;
  readonly body: HttpBody;
  readonly patience: HttpPatience;
  /** In etcd's words: "write" on "pipeline". */
  readonly action: string;
  readonly source: string;
}

/** True: the peer has taken it. Does not reject; what failed was reported to the peer's status, and the member. */
export async function post(context: PeerContext, post: Post): Promise<boolean> {
  const { peerId, picker, status, path, from, contentType, body, patience, action, source } = post;
  const url = picker.picked;
  const headers: readonly HttpField[] = [["Content-Type", contentType], ...context.fields];
  let reason = "there is no address to reach it at";
  if (url !== undefined) {
    try {
      const answer = await context.client.collect(
        url,
        { method: "POST", path, headers, body, patience },
        PEER_REPLY_SIZE_MAX,
      );
      if (answer.status === 204) {
        status.postArrived();
        return true;
      }
      reason = reasonOf(context, peerId, from, answer);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      reason = error.message;
    }
    picker.markUnreachable(url);
  }
  status.postFailed(action, source, reason);
  context.handler.reportUnreachable(peerId);
  return false;
}

function reasonOf(context: PeerContext, peerId: bigint, from: bigint, { status, headers, body }: HttpAnswer): string {
  const { identity, complaints, handler } = context;
  const clusterId = fieldValue(headers, CLUSTER_ID_FIELD);
  const text = utf8Text(body).trimEnd();
  if (
    status === 403 && from === identity.id && text.includes(REMOVED_TEXT) && clusterId === idText(identity.clusterId)
  ) {
    handler.reportRemoved();
    return "the member has been permanently removed from the cluster";
  }
  if (status !== 412) return `unexpected http status ${status} (${text})`;
  const fields = {
    "remote-peer-id": idText(peerId),
    "remote-peer-cluster-id": clusterId,
    "local-member-cluster-id": idText(identity.clusterId),
  };
  if (text === "cluster ID mismatch") {
    complaints.warn(idText(peerId), "request sent was ignored due to cluster ID mismatch", fields);
  } else if (text === "incompatible version") {
    complaints.warn(idText(peerId), "request sent was ignored by peer", fields);
  }
  return text;
}
