/**
 * HTTP/1.1 on streams that were accepted and sniffed elsewhere: node:http parses, @hono/node-server adapts, and what node
 * leaves open is bounded here (time for a header block, idle connections, answers to what is not HTTP).
 */

import type { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { HTTP_HEADER_SIZE_MAX, HTTP_HEADER_TIMEOUT_MS, HTTP_WRITE_STALL_MS } from "../base/limits.ts";
import type { ByteStream } from "../io/net.ts";
import type { HttpApp, RequestInfo } from "./app.ts";
import { StreamDuplex } from "./duplex.ts";
import { serveWebSocket } from "./gateway/mod.ts";

const SWEEP_MS = 5000;

/** How long what may be endured; the defaults are in base/limits. */
export interface Http1Patience {
  readonly headerTimeoutMs?: number;
  readonly writeStallMs?: number;
}

interface Connection {
  /** When it began to wait for a request, on the monotonic clock; undefined while one is served. */
  waitsSinceMs: number | undefined;
  /** Bytes given to the socket, those not taken by the client yet, and since when both are the same. */
  written: number;
  unsent: number;
  stalledSinceMs: number;
}

export class Http1Server {
  readonly #server: Server;
  readonly #app: HttpApp;
  readonly #connections = new Map<StreamDuplex, Connection>();
  readonly #sweep: ReturnType<typeof setInterval>;
  readonly #headerTimeoutMs: number;
  readonly #writeStallMs: number;
  #isStopping = false;
  #whenEmpty: (() => void) | undefined;

  constructor(app: HttpApp, patience: Http1Patience = {}) {
    this.#app = app;
    this.#headerTimeoutMs = patience.headerTimeoutMs ?? HTTP_HEADER_TIMEOUT_MS;
    this.#writeStallMs = patience.writeStallMs ?? HTTP_WRITE_STALL_MS;
    const listener = getRequestListener((request, env) => {
      const { incoming } = env as { incoming: IncomingMessage };
      return app.fetch(request, infoOf(incoming));
    }, { overrideGlobalObjects: false });
    const server = createServer({ maxHeaderSize: HTTP_HEADER_SIZE_MAX, keepAliveTimeout: 0, requestTimeout: 0 });
    // A server that does not listen by itself would close each connection after its first answer.
    Object.defineProperty(server, "listening", { get: () => !this.#isStopping });
    server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
      const socket = socketOf(incoming);
      this.#busy(socket);
      if (this.#isStopping) outgoing.setHeader("connection", "close");
      outgoing.on("close", () => this.#idle(socket));
      void listener(incoming, outgoing);
    });
    server.on("upgrade", (incoming: IncomingMessage, socket: StreamDuplex, head: Buffer) => {
      this.#busy(socket);
      void this.#upgrade(incoming, socket, head, listener);
    });
    server.on("clientError", (error: Error & { code?: string }, socket: Duplex) => refuse(socket, error.code));
    this.#server = server;
    this.#sweep = setInterval(
      () => this.#sweepConnections(),
      Math.min(SWEEP_MS, this.#headerTimeoutMs, this.#writeStallMs),
    );
    this.#sweep.unref();
  }

  /** Takes over a connection of which `head` was read. */
  serve(stream: ByteStream, head: Uint8Array): void {
    if (this.#isStopping) {
      stream.destroy();
      return;
    }
    const socket = new StreamDuplex(stream, head);
    const nowMs = performance.now();
    this.#connections.set(socket, { waitsSinceMs: nowMs, written: 0, unsent: 0, stalledSinceMs: nowMs });
    socket.on("close", () => {
      this.#connections.delete(socket);
      if (this.#connections.size === 0) this.#whenEmpty?.();
    });
    socket.on("error", () => {}); // "close" follows
    this.#server.emit("connection", socket);
  }

  /** Serves what is in progress for at most `deadlineMs`, then drops it. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#sweep);
    for (const [socket, { waitsSinceMs }] of this.#connections) {
      if (waitsSinceMs !== undefined) socket.destroy();
    }
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      this.#whenEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  #busy(socket: StreamDuplex): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.waitsSinceMs = undefined;
  }

  #idle(socket: StreamDuplex): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.waitsSinceMs = performance.now();
    // What was asked before the stop has been answered.
    if (this.#isStopping) socket.destroySoon();
  }

  /** Drops connections that keep us waiting: for a request, or for the client to read. */
  #sweepConnections(): void {
    const nowMs = performance.now();
    for (const [socket, connection] of this.#connections) {
      const unsent = socket.writableLength;
      const written = socket.bytesWritten;
      if (unsent === 0 || unsent !== connection.unsent || written !== connection.written) {
        connection.unsent = unsent;
        connection.written = written;
        connection.stalledSinceMs = nowMs;
      }
      const { waitsSinceMs, stalledSinceMs } = connection;
      const isLate = waitsSinceMs !== undefined && nowMs - waitsSinceMs > this.#headerTimeoutMs;
      if (isLate || nowMs - stalledSinceMs > this.#writeStallMs) socket.destroy();
    }
  }

  async #upgrade(
    incoming: IncomingMessage,
    socket: StreamDuplex,
    head: Buffer,
    listener: (incoming: IncomingMessage, outgoing: ServerResponse) => unknown,
  ): Promise<void> {
    const isWebSocket = incoming.headers.upgrade?.toLowerCase() === "websocket";
    const path = (incoming.url ?? "/").split("?", 1)[0];
    if (!isWebSocket || !/^\/v3(?:beta)?\//.test(path)) {
      // Other upgrades (h2c, say) are not spoken here: the request is answered as if it had not asked.
      const outgoing = new ServerResponse(incoming);
      outgoing.assignSocket(incoming.socket);
      outgoing.shouldKeepAlive = false;
      outgoing.on("finish", () => socket.end());
      await listener(incoming, outgoing);
      return;
    }
    const info = infoOf(incoming);
    const request = {
      url: `http://${info.host || "localhost"}${incoming.url}`,
      header: (name: string) => {
        const value = incoming.headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      },
    };
    await serveWebSocket(socket, request, head, (post) => this.#app.fetch(post, info));
  }
}

/** Every connection's socket is one of ours. */
function socketOf(incoming: IncomingMessage): StreamDuplex {
  return incoming.socket as Duplex as StreamDuplex;
}

function infoOf(incoming: IncomingMessage): RequestInfo {
  return {
    peer: socketOf(incoming).peer,
    httpVersion: "1.1",
    rawPath: incoming.url ?? "/",
    host: incoming.headers.host ?? "",
    isSecure: false,
  };
}

/** What Go's server writes before it closes. */
function refuse(socket: Duplex, code: string | undefined): void {
  if (code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`;
  socket.end(head, () => socket.destroy());
}
