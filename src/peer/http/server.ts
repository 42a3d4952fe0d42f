import { EMPTY_BYTES } from "../../base/bytes.ts";
import { PEER_HTTP_CONNECTIONS_MAX, PEER_HTTP_STALL_MS } from "../../base/limits.ts";
import type { Clock } from "../../io/clock.ts";
import type { ByteStream, HttpExchange } from "../../io/net.ts";
import { type ConnectionServer, ServerConnection } from "./server_connection.ts";

export interface HttpServerOptions {
  readonly clock: Clock;
  /**
   * Answers one request. It sets the exchange's listeners before it returns, or pauses it. An answer without a
   * "content-length" field is sent in chunks.
   */
  readonly handler: (exchange: HttpExchange) => void;
  /** Milliseconds in which a client takes nothing of what there is for it; then its connection is dropped. Default: PEER_HTTP_STALL_MS. */
  readonly stallMs?: number;
}

/** Serves HTTP/1.1 on streams that were accepted elsewhere. */
export class HttpServer implements ConnectionServer {
  readonly clock: Clock;
  readonly handler: (exchange: HttpExchange) => void;
  readonly stallMs: number;
  readonly #connections = new Set<ServerConnection>();
  #isStopping = false;
  #whenEmpty: (() => void) | undefined;

  constructor({ clock, handler, stallMs = PEER_HTTP_STALL_MS }: HttpServerOptions) {
    this.clock = clock;
    this.handler = handler;
    this.stallMs = stallMs;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Takes over a stream of which `head` was read already; it is valid until this returns. */
  serve(stream: ByteStream, head: Uint8Array = EMPTY_BYTES): void {
    if (this.#isStopping || this.#connections.size >= PEER_HTTP_CONNECTIONS_MAX) {
      stream.destroy();
      return;
    }
    const connection = new ServerConnection(this, stream);
    this.#connections.add(connection);
    stream.listen(connection);
    if (head.length > 0) connection.onData(head);
  }

  connectionClosed(connection: ServerConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  /**
   * Ends connections without a request at once, and the others after what they are answering, but at most after
   * `deadlineMs`. Resolves when all are gone; `serve` destroys what comes later.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true;
    for (const connection of [...this.#connections]) connection.retire();
    if (this.#connections.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenEmpty = resolve;
    const timer = this.clock.after(deadlineMs, () => {
      for (const connection of [...this.#connections]) connection.drop();
    });
    await promise;
    timer.cancel();
  }
}
