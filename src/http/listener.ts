/** Listening sockets of the client port, and the sniffing that tells HTTP/2 from HTTP/1.1. */

import { Buffer } from "node:buffer";
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { assert } from "../base/assert.ts";
import { HTTP_EARLY_CONNECTIONS_MAX, HTTP_HEADER_TIMEOUT_MS } from "../base/limits.ts";
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

/** Takes over sniffed connections; `head` was read from them already. */
export interface Acceptor {
  http1(socket: Socket, head: Buffer): void;
  http2(socket: Socket, head: Buffer): void;
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

/** As Go does: a name that has addresses of both kinds means the one of IPv4, and no name all of both. */
function bindHost(host: string): string {
  if (host === "") return "::";
  return host === "localhost" ? "127.0.0.1" : host;
}

/** RFC 9113, section 3.4 (frozen). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export class Listener {
  readonly url: ListenUrl;
  readonly traffic: Traffic;
  readonly #server: Server;
  readonly #limit: ConnectionLimit;
  readonly #sniffing = new Set<Socket>();
  #acceptor: Acceptor | undefined;
  /** Connections that came before `accept`. */
  #early: Socket[] = [];

  private constructor(url: ListenUrl, traffic: Traffic, server: Server, limit: ConnectionLimit) {
    this.url = url;
    this.traffic = traffic;
    this.#server = server;
    this.#limit = limit;
    server.on("connection", (socket: Socket) => this.#take(socket));
  }

  /** Opens the socket, without serving it yet. Throws ListenError. */
  static async open(url: ListenUrl, traffic: Traffic, limit: ConnectionLimit): Promise<Listener> {
    assert(url.scheme === "http" || url.scheme === "unix", "no cleartext is served where TLS was asked for");
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    const listener = new Listener(url, traffic, server, limit);
    const isUnix = url.scheme === "unix";
    // As etcd does: a socket that a process left behind would be in the way for ever.
    if (isUnix) rmSync(url.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once(
        "error",
        (error: Error & { code?: string }) => reject(new ListenError(url, error.code ?? error.message)),
      );
      server.once("listening", resolve);
      if (isUnix) server.listen(url.path);
      else server.listen(url.port === "" ? 80 : Number(url.port), bindHost(url.host));
    });
    return listener;
  }

  /** "127.0.0.1:2379", or the path of a Unix socket. */
  get address(): string {
    const address = this.#server.address();
    if (address === null) return "";
    if (typeof address === "string") return address;
    return address.address.includes(":")
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`;
  }

  /** Serves from now on, first those who came early. */
  accept(acceptor: Acceptor): void {
    this.#acceptor = acceptor;
    const early = this.#early;
    this.#early = [];
    for (const socket of early) {
      if (!socket.destroyed) this.#sniff(socket, acceptor);
    }
  }

  /** Takes no new connections; those handed over go on. */
  close(): void {
    this.#server.close();
    for (const socket of [...this.#early, ...this.#sniffing]) socket.destroy();
  }

  #take(socket: Socket): void {
    socket.on("error", () => {}); // 'close' follows, and whoever serves the socket listens for that
    if (!this.#limit.tryTake()) {
      socket.destroy();
      return;
    }
    socket.on("close", () => this.#limit.release());
    if (this.#acceptor !== undefined) {
      this.#sniff(socket, this.#acceptor);
    } else if (this.#early.length < HTTP_EARLY_CONNECTIONS_MAX) {
      this.#early.push(socket);
    } else {
      socket.destroy();
    }
  }

  #sniff(socket: Socket, acceptor: Acceptor): void {
    let head: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), HTTP_HEADER_TIMEOUT_MS);
    const done = () => {
      clearTimeout(timer);
      this.#sniffing.delete(socket);
      socket.off("data", onData);
      socket.off("close", done);
      socket.off("end", onEnd);
    };
    const onEnd = () => socket.destroy();
    const onData = (bytes: Buffer) => {
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      const size = Math.min(head.length, PREFACE.length);
      const mayBeHttp2 = PREFACE.compare(head, 0, size, 0, size) === 0;
      if (mayBeHttp2 && size < PREFACE.length) return;
      done();
      if (mayBeHttp2 ? this.traffic === "http" : this.traffic === "grpc") socket.destroy();
      else if (mayBeHttp2) acceptor.http2(socket, head);
      else acceptor.http1(socket, head);
    };
    this.#sniffing.add(socket);
    socket.on("data", onData);
    socket.on("close", done);
    socket.on("end", onEnd);
    socket.resume();
  }
}
