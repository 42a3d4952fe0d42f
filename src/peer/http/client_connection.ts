/** One connection of a client: its calls one after the other. */

import { PEER_HTTP_IDLE_CONNECTION_MS } from "../../base/limits.ts";
import type { Clock } from "../../io/clock.ts";
import type { ByteStream, ByteStreamListener } from "../../io/net.ts";
import { BodyReader } from "./body.ts";
import { BodySender } from "./body_sender.ts";
import type { CallCarrier, ClientCall } from "./client_call.ts";
import { HeadReader, MalformedError, parseResponseHead } from "./head.ts";
import { Input, type InputReader } from "./input.ts";
import { fieldLines, Output, type OutputListener } from "./output.ts";
import { Watchdog } from "./watchdog.ts";

/** What a connection needs of its client. */
export interface ConnectionClient {
  readonly clock: Clock;
  /** The connection may be used again. False: it is not wanted. */
  keep(connection: ClientConnection): boolean;
  connectionClosed(connection: ClientConnection): void;
  /** An idle connection turned out to be closed when this call began on it; it is safe to repeat. */
  repeat(call: ClientCall): void;
}

type State = "idle" | "head" | "body" | "closed";

const SWITCHING_PROTOCOLS = 101;

export class ClientConnection implements ByteStreamListener, InputReader, OutputListener, CallCarrier {
  readonly #client: ConnectionClient;
  readonly #stream: ByteStream;
  readonly #output: Output;
  readonly #input: Input;
  /** For what is to come: the answer's head, the next piece of its body, or the next call. */
  readonly #patience: Watchdog;
  #state: State = "idle";
  #call: ClientCall | undefined;
  #sender: BodySender | undefined;
  #isRequestSent = false;
  /** Of earlier calls. */
  #callCount = 0;
  /** Something of the answer has come. */
  #isAnswered = false;
  #isKeptAlive = false;
  #headReader = new HeadReader();
  #body: BodyReader | undefined;

  constructor(client: ConnectionClient, stream: ByteStream) {
    this.#client = client;
    this.#stream = stream;
    this.#output = new Output(stream, client.clock, Infinity, this);
    this.#input = new Input(stream, this);
    this.#patience = new Watchdog(client.clock, () => this.#onSilence());
    stream.listen(this);
  }

