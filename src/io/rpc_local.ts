/**
 * Calling a `Method` from code instead of from a connection: the way in for the JSON gateway, Connect, gRPC-Web and the
 * services that are built on other services. Pure: no timers and no I/O; a deadline is told to the handler and enforced by
 * whoever made the call, by `cancel`.
 *
 * 1. A message handed to a handler is valid until the handler returns; a message handed to the caller is the caller's.
 * 2. A large message crosses as the `MessageBody` the handler gave. Whoever takes it out closes it; one that nobody takes is
 *    closed when the call ends.
 * 3. After `cancel` the handler's answers are dropped, and the caller's promise rejects with the cause.
 */

import { LOCAL_STREAM_HIGH_WATER, LOCAL_STREAM_LOW_WATER } from "../base/limits.ts";
import { type Call, Code, type MessageBody, type Metadata, type Method, RpcError } from "./rpc.ts";
import type { StreamCall, UnaryCall } from "./rpc.ts";

/** A message on its way to the caller: whole, or to be read piece by piece. */
export type LocalMessage = Uint8Array | MessageBody;

export type UnaryMethod = Extract<Method, { kind: "unary" }>;
export type StreamMethod = Exclude<Method, UnaryMethod>;

export interface LocalCallOptions {
  readonly metadata?: Metadata;
  /** Whom the handler sees as its peer. Default: "local". */
  readonly peer?: string;
  /** On the monotonic clock. Default: Infinity. */
  readonly deadlineMs?: number;
}

const NO_METADATA: Metadata = {
  get: () => undefined,
  entries: () => [],
};

/** Reads what is left of a message and closes it. */
export function wholeMessage(message: LocalMessage): Uint8Array {
  if (message instanceof Uint8Array) return message;
  try {
    const bytes = new Uint8Array(message.size);
    let offset = 0;
    while (offset < bytes.length) offset += message.read(bytes.subarray(offset));
    return bytes;
  } finally {
    message.close();
  }
}

/** Metadata from pairs; names are lowered, the first of a repeated name is the one `get` finds. */
export function metadataFromPairs(pairs: Iterable<readonly [string, string]>): Metadata {
  const list: (readonly [string, string])[] = [];
  const first = new Map<string, string>();
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    list.push([lower, value]);
    if (!first.has(lower)) first.set(lower, value);
  }
  return { get: (name) => first.get(name), entries: () => list };
}

/** What any exception of a handler becomes on the wire. */
export function statusOf(reason: unknown): RpcError {
  if (reason instanceof RpcError) return reason;
  return new RpcError(Code.UNKNOWN, reason instanceof Error ? reason.message : String(reason));
}

abstract class LocalCall implements Call {
  readonly path: string;
  readonly metadata: Metadata;
  readonly peer: string;
  readonly deadlineMs: number;
  #isClosed = false;
  #cause: RpcError | undefined;
  #cancelListeners: ((cause: RpcError) => void)[] = [];

