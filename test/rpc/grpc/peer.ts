import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import type { Method } from "../../../src/io/rpc.ts";
import { type Budget, Http2Server } from "../../../src/rpc/http2/mod.ts";
import { GrpcRouter, type GrpcRouterOptions } from "../../../src/rpc/grpc/mod.ts";
import { FrameType } from "../../../src/rpc/http2/protocol.ts";
import { ManualClock } from "../clock.ts";
import { dataOf, type Fields, type Frame, RawPeer, requestFields, resetCode } from "../peer.ts";

export const GRPC: Fields = [["te", "trailers"], ["content-type", "application/grpc"]];

/** A message with its prefix. */
export function message(content: string | Uint8Array, flags = 0): Uint8Array {
  const bytes = typeof content === "string" ? utf8(content) : content;
  const prefix = Uint8Array.of(flags, bytes.length >>> 24, bytes.length >>> 16, bytes.length >>> 8, bytes.length);
  return concatBytes([prefix, bytes]);
}

export function messagesIn(data: Uint8Array): { flags: number; content: Uint8Array }[] {
  const messages = [];
  for (let position = 0; position < data.length;) {
    const size = new DataView(data.buffer, data.byteOffset + position).getUint32(1);
    messages.push({ flags: data[position], content: data.slice(position + 5, position + 5 + size) });
    position += 5 + size;
  }
  return messages;
}

export interface Answer {
  /** All header and trailer fields together. */
  fields: Record<string, string>;
  isTrailersOnly: boolean;
  messages: { flags: number; content: Uint8Array }[];
  isEnded: boolean;
  reset: number | undefined;
}

export class GrpcPeer extends RawPeer {
  #nextId = 1;

  open(path: string, more: Fields = []): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.request(id, requestFields(path, [...GRPC, ...more]));
    return id;
  }

  /** A whole call with one message. */
  call(path: string, content: string | Uint8Array, more: Fields = []): number {
    const id = this.open(path, more);
    this.data(id, message(content), true);
    return id;
  }

  /** What has come for a call so far. */
  async answer(id: number): Promise<Answer> {
    await this.settled();
    const frames = this.frames.filter((one) => one.id === id);
    const fields: Record<string, string> = {};
    for (const one of frames) if (one.type === FrameType.HEADERS) Object.assign(fields, this.#fieldsOf(one));
    return {
      fields,
      isTrailersOnly: frames.filter((one) => one.type === FrameType.HEADERS).length === 1 &&
        fields["grpc-status"] !== undefined,
      messages: messagesIn(dataOf(frames, id)),
      isEnded: frames.some((one) => one.type <= FrameType.HEADERS && (one.flags & 1) === 1),
      reset: resetCode(frames, id),
    };
  }

  /** Blocks must be decoded once and in order, whichever call is asked about first. */
  readonly #decoded = new Map<Frame, Record<string, string>>();

  #fieldsOf(wanted: Frame): Record<string, string> {
    for (const one of this.frames) {
      if (one.type === FrameType.HEADERS && !this.#decoded.has(one)) this.#decoded.set(one, this.decode(one.payload));
    }
    return this.#decoded.get(wanted)!;
  }

  async status(id: number): Promise<[code: number, message: string]> {
    const { fields } = await this.answer(id);
    return [Number(fields["grpc-status"]), decodeURIComponent(fields["grpc-message"] ?? "")];
  }
}

export function serve(methods: Method[], options: Omit<GrpcRouterOptions, "clock"> & { budget?: Budget } = {}) {
  const clock = new ManualClock();
  const router = new GrpcRouter(methods, { clock, ...options });
  const server = new Http2Server({ application: router, clock, budget: options.budget });
  return { clock, router, server, peer: new GrpcPeer(server) };
}