  begin(call: ClientCall): void {
    const { to: { host }, request: { method, path, headers, body, patience } } = call;
    this.#call = call;
    call.carrier = this;
    this.#state = "head";
    this.#isAnswered = false;
    this.#isRequestSent = false;
    this.#patience.stop();
    const output = this.#output;
    output.stallMs = patience.stallMs;
    const size = body === undefined ? 0 : body instanceof Uint8Array ? body.length : body.size;
    const length = method === "POST" || size > 0 ? `Content-Length: ${size}\r\n` : "";
    output.text(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fieldLines(headers)}${length}\r\n`);
    if (body === undefined || body instanceof Uint8Array) {
      if (size > 0) output.give(body!);
      output.awaitDrain(0);
    } else {
      void this.#send(call, new BodySender(body, output));
    }
  }

  async #send(call: ClientCall, sender: BodySender): Promise<void> {
    this.#sender = sender;
    try {
      const isSent = await sender.run();
      if (this.#sender === sender) this.#sender = undefined;
      if (isSent && this.#call === call) this.#output.awaitDrain(0);
    } catch (error) {
      if (this.#call === call) this.#fail("EBODY", `its body could not be read: ${(error as Error).message}`, error);
    }
  }

  drop(): void {
    this.#stream.destroy();
    this.#close();
  }

  /** Fails the call at hand, if any, and drops the connection. */
  fail(code: string, what: string): void {
    this.#fail(code, what);
  }

  // --- The stream.

  onData(bytes: Uint8Array): void {
    this.#input.receive(bytes);
  }

  onEnd(): void {
    if (this.#state === "body" && this.#body!.isUntilClose) this.#complete(true);
    else this.#lose("ECONNRESET", "the server closed the connection");
  }

  onDrain(): void {
    this.#output.drained();
  }

  onClose(error?: Error & { code?: string }): void {
    if (this.#state !== "closed") {
      this.#lose(error?.code ?? "ECONNRESET", error?.message ?? "the connection was closed", error);
    }
  }

  // --- The output.

  onDrained(): void {
    if (this.#sender !== undefined) {
      this.#sender.onDrained();
      return;
    }
    this.#isRequestSent = true;
    if (this.#state === "head") this.#patience.start(this.#call!.request.patience.answerMs);
  }

  onEnded(): void {}

  onStalled(): void {
    this.#fail("ETIMEDOUT", "the server does not take the request");
  }

  #onSilence(): void {
    this.#fail("ETIMEDOUT", this.#state === "head" ? "no answer in time" : "the answer does not go on");
  }

  // --- The input.

  get isReading(): boolean {
    return this.#state !== "closed" && (this.#state !== "body" || !this.#call!.isPaused);
  }

  take(bytes: Uint8Array, at: number): number {
    try {
      while (at < bytes.length && this.isReading) {
        if (this.#state === "head") at = this.#takeHead(bytes, at);
        else if (this.#state === "body") at = this.#takeBody(bytes, at);
        else this.#refuseSurplus();
      }
      return at;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#fail("EPROTO", `the answer is not HTTP/1.1: ${error.message}`, error);
      return bytes.length;
    }
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    this.#isAnswered = true;
    const end = this.#headReader.read(bytes, at);
    if (end < 0) return bytes.length;
    const head = parseResponseHead(this.#headReader.text);
    if (head.status === SWITCHING_PROTOCOLS) throw new MalformedError("nobody asked for another protocol");
    // Something else is still to come ("100 Continue", say).
    if (head.status < 200) return end;
    const call = this.#call!;
    this.#isKeptAlive = head.isKeptAlive;
    this.#body = new BodyReader(head.framing, head.size);
    this.#state = "body";
    this.#patience.stop();
    if (!call.isPaused) this.#patience.start(call.request.patience.idleMs);
    call.head(head.status, head.headers);
    if (this.#call === call && this.#body.isDone) this.#complete(end === bytes.length);
    return end;
  }

  #takeBody(bytes: Uint8Array, at: number): number {
    const body = this.#body!;
    const call = this.#call!;
    const next = body.read(bytes, at);
    this.#patience.progress();
    if (body.dataEnd > body.dataStart) call.data(bytes.subarray(body.dataStart, body.dataEnd));
    if (this.#call === call && body.isDone) this.#complete(next === bytes.length);
    return next;
  }

  /** Whatever comes now belongs to no call. */
  #refuseSurplus(): never {
    throw new MalformedError("bytes without a request");
  }

  /** The answer is there. `isClean`: nothing followed it. */
  #complete(isClean: boolean): void {
    const call = this.#call!;
    this.#release();
    this.#callCount++;
    this.#state = "idle";
    const isReusable = isClean && this.#isKeptAlive && this.#isRequestSent && this.#client.keep(this);
    if (isReusable) {
      this.#patience.start(PEER_HTTP_IDLE_CONNECTION_MS);
      this.#input.resume();
    } else {
      this.drop();
    }
    call.end();
  }

  // --- The call.

  pauseChanged(): void {
    if (this.#state !== "body") return;
    const { isPaused, request: { patience } } = this.#call!;
    if (isPaused) {
      this.#patience.stop();
      this.#input.pause();
    } else {
      this.#patience.start(patience.idleMs);
      this.#input.resume();
    }
  }

  abandon(): void {
    this.drop();
  }

  #release(): void {
    this.#sender?.stop();
    this.#sender = undefined;
    this.#patience.stop();
    if (this.#call !== undefined) this.#call.carrier = undefined;
    this.#call = undefined;
    this.#body = undefined;
  }

  #fail(code: string, what: string, cause?: unknown): void {
    const call = this.#call;
    this.drop();
    call?.fail(code, what, false, cause);
  }

  /** The server has closed the connection. An idle one may have been closed before the call was even sent. */
  #lose(code: string, what: string, cause?: unknown): void {
    const call = this.#call;
    const mayRepeat = call !== undefined && call.request.method === "GET" && this.#callCount > 0 && !this.#isAnswered;
    if (!mayRepeat) {
      this.#fail(code, what, cause);
      return;
    }
    this.drop();
    this.#client.repeat(call);
  }

  #close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#release();
    this.#output.close();
    this.#client.connectionClosed(this);
  }
}
