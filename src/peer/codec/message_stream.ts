/**
 * The stream of all messages but appends, and of those too while there is no stream of appends (frozen: on the wire).
 *
 *   | size: 8, big-endian | Message: `size` bytes | size | Message | ...
 *
 * A HEARTBEAT from no one to no one keeps the connection alive and means nothing else. A snapshot never comes this way.
 */

import { PEER_MESSAGE_SIZE_MAX } from "../../base/limits.ts";
import type { WireWriter } from "../../base/varint.ts";
import { type Message, MessageType, newMessage, NO_MEMBER } from "../../raft/mod.ts";
import { INTEGER_SIZE, putInteger, SizedFrameReader } from "./frame.ts";
import { decodeMessage, isLinkHeartbeat, writeMessage } from "./message.ts";

const LINK_HEARTBEAT: Message = newMessage(MessageType.HEARTBEAT, NO_MEMBER);

/** Appends one message, with its size ahead of it. */
export function writeFramedMessage(writer: WireWriter, message: Message): void {
  writer.reserve(INTEGER_SIZE);
  const start = writer.position;
  writer.position += INTEGER_SIZE;
  writeMessage(writer, message);
  putInteger(writer.bytes, start, writer.position - start - INTEGER_SIZE);
}

/** Appends what keeps an idle stream of messages alive. */
export function writeLinkHeartbeat(writer: WireWriter): void {
  writeFramedMessage(writer, LINK_HEARTBEAT);
}

/** Takes such a stream apart, however it was cut into chunks. */
export class MessageStreamDecoder {
  readonly #receive: (message: Message) => void;
  readonly #frames = new SizedFrameReader(PEER_MESSAGE_SIZE_MAX);

  /** `receive` is called from inside of `push`, once for each message; link heartbeats are left out. */
  constructor(receive: (message: Message) => void) {
    this.#receive = receive;
  }

  /** True: the stream may end here. Else what came of the next message is lost. */
  get isAtBoundary(): boolean {
    return this.#frames.isEmpty;
  }

  /** The next bytes, not used after this returns. Throws CodecError; what came before the fault has been received. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      at = this.#frames.read(chunk, at);
      const { frame } = this.#frames;
      if (frame === undefined) continue;
      const message = decodeMessage(frame);
      if (!isLinkHeartbeat(message)) this.#receive(message);
    }
  }
}
