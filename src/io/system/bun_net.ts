/** Byte streams and listening sockets of Bun, without node's streams around them. */

import { TCP_KEEP_ALIVE_MS } from "../../base/limits.ts";
import type { ByteStream, ByteStreamListener, ListenAddress, Network, StreamAcceptor, StreamServer } from "../net.ts";
import { connectTo, formatAddress, resolveAll, resolveHost, type Target } from "./net_address.ts";

type Socket = Bun.Socket<BunStream>;

class BunStream implements ByteStream {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  readonly #acceptor: StreamAcceptor;
  #listener: ByteStreamListener | undefined = undefined;

  // Sending.
  /** What the socket has not taken of the last write, from #restStart on. */
  #rest: Uint8Array | undefined = undefined;
  #restStart = 0;
  #isEnding = false;
  #isClosed = false;

  // Receiving.
  #isPaused = false;
  /** Came without a listener or while paused: a socket that is paused may still have read something. */
  #held: Uint8Array[] = [];
  #isEndHeld = false;
  #isDeliveryScheduled = false;
  #closeError: Error | undefined = undefined;

  constructor(socket: Socket, acceptor: StreamAcceptor) {
    this.#socket = socket;
    this.#acceptor = acceptor;
    this.remoteAddress = formatAddress(socket.remoteAddress, socket.remotePort);
  }

  // --- From the socket.

  open(): void {
    this.#socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#acceptor.onStream(this);
    // What the client sends stays with the system until somebody listens.
    if (this.#listener === undefined) this.pause();
  }

  receive(bytes: Uint8Array): void {
    if (this.#mayDeliver) this.#listener!.onData(bytes);
    else this.#held.push(bytes);
  }

  receiveEnd(): void {
    if (this.#mayDeliver) this.#listener!.onEnd();
    else this.#isEndHeld = true;
  }

  /** Called at random: also when nothing waits. */
  drain(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    const size = this.#socket.write(rest, this.#restStart, rest.length - this.#restStart);
    // Below zero the socket is about to close.
    if (size > 0) this.#restStart += size;
    if (this.#restStart < rest.length) return;
    this.#rest = undefined;
    if (this.#isEnding) this.#socket.shutdown();
    this.#listener?.onDrain();
  }

  /** Called from inside `destroy`, too. */
  closed(error: Error | undefined): void {
    this.#isClosed = true;
    this.#closeError = error;
    this.#rest = undefined;
    this.#held = [];
    this.#acceptor.onStreamClosed();
    if (this.#listener !== undefined) this.#scheduleClose();
  }

  // --- For the listener.

  listen(listener: ByteStreamListener): void {
    const isFirst = this.#listener === undefined;
    this.#listener = listener;
    if (!isFirst) return;
    if (this.#isClosed) this.#scheduleClose();
    else this.resume();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isClosed || this.#isEnding) return true;
    const size = this.#socket.write(bytes);
    if (size === bytes.length || size < 0) return true;
    this.#rest = bytes;
    this.#restStart = size;
    return false;
  }

  end(): void {
    if (this.#isClosed || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#rest === undefined) this.#socket.shutdown();
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#rest = undefined;
    this.#socket.end();
  }

  pause(): void {
    if (this.#isPaused || this.#isClosed) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused || this.#isClosed) return;
    this.#isPaused = false;
    this.#socket.resume();
    if (this.#held.length > 0 || this.#isEndHeld) this.#scheduleDelivery();
  }

  get #mayDeliver(): boolean {
    return this.#listener !== undefined && !this.#isPaused && this.#held.length === 0;
  }

  /** Calls of the listener come from outside of its own calls. */
  #scheduleDelivery(): void {
    if (this.#isDeliveryScheduled) return;
    this.#isDeliveryScheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #scheduleClose(): void {
    queueMicrotask(() => this.#listener!.onClose(this.#closeError));
  }

  #deliver(): void {
    this.#isDeliveryScheduled = false;
    while (this.#held.length > 0 && !this.#isPaused) this.#listener!.onData(this.#held.shift()!);
    if (!this.#isEndHeld || this.#isPaused || this.#isClosed) return;
    this.#isEndHeld = false;
    this.#listener!.onEnd();
  }
}

/** What all sockets do with what they hear. */
const HANDLER: Bun.SocketHandler<BunStream> = {
  // The types of listening sockets know the default only.
  binaryType: "uint8array" as "buffer",
  data: (socket, bytes) => socket.data.receive(bytes),
  drain: (socket) => socket.data.drain(),
  end: (socket) => socket.data.receiveEnd(),
  close: (socket, error) => socket.data.closed(error),
  // Whatever one of these has thrown: a fault of ours, which ends the process as it does anywhere else.
  error: (_socket, fault) =>
    queueMicrotask(() => {
      throw fault;
    }),
};

export const bunNetwork: Network = {
  async listen(at: ListenAddress, acceptor: StreamAcceptor): Promise<StreamServer> {
    const socket: Bun.SocketHandler<BunStream> = {
      ...HANDLER,
      open(socket) {
        socket.data = new BunStream(socket, acceptor);
        socket.data.open();
      },
    };
    if ("path" in at) {
      const server = Bun.listen<BunStream>({ unix: at.path, allowHalfOpen: true, socket });
      return { address: at.path, close: () => server.stop() };
    }
    const hostname = await resolveHost(at.host);
    const server = Bun.listen<BunStream>({ hostname, port: at.port, exclusive: true, allowHalfOpen: true, socket });
    return { address: formatAddress(hostname, server.port), close: () => server.stop() };
  },

  connect: (to, timeoutMs) => connectTo(to, timeoutMs, dial),
  resolve: resolveAll,
};

function dial(to: Target, signal: AbortSignal): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const socket: Bun.SocketHandler<BunStream> = {
      ...HANDLER,
      open(socket) {
        socket.data = new BunStream(socket, { onStream: resolve, onStreamClosed() {} });
        if (signal.aborted) socket.data.destroy();
        else socket.data.open();
      },
      connectError: (_socket, error) => reject(error),
    };
    // Its promise tells nothing that `open` and `connectError` do not tell earlier.
    const connected = "path" in to
      ? Bun.connect<BunStream>({ unix: to.path, allowHalfOpen: true, socket })
      : Bun.connect<BunStream>({ hostname: to.address, port: to.port, allowHalfOpen: true, socket });
    connected.catch(reject);
  });
}
