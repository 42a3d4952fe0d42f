import type { Socket } from "node:net";
import type { ByteStream, ByteStreamListener } from "../../io/net.ts";

/** A node:net or node:tls socket as a ByteStream. The socket must not have listeners for its data left. */
export class SocketStream implements ByteStream {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  #listener: ByteStreamListener | undefined;
  #isWaiting = false;
  readonly #onTaken: () => void;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = addressOf(socket);
    this.#onTaken = () => {
      // Also called for writes that went through at once, perhaps after a later one did not.
      if (!this.#isWaiting || socket.writableLength > 0) return;
      this.#isWaiting = false;
      this.#listener?.onDrain();
    };
    socket.pause();
    socket.setNoDelay(true);
  }

  listen(listener: ByteStreamListener): void {
    const socket = this.#socket;
    this.#listener = listener;
    let error: Error | undefined;
    socket.on("data", (chunk: Uint8Array) => {
      // Subarrays of a plain Uint8Array are cheaper than those of a Buffer, and do not share its methods' surprises.
      listener.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    });
    socket.on("end", () => listener.onEnd());
    socket.on("error", (cause: Error) => error = cause);
    socket.on("close", () => {
      this.#listener = undefined;
      listener.onClose(error);
    });
    if (socket.destroyed) queueMicrotask(() => listener.onClose(error));
    else socket.resume();
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

function addressOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return "@";
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
