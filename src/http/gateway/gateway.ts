/** The calls of the JSON gateway: a fetch request to a method and back. */

import { create, type DescMethod, type DescService, type Message, toBinary } from "@bufbuild/protobuf";
import { CONNECT_COPIES, GATEWAY_BODY_SIZE_MAX, PIECED_ANSWER_COST, WHOLE_ANSWER_SIZE_MAX } from "../../base/limits.ts";
import { Code, type MemoryBudget, type MessageBody, type Method, RpcError } from "../../io/rpc.ts";
import {
  type LocalCallOptions,
  type LocalMessage,
  type LocalStreamCall,
  startStream,
  startUnary,
  statusOf,
  type StreamMethod,
  type UnaryMethod,
  wholeMessage,
} from "../../io/rpc_local.ts";
import { answerStream, encoded, jsonPieces, messageToJson, Reservation } from "../../rpc/connect/mod.ts";
import { errorResponse, httpStatusOf, JSON_TYPE, METHOD_NOT_ALLOWED, NOT_FOUND, statusJson } from "./answers.ts";
import { JsonMessageError, messageFromJson } from "./json_reader.ts";
import { JsonSyntaxError, JsonValues } from "./json_values.ts";
import { type GatewayContext, gatewayContext } from "./metadata.ts";
import { GATEWAY_ROUTES } from "./routes.ts";

export interface GatewayOptions {
  readonly methods: readonly Method[];
  readonly services: readonly DescService[];
  readonly budget: MemoryBudget;
  /** Largest request message in protobuf form; a larger one is answered as grpc-go does, RESOURCE_EXHAUSTED. */
  readonly maxRequestSize: number;
  /** Aborted with an RpcError when the server stops: open streams end with that. */
  readonly stopSignal: AbortSignal;
}

export interface Gateway {
  /** Answers a request under /v3/, errors included. `peer` is as `Call.peer`. */
  handle(path: string, request: Request, peer: string): Promise<Response>;
}

interface Route {
  readonly method: Method;
  readonly descriptor: DescMethod;
}

/** setTimeout cannot wait longer. */
const TIMER_MS_MAX = 0x7fff_ffff;

const CANCELED = new RpcError(Code.CANCELED, "context canceled");
const OUT_OF_TIME = new RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded");
const TOO_MANY_BYTES = new RpcError(
  Code.RESOURCE_EXHAUSTED,
  "keelson: too many bytes are buffered for responses, try again or ask for less",
);

/** Throws where a method has no descriptor. A path whose method is not among `methods` is answered UNIMPLEMENTED. */
export function createGateway(options: GatewayOptions): Gateway {
  const descriptors = new Map<string, DescMethod>();
  for (const service of options.services) {
    for (const method of service.methods) descriptors.set(`/${service.typeName}/${method.name}`, method);
  }
  const methods = new Map(options.methods.map((method) => [method.path, method]));
  const routes = new Map<string, Route | undefined>();
  for (const [path, target] of Object.entries(GATEWAY_ROUTES)) {
    const method = methods.get(target);
    const descriptor = descriptors.get(target);
    if (method !== undefined && descriptor === undefined) throw new Error(`no descriptor for ${target}`);
    routes.set(path, method === undefined ? undefined : { method, descriptor: descriptor! });
  }

  return {
    async handle(path, request, peer) {
      if (!routes.has(path)) return errorResponse(NOT_FOUND);
      if (request.method !== "POST") return errorResponse(METHOD_NOT_ALLOWED);
      const route = routes.get(path);
      if (route === undefined) {
        return errorResponse(new RpcError(Code.UNIMPLEMENTED, `unknown method for ${path}`));
      }
      try {
        const context = gatewayContext(request.headers, peer);
        // Less than a timer can tell is over already.
        if (context.timeoutMs < 1) throw OUT_OF_TIME;
        const { method, descriptor } = route;
        return method.kind === "unary"
          ? await unary(method, descriptor, request, context, peer, options)
          : await stream(method, descriptor, request, context, peer, options);
      } catch (reason) {
        return errorResponse(rpcErrorOf(reason));
      }
    },
  };
}

