/**
 * Header blocks (RFC 9112, sections 2 to 6), read strictly: whatever two programs might understand differently is refused,
 * so that nobody can hide one request inside another.
 */

import { latin1 } from "../../base/bytes.ts";
import { PEER_HTTP_HEAD_SIZE_MAX } from "../../base/limits.ts";
import type { HttpField } from "../../io/net.ts";

/** Input that is not HTTP/1.1 as we take it, and the status that says so. */
export class MalformedError extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.name = "MalformedError";
    this.status = status;
  }
}

const CR = 13;
const LF = 10;

/** Gathers lines up to an empty one, in whatever pieces they come. */
export class HeadReader {
  #held = new Uint8Array(0);
  #heldSize = 0;
  #lineSize = 0;
  #isAfterCr = false;
  #text = "";

  /** The lines, each with its CRLF, without the empty one; once `read` has found it. */
  get text(): string {
    return this.#text;
  }

  /** True between two blocks. */
  get isEmpty(): boolean {
    return this.#heldSize === 0;
  }

  /**
   * Reads from `at` on. The position behind the empty line, or -1 if that did not come yet: then everything was taken.
   * Throws MalformedError.
   */
  read(bytes: Uint8Array, at: number): number {
    const end = this.#find(bytes, at);
    const size = (end < 0 ? bytes.length : end) - at;
    if (this.#heldSize + size > PEER_HTTP_HEAD_SIZE_MAX) throw new MalformedError("header block too large", 431);
    if (end < 0) {
      this.#hold(bytes.subarray(at));
      return -1;
    }
    if (this.#heldSize === 0) {
      this.#text = latin1(bytes.subarray(at, end - 2));
    } else {
      this.#hold(bytes.subarray(at, end));
      this.#text = latin1(this.#held.subarray(0, this.#heldSize - 2));
      this.#held = new Uint8Array(0);
      this.#heldSize = 0;
    }
    return end;
  }

  #find(bytes: Uint8Array, from: number): number {
    let lineSize = this.#lineSize;
    let isAfterCr = this.#isAfterCr;
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte === LF) {
        if (!isAfterCr) throw new MalformedError("a line ends without a carriage return");
        isAfterCr = false;
        if (lineSize === 0) {
          this.#lineSize = 0;
          this.#isAfterCr = false;
          return i + 1;
        }
        lineSize = 0;
      } else if (isAfterCr) {
        throw new MalformedError("a carriage return within a line");
      } else if (byte === CR) {
        isAfterCr = true;
      } else {
        lineSize++;
      }
    }
    this.#lineSize = lineSize;
    this.#isAfterCr = isAfterCr;
    return -1;
  }

  #hold(bytes: Uint8Array): void {
    const size = this.#heldSize + bytes.length;
    if (size > this.#held.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#held.length, 256));
      larger.set(this.#held.subarray(0, this.#heldSize));
      this.#held = larger;
    }
    this.#held.set(bytes, this.#heldSize);
    this.#heldSize = size;
  }
}

/** How a body's end is told. */
export type Framing = "none" | "length" | "chunked" | "until close";

export interface RequestHead {
  readonly method: string;
  readonly path: string;
  /** The Host field, or the target's own. */
  readonly authority: string;
  readonly headers: readonly HttpField[];
  /** HTTP/1.0: its answer may not be chunked. */
  readonly isVersion10: boolean;
  readonly isKeptAlive: boolean;
  readonly isContinueExpected: boolean;
  readonly framing: Framing;
  /** Of the body, where its framing is "length". */
  readonly size: number;
}

export interface ResponseHead {
  readonly status: number;
  readonly headers: readonly HttpField[];
  readonly isKeptAlive: boolean;
  readonly framing: Framing;
  readonly size: number;
}

