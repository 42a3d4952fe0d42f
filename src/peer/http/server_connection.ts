/** One connection of a server: its requests one after the other, each answered before the next is looked at. */

import {
  PEER_HTTP_BODY_TIMEOUT_MS,
  PEER_HTTP_DISCARD_SIZE_MAX,
  PEER_HTTP_HEAD_TIMEOUT_MS,
  PEER_HTTP_IDLE_TIMEOUT_MS,
  PEER_HTTP_LINGER_MS,
} from "../../base/limits.ts";
import type { Clock } from "../../io/clock.ts";
import type { ByteStream, ByteStreamListener, HttpExchange } from "../../io/net.ts";
import { BodyReader } from "./body.ts";
import { type ExchangeConnection, ServerExchange } from "./exchange.ts";
import { HeadReader, MalformedError, parseRequestHead, type RequestHead } from "./head.ts";
import { Input, type InputReader } from "./input.ts";
import { Output, type OutputListener } from "./output.ts";
import { statusText } from "./status_text.ts";
import { Watchdog } from "./watchdog.ts";

/** What a connection needs of its server. */
export interface ConnectionServer {
  readonly clock: Clock;
  readonly handler: (exchange: HttpExchange) => void;
  readonly stallMs: number;
  readonly isStopping: boolean;
  connectionClosed(connection: ServerConnection): void;
}

/**
 * - "head": between two requests, or within a header block.
 * - "body": within a request's body, whether its answer is complete or not.
 * - "answer": the request is complete, its answer is not, or waits for the client to read.
 * - "linger": nothing is said any more; what comes is not looked at.
 */
type State = "head" | "body" | "answer" | "linger" | "closed";

export class ServerConnection implements ByteStreamListener, InputReader, OutputListener, ExchangeConnection {
  readonly output: Output;
  readonly remoteAddress: string;
  readonly #server: ConnectionServer;
  readonly #stream: ByteStream;
  readonly #input: Input;
  readonly #patience: Watchdog;
  readonly #headReader = new HeadReader();
  #state: State = "head";
  #head: RequestHead | undefined;
  #body: BodyReader | undefined;
  /** Until its answer is complete. */
  #exchange: ServerExchange | undefined;
  #isPaused = false;
  #isContinueAwaited = false;
  #isReusable = true;
  #discardedSize = 0;

  constructor(server: ConnectionServer, stream: ByteStream) {
    this.#server = server;
    this.#stream = stream;
    this.remoteAddress = stream.remoteAddress;
    this.output = new Output(stream, server.clock, server.stallMs, this);
    this.#input = new Input(stream, this);
    this.#patience = new Watchdog(server.clock, () => this.drop());
    this.#patience.start(PEER_HTTP_IDLE_TIMEOUT_MS);
  }