async function unary(
  method: UnaryMethod,
  descriptor: DescMethod,
  request: Request,
  context: GatewayContext,
  peer: string,
  options: GatewayOptions,
): Promise<Response> {
  const reservation = new Reservation(options.budget);
  let unlink = () => {};
  try {
    const message = await wholeRequest(descriptor, request, options.maxRequestSize, reservation);
    const call = startUnary(method, message, callOptions(context, peer));
    unlink = cancelWith(call, request.signal, context.timeoutMs, undefined);
    const answer = await call.response;
    if (!(answer instanceof Uint8Array) && answer.size > WHOLE_ANSWER_SIZE_MAX) {
      return largeResponse(descriptor, answer, reservation);
    }
    const text = hold(reservation, answer, (bytes) => messageToJson(descriptor.output, bytes, "proto"));
    return bodyResponse(new TextEncoder().encode(text), reservation);
  } catch (reason) {
    reservation.end();
    throw reason;
  } finally {
    unlink();
  }
}

async function stream(
  method: StreamMethod,
  descriptor: DescMethod,
  request: Request,
  context: GatewayContext,
  peer: string,
  options: GatewayOptions,
): Promise<Response> {
  const isServerStreaming = method.kind === "server_streaming";
  const reservation = new Reservation(options.budget);
  let first: Uint8Array | undefined;
  if (isServerStreaming) {
    try {
      first = await wholeRequest(descriptor, request, options.maxRequestSize, reservation);
    } catch (reason) {
      reservation.end();
      throw reason;
    }
  }
  const call = startStream(method, first, callOptions(context, peer));
  const unlink = cancelWith(call, request.signal, context.timeoutMs, options.stopSignal);
  if (!isServerStreaming) void forward(descriptor, request, call, options.maxRequestSize, reservation);

  const encoder = new TextEncoder();
  const finish = () => {
    unlink();
    call.cancel(CANCELED);
    reservation.end();
  };
  let held = 0;
  const line = (message: LocalMessage): Uint8Array => {
    const size = CONNECT_COPIES * (message instanceof Uint8Array ? message.length : message.size);
    const text = hold(reservation, message, (bytes) => messageToJson(descriptor.output, bytes, "proto"));
    held += size;
    return encoder.encode(`{"result":${htmlEscaped(text)}}\n`);
  };

  // Nothing is answered before the first message, as a failure until then has a status of its own.
  let next: Uint8Array | undefined;
  try {
    const message = await call.receive();
    if (message === undefined) {
      finish();
      return new Response(null, { status: 200 });
    }
    next = line(message);
  } catch (reason) {
    finish();
    const status = rpcErrorOf(reason);
    return new Response(`{"error":${htmlEscaped(statusJson(status))}}\n`, {
      status: httpStatusOf(status.code),
      headers: { "content-type": JSON_TYPE },
    });
  }
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (next !== undefined) {
        controller.enqueue(next);
        next = undefined;
        return;
      }
      reservation.give(held);
      held = 0;
      try {
        const message = await call.receive();
        if (message !== undefined) {
          controller.enqueue(line(message));
          return;
        }
        controller.close();
      } catch (reason) {
        controller.enqueue(encoder.encode(`{"error":${htmlEscaped(statusJson(rpcErrorOf(reason)))}}\n`));
        controller.close();
      }
      finish();
    },
    cancel: finish,
  }, { highWaterMark: 0 });
  return new Response(body, {
    headers: { "content-type": JSON_TYPE, "grpc-metadata-content-type": "application/grpc" },
  });
}

/**
 * Sends each JSON object of the body as a message. As in etcd, an object that cannot be read ends the client's half of the
 * stream and nothing else: what was asked before goes on.
 */
async function forward(
  descriptor: DescMethod,
  request: Request,
  call: LocalStreamCall,
  maxRequestSize: number,
  reservation: Reservation,
): Promise<void> {
  const values = new JsonValues();
  let held = 0;
  const reader = request.body?.getReader();
  try {
    while (!call.isClosed) {
      const chunk = reader === undefined ? { done: true as const } : await reader.read();
      if (!chunk.done) values.feed(chunk.value!);
      for (;;) {
        const value = chunk.done ? values.last() : values.next();
        if (value === undefined) break;
        const message = toBinary(descriptor.input, messageFromJson(descriptor.input, value));
        if (message.length > maxRequestSize) {
          call.cancel(tooLarge(message.length, maxRequestSize));
          return;
        }
        if (!call.write(message)) await call.writable();
      }
      reservation.give(held);
      held = 0;
      if (chunk.done || values.pendingSize > GATEWAY_BODY_SIZE_MAX) break;
      if (!reservation.tryHold(values.pendingSize)) {
        call.cancel(TOO_MANY_BYTES);
        return;
      }
      held = values.pendingSize;
    }
  } catch {
    // Not JSON, not this message, or the client went away; the call itself is told of the last by its signal.
  }
  call.halfClose();
}

