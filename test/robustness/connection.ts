/**
 * An HTTP/2 connection to the server under test, made by hand on a socket: a light gRPC client that can also do everything a
 * well-behaved client never does. It grants window only as it is told to, stops reading when it is told to, and sends
 * any bytes.
 */
import { createConnection, type Socket } from "node:net";
import { concatBytes } from "../../src/base/bytes.ts";
import { HpackDecoder } from "../../src/rpc/http2/hpack.ts";
import { CLIENT_PREFACE, Flag, FRAME_HEADER_SIZE, FrameType, Setting } from "../../src/rpc/http2/protocol.ts";
import { type Fields, frame, goaway, headerBlock, requestFields, uint32 } from "../rpc/peer.ts";

export { type Fields, frame, headerBlock, requestFields, uint32 };

const AUTO_STREAM_WINDOW = 4 * 1024 * 1024;
const AUTO_CONNECTION_WINDOW = 16 * 1024 * 1024;
const DATA_SIZE_MAX = 16_384;
const GRPC_FIELDS: Fields = [["content-type", "application/grpc"], ["te", "trailers"]];

/** How a call ended. */
export interface Status {
  /** gRPC's code; LOST where the connection or the stream was torn down instead. */
  readonly code: number;
  readonly message: string;
}

/** Not a gRPC code: nobody knows what became of the call. */
export const LOST = -1;

export interface ConnectionOptions {
  /** Default: the loopback address. */
  readonly host?: string;
  /** Window of each stream. Given, nothing is granted beyond it unless `grant` is called. Default: as much as is read. */
  readonly streamWindow?: number;
  /** The same for the connection. Default: never in the way. */
  readonly connectionWindow?: number;
  /** Bytes sent instead of the preface and SETTINGS. */
  readonly greeting?: Uint8Array;
}

export class Connection {
  readonly #socket: Socket;
  readonly #decoder = new HpackDecoder(4096, 1 << 20);
  readonly #streams = new Map<number, ClientStream>();
  readonly #isGranting: boolean;
  readonly closed: Promise<string>;
  #isClosed = false;
  #goaway = "";
  #nextId = 1;
  #rest: Uint8Array = new Uint8Array(0);
  #consumed = 0;
  #sendWindow = 65_535;
  #serverStreamWindow = 65_535;
  #block: Uint8Array[] = [];
  /** Streams up to this one were, or are going to be, served; all, unless the server has said otherwise. */
  lastServedId = 0x7fff_ffff;