  /** Ends the connection, at once or after the answer at hand. The server is stopping. */
  retire(): void {
    if (this.#exchange === undefined) this.#finish();
  }

  /** Drops the connection: its exchange, if any, is aborted. */
  drop(): void {
    this.#stream.destroy();
    this.#close();
  }

  // --- The stream.

  onData(bytes: Uint8Array): void {
    this.#input.receive(bytes);
  }

  onEnd(): void {
    // Whoever has hung up is not waiting for an answer.
    if (this.#exchange !== undefined) this.drop();
    else this.#finish();
  }

  onDrain(): void {
    this.output.drained();
  }

  onClose(): void {
    this.#close();
  }

  // --- The output.

  onDrained(): void {
    if (this.#exchange !== undefined) this.#exchange.deliverDrain();
    else if (this.#state === "answer") this.#next();
  }

  onEnded(): void {
    if (this.#state === "linger") this.#patience.start(PEER_HTTP_LINGER_MS);
  }

  onStalled(): void {
    this.drop();
  }

  // --- The input.

  get isReading(): boolean {
    if (this.#state === "body") return !this.#isPaused;
    return this.#state === "head" || this.#state === "linger";
  }

  take(bytes: Uint8Array, at: number): number {
    try {
      while (at < bytes.length && this.isReading) {
        if (this.#state === "head") at = this.#takeHead(bytes, at);
        else if (this.#state === "body") at = this.#takeBody(bytes, at);
        else return bytes.length;
      }
      return at;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#refuse(error);
      return bytes.length;
    }
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    if (this.#headReader.isEmpty) this.#patience.start(PEER_HTTP_HEAD_TIMEOUT_MS);
    const end = this.#headReader.read(bytes, at);
    if (end < 0) return bytes.length;
    const head = parseRequestHead(this.#headReader.text);
    this.#begin(head);
    return end;
  }

  #begin(head: RequestHead): void {
    const exchange = new ServerExchange(this, head);
    this.#head = head;
    this.#body = new BodyReader(head.framing, head.size);
    this.#exchange = exchange;
    this.#isContinueAwaited = head.isContinueExpected;
    this.#state = "body";
    this.#patience.start(PEER_HTTP_BODY_TIMEOUT_MS);
    this.#server.handler(exchange);
    if (this.#state !== "body" || this.#isPaused) return;
    this.#sendContinue();
    if (this.#body.isDone) this.#bodyDone();
  }

  #takeBody(bytes: Uint8Array, at: number): number {
    const body = this.#body!;
    const next = body.read(bytes, at);
    this.#patience.progress();
    const size = body.dataEnd - body.dataStart;
    if (this.#exchange === undefined) {
      this.#discardedSize += size;
      if (this.#discardedSize > PEER_HTTP_DISCARD_SIZE_MAX) this.#isReusable = false;
    } else if (size > 0) {
      this.#exchange.deliver(bytes.subarray(body.dataStart, body.dataEnd));
    }
    if (this.#state === "body" && body.isDone && !this.#isPaused) this.#bodyDone();
    else if (this.#exchange === undefined && !this.#isReusable) this.#finish();
    return next;
  }

  #bodyDone(): void {
    this.#patience.stop();
    if (this.#exchange === undefined) {
      this.#next();
      return;
    }
    this.#state = "answer";
    this.#exchange.deliverEnd();
  }

  /** Says what was wrong, and nothing more. */
  #refuse({ status, message }: MalformedError): void {
    const exchange = this.#exchange;
    const hasAnswer = exchange?.isResponded ?? this.#state === "body";
    this.#exchange = undefined;
    exchange?.lose();
    if (hasAnswer || this.#state === "closed") {
      this.drop();
      return;
    }
    const text = `${status} ${statusText(status)}: ${message}\n`;
    this.output.text(
      `HTTP/1.1 ${status} ${statusText(status)}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
        `content-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
    );
    this.#finish();
  }

  // --- The exchange.

  get isKeptAlive(): boolean {
    // A client that was not told to go on does not send its body, or may; nobody knows where the next request begins.
    return this.#head!.isKeptAlive && !this.#server.isStopping && !this.#isContinueAwaited;
  }

  pauseBody(): void {
    if (this.#state !== "body" || this.#isPaused) return;
    this.#isPaused = true;
    this.#patience.stop();
    // Where the body is complete the stream goes on, since its end is to be noticed.
    if (!this.#body!.isDone) this.#input.pause();
  }

  resumeBody(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#state !== "body") return;
    if (this.#body!.isDone) {
      const exchange = this.#exchange;
      queueMicrotask(() => {
        if (this.#exchange === exchange && this.#state === "body" && !this.#isPaused) this.#bodyDone();
      });
      return;
    }
    this.#sendContinue();
    this.#patience.start(PEER_HTTP_BODY_TIMEOUT_MS);
    this.#input.resume();
  }

  answered(isReusable: boolean): void {
    this.#exchange = undefined;
    this.#isReusable = isReusable;
    if (this.#body!.isDone) {
      this.#next();
    } else if (!isReusable) {
      this.#finish();
    } else {
      // The rest of the body is in the way of the next request.
      this.#discardedSize = 0;
      this.resumeBody();
    }
  }

  #sendContinue(): void {
    if (!this.#isContinueAwaited || this.#exchange === undefined || this.#exchange.isResponded) return;
    this.#isContinueAwaited = false;
    this.output.text("HTTP/1.1 100 Continue\r\n\r\n");
  }

  /** The request and its answer are complete. */
  #next(): void {
    if (!this.#isReusable || this.#server.isStopping) {
      this.#finish();
      return;
    }
    this.#isPaused = false;
    // Whoever does not read may not ask either.
    if (!this.output.mayWriteOn) {
      this.#state = "answer";
      this.#patience.stop();
      return;
    }
    this.#state = "head";
    this.#head = undefined;
    this.#body = undefined;
    this.#patience.start(PEER_HTTP_IDLE_TIMEOUT_MS);
    this.#input.resume();
  }

  /**
   * Ends our side after what is pending, and lets the client read it: a socket that is closed while there is something to
   * be read resets the connection, and the client might lose the answer (RFC 9112, section 9.6).
   */
  #finish(): void {
    if (this.#state === "linger" || this.#state === "closed") return;
    this.#state = "linger";
    this.#isPaused = false;
    this.#patience.stop();
    this.output.end();
    this.#input.resume();
  }

  #close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#patience.stop();
    this.output.close();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#server.connectionClosed(this);
    exchange?.lose();
  }
}
