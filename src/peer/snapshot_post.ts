import { PEER_SNAPSHOT_ANSWER_MS, PEER_SNAPSHOT_STALL_MS } from "../base/limits.ts";
import { WireWriter } from "../base/varint.ts";
import type { Message } from "../raft/mod.ts";
import { writeSnapshotHead } from "./codec/mod.ts";
import type { PeerContext } from "./context.ts";
import type { HttpBodySource } from "./http/mod.ts";
import type { PeerFigures } from "./peer_statistics.ts";
import type { PeerStatus } from "./peer_status.ts";
import { post } from "./post.ts";
import type { SnapshotView } from "./transport.ts";
import type { UrlPicker } from "./url_picker.ts";

export interface SnapshotPost {
  readonly peerId: bigint;
  readonly picker: UrlPicker;
  readonly status: PeerStatus;
  readonly figures: PeerFigures;
  readonly message: Message;
  readonly view: SnapshotView;
}

/** True: the peer has the snapshot safely. Does not reject. */
export async function postSnapshot(context: PeerContext, snapshot: SnapshotPost): Promise<boolean> {
  const { peerId, picker, status, figures, message, view } = snapshot;
  const { clock, connectTimeoutMs, readTimeoutMs } = context;
  const startMs = clock.monotonicMs();
  const body = bodyOf(message, view);
  figures.snapshotsSending++;
  const hasArrived = await post(context, {
    peerId,
    picker,
    status,
    path: "/raft/snapshot",
    from: message.from,
    contentType: "application/octet-stream",
    body,
    patience: {
      connectMs: connectTimeoutMs,
      answerMs: PEER_SNAPSHOT_ANSWER_MS,
      idleMs: readTimeoutMs,
      stallMs: PEER_SNAPSHOT_STALL_MS,
    },
    action: "post",
    source: "sendMsgSnap",
  });
  figures.snapshotsSending--;
  if (hasArrived) {
    figures.snapshotsSent++;
    figures.sentBytes += body.size;
    figures.snapshotSendSeconds.observe((clock.monotonicMs() - startMs) / 1000);
  } else {
    figures.snapshotsFailed++;
    figures.sentFailures++;
  }
  return hasArrived;
}

/** The message, and the database as it is read. */
function bodyOf(message: Message, view: SnapshotView): HttpBodySource {
  const writer = new WireWriter();
  writeSnapshotHead(writer, message);
  const head = writer.finish();
  return {
    size: head.length + view.size,
    async read(target, position) {
      if (position >= head.length) return await view.read(target, position - head.length);
      const part = head.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    },
  };
}
