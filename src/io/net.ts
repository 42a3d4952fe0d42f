/**
 * The network as the engine and the services above it see it: ordered byte streams, the listening sockets they come from,
 * and HTTP exchanges (one request with its response). The real ones are in `io/system`; tests and the simulation make
 * their own.
 */

/** What happens on a byte stream. Calls come one at a time, never from inside a call to the stream itself. */
export interface ByteStreamListener {
  /** Bytes from the peer. They belong to the listener only until it returns. */
  onData(bytes: Uint8Array): void;
  /** The peer will send no more; it may still read. */
  onEnd(): void;
  /** A write that returned false has been taken in full: its buffer is free and the next write may come. */
  onDrain(): void;
  /** The last call, once: the stream is gone in both directions. `error` where that was not orderly. */
  onClose(error?: Error): void;
}

/** An ordered, reliable, bidirectional stream of bytes. */
export interface ByteStream {
  /** "127.0.0.1:41234", "[::1]:41234", or "@" for a peer on a Unix socket. */
  readonly remoteAddress: string;
  /**
   * Sets the one listener. Nothing is delivered before, and what arrived meanwhile is delivered after. Called again, it
   * hands the stream over to another listener, also from inside a call to the first.
   */
  listen(listener: ByteStreamListener): void;
  /**
   * Hands over bytes. True: they were taken and the caller may reuse the buffer. False: the stream holds on to the
   * buffer, and nothing more may be written, until `onDrain`.
   */
  write(bytes: Uint8Array): boolean;
  /** Sends the end of the stream after everything written; reading goes on. */
  end(): void;
  /** Drops the stream and everything unsent. `onClose` follows. */
  destroy(): void;
  /** Stops and restarts `onData`. */
  pause(): void;
  resume(): void;
}

/** Where a server listens. `host` is a name or an address; port 0 lets the system choose. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** Whom a listening socket serves. */
export interface StreamAcceptor {
  /** A client is there: the stream is to be listened to, now or later, or destroyed. */
  onStream(stream: ByteStream): void;
  /** One of these streams is gone. */
  onStreamClosed(): void;
}

/** A listening socket. */
export interface StreamServer {
  /** "127.0.0.1:2379", "[::]:2379", or the path of a Unix socket. */
  readonly address: string;
  /** Takes no more streams; those there are go on. A Unix socket is removed. */
  close(): void;
}

export interface Network {
  /** Rejects with an error that has the system's `code`: "EADDRINUSE", "ENOTFOUND". */
  listen(at: ListenAddress, acceptor: StreamAcceptor): Promise<StreamServer>;
  /**
   * Opens a stream to a listening socket, at the first address of the host that answers. Rejects with an error that has
   * the system's `code`: "ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH"; "ETIMEDOUT" after `timeoutMs` (what connects later is
   * dropped). Nothing is read from the stream before it is listened to.
   */
  connect(to: ListenAddress, timeoutMs: number): Promise<ByteStream>;
  /**
   * The addresses that a name stands for, those of IPv4 first; an address stands for itself. Rejects with the system's
   * `code`: "ENOTFOUND", "EAI_AGAIN".
   */
  resolve(host: string): Promise<readonly string[]>;
}

/** One header or trailer field: the name is lower case, the value has one UTF-16 unit per byte. */
export type HttpField = readonly [name: string, value: string];

/**
 * One HTTP request and its response, both streamed. The handler that is given an exchange sets its listeners before it
 * returns, or calls `pause` first.
 */
export interface HttpExchange {
  readonly method: string;
  /** "http" or "https". */
  readonly scheme: string;
  /** Host and port as the client named them; empty where it did not. */
  readonly authority: string;
  /** Path and query, undecoded: "/v3/kv/range?x=1". */
  readonly path: string;
  /** The fields without pseudo header fields, in the order received. */
  readonly headers: readonly HttpField[];
  /** As ByteStream.remoteAddress. */
  readonly remoteAddress: string;
  /** True once the response was sent, or the exchange was reset or lost. Writes to it are then dropped. */
  readonly isClosed: boolean;

  /** The request body. `chunk` is valid only until the listener returns. */
  onData(listener: (chunk: Uint8Array) => void): void;
  /** The request body is complete. */
  onEnd(listener: () => void): void;
  /** Stops and restarts the delivery of the request body; the client's flow-control window fills meanwhile. */
  pause(): void;
  resume(): void;

  /** Sends the status and the response headers, once, before any `write`. Names must be lower case. */
  respond(status: number, headers: readonly HttpField[]): void;
  /** Queues body bytes, copied before this returns. False: hold back until `onDrain`. */
  write(chunk: Uint8Array): boolean;
  onDrain(listener: () => void): void;
  /** Completes the response after what is queued. */
  end(trailers?: readonly HttpField[]): void;
  /** Gives up: the client sees a failed exchange. */
  abort(): void;
  /** Called once if the exchange ends before `end`: the client reset it, or the connection or the server went away. */
  onAbort(listener: () => void): void;
}
