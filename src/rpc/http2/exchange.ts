import { AssertionError } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import type { HttpExchange, HttpField } from "../../io/net.ts";
import { ErrorCode } from "./protocol.ts";
import type { AbortCause, Application, Http2Stream, StreamHandler } from "./stream.ts";

/** Hands requests that are not gRPC to `onRequest`, as exchanges. */
export function exchangeApplication(onRequest: (exchange: HttpExchange) => void): Application {
  return {
    accept(stream: Http2Stream): void {
      const exchange = new Http2Exchange(stream);
      stream.handler = new ExchangeHandler(exchange);
      if (stream.headers.method === "CONNECT") {
        exchange.respond(501, []);
        exchange.end();
      } else {
        try {
          onRequest(exchange);
        } catch (error) {
          if (error instanceof AssertionError) throw error;
          exchange.abort();
        }
      }
    },
  };
}

class Http2Exchange implements HttpExchange {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: readonly HttpField[];
  readonly remoteAddress: string;
  readonly #stream: Http2Stream;
  isEnded = false;
  dataListener: ((chunk: Uint8Array) => void) | undefined;
  endListener: (() => void) | undefined;
  drainListener: (() => void) | undefined;
  abortListener: (() => void) | undefined;

  constructor(stream: Http2Stream) {
    const { headers } = stream;
    this.#stream = stream;
    stream.mayStall = true;
    this.method = headers.method!;
    this.scheme = headers.scheme ?? "http";
    this.path = headers.path ?? "";
    this.remoteAddress = stream.connection.remoteAddress;
    const fields: HttpField[] = [];
    let host = "";
    for (const field of headers.fields) {
      if (field.isPseudo) continue;
      if (field.name === "host") host = field.value;
      fields.push([field.name, field.value]);
    }
    this.headers = fields;
    this.authority = headers.authority ?? host;
  }

  get isClosed(): boolean {
    return this.isEnded || this.#stream.isClosed;
  }

  onData(listener: (chunk: Uint8Array) => void): void {
    this.dataListener = listener;
  }

  onEnd(listener: () => void): void {
    this.endListener = listener;
  }

  onDrain(listener: () => void): void {
    this.drainListener = listener;
  }

  onAbort(listener: () => void): void {
    this.abortListener = listener;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  respond(status: number, headers: readonly HttpField[]): void {
    if (!this.isClosed) this.#stream.sendHeaders([[":status", String(status)], ...headers]);
  }

  write(chunk: Uint8Array): boolean {
    if (this.isClosed || chunk.length === 0) return true;
    const isFlowing = this.#stream.write(EMPTY_BYTES, chunk);
    if (isFlowing !== undefined) return isFlowing;
    // Nothing of the response may be left out silently.
    this.abort();
    this.abortListener?.();
    return true;
  }

  end(trailers?: readonly HttpField[]): void {
    if (this.isClosed) return;
    this.isEnded = true;
    this.#stream.mayStall = false;
    this.#stream.end(trailers);
  }

  abort(): void {
    this.#stream.reset(ErrorCode.INTERNAL_ERROR);
  }
}

class ExchangeHandler implements StreamHandler {
  readonly #exchange: Http2Exchange;

  constructor(exchange: Http2Exchange) {
    this.#exchange = exchange;
  }

  onData(source: Uint8Array, start: number, end: number): void {
    this.#exchange.dataListener?.(source.subarray(start, end));
  }

  onEnd(): void {
    this.#exchange.endListener?.();
  }

  onDrain(): void {
    this.#exchange.drainListener?.();
  }

  onAbort(_cause: AbortCause): void {
    if (!this.#exchange.isEnded) this.#exchange.abortListener?.();
  }
}
