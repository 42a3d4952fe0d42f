import { EMPTY_BYTES } from "../base/bytes.ts";
import type { HttpExchange, HttpField } from "../io/net.ts";
import { idText } from "../membership/mod.ts";
import type { Message } from "../raft/mod.ts";
import { isCredible } from "./admission.ts";
import { SnapshotBodyDecoder } from "./codec/mod.ts";
import type { PeerContext } from "./context.ts";
import { reply, replyText } from "./reply.ts";
import { SnapshotPieces } from "./snapshot_pieces.ts";

export interface SnapshotRequest {
  readonly context: PeerContext;
  readonly exchange: HttpExchange;
  readonly sender: bigint;
  /** Go with the answer. */
  readonly fields: readonly HttpField[];
  /** Otherwise the exchange has been answered. */
  readonly isForThisMember: (message: Message) => boolean;
}

/** Brings a snapshot that a peer posts to the member, and tells the peer what became of it. */
export function receiveSnapshot(request: SnapshotRequest): void {
  const { context, exchange, sender, fields } = request;
  const figures = context.statistics.of(sender);
  const decoder = new SnapshotBodyDecoder();
  const pieces = new SnapshotPieces(exchange);
  let isBegun = false;

  const refuse = (status: number, text: string): void => {
    figures.snapshotReceiveFailures++;
    context.complaints.warn(idText(sender), text, { "remote-snapshot-sender-id": idText(sender) });
    replyText(exchange, status, text, fields);
  };
  const begin = (message: Message): void => {
    if (!request.isForThisMember(message)) return void figures.snapshotReceiveFailures++;
    if (!isCredible(message, context.identity.id, sender)) return refuse(400, "error processing raft message");
    void take(request, message, pieces);
  };

  exchange.onData((chunk) => {
    if (exchange.isClosed) return;
    let piece: Uint8Array;
    try {
      piece = decoder.push(chunk);
    } catch (error) {
      return refuse(400, `failed to decode raft message (${(error as Error).message})`);
    }
    if (decoder.message !== undefined && !isBegun) {
      isBegun = true;
      begin(decoder.message);
    }
    pieces.push(piece);
  });
  exchange.onEnd(() => {
    if (!isBegun && !exchange.isClosed) refuse(400, "failed to decode raft message (unexpected EOF)");
    pieces.end();
  });
  exchange.onAbort(() => pieces.fail(new Error("the connection was lost")));
}

async function take(
  { context, exchange, sender, fields }: SnapshotRequest,
  message: Message,
  pieces: SnapshotPieces,
): Promise<void> {
  const { clock, handler, statistics } = context;
  const figures = statistics.of(sender);
  const startMs = clock.monotonicMs();
  figures.snapshotsReceiving++;
  try {
    await handler.receiveSnapshot(message, pieces);
    figures.snapshotsReceived++;
    figures.receivedBytes += pieces.size;
    figures.snapshotReceiveSeconds.observe((clock.monotonicMs() - startMs) / 1000);
    reply(exchange, 204, "", EMPTY_BYTES, fields);
  } catch (error) {
    figures.snapshotReceiveFailures++;
    const reason = error as Error;
    // What still comes is not wanted.
    pieces.fail(reason);
    replyText(exchange, 500, `failed to save KV snapshot (${reason.message})`, fields);
  } finally {
    figures.snapshotsReceiving--;
  }
}