/** The one message of a body: its first JSON value, refused as soon as it can be; the rest is read and not looked at. */
async function wholeRequest(
  descriptor: DescMethod,
  request: Request,
  maxRequestSize: number,
  reservation: Reservation,
): Promise<Uint8Array> {
  const values = new JsonValues();
  let message: Message | undefined;
  let size = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const { done, value: chunk } = await reader?.read() ?? { done: true as const, value: undefined };
    if (!done) {
      size += chunk.length;
      if (size > GATEWAY_BODY_SIZE_MAX) throw tooLarge(size, GATEWAY_BODY_SIZE_MAX);
      if (!reservation.tryHold(chunk.length)) throw TOO_MANY_BYTES;
    }
    if (message === undefined) {
      if (!done) values.feed(chunk);
      const json = done ? values.last() : values.next();
      if (json !== undefined) message = messageFromJson(descriptor.input, json);
    }
    if (done) break;
  }
  const bytes = toBinary(descriptor.input, message ?? create(descriptor.input));
  if (bytes.length > maxRequestSize) throw tooLarge(bytes.length, maxRequestSize);
  return bytes;
}

/** Counts a message and what becomes of it; the caller gives that back. */
function hold(reservation: Reservation, message: LocalMessage, convert: (bytes: Uint8Array) => string): string {
  const size = message instanceof Uint8Array ? message.length : message.size;
  if (reservation.tryHold(CONNECT_COPIES * size)) return convert(wholeMessage(message));
  if (!(message instanceof Uint8Array)) message.close();
  throw TOO_MANY_BYTES;
}

const ANSWER_HEADERS = { "content-type": JSON_TYPE, "grpc-metadata-content-type": "application/grpc" };

/** A body that holds its reservation until the client has taken it. */
function bodyResponse(bytes: Uint8Array, reservation: Reservation): Response {
  const stream = answerStream([bytes].values(), () => reservation.end());
  return new Response(stream, { headers: { ...ANSWER_HEADERS, "content-length": String(bytes.length) } });
}

/** An answer that is read, converted and sent as the client takes it. */
function largeResponse(descriptor: DescMethod, body: MessageBody, reservation: Reservation): Response {
  if (!reservation.tryHold(PIECED_ANSWER_COST)) {
    body.close();
    throw TOO_MANY_BYTES;
  }
  const stream = answerStream(encoded(jsonPieces(descriptor.output, body, "proto")), () => {
    body.close();
    reservation.end();
  });
  return new Response(stream, { headers: ANSWER_HEADERS });
}

function callOptions(context: GatewayContext, peer: string): LocalCallOptions {
  return { metadata: context.metadata, peer, deadlineMs: performance.now() + context.timeoutMs };
}

/** Cancels a call when its client goes away, its time is over or the server stops. Returns what undoes that. */
function cancelWith(
  call: { cancel(cause: RpcError): void },
  signal: AbortSignal,
  timeoutMs: number,
  stopSignal: AbortSignal | undefined,
): () => void {
  const onAbort = () => call.cancel(CANCELED);
  const onStop = () => call.cancel(statusOf(stopSignal!.reason));
  const expire = () => call.cancel(OUT_OF_TIME);
  if (signal.aborted) onAbort();
  if (stopSignal?.aborted) onStop();
  signal.addEventListener("abort", onAbort, { once: true });
  stopSignal?.addEventListener("abort", onStop, { once: true });
  const timer = timeoutMs <= TIMER_MS_MAX ? setTimeout(expire, timeoutMs) : undefined;
  return () => {
    signal.removeEventListener("abort", onAbort);
    stopSignal?.removeEventListener("abort", onStop);
    clearTimeout(timer);
  };
}

function tooLarge(size: number, limit: number): RpcError {
  return new RpcError(Code.RESOURCE_EXHAUSTED, `grpc: received message larger than max (${size} vs. ${limit})`);
}

function rpcErrorOf(reason: unknown): RpcError {
  if (reason instanceof JsonSyntaxError || reason instanceof JsonMessageError) {
    return new RpcError(Code.INVALID_ARGUMENT, reason.message);
  }
  return statusOf(reason);
}

/** Streams pass through a second encoder in etcd, which writes these characters as escapes. Outside of strings there are none. */
function htmlEscaped(json: string): string {
  return /[<>&\u2028\u2029]/.test(json)
    ? json.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json;
}
