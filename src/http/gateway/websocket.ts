/**
 * The gateway's streams as a WebSocket (RFC 6455), as etcd offers them: each message from the client is a JSON request, each
 * message to it one line of the response. No extensions, no subprotocol but "Bearer", which carries a token.
 *
 * A frame:   FIN 0 0 0 opcode | MASK length | [length 16 or 64 bit] | [mask 4 bytes] | payload
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { GATEWAY_BODY_SIZE_MAX } from "../../base/limits.ts";

export interface WebSocketRequest {
  readonly url: string;
  /** Names in lower case. */
  header(name: string): string | undefined;
}

// Opcodes and close codes (frozen).
const CONTINUATION = 0x0;
const TEXT = 0x1;
const BINARY = 0x2;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const CLOSE_NORMAL = 1000;
const CLOSE_PROTOCOL_ERROR = 1002;
const CLOSE_TOO_BIG = 1009;

const HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/**
 * Answers an upgrade and serves it until either side is done. `handle` is given the equivalent POST request; `head` is what
 * came after the request's header block.
 */
export async function serveWebSocket(
  socket: Duplex,
  request: WebSocketRequest,
  head: Uint8Array,
  handle: (request: Request) => Promise<Response>,
): Promise<void> {
  const key = request.header("sec-websocket-key");
  if (key === undefined || request.header("sec-websocket-version") !== "13") {
    const body = "Bad Request\n";
    socket.end(
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nSec-WebSocket-Version: 13\r\n" +
        `Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    return;
  }
  const protocol = request.header("sec-websocket-protocol");
  const accept = createHash("sha1").update(key + HANDSHAKE_GUID).digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n` +
      (protocol?.startsWith("Bearer") ? "Sec-WebSocket-Protocol: Bearer\r\n" : "") + "\r\n",
  );

  const gone = new AbortController();
  let bodyController!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      bodyController = controller;
    },
    pull: () => void socket.resume(),
  });
  const frames = new FrameReader({
    message(payload) {
      bodyController.enqueue(payload);
      if ((bodyController.desiredSize ?? 1) <= 0) socket.pause();
    },
    ping: (payload) => void socket.write(frame(PONG, payload)),
    close(code) {
      if (gone.signal.aborted) return;
      gone.abort();
      socket.end(frame(CLOSE, closePayload(code)));
    },
  });
  socket.on("data", (bytes: Uint8Array) => frames.feed(bytes));
  socket.on("end", () => gone.abort());
  socket.on("close", () => gone.abort());
  socket.on("error", () => gone.abort());
  if (head.length > 0) frames.feed(head);

  const response = await handle(
    new Request(request.url, {
      method: "POST",
      headers: headersOf(request, protocol),
      body,
      signal: gone.signal,
      duplex: "half",
    } as RequestInit),
  );
  await sendLines(socket, response, gone.signal);
  if (!gone.signal.aborted) socket.end(frame(CLOSE, closePayload(CLOSE_NORMAL)));
}

/** The headers that reach the call: the token, and where the page came from. */
function headersOf(request: WebSocketRequest, protocol: string | undefined): Headers {
  const headers = new Headers();
  for (const name of ["host", "origin", "referer"]) {
    const value = request.header(name);
    if (value !== undefined) headers.set(name, value);
  }
  const token = protocol === undefined ? undefined : /Bearer, *(.*?) *$/.exec(protocol)?.[1];
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  const cookie = /(?:^|; *)token=([^;]*)/.exec(request.header("cookie") ?? "")?.[1];
  if (cookie !== undefined) headers.set("authorization", `Bearer ${cookie}`);
  return headers;
}

async function sendLines(socket: Duplex, response: Response, gone: AbortSignal): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  gone.addEventListener("abort", () => void reader.cancel().catch(() => {}), { once: true });
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = done ? "" : lines.pop()!;
      for (const line of lines) {
        if (line === "" || gone.aborted) continue;
        if (!socket.write(frame(TEXT, Buffer.from(line)))) await drained(socket, gone);
      }
      if (done || gone.aborted) return;
    }
  } catch {
    // The client is gone; the call was cancelled with it.
  }
}

