import type { Clock } from "../../io/clock.ts";
import type { HttpExchange, HttpField } from "../../io/net.ts";
import { Code, type Method } from "../../io/rpc.ts";
import { type Application, exchangeApplication, type Http2Stream, type StreamHandler } from "../http2/mod.ts";
import { Deadlines } from "./deadlines.ts";
import { goQuote } from "./go_quote.ts";
import { contentSubtype, GrpcRequest, type Rejection } from "./request.ts";
import { statusFields } from "./status.ts";
import { GrpcStreamCall } from "./stream_call.ts";
import { GrpcUnaryCall } from "./unary_call.ts";

export interface GrpcRouterOptions {
  readonly clock: Clock;
  /** Largest message received, after decompression too. Default: grpc-go's 4 MiB. */
  readonly receiveMessageSizeMax?: number;
  /** Takes requests that are not gRPC. Without it they are answered 415, as grpc-go does. */
  readonly onRequest?: (exchange: HttpExchange) => void;
  /** Text of the UNAVAILABLE with which calls end that outlive a drain. Default: grpc-go's. */
  readonly stopMessage?: string;
}

const DEFAULT_RECEIVE_MESSAGE_SIZE_MAX = 4 * 1024 * 1024;

/** Handlers of streams that were answered at once. */
const ANSWERED: StreamHandler = {
  onData() {},
  onEnd() {},
  onDrain() {},
  onAbort() {},
};

/** Finds the method of each gRPC call and starts it; the application of an Http2Server. */
export class GrpcRouter implements Application {
  readonly deadlines: Deadlines;
  readonly receiveMessageSizeMax: number;
  readonly stopMessage: string;
  readonly #clock: Clock;
  readonly #methods = new Map<string, Method>();
  readonly #services = new Set<string>();
  readonly #others: Application | undefined;

  constructor(methods: Iterable<Method>, options: GrpcRouterOptions) {
    for (const method of methods) {
      this.#methods.set(method.path, method);
      this.#services.add(method.path.slice(1, method.path.lastIndexOf("/")));
    }
    this.#clock = options.clock;
    this.deadlines = new Deadlines(options.clock);
    this.receiveMessageSizeMax = options.receiveMessageSizeMax ?? DEFAULT_RECEIVE_MESSAGE_SIZE_MAX;
    this.stopMessage = options.stopMessage ?? "transport is closing";
    this.#others = options.onRequest === undefined ? undefined : exchangeApplication(options.onRequest);
  }

  accept(stream: Http2Stream): void {
    const headers = stream.headers;
    // A block that repeats was looked at before.
    let request = headers.attachment as GrpcRequest | undefined;
    if (request === undefined) {
      if (contentSubtype(headers.contentType) === undefined) return this.#acceptOther(stream);
      request = new GrpcRequest(headers, this.#methods, this.#services);
      headers.attachment = request;
    }
    if (request.rejection !== undefined) return this.#reject(stream, request.rejection);

    const nowMs = request.timeoutMs === Infinity ? 0 : this.#clock.monotonicMs();
    const deadlineMs = nowMs + request.timeoutMs;
    if (request.method!.kind === "unary") {
      const call = new GrpcUnaryCall(this, stream, request, deadlineMs);
      stream.handler = call;
      if (deadlineMs !== Infinity) this.deadlines.add(call, nowMs);
    } else {
      const call = new GrpcStreamCall(this, stream, request, deadlineMs);
      stream.handler = call;
      if (deadlineMs !== Infinity) this.deadlines.add(call, nowMs);
      call.start();
    }
  }

  #acceptOther(stream: Http2Stream): void {
    if (this.#others !== undefined) return this.#others.accept(stream);
    this.#reject(stream, {
      httpStatus: 415,
      code: Code.INVALID_ARGUMENT,
      message: `invalid gRPC request content-type ${goQuote(stream.headers.contentType ?? "")}`,
    });
  }

  #reject(stream: Http2Stream, rejection: Rejection): void {
    stream.handler = ANSWERED;
    const fields: HttpField[] = [[":status", String(rejection.httpStatus)], ["content-type", "application/grpc"]];
    stream.end([...fields, ...statusFields(rejection.code, rejection.message)]);
  }
}
