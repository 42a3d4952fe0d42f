/** Requests to the Connect router and back, without a server of its own. */

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import type { MemoryBudget, Method } from "../../io/rpc.ts";
import { type CallInfo, implementationOf } from "./adapter.ts";
import { largeResponse } from "./large_answer.ts";
import { Reservation } from "./reservation.ts";

export interface ConnectDoorOptions {
  readonly methods: readonly Method[];
  /** Descriptors of the services the methods belong to. */
  readonly services: readonly DescService[];
  readonly budget: MemoryBudget;
  /** Largest request message, decompressed; a larger one is answered RESOURCE_EXHAUSTED. */
  readonly maxRequestSize: number;
  /** Aborted (with an RpcError UNAVAILABLE) when the server stops: open streams end with that. */
  readonly stopSignal: AbortSignal;
}

/** What is known of a request's connection. */
export interface DoorInfo {
  /** As `Call.peer`. */
  readonly peer: string;
  /** "1.1" or "2". Bidirectional streams are refused on the first. */
  readonly httpVersion: string;
}

export interface ConnectDoor {
  /** True for the path of a method, "/etcdserverpb.KV/Put". */
  has(path: string): boolean;
  handle(path: string, request: Request, info: DoorInfo): Promise<Response>;
}

const NO_CALL: CallInfo = {
  peer: "",
  reservation: new Reservation({ tryReserve: () => false, release: () => {} }),
  stopSignal: AbortSignal.abort(),
  largeAnswer: undefined,
};
const CALL_INFO = createContextKey<CallInfo>(NO_CALL, { description: "peer and budget of a call" });

/** Throws where a method has no descriptor: a service that was built without its definition. */
export function createConnectDoor(options: ConnectDoorOptions): ConnectDoor {
  const descriptors = new Map<string, DescMethod>();
  for (const service of options.services) {
    for (const method of service.methods) descriptors.set(`/${service.typeName}/${method.name}`, method);
  }

  const router = createConnectRouter({
    grpc: false,
    grpcWeb: true,
    connect: true,
    acceptCompression: [compressionGzip],
    readMaxBytes: options.maxRequestSize,
  });
  for (const method of options.methods) {
    const descriptor = descriptors.get(method.path);
    if (descriptor === undefined) throw new Error(`no descriptor for ${method.path}`);
    const implementation = implementationOf(method, descriptor, (context) => context.values.get(CALL_INFO));
    router.rpc(descriptor, implementation as never);
  }
  const handlers = new Map<string, UniversalHandler>();
  for (const handler of router.handlers) handlers.set(handler.requestPath, handler);

  return {
    has: (path) => handlers.has(path),
    async handle(path, request, info) {
      const reservation = new Reservation(options.budget);
      const call: CallInfo = { peer: info.peer, reservation, stopSignal: options.stopSignal, largeAnswer: undefined };
      const contextValues = createContextValues().set(CALL_INFO, call);
      const handler = handlers.get(path)!;
      const universal: UniversalServerRequest = {
        httpVersion: info.httpVersion,
        method: request.method,
        url: request.url,
        header: request.headers,
        body: chunksOf(request.body, reservation, isStreamOfRequests(handler.method)),
        signal: request.signal,
        contextValues,
      };
      try {
        const answer = await handler(universal);
        return call.largeAnswer === undefined
          ? responseOf(answer, reservation)
          : await largeResponse(handler.method.output, answer, call.largeAnswer, reservation);
      } catch (reason) {
        reservation.end();
        throw reason;
      }
    },
  };
}

function isStreamOfRequests({ methodKind }: DescMethod): boolean {
  return methodKind === "client_streaming" || methodKind === "bidi_streaming";
}

/**
 * The chunks of a request body. A single message is counted from here on, as the library puts it together; a stream of them
 * is not, as each is let go when it was handed over.
 */
async function* chunksOf(
  body: ReadableStream<Uint8Array> | null,
  reservation: Reservation,
  isStream: boolean,
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (!isStream && !reservation.tryHold(value.length)) {
        throw new ConnectError("keelson: too many bytes are buffered, try again", Code.ResourceExhausted);
      }
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

function responseOf(universal: UniversalServerResponse, reservation: Reservation): Response {
  const init = { status: universal.status, headers: universal.header ?? new Headers() };
  if (universal.body === undefined) {
    reservation.end();
    return new Response(null, init);
  }
  const iterator = universal.body[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await iterator.next();
        if (next.done !== true) {
          controller.enqueue(next.value);
          return;
        }
        reservation.end();
        controller.close();
      } catch (reason) {
        reservation.end();
        controller.error(reason);
      }
    },
    async cancel(reason) {
      reservation.end();
      // A generator that was thrown into throws the same back.
      await iterator.throw?.(reason).catch(() => {});
    },
  }, { highWaterMark: 0 });
  return new Response(stream, init);
}
