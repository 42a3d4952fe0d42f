/** Byte streams and listening sockets of node:net. */

import { connect, createServer, type Socket } from "node:net";
import { TCP_KEEP_ALIVE_MS } from "../../base/limits.ts";
import type { ByteStream, ByteStreamListener, ListenAddress, Network, StreamAcceptor, StreamServer } from "../net.ts";
import { connectTo, formatAddress, resolveAll, resolveHost, type Target } from "./net_address.ts";

/** A node:net or node:tls socket as a ByteStream. The socket must not have listeners for its data. */
export class SocketStream implements ByteStream {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  #listener: ByteStreamListener | undefined;
  #isWaiting = false;
  #error: Error | undefined;
  readonly #onTaken: (error?: Error | null) => void;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = formatAddress(socket.remoteAddress, socket.remotePort);
    this.#onTaken = (error) => {
      // Also called for writes that went through at once, perhaps after a later one did not.
      if (error || !this.#isWaiting || socket.writableLength > 0) return;
      this.#isWaiting = false;
      this.#listener?.onDrain();
    };
    socket.pause();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    socket.on("error", (cause: Error) => this.#error = cause); // "close" follows
  }

  listen(listener: ByteStreamListener): void {
    const isFirst = this.#listener === undefined;
    this.#listener = listener;
    if (!isFirst) return;
    const socket = this.#socket;
    const onClose = () => this.#listener!.onClose(this.#error);
    if (socket.destroyed) {
      queueMicrotask(onClose);
      return;
    }
    socket.on("data", (chunk: Uint8Array) => {
      // Subarrays of a plain Uint8Array are cheaper than those of a Buffer, and do not share its methods' surprises.
      this.#listener!.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    });
    socket.on("end", () => {
      // In Bun a socket that was destroyed still tells of its end.
      if (!socket.destroyed) this.#listener!.onEnd();
    });
    socket.on("close", onClose);
    socket.resume();
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return true;
    socket.write(bytes, this.#onTaken);
    if (socket.writableLength === 0) return true;
    this.#isWaiting = true;
    return false;
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}

export const nodeNetwork: Network = {
  async listen(at: ListenAddress, acceptor: StreamAcceptor): Promise<StreamServer> {
    const host = "path" in at ? "" : await resolveHost(at.host);
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
      socket.on("close", () => acceptor.onStreamClosed());
      acceptor.onStream(new SocketStream(socket));
    });
    return await new Promise((resolve, reject) => {
      server.once("error", reject);
      server.once("listening", () => {
        const bound = server.address();
        const address = typeof bound === "string" ? bound : formatAddress(bound?.address, bound?.port);
        resolve({ address, close: () => server.close() });
      });
      if ("path" in at) server.listen(at.path);
      else server.listen(at.port, host);
    });
  },

  connect: (to, timeoutMs) => connectTo(to, timeoutMs, dial),
  resolve: resolveAll,
};

function dial(to: Target, signal: AbortSignal): Promise<ByteStream> {
  const target = "path" in to ? { path: to.path } : { host: to.address, port: to.port };
  return new Promise((resolve, reject) => {
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true });
    // Before there is anything to read, so that it stays with the system until somebody listens.
    socket.pause();
    const giveUp = () => socket.destroy();
    signal.addEventListener("abort", giveUp);
    socket.once("error", reject);
    socket.once("connect", () => {
      signal.removeEventListener("abort", giveUp);
      socket.off("error", reject);
      resolve(new SocketStream(socket));
    });
  });
}
