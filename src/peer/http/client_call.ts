import { assert } from "../../base/assert.ts";
import type { HttpField } from "../../io/net.ts";
import { type HttpCall, type HttpCallListener, HttpError, type HttpRequest } from "./call.ts";
import type { PeerUrl } from "./peer_url.ts";

/** What serves a call at the moment. */
export interface CallCarrier {
  /** The call's `isPaused` has changed. */
  pauseChanged(): void;
  abandon(): void;
}

/** One call on its way, whichever connection it is on. Its listener hears nothing more once it is over. */
export class ClientCall implements HttpCall {
  readonly to: PeerUrl;
  readonly request: HttpRequest;
  readonly #listener: HttpCallListener;
  carrier: CallCarrier | undefined;
  #isPaused = false;
  #isOver = false;

  constructor(to: PeerUrl, request: HttpRequest, listener: HttpCallListener) {
    assert(/^\/[\x21-\x7e]*$/.test(request.path), "a path is encoded");
    this.to = to;
    this.request = request;
    this.#listener = listener;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  head(status: number, headers: readonly HttpField[]): void {
    if (!this.#isOver) this.#listener.onHead(status, headers);
  }

  data(chunk: Uint8Array): void {
    if (!this.#isOver) this.#listener.onData(chunk);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener.onEnd();
  }

  /** `what` follows the call's own name: "GET http://10.0.0.1:2380/version: connection refused". */
  fail(code: string, what: string, isUnsent = false, cause?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { to, request } = this;
    this.#listener.onFail(new HttpError(code, `${request.method} ${to.text}${request.path}: ${what}`, isUnsent, cause));
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.carrier?.abandon();
  }

  pause(): void {
    this.#setPaused(true);
  }

  resume(): void {
    this.#setPaused(false);
  }

  #setPaused(isPaused: boolean): void {
    if (this.#isOver || this.#isPaused === isPaused) return;
    this.#isPaused = isPaused;
    this.carrier?.pauseChanged();
  }
}