  constructor(path: string, options: LocalCallOptions) {
    this.path = path;
    this.metadata = options.metadata ?? NO_METADATA;
    this.peer = options.peer ?? "local";
    this.deadlineMs = options.deadlineMs ?? Infinity;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  onCancel(listener: (cause: RpcError) => void): void {
    if (this.#cause !== undefined) listener(this.#cause);
    else if (!this.#isClosed) this.#cancelListeners.push(listener);
  }

  /** The caller gives up, runs out of time or goes away. A call that was answered only loses what was not taken yet. */
  cancel(cause: RpcError): void {
    if (this.#isClosed) {
      this.drop(cause);
      return;
    }
    const tellCancelled = this.closeCancelled(cause);
    this.drop(cause);
    tellCancelled();
  }

  /** The call is over; the function returned tells the handler of it. */
  protected closeCancelled(cause: RpcError): () => void {
    const listeners = this.#cancelListeners;
    this.close();
    this.#cause = cause;
    return () => {
      for (const listener of listeners) listener(cause);
    };
  }

  /** The call is over without a cancellation. */
  protected close(): void {
    this.#isClosed = true;
    this.#cancelListeners = [];
  }

  /** Tells the caller that nothing more will come. */
  protected abstract drop(cause: RpcError): void;
}

/** A unary call in progress. */
export class LocalUnaryCall extends LocalCall implements UnaryCall {
  /** The answer; rejects with an RpcError. */
  readonly response: Promise<LocalMessage>;
  readonly #resolve: (message: LocalMessage) => void;
  readonly #reject: (reason: RpcError) => void;

  constructor(path: string, options: LocalCallOptions) {
    super(path, options);
    const { promise, resolve, reject } = Promise.withResolvers<LocalMessage>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  reply(message: Uint8Array): void {
    if (this.isClosed) return;
    this.close();
    this.#resolve(message.slice());
  }

  replyBody(body: MessageBody): void {
    if (this.isClosed) {
      body.close();
      return;
    }
    this.close();
    this.#resolve(body);
  }

  fail(code: Code, message: string, details?: Uint8Array): void {
    if (this.isClosed) return;
    this.close();
    this.#reject(new RpcError(code, message, details));
  }

  protected override drop(cause: RpcError): void {
    this.#reject(cause);
  }
}

/**
 * Both ends of a streaming call: what the handler sees (`StreamCall`) and what the caller does (`write`, `halfClose`,
 * `receive`, `cancel`).
 */
export class LocalStreamCall extends LocalCall implements StreamCall {
  // From the caller to the handler.
  #messageListener: ((message: Uint8Array) => void) | undefined;
  #halfCloseListener: (() => void) | undefined;
  #isPaused = false;
  #isHalfClosed = false;
  #halfCloseTold = false;
  #requests: Uint8Array[] = [];
  #writers: (() => void)[] = [];

  // From the handler to the caller.
  #responses: LocalMessage[] = [];
  #queuedSize = 0;
  #mustDrain = false;
  #drainListener: (() => void) | undefined;
  #end: RpcError | "ok" | undefined;
  #receiver: { resolve(message: LocalMessage | undefined): void; reject(reason: RpcError): void } | undefined;

  // --- the handler's side ---

  abort(cause: RpcError): void {
    if (this.isClosed) return;
    const tellCancelled = this.closeCancelled(cause);
    this.#settle(cause);
    tellCancelled();
  }

  onMessage(listener: (message: Uint8Array) => void): void {
    this.#messageListener = listener;
    this.#deliver();
  }

  onHalfClose(listener: () => void): void {
    this.#halfCloseListener = listener;
    this.#deliver();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  send(message: Uint8Array): boolean {
    if (this.isClosed) return true;
    return this.#enqueue(message.slice(), message.length);
  }

  sendBody(body: MessageBody): boolean {
    if (this.isClosed) {
      body.close();
      return true;
    }
    return this.#enqueue(body, body.size);
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener;
  }

  get queuedSize(): number {
    return this.#queuedSize;
  }

  /** There are no headers between a caller and a handler of one process. */
  sendHeaders(): void {}

  end(): void {
    this.#finish("ok");
  }

  fail(code: Code, message: string, details?: Uint8Array): void {
    this.#finish(new RpcError(code, message, details));
  }

  // --- the caller's side ---

  /** Sends a message, copied. False: the handler is not taking any now; wait for `writable` before the next. */
  write(message: Uint8Array): boolean {
    if (this.isClosed || this.#isHalfClosed) return true;
    this.#requests.push(message.slice());
    this.#deliver();
    return this.#requests.length === 0;
  }

  /** Resolves when the handler has taken all that was written, or the call is over. */
  writable(): Promise<void> {
    if (this.#requests.length === 0 || this.isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#writers.push(resolve));
  }

  /** The caller has sent its last message. */
  halfClose(): void {
    this.#isHalfClosed = true;
    this.#deliver();
  }

  /** The next message, undefined after the last; rejects with the RpcError the call ended with. One at a time. */
  receive(): Promise<LocalMessage | undefined> {
    const message = this.#responses.shift();
    if (message !== undefined) {
      this.#queuedSize -= message instanceof Uint8Array ? message.length : message.size;
      if (this.#mustDrain && this.#queuedSize <= LOCAL_STREAM_LOW_WATER && !this.isClosed) {
        this.#mustDrain = false;
        const listener = this.#drainListener;
        // In a turn of its own, so that a handler which sends again cannot recurse through its caller.
        if (listener !== undefined) queueMicrotask(() => this.isClosed || listener());
      }
      return Promise.resolve(message);
    }
    if (this.#end === "ok") return Promise.resolve(undefined);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      this.#receiver = { resolve, reject };
    });
  }

  #enqueue(message: LocalMessage, size: number): boolean {
    const receiver = this.#receiver;
    if (receiver !== undefined) {
      this.#receiver = undefined;
      receiver.resolve(message);
      return true;
    }
    this.#responses.push(message);
    this.#queuedSize += size;
    if (this.#queuedSize > LOCAL_STREAM_HIGH_WATER) this.#mustDrain = true;
    return !this.#mustDrain;
  }

  #finish(end: RpcError | "ok"): void {
    if (this.isClosed) return;
    this.close();
    this.#settle(end);
  }

  #settle(end: RpcError | "ok"): void {
    this.#end = end;
    this.#releaseWriters();
    const receiver = this.#receiver;
    this.#receiver = undefined;
    if (receiver === undefined) return;
    if (end === "ok") receiver.resolve(undefined);
    else receiver.reject(end);
  }

  protected override drop(cause: RpcError): void {
    this.#end ??= cause;
    for (const message of this.#responses) {
      if (!(message instanceof Uint8Array)) message.close();
    }
    this.#responses = [];
    this.#queuedSize = 0;
    this.#requests = [];
    this.#releaseWriters();
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.reject(cause);
  }

  #deliver(): void {
    while (this.#requests.length > 0 && !this.#isPaused && this.#messageListener !== undefined && !this.isClosed) {
      const message = this.#requests.shift()!;
      try {
        this.#messageListener(message);
      } catch (reason) {
        const status = statusOf(reason);
        this.fail(status.code, status.message, status.details);
      }
    }
    if (this.#requests.length > 0) return;
    this.#releaseWriters();
    if (!this.#isHalfClosed || this.#halfCloseTold || this.#isPaused || this.isClosed) return;
    if (this.#halfCloseListener === undefined) return;
    this.#halfCloseTold = true;
    this.#halfCloseListener();
  }

  #releaseWriters(): void {
    const writers = this.#writers;
    this.#writers = [];
    for (const writer of writers) writer();
  }
}

/** Starts a unary call. The handler runs before this returns. */
export function startUnary(method: UnaryMethod, request: Uint8Array, options: LocalCallOptions = {}): LocalUnaryCall {
  const call = new LocalUnaryCall(method.path, options);
  run(call, () => method.handle(call, request));
  return call;
}

/** Calls a unary method and waits for its whole answer. Rejects with an RpcError. */
export async function callUnary(
  method: UnaryMethod,
  request: Uint8Array,
  options: LocalCallOptions = {},
): Promise<Uint8Array> {
  return wholeMessage(await startUnary(method, request, options).response);
}

/** Starts a streaming call; `request` is for a server-streaming method, the others take theirs by `write`. */
export function startStream(
  method: StreamMethod,
  request: Uint8Array | undefined,
  options: LocalCallOptions = {},
): LocalStreamCall {
  const call = new LocalStreamCall(method.path, options);
  if (method.kind === "server_streaming") {
    const message = request ?? new Uint8Array(0);
    run(call, () => method.handle(call, message));
  } else {
    run(call, () => method.handle(call));
  }
  return call;
}

function run(call: LocalUnaryCall | LocalStreamCall, handle: () => void | Promise<void>): void {
  const failed = (reason: unknown) => {
    const status = statusOf(reason);
    call.fail(status.code, status.message, status.details);
  };
  try {
    handle()?.catch(failed);
  } catch (reason) {
    failed(reason);
  }
}
