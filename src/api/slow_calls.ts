import { formatDuration } from "../base/duration.ts";
import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import type { Call, Code, MessageBody, Metadata, Method, RpcError, UnaryCall } from "../io/rpc.ts";

export interface SlowCallOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** `--warning-unary-request-duration` in milliseconds: unary calls that take longer are logged. */
  readonly warningMs: number;
}

/** The same methods, with a warning for every unary call that takes long to answer, as etcd logs it. */
export function withSlowCallWarning(methods: readonly Method[], options: SlowCallOptions): Method[] {
  return methods.map((method) => {
    if (method.kind !== "unary") return method;
    const handle = (call: UnaryCall, request: Uint8Array) =>
      method.handle(new TimedCall(call, request.length, options), request);
    return { ...method, handle };
  });
}

/** A call that notices when it is answered. */
class TimedCall implements UnaryCall {
  readonly #call: UnaryCall;
  readonly #requestSize: number;
  readonly #options: SlowCallOptions;
  readonly #startMs: number;

  constructor(call: UnaryCall, requestSize: number, options: SlowCallOptions) {
    this.#call = call;
    this.#requestSize = requestSize;
    this.#options = options;
    this.#startMs = options.clock.monotonicMs();
  }

  get path(): string {
    return this.#call.path;
  }
  get metadata(): Metadata {
    return this.#call.metadata;
  }
  get peer(): string {
    return this.#call.peer;
  }
  get deadlineMs(): number {
    return this.#call.deadlineMs;
  }
  get isClosed(): boolean {
    return this.#call.isClosed;
  }

  onCancel(listener: (cause: RpcError) => void): void {
    this.#call.onCancel(listener);
  }

  reply(message: Uint8Array): void {
    const { isClosed } = this.#call;
    this.#call.reply(message);
    if (!isClosed) this.#answered(message.length);
  }

  replyBody(body: MessageBody): void {
    const { isClosed } = this.#call;
    const { size } = body;
    this.#call.replyBody(body);
    if (!isClosed) this.#answered(size);
  }

  fail(code: Code, message: string, details?: Uint8Array): void {
    const { isClosed } = this.#call;
    this.#call.fail(code, message, details);
    if (!isClosed) this.#answered(0);
  }

  #answered(responseSize: number): void {
    const { clock, warningMs } = this.#options;
    const durationMs = clock.monotonicMs() - this.#startMs;
    if (durationMs > warningMs) this.#warn(this.#call, durationMs, responseSize);
  }

  #warn(call: Call, durationMs: number, responseSize: number): void {
    this.#options.log.warn("request stats", {
      "time spent": formatDuration(durationMs),
      remote: call.peer,
      "response type": call.path,
      "request size": this.#requestSize,
      "response size": responseSize,
    });
  }
}