  /** Resolves when the socket is connected. */
  static async open(port: number, options: ConnectionOptions = {}): Promise<Connection> {
    const socket = createConnection({ port, host: options.host ?? "127.0.0.1", noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Connection(socket, options);
  }

  private constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#isGranting = options.streamWindow === undefined;
    this.closed = new Promise((resolve) => {
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#isClosed = true;
        for (const stream of [...this.#streams.values()]) stream.finish(LOST, this.#goaway || "connection lost");
        resolve(this.#goaway);
      });
    });
    socket.on("data", (bytes: Uint8Array) => this.#read(bytes));
    if (options.greeting !== undefined) {
      this.send(options.greeting);
      return;
    }
    const window = options.streamWindow ?? AUTO_STREAM_WINDOW;
    this.send(CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0, setting(Setting.INITIAL_WINDOW_SIZE, window)));
    const extra = (options.connectionWindow ?? AUTO_CONNECTION_WINDOW) - 65_535;
    if (extra > 0) this.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(extra)));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What the server said when it ended the connection: "code text", or nothing. */
  get farewell(): string {
    return this.#goaway;
  }

  /** Bytes that the socket has not taken yet. */
  get backlog(): number {
    return this.#socket.writableLength;
  }

  send(...parts: Uint8Array[]): void {
    if (this.#isClosed || this.#socket.writableEnded) return;
    this.#socket.write(parts.length === 1 ? parts[0]! : concatBytes(parts));
  }

  /** Waits until the socket has taken what was sent, or the connection is gone. */
  async flushed(): Promise<void> {
    while (!this.#isClosed && this.#socket.writableLength > 0) {
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 2)), this.closed]);
    }
  }

  stopReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  halfClose(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  grantConnection(size: number): void {
    this.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(size)));
  }

  /** The id the next stream gets; for requests that are built by hand. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  /** Opens a call. Messages go to `onMessage`, or whole DATA payloads to `onData`. */
  open(path: string, fields: Fields = []): ClientStream {
    const id = this.takeId();
    const stream = new ClientStream(this, id, this.#serverStreamWindow);
    if (this.#isClosed) {
      stream.finish(LOST, "connection lost");
      return stream;
    }
    this.#streams.set(id, stream);
    this.send(
      frame(FrameType.HEADERS, Flag.END_HEADERS, id, headerBlock(requestFields(path, [...GRPC_FIELDS, ...fields]))),
    );
    return stream;
  }

  /** One unary call; the answer is undefined unless the code is 0. */
  async unary(path: string, request: Uint8Array): Promise<{ status: Status; answer: Uint8Array | undefined }> {
    const stream = this.open(path);
    let answer: Uint8Array | undefined;
    stream.onMessage = (message) => answer = message.slice();
    stream.sendMessage(request, true);
    const status = await stream.done;
    return { status, answer };
  }

  /** For streams. */
  forget(id: number): void {
    this.#streams.delete(id);
  }

  /** For streams: sends what both windows allow of `bytes`; returns how much. */
  sendData(stream: ClientStream, bytes: Uint8Array, isEnd: boolean): number {
    let sent = 0;
    do {
      const size = Math.min(bytes.length - sent, DATA_SIZE_MAX, this.#sendWindow, stream.sendWindow);
      if (size <= 0 && bytes.length > sent) break;
      this.#sendWindow -= size;
      stream.sendWindow -= size;
      const isLast = isEnd && sent + size === bytes.length;
      this.send(frame(FrameType.DATA, isLast ? Flag.END_STREAM : 0, stream.id, bytes.subarray(sent, sent + size)));
      sent += size;
    } while (sent < bytes.length);
    return sent;
  }

  #read(bytes: Uint8Array): void {
    let data = bytes;
    if (this.#rest.length > 0) data = concatBytes([this.#rest, bytes]);
    let position = 0;
    while (data.length - position >= FRAME_HEADER_SIZE) {
      const length = data[position]! << 16 | data[position + 1]! << 8 | data[position + 2]!;
      const end = position + FRAME_HEADER_SIZE + length;
      if (end > data.length) break;
      const id = new DataView(data.buffer, data.byteOffset + position + 5, 4).getUint32(0) & 0x7fff_ffff;
      this.#readFrame(data[position + 3]!, data[position + 4]!, id, data.subarray(position + FRAME_HEADER_SIZE, end));
      position = end;
    }
    this.#rest = data.slice(position);
  }

  #readFrame(type: number, flags: number, id: number, payload: Uint8Array): void {
    const stream = this.#streams.get(id);
    switch (type) {
      case FrameType.DATA:
        this.#grantBack(stream, payload.length);
        if (payload.length > 0) stream?.take(payload);
        if (flags & Flag.END_STREAM) stream?.finish(LOST, "ended without trailers");
        break;
      case FrameType.HEADERS:
      case FrameType.CONTINUATION:
        this.#block.push(payload.slice());
        if ((flags & Flag.END_HEADERS) === 0) break;
        this.#readHeaders(stream, type === FrameType.HEADERS && (flags & Flag.END_STREAM) !== 0);
        break;
      case FrameType.RST_STREAM:
        stream?.finish(LOST, `reset with code ${payload[3]}`);
        break;
      case FrameType.SETTINGS:
        if ((flags & Flag.ACK) === 0) this.#readSettings(payload);
        break;
      case FrameType.PING:
        if ((flags & Flag.ACK) === 0) this.send(frame(FrameType.PING, Flag.ACK, 0, payload));
        break;
      case FrameType.GOAWAY: {
        const { last, code, text } = goaway([{ type, flags, id, payload }])!;
        this.lastServedId = last;
        this.#goaway = `${code} ${text}`.trim();
        break;
      }
      case FrameType.WINDOW_UPDATE: {
        const size = new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0);
        if (id === 0) {
          this.#sendWindow += size;
          for (const each of [...this.#streams.values()]) each.pump();
        } else if (stream !== undefined) {
          stream.sendWindow += size;
          stream.pump();
        }
      }
    }
  }

  #readHeaders(stream: ClientStream | undefined, isEnd: boolean): void {
    const block = concatBytes(this.#block);
    this.#block = [];
    const fields = new Map(this.#decoder.decode(block, 0, block.length).fields.map(({ name, value }) => [name, value]));
    const code = fields.get("grpc-status");
    if (code !== undefined) stream?.finish(Number(code), decodeURIComponent(fields.get("grpc-message") ?? ""));
    else if (isEnd) stream?.finish(LOST, `HTTP status ${fields.get(":status")}`);
    else stream?.onHeaders?.(fields);
  }

  #readSettings(payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    for (let at = 0; at < payload.length; at += 6) {
      if (view.getUint16(at) !== Setting.INITIAL_WINDOW_SIZE) continue;
      const difference = view.getUint32(at + 2) - this.#serverStreamWindow;
      this.#serverStreamWindow += difference;
      for (const stream of [...this.#streams.values()]) {
        stream.sendWindow += difference;
        stream.pump();
      }
    }
    this.send(frame(FrameType.SETTINGS, Flag.ACK, 0));
  }

  #grantBack(stream: ClientStream | undefined, size: number): void {
    if (!this.#isGranting) return;
    this.#consumed += size;
    if (this.#consumed >= AUTO_CONNECTION_WINDOW / 4) {
      this.grantConnection(this.#consumed);
      this.#consumed = 0;
    }
    if (stream === undefined) return;
    stream.consumed += size;
    if (stream.consumed < AUTO_STREAM_WINDOW / 4) return;
    stream.grant(stream.consumed);
    stream.consumed = 0;
  }
}

/** One call, seen from the client. */
export class ClientStream {
  readonly id: number;
  readonly done: Promise<Status>;
  onHeaders: ((fields: Map<string, string>) => void) | undefined;
  /** Valid until it returns. */
  onMessage: ((message: Uint8Array) => void) | undefined;
  /** Instead of `onMessage`: the bytes as they come, prefixes included. */
  onData: ((bytes: Uint8Array) => void) | undefined;
  /** Bytes of DATA frames so far. */
  receivedSize = 0;
  consumed = 0;
  sendWindow: number;
  readonly #connection: Connection;
  readonly #finish: (status: Status) => void;
  #status: Status | undefined;
  #parts: Uint8Array[] = [];
  #partsSize = 0;
  #unsent: { bytes: Uint8Array; isEnd: boolean }[] = [];

  constructor(connection: Connection, id: number, sendWindow: number) {
    this.#connection = connection;
    this.id = id;
    this.sendWindow = sendWindow;
    let finish: (status: Status) => void = () => {};
    this.done = new Promise((resolve) => finish = resolve);
    this.#finish = finish;
  }

  get status(): Status | undefined {
    return this.#status;
  }

  /** Sends a message, as far as the server's windows allow, and the rest when they open. */
  sendMessage(message: Uint8Array, isEnd = false): void {
    const bytes = new Uint8Array(5 + message.length);
    new DataView(bytes.buffer).setUint32(1, message.length);
    bytes.set(message, 5);
    this.sendBytes(bytes, isEnd);
  }

  sendBytes(bytes: Uint8Array, isEnd: boolean): void {
    this.#unsent.push({ bytes, isEnd });
    this.pump();
  }

  halfClose(): void {
    this.sendBytes(new Uint8Array(0), true);
  }

  reset(code: number): void {
    this.#connection.send(frame(FrameType.RST_STREAM, 0, this.id, uint32(code)));
    this.finish(LOST, "reset by this client");
  }

  grant(size: number): void {
    this.#connection.send(frame(FrameType.WINDOW_UPDATE, 0, this.id, uint32(size)));
  }

  /** For the connection. */
  pump(): void {
    while (this.#unsent.length > 0) {
      const first = this.#unsent[0]!;
      const sent = this.#connection.sendData(this, first.bytes, first.isEnd);
      if (sent < first.bytes.length) {
        first.bytes = first.bytes.subarray(sent);
        return;
      }
      this.#unsent.shift();
    }
  }

  /** For the connection: bytes of a DATA frame. */
  take(bytes: Uint8Array): void {
    this.receivedSize += bytes.length;
    if (this.onData !== undefined) {
      this.onData(bytes);
      return;
    }
    if (this.onMessage === undefined) return;
    this.#parts.push(bytes.slice());
    this.#partsSize += bytes.length;
    while (this.#partsSize >= 5) {
      const head = this.#parts[0]!.length >= 5 ? this.#parts[0]! : this.#joined();
      const size = new DataView(head.buffer, head.byteOffset).getUint32(1);
      if (this.#partsSize < 5 + size) return;
      const all = this.#joined();
      this.#parts = [all.subarray(5 + size)];
      this.#partsSize -= 5 + size;
      this.onMessage(all.subarray(5, 5 + size));
    }
  }

  #joined(): Uint8Array {
    if (this.#parts.length > 1) this.#parts = [concatBytes(this.#parts)];
    return this.#parts[0]!;
  }

  /** For the connection: the call has ended. */
  finish(code: number, message: string): void {
    if (this.#status !== undefined) return;
    this.#status = { code, message };
    this.#unsent = [];
    this.#connection.forget(this.id);
    this.#finish(this.#status);
  }
}

export function setting(id: number, value: number): Uint8Array {
  return concatBytes([Uint8Array.of(id >> 8, id), uint32(value)]);
}
