/**
 * A client of this member's own services inside one call: what Lock and Election are built on, as etcd builds them on its
 * client library. Requests carry the metadata of the call, so that its user's permissions hold.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from "../gen/etcdserverpb/kv_pb.ts";
import { LeaseGrantRequestSchema, LeaseGrantResponseSchema } from "../gen/etcdserverpb/lease_pb.ts";
import {
  type WatchCreateRequestSchema,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "../gen/etcdserverpb/watch_pb.ts";
import { type Call, Code, type Method, RpcError, type StreamCall, type UnaryCall } from "../io/rpc.ts";
import {
  callUnary,
  type LocalStreamCall,
  startStream,
  statusOf,
  type StreamMethod,
  type UnaryMethod,
  wholeMessage,
} from "../io/rpc_local.ts";
import { ApiError } from "./errors.ts";

/** This member's methods by path, for clients inside it. */
export class LocalServices {
  readonly #methods: ReadonlyMap<string, Method>;

  constructor(methods: readonly Method[]) {
    this.#methods = new Map(methods.map((method) => [method.path, method]));
  }

  unary(path: string): UnaryMethod {
    const method = this.#methods.get(path);
    if (method?.kind !== "unary") throw new Error(`${path} is not a unary method of this member`);
    return method;
  }

  stream(path: string): StreamMethod {
    const method = this.#methods.get(path);
    if (method === undefined || method.kind === "unary") throw new Error(`${path} is not a stream of this member`);
    return method;
  }
}

/**
 * Requests are not cancelled with the call: they are short, and who asked for a change has to know what became of it to
 * undo it. Only a watch ends with the call.
 */
export class LocalClient {
  readonly #services: LocalServices;
  readonly #call: Call;
  #watch: LocalStreamCall | undefined;
  #cancelCause: RpcError | undefined;

  constructor(services: LocalServices, call: Call) {
    this.#services = services;
    this.#call = call;
    call.onCancel((cause) => {
      this.#cancelCause = cause;
      this.#watch?.cancel(cause);
    });
  }

  /** Throws the cause if the call has been cancelled. */
  throwIfCancelled(): void {
    if (this.#cancelCause !== undefined) throw this.#cancelCause;
  }

  range(request: MessageInitShape<typeof RangeRequestSchema>): Promise<MessageShape<typeof RangeResponseSchema>> {
    return this.#unary("/etcdserverpb.KV/Range", RangeRequestSchema, RangeResponseSchema, request);
  }

  txn(request: MessageInitShape<typeof TxnRequestSchema>): Promise<MessageShape<typeof TxnResponseSchema>> {
    return this.#unary("/etcdserverpb.KV/Txn", TxnRequestSchema, TxnResponseSchema, request);
  }

  deleteKey(key: Uint8Array): Promise<MessageShape<typeof DeleteRangeResponseSchema>> {
    return this.#unary("/etcdserverpb.KV/DeleteRange", DeleteRangeRequestSchema, DeleteRangeResponseSchema, { key });
  }

  /** Grants a lease of `ttl` seconds and returns its id. */
  async grantLease(ttl: number): Promise<bigint> {
    const path = "/etcdserverpb.Lease/LeaseGrant";
    const { ID } = await this.#unary(path, LeaseGrantRequestSchema, LeaseGrantResponseSchema, { TTL: BigInt(ttl) });
    return ID;
  }

  /** The responses of one watch that bring events, until the consumer stops; throws when the watch or the call ends. */
  async *watch(request: MessageInitShape<typeof WatchCreateRequestSchema>): AsyncGenerator<WatchResponse, never> {
    this.throwIfCancelled();
    const stream = startStream(this.#services.stream("/etcdserverpb.Watch/Watch"), undefined, this.#options());
    this.#watch = stream;
    try {
      const message = create(WatchRequestSchema, { requestUnion: { case: "createRequest", value: request } });
      stream.write(toBinary(WatchRequestSchema, message));
      for (;;) {
        const bytes = await stream.receive();
        if (bytes === undefined) throw ApiError.WATCH_CANCELED;
        const response = fromBinary(WatchResponseSchema, wholeMessage(bytes));
        if (response.canceled) throw cancelReason(response);
        if (response.events.length > 0) yield response;
      }
    } finally {
      this.#watch = undefined;
      stream.cancel(new RpcError(Code.CANCELED, "context canceled"));
    }
  }

  async #unary<Request extends DescMessage, Response extends DescMessage>(
    path: string,
    requestSchema: Request,
    responseSchema: Response,
    request: MessageInitShape<Request>,
  ): Promise<MessageShape<Response>> {
    const bytes = toBinary(requestSchema, create(requestSchema, request));
    return fromBinary(responseSchema, await callUnary(this.#services.unary(path), bytes, this.#options()));
  }

  #options(): { metadata: Call["metadata"]; peer: string } {
    return { metadata: this.#call.metadata, peer: this.#call.peer };
  }
}

/** Why a watch was cancelled, as etcd's client library reports it. */
function cancelReason(response: WatchResponse): RpcError {
  if (response.compactRevision !== 0n) return ApiError.COMPACTED;
  if (response.cancelReason === "") return ApiError.FUTURE_REVISION;
  return new RpcError(Code.FAILED_PRECONDITION, response.cancelReason);
}

/** A unary method that answers with what `handle` returns. */
export function localUnaryMethod(
  services: LocalServices,
  path: string,
  handle: (client: LocalClient, request: Uint8Array) => Promise<Uint8Array>,
): Method {
  return {
    kind: "unary",
    path,
    handle: (call: UnaryCall, request) =>
      // The request is read after this returns.
      seenThroughClient(async () => call.reply(await handle(new LocalClient(services, call), request.slice()))),
  };
}

/** A server stream that ends when `handle` does. */
export function localStreamMethod(
  services: LocalServices,
  path: string,
  handle: (client: LocalClient, call: StreamCall, request: Uint8Array) => Promise<void>,
): Method {
  return {
    kind: "server_streaming",
    path,
    handle: (call: StreamCall, request) =>
      seenThroughClient(async () => {
        await handle(new LocalClient(services, call), call, request.slice());
        call.end();
      }),
  };
}

/**
 * etcd's client library turns the errors it knows into values of its own, which carry no status: what a service built on
 * it passes on has the text, and the code UNKNOWN.
 */
async function seenThroughClient(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (reason) {
    const { code, message, details } = statusOf(reason);
    throw new RpcError(message.startsWith("etcdserver: ") ? Code.UNKNOWN : code, message, details);
  }
}
