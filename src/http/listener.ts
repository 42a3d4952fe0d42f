/** Listening sockets of the client port, and the sniffing that tells HTTP/2 from HTTP/1.1. */

import { rmSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { concatBytes, EMPTY_BYTES } from "../base/bytes.ts";
import { HTTP_EARLY_CONNECTIONS_MAX, HTTP_HEADER_TIMEOUT_MS } from "../base/limits.ts";
import type { ByteStream, ByteStreamListener, Network, StreamAcceptor, StreamServer } from "../io/net.ts";
import { CLIENT_PREFACE } from "../rpc/http2/mod.ts";
import type { ConnectionLimit } from "./connection_limit.ts";

/** Where to listen (a `MemberUrl` of cli/urls is one). */
export interface ListenUrl {
  readonly scheme: "http" | "https" | "unix" | "unixs";
  /** For messages: the URL as the operator wrote it. */
  readonly text: string;
  readonly host: string;
  readonly port: string;
  /** Of a Unix socket. */
  readonly path: string;
}

/** What a listener lets in. */
export type Traffic = "grpc+http" | "grpc" | "http";

/** Takes over sniffed connections; `head` was read from them already and is valid until these return. */
export interface Acceptor {
  http1(stream: ByteStream, head: Uint8Array): void;
  http2(stream: ByteStream, head: Uint8Array): void;
}

/** A socket that could not be opened: one line that says which and why. */
export class ListenError extends Error {
  readonly code: string;

  constructor(url: ListenUrl, code: string) {
    super(`cannot listen on ${url.text}: ${REASONS[code] ?? code}`);
    this.name = "ListenError";
    this.code = code;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use (by another process: another etcd or keelson perhaps)",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "no such host",
  ENOENT: "the socket's directory does not exist",
  EINVAL: "the address or socket path is not valid",
  ENAMETOOLONG: "the socket path is too long",
};

/** No name means all addresses of both kinds. */
const ALL_ADDRESSES = "::";
const HTTP_PORT = 80;

export class Listener implements StreamAcceptor {
  readonly url: ListenUrl;
  readonly traffic: Traffic;
  readonly #limit: ConnectionLimit;
  readonly #sniffers = new Set<Sniffer>();
  #server: StreamServer | undefined;
  #acceptor: Acceptor | undefined;
  /** Connections that came before `accept`. */
  #early: ByteStream[] = [];

  private constructor(url: ListenUrl, traffic: Traffic, limit: ConnectionLimit) {
    this.url = url;
    this.traffic = traffic;
    this.#limit = limit;
  }

  /** Opens the socket, without serving it yet. Throws ListenError. */
  static async open(url: ListenUrl, traffic: Traffic, limit: ConnectionLimit, network: Network): Promise<Listener> {
    assert(url.scheme === "http" || url.scheme === "unix", "no cleartext is served where TLS was asked for");
    const listener = new Listener(url, traffic, limit);
    // As etcd does: a socket that a process left behind would be in the way for ever.
    if (url.scheme === "unix") rmSync(url.path, { force: true });
    const at = url.scheme === "unix"
      ? { path: url.path }
      : { host: url.host || ALL_ADDRESSES, port: url.port === "" ? HTTP_PORT : Number(url.port) };
    try {
      listener.#server = await network.listen(at, listener);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      throw new ListenError(url, code ?? message);
    }
    return listener;
  }

  /** "127.0.0.1:2379", or the path of a Unix socket. */
  get address(): string {
    return this.#server!.address;
  }

  /** Serves from now on, first those who came early. */
  accept(acceptor: Acceptor): void {
    this.#acceptor = acceptor;
    const early = this.#early;
    this.#early = [];
    for (const stream of early) this.#sniff(stream, acceptor);
  }

  /** Takes no new connections; those handed over go on. */
  close(): void {
    this.#server!.close();
    for (const stream of this.#early) stream.destroy();
    for (const sniffer of this.#sniffers) sniffer.stream.destroy();
  }

  onStream(stream: ByteStream): void {
    if (!this.#limit.take()) {
      stream.destroy();
    } else if (this.#acceptor !== undefined) {
      this.#sniff(stream, this.#acceptor);
    } else if (this.#early.length < HTTP_EARLY_CONNECTIONS_MAX) {
      this.#early.push(stream);
    } else {
      stream.destroy();
    }
  }

  onStreamClosed(): void {
    this.#limit.release();
  }

  #sniff(stream: ByteStream, acceptor: Acceptor): void {
    const sniffer = new Sniffer(stream, this.traffic, acceptor, () => this.#sniffers.delete(sniffer));
    this.#sniffers.add(sniffer);
    stream.listen(sniffer);
  }
}

/** Looks at the first bytes of one connection and hands it over, or ends it where its protocol is not served. */
class Sniffer implements ByteStreamListener {
  readonly stream: ByteStream;
  readonly #traffic: Traffic;
  readonly #acceptor: Acceptor;
  readonly #onDone: () => void;
  readonly #timer: ReturnType<typeof setTimeout>;
  #head: Uint8Array = EMPTY_BYTES;

  constructor(stream: ByteStream, traffic: Traffic, acceptor: Acceptor, onDone: () => void) {
    this.stream = stream;
    this.#traffic = traffic;
    this.#acceptor = acceptor;
    this.#onDone = onDone;
    this.#timer = setTimeout(() => stream.destroy(), HTTP_HEADER_TIMEOUT_MS);
  }

  onData(bytes: Uint8Array): void {
    const head = this.#head.length === 0 ? bytes : concatBytes([this.#head, bytes]);
    const isHttp2 = isPreface(head);
    if (isHttp2 && head.length < CLIENT_PREFACE.length) {
      this.#head = head.slice();
      return;
    }
    this.#done();
    if (this.#traffic === (isHttp2 ? "http" : "grpc")) this.stream.destroy();
    else if (isHttp2) this.#acceptor.http2(this.stream, head);
    else this.#acceptor.http1(this.stream, head);
  }

  onEnd(): void {
    this.stream.destroy();
  }

  onDrain(): void {}

  onClose(): void {
    this.#done();
  }

  #done(): void {
    clearTimeout(this.#timer);
    this.#onDone();
  }
}

/** Whether `head` is the beginning of HTTP/2's preface, or starts with it. */
function isPreface(head: Uint8Array): boolean {
  const size = Math.min(head.length, CLIENT_PREFACE.length);
  for (let i = 0; i < size; i++) if (head[i] !== CLIENT_PREFACE[i]) return false;
  return true;
}