function drained(socket: Duplex, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    socket.once("drain", resolve);
    gone.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** A frame of the server: never masked, never fragmented. */
function frame(opcode: number, payload: Uint8Array): Buffer {
  const size = payload.length;
  const headerSize = size < 126 ? 2 : size < 0x10000 ? 4 : 10;
  const bytes = Buffer.alloc(headerSize + size);
  bytes[0] = 0x80 | opcode;
  if (size < 126) {
    bytes[1] = size;
  } else if (size < 0x10000) {
    bytes[1] = 126;
    bytes.writeUInt16BE(size, 2);
  } else {
    bytes[1] = 127;
    bytes.writeBigUInt64BE(BigInt(size), 2);
  }
  bytes.set(payload, headerSize);
  return bytes;
}

function closePayload(code: number): Uint8Array {
  return Uint8Array.of(code >> 8, code & 0xff);
}

interface FrameListener {
  /** A whole message, text or binary; its bytes are the listener's. */
  message(payload: Uint8Array): void;
  ping(payload: Uint8Array): void;
  /** The client closes, or broke the protocol: `code` is what to answer. Nothing follows. */
  close(code: number): void;
}

class FrameReader {
  readonly #listener: FrameListener;
  #buffer: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #fragmentsSize = 0;
  #isClosed = false;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  feed(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#buffer = this.#buffer.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#buffer, bytes]);
    while (!this.#isClosed && this.#readFrame());
  }

  /** False: the next frame is not complete. */
  #readFrame(): boolean {
    const buffer = this.#buffer;
    if (buffer.length < 2) return false;
    const isFinal = (buffer[0] & 0x80) !== 0;
    const opcode = buffer[0] & 0x0f;
    const isMasked = (buffer[1] & 0x80) !== 0;
    let size = buffer[1] & 0x7f;
    let offset = 2;
    if (size === 126) {
      if (buffer.length < 4) return false;
      size = buffer.readUInt16BE(2);
      offset = 4;
    } else if (size === 127) {
      if (buffer.length < 10) return false;
      size = Number(buffer.readBigUInt64BE(2));
      offset = 10;
    }
    const isControl = opcode >= CLOSE;
    const isKnown = opcode === CONTINUATION || opcode === TEXT || opcode === BINARY || isControl && opcode <= PONG;
    // A client must mask (section 5.1); control frames are short and whole (5.5); fragments follow a first (5.4).
    const isExpected = isControl ? isFinal && size <= 125 : (opcode === CONTINUATION) === (this.#fragments.length > 0);
    if (!isMasked || !isKnown || !isExpected || (buffer[0] & 0x70) !== 0) return this.#close(CLOSE_PROTOCOL_ERROR);
    if (this.#fragmentsSize + size > GATEWAY_BODY_SIZE_MAX) return this.#close(CLOSE_TOO_BIG);
    if (buffer.length < offset + 4 + size) return false;

    const payload = Buffer.from(buffer.subarray(offset + 4, offset + 4 + size));
    for (let i = 0; i < size; i++) payload[i] ^= buffer[offset + (i & 3)];
    this.#buffer = buffer.subarray(offset + 4 + size);

    if (opcode === CLOSE) return this.#close(CLOSE_NORMAL);
    if (opcode === PING) this.#listener.ping(payload);
    if (isControl) return true;
    this.#fragments.push(payload);
    this.#fragmentsSize += size;
    if (!isFinal) return true;
    const message = Buffer.concat(this.#fragments);
    this.#fragments = [];
    this.#fragmentsSize = 0;
    this.#listener.message(message);
    return true;
  }

  #close(code: number): false {
    this.#isClosed = true;
    this.#listener.close(code);
    return false;
  }
}
