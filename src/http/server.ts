/** The client port: listeners in front, native gRPC and the HTTP application behind. */

import type { Clock } from "../io/clock.ts";
import type { Network } from "../io/net.ts";
import { Code, RpcError } from "../io/rpc.ts";
import { GrpcRouter } from "../rpc/grpc/mod.ts";
import { Budget, BudgetShare, Http2Server, type Http2ServerOptions } from "../rpc/http2/mod.ts";
import { ConnectionLimit } from "./connection_limit.ts";
import { createHttpApp, type HttpApp, type HttpAppOptions } from "./app.ts";
import { serveExchange } from "./exchange.ts";
import { Http1Server } from "./http1.ts";
import { Listener, type ListenUrl, type Traffic } from "./listener.ts";

/** Opens sockets early, so that a port in use is found before the data directory is touched. */
export interface ClientUrls {
  readonly network: Network;
  /** `--listen-client-urls` */
  readonly urls: readonly ListenUrl[];
  /** `--listen-client-http-urls`: where it is not empty, `urls` serve gRPC only. */
  readonly httpUrls: readonly ListenUrl[];
  /** Connections of all of them together; more are closed as they come. Default: as many as there are. */
  readonly connectionsMax?: number;
  /** One was closed for that reason. */
  readonly onConnectionRefused?: () => void;
}

export interface ClientServerOptions extends Omit<HttpAppOptions, "stopSignal" | "budget"> {
  readonly clock: Clock;
  /** Shared by all doors. Default: one of RPC_BUFFERED_BYTES_MAX. */
  readonly budget?: Budget;
  readonly http2?: Omit<Http2ServerOptions, "application" | "clock" | "budget">;
}

const STOPPED = new RpcError(Code.UNAVAILABLE, "etcdserver: server stopped");

export class ClientServer {
  readonly #listeners: readonly Listener[];
  readonly #stop = new AbortController();
  #http1: Http1Server | undefined;
  #http2: Http2Server | undefined;

  private constructor(listeners: readonly Listener[]) {
    this.#listeners = listeners;
  }

  /** Opens every socket; connections wait until `start`. Throws ListenError, with nothing left open. */
  static async open(options: ClientUrls): Promise<ClientServer> {
    const { urls, httpUrls, network } = options;
    const limit = new ConnectionLimit(options.connectionsMax ?? Infinity, options.onConnectionRefused);
    const opened: Listener[] = [];
    try {
      const isSplit = httpUrls.length > 0;
      for (const url of urls) opened.push(await Listener.open(url, isSplit ? "grpc" : "grpc+http", limit, network));
      for (const url of httpUrls) opened.push(await Listener.open(url, "http", limit, network));
      return new ClientServer(opened);
    } catch (error) {
      for (const listener of opened) listener.close();
      throw error;
    }
  }

  /** What is listened on, with the ports the system chose. */
  get addresses(): { readonly url: ListenUrl; readonly address: string; readonly traffic: Traffic }[] {
    return this.#listeners.map(({ url, address, traffic }) => ({ url, address, traffic }));
  }

  /** The budget of all doors, once started. */
  get budget(): Budget | undefined {
    return this.#http2?.budget;
  }

  start(options: ClientServerOptions): void {
    const budget = options.budget ?? new Budget();
    // Requests that do not come through the engine's streams are one party together.
    const share = new BudgetShare(budget);
    const app: HttpApp = createHttpApp({ ...options, budget: share, stopSignal: this.#stop.signal });
    const router = new GrpcRouter(options.methods, {
      clock: options.clock,
      receiveMessageSizeMax: options.maxRequestSize,
      onRequest: (exchange) => void serveExchange(app, exchange),
    });
    const http2 = new Http2Server({ ...options.http2, application: router, clock: options.clock, budget });
    const http1 = new Http1Server(app);
    this.#http1 = http1;
    this.#http2 = http2;
    for (const listener of this.#listeners) {
      listener.accept({
        http1: (stream, head) => http1.serve(stream, head),
        http2: (stream, head) => http2.serve(stream, head),
      });
    }
  }

  /** Takes no more connections, ends open streams, and gives calls in progress `deadlineMs` to be answered. */
  async stop(deadlineMs: number): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#stop.abort(STOPPED);
    await Promise.all([this.#http1?.stop(deadlineMs), this.#http2?.drain(deadlineMs)]);
  }
}
