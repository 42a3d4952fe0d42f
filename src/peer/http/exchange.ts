/** One request on a server's connection, and its answer. */

import { assert } from "../../base/assert.ts";
import type { HttpExchange, HttpField } from "../../io/net.ts";
import type { RequestHead } from "./head.ts";
import { fieldLines, type Output } from "./output.ts";
import { statusText } from "./status_text.ts";

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  readonly output: Output;
  readonly remoteAddress: string;
  /** Whether the connection may serve another request after this one; asked when the answer begins. */
  readonly isKeptAlive: boolean;
  pauseBody(): void;
  resumeBody(): void;
  /** The answer is complete. `isReusable`: its end could be told. */
  answered(isReusable: boolean): void;
  drop(): void;
}

type Framing = "none" | "length" | "chunked" | "until close";

export class ServerExchange implements HttpExchange {
  readonly method: string;
  readonly scheme = "http";
  readonly authority: string;
  readonly path: string;
  readonly headers: readonly HttpField[];
  readonly remoteAddress: string;

  readonly #connection: ExchangeConnection;
  readonly #isVersion10: boolean;
  #isResponded = false;
  #isClosed = false;
  #framing: Framing = "none";
  /** Of a body of known length. */
  #left = 0;
  #isReusable = false;

  #dataListener: ((chunk: Uint8Array) => void) | undefined;
  #endListener: (() => void) | undefined;
  #drainListener: (() => void) | undefined;
  #abortListener: (() => void) | undefined;

  constructor(connection: ExchangeConnection, head: RequestHead) {
    this.#connection = connection;
    this.#isVersion10 = head.isVersion10;
    this.method = head.method;
    this.authority = head.authority;
    this.path = head.path;
    this.headers = head.headers;
    this.remoteAddress = connection.remoteAddress;
  }

  // --- For the connection.

  get isResponded(): boolean {
    return this.#isResponded;
  }

  deliver(chunk: Uint8Array): void {
    this.#dataListener?.(chunk);
  }

  deliverEnd(): void {
    this.#endListener?.();
  }

  deliverDrain(): void {
    this.#drainListener?.();
  }

  /** The connection is gone. */
  lose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#abortListener?.();
  }

  // --- For the handler.

  get isClosed(): boolean {
    return this.#isClosed;
  }

  onData(listener: (chunk: Uint8Array) => void): void {
    this.#dataListener = listener;
  }

  onEnd(listener: () => void): void {
    this.#endListener = listener;
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener;
  }

  onAbort(listener: () => void): void {
    this.#abortListener = listener;
  }

  pause(): void {
    if (!this.#isClosed) this.#connection.pauseBody();
  }

  resume(): void {
    if (!this.#isClosed) this.#connection.resumeBody();
  }

  respond(status: number, headers: readonly HttpField[]): void {
    if (this.#isClosed) return;
    assert(!this.#isResponded, "an exchange is responded to once");
    this.#isResponded = true;
    const length = headers.find(([name]) => name === "content-length")?.[1];
    const hasBody = status !== 204 && status !== 304;
    this.#framing = !hasBody || this.method === "HEAD" ? "none" : this.#framingOf(length);
    this.#left = length === undefined ? 0 : Number(length);
    this.#isReusable = this.#connection.isKeptAlive && this.#framing !== "until close";
    let text = `HTTP/1.1 ${status} ${statusText(status)}\r\n${fieldLines(headers)}`;
    if (this.#framing === "chunked") text += "transfer-encoding: chunked\r\n";
    if (!this.#isReusable) text += "connection: close\r\n";
    this.#connection.output.text(`${text}\r\n`);
  }

  #framingOf(length: string | undefined): Framing {
    if (length !== undefined) return "length";
    return this.#isVersion10 ? "until close" : "chunked";
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isClosed || chunk.length === 0) return true;
    assert(this.#isResponded, "a body follows its head");
    const { output } = this.#connection;
    switch (this.#framing) {
      case "chunked":
        output.chunk(chunk);
        break;
      case "length":
        this.#left -= chunk.length;
        assert(this.#left >= 0, "a body is not longer than was said");
        output.bytes(chunk);
        break;
      case "until close":
        output.bytes(chunk);
        break;
      case "none":
        return true;
    }
    return output.mayWriteOn;
  }

  end(trailers: readonly HttpField[] = []): void {
    if (this.#isClosed) return;
    assert(this.#isResponded, "a body follows its head");
    if (this.#framing === "chunked") this.#connection.output.lastChunk(trailers);
    if (this.#framing === "length") assert(this.#left === 0, "a body is not shorter than was said");
    this.#isClosed = true;
    this.#connection.answered(this.#isReusable);
  }

  abort(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.drop();
  }
}
