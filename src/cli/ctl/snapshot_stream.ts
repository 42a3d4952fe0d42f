/**
 * The messages of Maintenance.Snapshot, taken off the stream as they come. The library's own way through its layers costs
 * three times the processor time, message by message (350 against 110 ms for 100 MB, under Bun), and a snapshot has tens
 * of thousands of them; the connection, its pings and its errors are the library's here too.
 *
 * gRPC over HTTP/2: each message behind a byte 0 (not compressed) and its size, u32; the status in the trailers.
 */

import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Http2SessionManager } from "@connectrpc/connect-node";
import { SNAPSHOT_CLIENT_WINDOW_SIZE, SNAPSHOT_MESSAGE_SIZE_MAX } from "../../base/limits.ts";
import { utf8Text } from "../../base/bytes.ts";
import { WireError, WireReader } from "../../base/varint.ts";

const PATH = "/etcdserverpb.Maintenance/Snapshot";
const PREFIX_SIZE = 5;

/** One message; `blob` holds only until the listener returns. */
export interface SnapshotPiece {
  remaining: number;
  blob: Uint8Array;
  version: string;
}

/**
 * Calls `take` with every message; while a promise that it returns is pending, the stream is not read. Resolves after the
 * last one. Rejects with a ConnectError, with what `take` rejects with, or with the signal's reason.
 */
export async function receiveSnapshot(
  sessions: Http2SessionManager,
  token: string,
  take: (piece: SnapshotPiece) => Promise<void> | undefined,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const stream = await sessions.request("POST", PATH, {
    "content-type": "application/grpc+proto",
    te: "trailers",
    ...(token === "" ? {} : { token }),
  }, {});
  // The library leaves the connection's window at 64 KiB, of which every 32 KiB would wait for a round trip.
  stream.session?.setLocalWindowSize(SNAPSHOT_CLIENT_WINDOW_SIZE);
  const ended = Promise.withResolvers<void>();
  const onAbort = () => ended.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    listen(stream, new MessageReader(take), () => sessions.notifyResponseByteRead(stream), ended);
    // The request: one message, empty.
    stream.end(new Uint8Array(PREFIX_SIZE));
    await ended.promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
    stream.on("error", () => {});
    stream.close();
  }
}

function listen(
  stream: ClientHttp2Stream,
  reader: MessageReader,
  onRead: () => void,
  ended: PromiseWithResolvers<void>,
): void {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders | undefined;
  stream.on("response", (received) => headers = received);
  stream.on("trailers", (received) => trailers = received);
  stream.on("data", (data: Uint8Array) => {
    onRead();
    const resume = () => {
      stream.resume();
    };
    try {
      const waits = reader.push(data);
      if (waits === undefined) return;
      stream.pause();
      waits.then(resume, ended.reject);
    } catch (error) {
      ended.reject(error);
    }
  });
  stream.on("error", (error) => ended.reject(ConnectError.from(error, Code.Unavailable)));
  stream.on("close", () => {
    const failure = failureOf(headers, trailers ?? headers);
    if (failure !== undefined) ended.reject(failure);
    else reader.finished().then(ended.resolve, ended.reject);
  });
}

/** Undefined where the answer's status is OK. */
function failureOf(headers: IncomingHttpHeaders, trailers: IncomingHttpHeaders): ConnectError | undefined {
  const status = trailers["grpc-status"];
  if (status === "0") return undefined;
  if (status !== undefined) {
    const message = String(trailers["grpc-message"] ?? "");
    return new ConnectError(percentDecoded(message), Number(status) as Code);
  }
  const httpStatus = headers[":status"];
  if (httpStatus === undefined || Number(httpStatus) === 200) {
    return new ConnectError("the connection was lost", Code.Unavailable);
  }
  return new ConnectError(`the server answered with HTTP status ${httpStatus}`, Code.Unimplemented);
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Cuts messages out of what comes. */
class MessageReader {
  readonly #take: (piece: SnapshotPiece) => Promise<void> | undefined;
  readonly #piece: SnapshotPiece = { remaining: 0, blob: new Uint8Array(0), version: "" };
  readonly #reader = new WireReader(new Uint8Array(0));
  /** A message, with its prefix, as far as it has come. */
  #message = new Uint8Array(64 * 1024);
  #size = 0;
  #waits: Promise<void> | undefined;

  constructor(take: (piece: SnapshotPiece) => Promise<void> | undefined) {
    this.#take = take;
  }

  /** A promise where the messages so far have to be waited for. Throws a ConnectError for what is malformed. */
  push(data: Uint8Array): Promise<void> | undefined {
    this.#waits = undefined;
    for (let offset = 0; offset < data.length;) {
      const wanted = this.#wantedSize();
      const count = Math.min(wanted - this.#size, data.length - offset);
      this.#message.set(data.subarray(offset, offset + count), this.#size);
      this.#size += count;
      offset += count;
      if (this.#size === wanted && wanted === this.#wantedSize()) this.#deliver();
    }
    return this.#waits;
  }

  /** Throws where a message has come in part. */
  async finished(): Promise<void> {
    await this.#waits;
    if (this.#size > 0) throw new ConnectError("the stream ends within a message", Code.Internal);
  }

  /** Size of the message with its prefix, once that is there; before, of the prefix. */
  #wantedSize(): number {
    if (this.#size < PREFIX_SIZE) return PREFIX_SIZE;
    const message = this.#message;
    const size = (message[1] << 24 | message[2] << 16 | message[3] << 8 | message[4]) >>> 0;
    if (message[0] !== 0 || size > SNAPSHOT_MESSAGE_SIZE_MAX) {
      throw new ConnectError("the server sends what is no message of a snapshot", Code.Internal);
    }
    if (PREFIX_SIZE + size > message.length) {
      this.#message = new Uint8Array(PREFIX_SIZE + size);
      this.#message.set(message);
    }
    return PREFIX_SIZE + size;
  }

  #deliver(): void {
    const piece = this.#piece;
    piece.remaining = 0;
    piece.version = "";
    piece.blob = this.#message.subarray(0, 0);
    const reader = this.#reader;
    reader.reset(this.#message, PREFIX_SIZE, this.#size);
    this.#size = 0;
    try {
      for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
        if (tag === 0x10) piece.remaining = reader.uint64();
        else if (tag === 0x1a) piece.blob = reader.view();
        else if (tag === 0x22) piece.version = utf8Text(reader.view());
        else reader.skip(tag);
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw new ConnectError("the server sends a malformed message", Code.Internal);
    }
    const waits = this.#take(piece);
    if (waits !== undefined) {
      this.#waits = this.#waits === undefined ? waits : Promise.all([this.#waits, waits]).then(() => {});
    }
  }
}
