/** One request of a client and its answer: what is asked, how long it may take, what is heard of it. */

import type { HttpField } from "../../io/net.ts";

/** What is asked for. */
export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** Path and query, encoded: "/raft/stream/message/8e9e05c52164694d". */
  readonly path: string;
  /** Name, value; in any case, sent as they are. Not Host, Content-Length, Transfer-Encoding or Connection. */
  readonly headers: readonly HttpField[];
  /** Left out: no body. */
  readonly body?: HttpBody;
  readonly patience: HttpPatience;
}

/** A body is there as a whole, and belongs to the client until the call is over, or is read piece by piece as it is sent. */
export type HttpBody = Uint8Array | HttpBodySource;

export interface HttpBodySource {
  /** Bytes in all. */
  readonly size: number;
  /**
   * Fills `target` from `position` on and returns the count: at least 1, less than asked for where it likes. The positions
   * asked for follow one another without a gap, and one read is under way at a time; one may still be when the call is over,
   * since a server may answer early. If it rejects, the call fails with
   * that error and its connection is dropped, so that the server sees a body that broke off.
   */
  read(target: Uint8Array, position: number): Promise<number>;
}

/** How long a call may take, in milliseconds; Infinity for as long as it likes. */
export interface HttpPatience {
  /** To reach the server. */
  readonly connectMs: number;
  /** From the last byte of the request to the end of the response's header block. */
  readonly answerMs: number;
  /** Between two reads of the response's body. A paused call does not count. */
  readonly idleMs: number;
  /** Between two progresses of a request's body. */
  readonly stallMs: number;
}

/** What a call hears, never from inside of `HttpClient.request`: `onHead`, any `onData`, then `onEnd`; or `onFail` at any time. */
export interface HttpCallListener {
  onHead(status: number, headers: readonly HttpField[]): void;
  /** `chunk` is valid only until this returns. */
  onData(chunk: Uint8Array): void;
  /** The last call: the answer is complete. */
  onEnd(): void;
  /** The last call instead of `onEnd`. The request may have been carried out even so, unless the error says otherwise. */
  onFail(error: HttpError): void;
}

export interface HttpCall {
  /** Gives up: the connection is dropped unless the answer is complete. The listener hears nothing any more. */
  abort(): void;
  /** Stops and restarts `onData`; the server meets full buffers meanwhile. */
  pause(): void;
  resume(): void;
}

/** An answer as a whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly HttpField[];
  readonly body: Uint8Array;
}

/** Why a call failed. */
export class HttpError extends Error {
  /**
   * The system's where there is one ("ECONNREFUSED", "ECONNRESET", "ENOTFOUND"); "ETIMEDOUT" where patience ran out;
   * "EPROTO" for an answer that is not HTTP/1.1; "EMSGSIZE" for one larger than allowed; "EABORTED": the client was closed;
   * "EBODY": the request's body could not be read (see `cause`); "EPROTONOSUPPORT": the URL asks for TLS.
   */
  readonly code: string;
  /** True: the server has not got any of this request. */
  readonly isUnsent: boolean;

  constructor(code: string, message: string, isUnsent: boolean, cause?: unknown) {
    super(message, { cause });
    this.name = "HttpError";
    this.code = code;
    this.isUnsent = isUnsent;
  }
}

/** The first field of this name, which is lower case. */
export function fieldValue(fields: readonly HttpField[], name: string): string | undefined {
  for (const field of fields) if (field[0] === name) return field[1];
  return undefined;
}
