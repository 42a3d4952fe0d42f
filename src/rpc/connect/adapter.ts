/** One `Method` as an implementation for the Connect router. */

import { create, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { Code as ConnectCode, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { CONNECT_COPIES, PIECED_ANSWER_COST, WHOLE_ANSWER_SIZE_MAX } from "../../base/limits.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { Code, type MessageBody, type Metadata, type Method, RpcError } from "../../io/rpc.ts";
import {
  type LocalCallOptions,
  type LocalMessage,
  type LocalStreamCall,
  startStream,
  startUnary,
  statusOf,
  wholeMessage,
} from "../../io/rpc_local.ts";
import type { Reservation } from "./reservation.ts";

/** What the router knows of a call beside what Connect tells the handler. */
export interface CallInfo {
  readonly peer: string;
  readonly reservation: Reservation;
  /** Ends streams; unary calls are answered all the same. */
  readonly stopSignal: AbortSignal;
  /** Set to a large answer that goes round the library: what the library sends is then an empty message in its place. */
  largeAnswer: MessageBody | undefined;
}

/** A function of the shape that Connect wants for this kind of method. */
export function implementationOf(
  method: Method,
  descriptor: DescMethod,
  infoOf: (context: HandlerContext) => CallInfo,
): unknown {
  const { input, output } = descriptor;

  if (method.kind === "unary") {
    return async (request: Message, context: HandlerContext): Promise<Message> => {
      const info = infoOf(context);
      const call = startUnary(method, toBinary(input, request), optionsOf(context, info));
      const unlink = cancelWith(context.signal, call);
      try {
        const message = await call.response;
        if (!(message instanceof Uint8Array) && goesInPieces(message, context)) {
          if (!info.reservation.tryHold(PIECED_ANSWER_COST)) {
            message.close();
            throw tooManyBytes();
          }
          info.largeAnswer = message;
          return create(output);
        }
        hold(info.reservation, message);
        return fromBinary(output, wholeMessage(message));
      } catch (reason) {
        throw connectErrorOf(reason);
      } finally {
        unlink();
      }
    };
  }

  if (method.kind === "server_streaming") {
    return async function* (request: Message, context: HandlerContext): AsyncGenerator<Message> {
      const info = infoOf(context);
      const call = startStream(method, toBinary(input, request), optionsOf(context, info));
      yield* responses(call, context, info, output);
    };
  }

  if (method.kind === "bidi_streaming") {
    return async function* (requests: AsyncIterable<Message>, context: HandlerContext): AsyncGenerator<Message> {
      const info = infoOf(context);
      const call = startStream(method, undefined, optionsOf(context, info));
      void forward(requests, call, input);
      yield* responses(call, context, info, output);
    };
  }

  return async (requests: AsyncIterable<Message>, context: HandlerContext): Promise<Message> => {
    const info = infoOf(context);
    const call = startStream(method, undefined, optionsOf(context, info));
    void forward(requests, call, input);
    for await (const message of responses(call, context, info, output)) return message;
    throw new ConnectError("the method ended without an answer", ConnectCode.Internal);
  };
}

/** JSON in gRPC-Web is framed with its size in front, so it has to be whole. */
function goesInPieces(message: MessageBody, context: HandlerContext): boolean {
  const type = context.requestHeader.get("content-type") ?? "";
  return message.size > WHOLE_ANSWER_SIZE_MAX && !type.startsWith("application/grpc-web+json");
}

async function forward(
  requests: AsyncIterable<Message>,
  call: LocalStreamCall,
  input: DescMethod["input"],
): Promise<void> {
  try {
    for await (const request of requests) {
      if (!call.write(toBinary(input, request))) await call.writable();
      if (call.isClosed) return;
    }
    call.halfClose();
  } catch (reason) {
    call.cancel(rpcErrorOf(reason));
  }
}

async function* responses(
  call: LocalStreamCall,
  context: HandlerContext,
  info: CallInfo,
  output: DescMethod["output"],
): AsyncGenerator<Message> {
  const unlinkClient = cancelWith(context.signal, call);
  const unlinkStop = cancelWith(info.stopSignal, call);
  try {
    for (;;) {
      const message = await call.receive();
      if (message === undefined) return;
      const held = hold(info.reservation, message);
      try {
        yield fromBinary(output, wholeMessage(message));
      } finally {
        info.reservation.give(held);
      }
    }
  } catch (reason) {
    throw connectErrorOf(reason);
  } finally {
    unlinkClient();
    unlinkStop();
    call.cancel(new RpcError(Code.CANCELED, "context canceled"));
  }
}

/** Counts a message and the copies made of it on its way out. */
function hold(reservation: Reservation, message: LocalMessage): number {
  const isWhole = message instanceof Uint8Array;
  const size = CONNECT_COPIES * (isWhole ? message.length : message.size);
  if (reservation.tryHold(size)) return size;
  if (!isWhole) message.close();
  throw tooManyBytes();
}

function tooManyBytes(): RpcError {
  return new RpcError(
    Code.RESOURCE_EXHAUSTED,
    "keelson: too many bytes are buffered for responses, try again or ask for less",
  );
}

function optionsOf(context: HandlerContext, info: CallInfo): LocalCallOptions {
  const timeoutMs = context.timeoutMs();
  return {
    metadata: metadataOf(context.requestHeader),
    peer: info.peer,
    deadlineMs: timeoutMs === undefined ? Infinity : performance.now() + timeoutMs,
  };
}

function metadataOf(headers: Headers): Metadata {
  return { get: (name) => headers.get(name) ?? undefined, entries: () => headers.entries() };
}

function cancelWith(signal: AbortSignal, call: { cancel(cause: RpcError): void }): () => void {
  const onAbort = () => call.cancel(cancellationOf(signal.reason));
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return () => signal.removeEventListener("abort", onAbort);
}

/** Connect aborts with an error of its own for a deadline, and with anything for a lost client. */
function cancellationOf(reason: unknown): RpcError {
  if (reason instanceof RpcError) return reason;
  if (reason instanceof ConnectError && reason.code === ConnectCode.DeadlineExceeded) {
    return new RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded");
  }
  return new RpcError(Code.CANCELED, "context canceled");
}

function rpcErrorOf(reason: unknown): RpcError {
  if (reason instanceof ConnectError) return new RpcError(reason.code as unknown as Code, reason.rawMessage);
  return statusOf(reason);
}

function connectErrorOf(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return reason;
  const status = statusOf(reason);
  const error = new ConnectError(status.message, status.code as unknown as ConnectCode);
  if (status.details !== undefined) {
    error.details = fromBinary(StatusSchema, status.details).details.map((detail) => ({
      type: detail.typeUrl.slice(detail.typeUrl.lastIndexOf("/") + 1),
      value: detail.value,
    }));
  }
  return error;
}
