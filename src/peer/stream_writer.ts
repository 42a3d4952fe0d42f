import { PEER_STREAM_HELD_MAX, PEER_STREAM_HELD_SIZE_MAX } from "../base/limits.ts";
import type { Timer } from "../io/clock.ts";
import type { HttpExchange } from "../io/net.ts";
import { idText } from "../membership/mod.ts";
import type { Message } from "../raft/mod.ts";
import { emptyWriter, type PeerContext } from "./context.ts";
import type { PeerFigures } from "./peer_statistics.ts";
import type { PeerStatus } from "./peer_status.ts";
import type { StreamEncoder, StreamKind } from "./stream_kind.ts";

/** Link heartbeats in the time after which the other side takes the stream for dead (etcd's figure). */
const HEARTBEATS_PER_TIMEOUT = 3;

/**
 * Sends a peer messages, as long as the peer holds a stream open: it asks for one, and the messages are the answer's body.
 *
 * Messages are encoded and handed to the connection one by one, which sends what has come together in a turn at once.
 */
export class StreamWriter {
  readonly #context: PeerContext;
  readonly #kind: StreamKind;
  readonly #peerId: bigint;
  readonly #status: PeerStatus;
  readonly #figures: PeerFigures;
  #exchange: HttpExchange | undefined;
  #encoder: StreamEncoder;
  #heartbeat: Timer | undefined;
  /** The peer does not keep up: what was sent since is counted. */
  #isHeld = false;
  #heldCount = 0;
  #heldSize = 0;

  constructor(context: PeerContext, kind: StreamKind, peerId: bigint, status: PeerStatus, figures: PeerFigures) {
    this.#context = context;
    this.#kind = kind;
    this.#peerId = peerId;
    this.#status = status;
    this.#figures = figures;
    this.#encoder = kind.encoder();
  }

  get isAttached(): boolean {
    return this.#exchange !== undefined;
  }

  /** The peer has asked for the stream, and `exchange` was responded to. The stream before is ended. */
  attach(exchange: HttpExchange, version: string | undefined): void {
    const { log, clock, readTimeoutMs } = this.#context;
    if (this.#release()) log.warn("closed TCP streaming connection with remote peer", this.#logFields());
    this.#exchange = exchange;
    this.#encoder = this.#kind.encoder();
    exchange.onDrain(() => this.#goOn());
    exchange.onAbort(() => this.#lose(exchange));
    this.#heartbeat = clock.every(readTimeoutMs / HEARTBEATS_PER_TIMEOUT, () => this.#sendHeartbeat());
    this.#status.streamOpened(version);
    log.info("established TCP streaming connection with remote peer", this.#logFields());
  }

  /** Only while it is attached. False: there is no room for the message. */
  send(message: Message): boolean {
    if (this.#heldCount >= PEER_STREAM_HELD_MAX || this.#heldSize >= PEER_STREAM_HELD_SIZE_MAX) return false;
    const writer = emptyWriter(this.#context);
    this.#encoder.write(writer, message);
    this.#write(writer.view());
    return true;
  }

  stop(): void {
    this.#release();
  }

  #write(bytes: Uint8Array): void {
    this.#figures.sentBytes += bytes.length;
    if (!this.#exchange!.write(bytes)) this.#isHeld = true;
    if (!this.#isHeld) return;
    this.#heldCount++;
    this.#heldSize += bytes.length;
  }

  #sendHeartbeat(): void {
    // Whoever has enough to read knows that the stream is alive.
    if (this.#isHeld) return;
    const writer = emptyWriter(this.#context);
    this.#encoder.writeLinkHeartbeat(writer);
    this.#write(writer.view());
  }

  #goOn(): void {
    this.#isHeld = false;
    this.#heldCount = 0;
    this.#heldSize = 0;
  }

  #lose(exchange: HttpExchange): void {
    if (exchange !== this.#exchange) return;
    this.#release();
    this.#status.streamFailed("write", this.#kind.name, "the connection was lost");
    this.#context.log.warn("lost TCP streaming connection with remote peer", this.#logFields());
    this.#figures.sentFailures++;
    this.#context.handler.reportUnreachable(this.#peerId);
  }

  /** Ends the stream after what was sent. False: there is none. */
  #release(): boolean {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
    this.#goOn();
    if (exchange === undefined) return false;
    this.#status.streamClosed();
    exchange.end();
    return true;
  }

  #logFields(): Record<string, string> {
    return {
      "stream-writer-type": this.#kind.name,
      "local-member-id": idText(this.#context.identity.id),
      "remote-peer-id": idText(this.#peerId),
    };
  }
}
