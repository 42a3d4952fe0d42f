/** A byte stream in memory and a hand-made HTTP/2 client on its other end, which can misbehave as it likes. */
import { concatBytes, utf8, utf8Text } from "../../src/base/bytes.ts";
import type { ByteStream, ByteStreamListener } from "../../src/io/net.ts";
import { HpackDecoder } from "../../src/rpc/http2/hpack.ts";
import { Http2Server, type Http2ServerOptions } from "../../src/rpc/http2/mod.ts";
import { CLIENT_PREFACE, FrameType } from "../../src/rpc/http2/protocol.ts";
import { ManualClock, microtasks } from "./clock.ts";

export class MemoryStream implements ByteStream {
  readonly remoteAddress = "127.0.0.1:40000";
  listener: ByteStreamListener | undefined;
  written: Uint8Array[] = [];
  writeCount = 0;
  /** Writes are held until `drain`. */
  isBlocked = false;
  isPaused = false;
  isEnded = false;
  isDestroyed = false;

  listen(listener: ByteStreamListener): void {
    this.listener = listener;
  }

  write(bytes: Uint8Array): boolean {
    if (this.isEnded) throw new Error("write after end");
    this.writeCount++;
    this.written.push(bytes.slice());
    return !this.isBlocked;
  }

  end(): void {
    if (this.isEnded) throw new Error("ended twice");
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    queueMicrotask(() => this.listener?.onClose());
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  drain(): void {
    this.listener?.onDrain();
  }
}

export interface Frame {
  type: number;
  flags: number;
  id: number;
  payload: Uint8Array;
}

export type Fields = readonly (readonly [string, string])[];

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array | readonly number[] = [],
): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  bytes.set([payload.length >> 16, payload.length >> 8 & 255, payload.length & 255, type, flags]);
  bytes.set(uint32(id), 5);
  bytes.set(payload, 9);
  return bytes;
}

export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Literal fields without indexing and without Huffman code. */
export function headerBlock(fields: Fields): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [name, value] of fields) {
    parts.push(Uint8Array.of(0), text(name), text(value));
  }
  return concatBytes(parts);
}

function text(value: string): Uint8Array {
  const bytes = utf8(value);
  if (bytes.length < 127) return concatBytes([Uint8Array.of(bytes.length), bytes]);
  const size = [127];
  let rest = bytes.length - 127;
  while (rest >= 128) {
    size.push(rest % 128 + 128);
    rest = Math.floor(rest / 128);
  }
  size.push(rest);
  return concatBytes([Uint8Array.from(size), bytes]);
}

export function requestFields(path: string, more: Fields = [], method = "POST"): Fields {
  return [[":method", method], [":scheme", "http"], [":authority", "test"], [":path", path], ...more];
}

/** One connection to a server, seen from the client. */
export class RawPeer {
  readonly stream = new MemoryStream();
  readonly #decoder = new HpackDecoder(4096, 1 << 20);
  readonly frames: Frame[] = [];
  #unparsed: Uint8Array = new Uint8Array(0);

  constructor(server: Http2Server, sendsPreface = true) {
    server.serve(this.stream);
    if (sendsPreface) {
      this.send(CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0));
      this.read();
    }
  }

  send(...parts: Uint8Array[]): void {
    this.stream.listener!.onData(concatBytes(parts));
  }

  /** Takes what the server wrote since; returns the new frames. */
  read(): Frame[] {
    const bytes = concatBytes([this.#unparsed, ...this.stream.written]);
    this.stream.written = [];
    const fresh: Frame[] = [];
    let position = 0;
    while (bytes.length - position >= 9) {
      const length = bytes[position] << 16 | bytes[position + 1] << 8 | bytes[position + 2];
      if (bytes.length - position < 9 + length) break;
      const view = new DataView(bytes.buffer, bytes.byteOffset + position);
      fresh.push({
        type: bytes[position + 3],
        flags: bytes[position + 4],
        id: view.getUint32(5),
        payload: bytes.slice(position + 9, position + 9 + length),
      });
      position += 9 + length;
    }
    this.#unparsed = bytes.slice(position);
    this.frames.push(...fresh);
    return fresh;
  }

  async settled(): Promise<Frame[]> {
    await microtasks();
    return this.read();
  }

  decode(payload: Uint8Array): Record<string, string> {
    const fields: Record<string, string> = {};
    for (const field of this.#decoder.decode(payload, 0, payload.length).fields) fields[field.name] = field.value;
    return fields;
  }

  /** Opens a stream. */
  request(id: number, fields: Fields, isEnd = false): void {
    this.send(frame(FrameType.HEADERS, isEnd ? 5 : 4, id, headerBlock(fields)));
  }

  data(id: number, payload: Uint8Array, isEnd = false): void {
    this.send(frame(FrameType.DATA, isEnd ? 1 : 0, id, payload));
  }
}

/** The code and text of a GOAWAY among frames, or of a RST_STREAM for `id`. */
export function goaway(frames: readonly Frame[]): { last: number; code: number; text: string } | undefined {
  const found = frames.findLast((one) => one.type === FrameType.GOAWAY);
  if (found === undefined) return undefined;
  const view = new DataView(found.payload.buffer, found.payload.byteOffset);
  return { last: view.getUint32(0), code: view.getUint32(4), text: utf8Text(found.payload.subarray(8)) };
}

export function resetCode(frames: readonly Frame[], id: number): number | undefined {
  const found = frames.find((one) => one.type === FrameType.RST_STREAM && one.id === id);
  return found === undefined ? undefined : new DataView(found.payload.buffer, found.payload.byteOffset).getUint32(0);
}

export function dataOf(frames: readonly Frame[], id: number): Uint8Array {
  return concatBytes(frames.filter((one) => one.type === FrameType.DATA && one.id === id).map((one) => one.payload));
}

export function makeServer(options: Omit<Http2ServerOptions, "clock">): { server: Http2Server; clock: ManualClock } {
  const clock = new ManualClock();
  return { server: new Http2Server({ ...options, clock }), clock };
}