/** `text` as HeadReader has it. Throws MalformedError. */
export function parseRequestHead(text: string): RequestHead {
  const lineEnd = text.indexOf("\r\n");
  // deno-lint-ignore no-control-regex -- Octets, not characters, are what may stand in a target.
  const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP\/1\.([01])$/.exec(text.slice(0, lineEnd));
  if (match === null) throw new MalformedError("malformed request line");
  const [, method, target, minor] = match;
  const headers = parseFields(text, lineEnd + 2);
  const isVersion10 = minor === "0";
  const hosts = valuesOf(headers, "host");
  if (hosts.length > 1 || (hosts.length === 0 && !isVersion10)) throw new MalformedError("not one Host field");
  const { path, authority } = splitTarget(target, hosts[0] ?? "");
  const expectations = valuesOf(headers, "expect");
  const isContinueExpected = expectations.length === 1 && expectations[0].toLowerCase() === "100-continue";
  if (expectations.length > 0 && !isContinueExpected) throw new MalformedError("unknown expectation", 417);
  const { framing, size } = framingOf(headers, isVersion10);
  return {
    method,
    path,
    authority,
    headers,
    isVersion10,
    isKeptAlive: !isVersion10 && !isClosing(headers),
    isContinueExpected: isContinueExpected && !isVersion10 && framing !== "none",
    framing,
    size,
  };
}

/** The head of an answer to a GET or a POST. Throws MalformedError. */
export function parseResponseHead(text: string): ResponseHead {
  const lineEnd = text.indexOf("\r\n");
  const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/.exec(text.slice(0, lineEnd));
  if (match === null) throw new MalformedError("malformed status line");
  const isVersion10 = match[1] === "0";
  const status = Number(match[2]);
  const headers = parseFields(text, lineEnd + 2);
  const isBodiless = status < 200 || status === 204 || status === 304;
  const told = isBodiless ? NO_BODY : framingOf(headers, isVersion10);
  const isUntilClose = !isBodiless && told.framing === "none";
  return {
    status,
    headers,
    isKeptAlive: !isVersion10 && !isUntilClose && !isClosing(headers),
    framing: isUntilClose ? "until close" : told.framing,
    size: told.size,
  };
}

/** Field lines from `at` on. Throws MalformedError. */
export function parseFields(text: string, at: number): HttpField[] {
  const fields: HttpField[] = [];
  while (at < text.length) {
    const end = text.indexOf("\r\n", at);
    const colon = text.indexOf(":", at);
    const name = text.slice(at, colon);
    // A name that begins with a space would continue the line before (obs-fold), one that ends with it means different
    // things to different programs.
    if (colon < 0 || colon > end || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
      throw new MalformedError("malformed header field");
    }
    const value = trimBlanks(text, colon + 1, end);
    // deno-lint-ignore no-control-regex -- These are what may not stand in a value.
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value)) throw new MalformedError("malformed header value");
    fields.push([name.toLowerCase(), value]);
    at = end + 2;
  }
  return fields;
}

function trimBlanks(text: string, start: number, end: number): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (start < end && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function valuesOf(headers: readonly HttpField[], name: string): string[] {
  const values: string[] = [];
  for (const field of headers) if (field[0] === name) values.push(field[1]);
  return values;
}

/** "/path", or "http://host/path", whose host counts for more than the Host field (RFC 9112, section 3.2.2). */
function splitTarget(target: string, host: string): { path: string; authority: string } {
  if (target.startsWith("/")) return { path: target, authority: host };
  const match = /^https?:\/\/([^/?#@]+)(\/.*)?$/i.exec(target);
  if (match === null) throw new MalformedError("malformed request target");
  return { path: match[2] ?? "/", authority: match[1] };
}

const NO_BODY = { framing: "none", size: 0 } as const;

function framingOf(headers: readonly HttpField[], isVersion10: boolean): { framing: Framing; size: number } {
  const codings = valuesOf(headers, "transfer-encoding");
  const lengths = valuesOf(headers, "content-length");
  if (codings.length > 0) {
    if (isVersion10 || lengths.length > 0 || codings.length > 1) throw new MalformedError("ambiguous length of body");
    if (codings[0].toLowerCase() !== "chunked") throw new MalformedError("unsupported transfer encoding", 501);
    return { framing: "chunked", size: 0 };
  }
  if (lengths.length === 0) return NO_BODY;
  // Fifteen digits are a safe integer.
  if (lengths.length > 1 || !/^\d{1,15}$/.test(lengths[0])) throw new MalformedError("malformed length of body");
  return { framing: "length", size: Number(lengths[0]) };
}

function isClosing(headers: readonly HttpField[]): boolean {
  for (const value of valuesOf(headers, "connection")) {
    for (const token of value.split(",")) if (token.trim().toLowerCase() === "close") return true;
  }
  return false;
}
