import type { Clock } from "../../io/clock.ts";
import type { Network } from "../../io/net.ts";
import type { HttpAnswer, HttpCall, HttpCallListener, HttpRequest } from "./call.ts";
import type { PeerUrl } from "./peer_url.ts";

export interface HttpClientOptions {
  readonly network: Network;
  readonly clock: Clock;
}

/** Calls HTTP/1.1 servers over connections that it keeps and uses again. */
export class HttpClient {
  constructor(options: HttpClientOptions) {
    void options;
  }

  /** Begins a call. Does not throw; `listener` hears of everything later. */
  request(to: PeerUrl, request: HttpRequest, listener: HttpCallListener): HttpCall {
    void to, request, listener;
    throw new Error("under construction");
  }

  /** Makes a call whose answer is taken as a whole. Rejects with HttpError, also ("EMSGSIZE") if its body has more than `sizeMax` bytes. */
  collect(to: PeerUrl, request: HttpRequest, sizeMax: number): Promise<HttpAnswer> {
    void to, request, sizeMax;
    throw new Error("under construction");
  }

  /** Fails all calls ("EABORTED") and drops all connections; so do later calls. */
  close(): void {
    throw new Error("under construction");
  }
}
