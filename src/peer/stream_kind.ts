/** The two streams that lead from a member to a peer. */

import type { WireWriter } from "../base/varint.ts";
import type { Message } from "../raft/mod.ts";
import {
  AppendStreamDecoder,
  AppendStreamEncoder,
  MessageStreamDecoder,
  writeFramedMessage,
  writeLinkHeartbeat,
} from "./codec/mod.ts";

export interface StreamEncoder {
  write(writer: WireWriter, message: Message): void;
  writeLinkHeartbeat(writer: WireWriter): void;
}

export interface StreamDecoder {
  readonly isAtBoundary: boolean;
  /** Throws CodecError. */
  push(chunk: Uint8Array): void;
}

export interface StreamKind {
  /** As etcd's logs have it. */
  readonly name: string;
  /** Followed by the id of the member that asks for the stream. */
  readonly path: string;
  /** Once per stream. */
  encoder(): StreamEncoder;
  decoder(memberId: bigint, peerId: bigint, receive: (message: Message) => void): StreamDecoder;
}

const messageEncoder: StreamEncoder = { write: writeFramedMessage, writeLinkHeartbeat };

export const MESSAGE_STREAM: StreamKind = {
  name: "stream Message",
  path: "/raft/stream/message/",
  encoder: () => messageEncoder,
  decoder: (_memberId, _peerId, receive) => new MessageStreamDecoder(receive),
};

export const APPEND_STREAM: StreamKind = {
  name: "stream MsgApp v2",
  path: "/raft/stream/msgapp/",
  encoder: () => new AppendStreamEncoder(),
  decoder: (memberId, peerId, receive) => new AppendStreamDecoder(memberId, peerId, receive),
};

export const STREAM_KINDS: readonly StreamKind[] = [MESSAGE_STREAM, APPEND_STREAM];
