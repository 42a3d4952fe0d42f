import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { ByteStream, ByteStreamListener } from "../io/net.ts";

/** What node's streams hand to the end of a write. */
type Callback = (error?: Error | null) => void;

/** A ByteStream as what node:http takes for a socket. */
export class StreamDuplex extends Duplex implements ByteStreamListener {
  /** As ByteStream.remoteAddress. */
  readonly peer: string;
  readonly #stream: ByteStream;
  /** Of the write that the stream has not taken in full yet. */
  #onTaken: Callback | undefined = undefined;
  #bytesWritten = 0;

  /** `head` was read from the stream already. */
  constructor(stream: ByteStream, head: Uint8Array) {
    super({ allowHalfOpen: true });
    this.peer = stream.remoteAddress;
    this.#stream = stream;
    stream.listen(this);
    this.onData(head);
  }

  /** Bytes given to the stream so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Ends the stream once everything is sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  // node:http asks these of a socket. Times are kept by whoever serves the connection, and it is the process's own life.

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  // --- From the stream.

  onData(bytes: Uint8Array): void {
    if (!this.push(Buffer.from(bytes))) this.#stream.pause();
  }

  onEnd(): void {
    this.push(null);
  }

  onDrain(): void {
    const onTaken = this.#onTaken;
    this.#onTaken = undefined;
    onTaken?.();
  }

  onClose(error?: Error): void {
    this.destroy(error);
  }

  // --- From node.

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Uint8Array, _encoding: unknown, callback: Callback): void {
    this.#bytesWritten += chunk.length;
    if (this.#stream.write(chunk)) callback();
    else this.#onTaken = callback;
  }

  override _writev(chunks: { chunk: Uint8Array }[], callback: Callback): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), undefined, callback);
  }

  override _final(callback: Callback): void {
    this.#stream.end();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#onTaken = undefined;
    this.#stream.destroy();
    callback(error);
  }
}
