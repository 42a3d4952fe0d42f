import { EMPTY_BYTES } from "../../base/bytes.ts";
import type { Clock } from "../../io/clock.ts";
import type { ByteStream, HttpExchange } from "../../io/net.ts";

export interface HttpServerOptions {
  readonly clock: Clock;
  /** Answers one request. It sets the exchange's listeners before it returns, or pauses it. */
  readonly handler: (exchange: HttpExchange) => void;
}

/** Serves HTTP/1.1 on streams that were accepted elsewhere. */
export class HttpServer {
  constructor(options: HttpServerOptions) {
    void options;
  }

  /** Takes over a stream of which `head` was read already; it is valid until this returns. */
  serve(stream: ByteStream, head: Uint8Array = EMPTY_BYTES): void {
    void stream, head;
    throw new Error("under construction");
  }

  /**
   * Drops connections without a request at once and the others after what they are answering, but at most after
   * `deadlineMs`. Resolves when all are gone; `serve` destroys what comes later.
   */
  stop(deadlineMs: number): Promise<void> {
    void deadlineMs;
    throw new Error("under construction");
  }
}
