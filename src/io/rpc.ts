/**
 * The seam between services and the doors they are called through (native gRPC, Connect, gRPC-Web, the JSON gateway).
 * Interfaces only: `rpc` implements the calls, `api` implements the methods, and neither imports the other.
 *
 * Messages cross this seam as protobuf bytes, so that one implementation of a service serves every door and the hot
 * methods can read and write wire form without building message objects.
 */

/** Status codes of gRPC (frozen: on the wire). */
export const Code = {
  OK: 0,
  CANCELED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type Code = typeof Code[keyof typeof Code];

/** An answer that is not OK. Thrown by handlers or passed to `fail`; its text reaches the client as it is. */
export class RpcError extends Error {
  readonly code: Code;
  /** A serialized google.rpc.Status for the `grpc-status-details-bin` trailer, if there is more to say than the text. */
  readonly details: Uint8Array | undefined;

  constructor(code: Code, message: string, details?: Uint8Array) {
    super(message);
    this.name = "RpcError";
    this.code = code;
    this.details = details;
  }
}

/** Request metadata: names are lower case; of a repeated name `get` gives the first value. Binary (`-bin`) values are base64 text. */
export interface Metadata {
  get(name: string): string | undefined;
  entries(): Iterable<readonly [name: string, value: string]>;
}

/** What a handler knows of a call, whatever door it came through. */
export interface Call {
  /** "/etcdserverpb.KV/Put" */
  readonly path: string;
  readonly metadata: Metadata;
  /** The remote end: "127.0.0.1:41234", or "@" on a Unix socket. */
  readonly peer: string;
  /** Milliseconds on the monotonic clock (`performance.now()`), Infinity without a deadline. */
  readonly deadlineMs: number;
  /** True once the call was answered, cancelled, timed out or its connection went away. Answers to it are then dropped. */
  readonly isClosed: boolean;
  /**
   * `listener` runs once, synchronously, if the call ends before the handler has answered it: CANCELED "context canceled"
   * (client reset, connection lost), DEADLINE_EXCEEDED "context deadline exceeded", or UNAVAILABLE (the server stops).
   * The transport has then answered the client itself. Called at once if that already happened.
   */
  onCancel(listener: (cause: RpcError) => void): void;
}

/** A large message produced while the client's flow-control window opens, so that it is never whole in memory. */
export interface MessageBody {
  /** Exact size of the message in bytes. */
  readonly size: number;
  /** Writes the next bytes at the start of `target` and returns how many: at least 1 until `size` have been produced. */
  read(target: Uint8Array): number;
  /** Called exactly once, when everything was read or the call ended early: releases pins and budgets. */
  close(): void;
}

/** Bytes held for clients by the whole server, against one bound. */
export interface MemoryBudget {
  /** False, and nothing is taken, where `size` more bytes would exceed the bound. */
  tryReserve(size: number): boolean;
  release(size: number): void;
}

export interface UnaryCall extends Call {
  /** Answers OK. `message` is copied before this returns: the caller may reuse its buffer. */
  reply(message: Uint8Array): void;
  /** Answers OK with a large message. */
  replyBody(body: MessageBody): void;
  fail(code: Code, message: string, details?: Uint8Array): void;
}

/** A call with a stream in either direction. Listeners are set synchronously in `handle`, before the first message. */
export interface StreamCall extends Call {
  /** `message` is valid only until the listener returns. */
  onMessage(listener: (message: Uint8Array) => void): void;
  /** The client has sent its last message. */
  onHalfClose(listener: () => void): void;
  /** Stops and restarts the delivery of messages; the client's flow-control window fills meanwhile. */
  pause(): void;
  resume(): void;
  /** Queues one message, copied before this returns. False: more than the high-water mark waits; hold back until `onDrain`. */
  send(message: Uint8Array): boolean;
  /** As `send`, for a large message; further sends queue behind it. */
  sendBody(body: MessageBody): boolean;
  /** The queue has fallen below the low-water mark after a send returned false. */
  onDrain(listener: () => void): void;
  /** Bytes accepted by `send` and not yet handed to the connection. */
  readonly queuedSize: number;
  /** Sends the response headers now instead of with the first message. */
  sendHeaders(): void;
  /** Ends the call with status OK after what is queued. */
  end(): void;
  /** Ends the call with an error after what is queued, from outside of its handler: `onCancel` hears of it. */
  abort(cause: RpcError): void;
  /** Ends the call with an error after what is queued. */
  fail(code: Code, message: string, details?: Uint8Array): void;
}

/**
 * One RPC. A handler may answer synchronously, later from a callback, or be async: an exception or rejection that is an
 * RpcError becomes that status, any other becomes UNKNOWN with its text.
 */
export type Method =
  | {
    readonly kind: "unary";
    readonly path: string;
    /** `request` is valid only until `handle` returns (for an async one: until its first await). */
    handle(call: UnaryCall, request: Uint8Array): void | Promise<void>;
  }
  | {
    readonly kind: "server_streaming";
    readonly path: string;
    handle(call: StreamCall, request: Uint8Array): void | Promise<void>;
  }
  | {
    readonly kind: "client_streaming" | "bidi_streaming";
    readonly path: string;
    handle(call: StreamCall): void | Promise<void>;
  };
