import { concatBytes } from "../../base/bytes.ts";
import { PEER_HTTP_IDLE_CONNECTIONS_MAX } from "../../base/limits.ts";
import type { Clock } from "../../io/clock.ts";
import type { ByteStream, HttpField, Network } from "../../io/net.ts";
import { type HttpAnswer, type HttpCall, type HttpCallListener, HttpError, type HttpRequest } from "./call.ts";
import { ClientCall } from "./client_call.ts";
import { ClientConnection, type ConnectionClient } from "./client_connection.ts";
import type { PeerUrl } from "./peer_url.ts";

export interface HttpClientOptions {
  readonly network: Network;
  readonly clock: Clock;
}

/** Calls HTTP/1.1 servers over connections that it keeps and uses again. */
export class HttpClient {
  readonly #network: Network;
  readonly #clock: Clock;
  /** Those that are connecting. */
  readonly #connecting = new Set<ClientCall>();
  readonly #connections = new Set<ClientConnection>();
  /** By address; the one used last stands last. */
  readonly #idle = new Map<string, ClientConnection[]>();
  #isClosed = false;

  constructor({ network, clock }: HttpClientOptions) {
    this.#network = network;
    this.#clock = clock;
  }

  /** Begins a call. Does not throw; `listener` hears of everything later. */
  request(to: PeerUrl, request: HttpRequest, listener: HttpCallListener): HttpCall {
    const call = new ClientCall(to, request, listener);
    if (this.#isClosed) {
      queueMicrotask(() => call.fail("EABORTED", "the client is closed", true));
    } else if (to.scheme === "https") {
      queueMicrotask(() => call.fail("EPROTONOSUPPORT", "TLS between members is not supported yet", true));
    } else {
      const connection = this.#idle.get(keyOf(to))?.pop();
      if (connection === undefined) void this.#connect(call);
      else connection.begin(call);
    }
    return call;
  }

  /** Makes a call whose answer is taken as a whole. Rejects with HttpError, also ("EMSGSIZE") if its body has more than `sizeMax` bytes. */
  collect(to: PeerUrl, request: HttpRequest, sizeMax: number): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const collector = new Collector(sizeMax, resolve, reject);
      collector.call = this.request(to, request, collector);
    });
  }

  /** Fails all calls ("EABORTED") and drops all connections; so do later calls. */
  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.#connections]) connection.fail("EABORTED", "the client is closed");
    for (const call of [...this.#connecting]) call.fail("EABORTED", "the client is closed", true);
  }

  async #connect(call: ClientCall): Promise<void> {
    const { to: { address }, request: { patience } } = call;
    this.#connecting.add(call);
    let stream: ByteStream;
    try {
      stream = await this.#network.connect(address, patience.connectMs);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      call.fail(code ?? "EIO", message, true, error);
      return;
    } finally {
      this.#connecting.delete(call);
    }
    if (call.isOver) {
      stream.destroy();
      return;
    }
    const connection = new ClientConnection(this.#forConnection(keyOf(call.to)), stream);
    this.#connections.add(connection);
    connection.begin(call);
  }

  #forConnection(key: string): ConnectionClient {
    return {
      clock: this.#clock,
      keep: (connection) => this.#keep(key, connection),
      connectionClosed: (connection) => {
        this.#connections.delete(connection);
        this.#forget(key, connection);
      },
      repeat: (call) => void this.#connect(call),
    };
  }

  #keep(key: string, connection: ClientConnection): boolean {
    if (this.#isClosed) return false;
    let idle = this.#idle.get(key);
    if (idle === undefined) this.#idle.set(key, idle = []);
    if (idle.length >= PEER_HTTP_IDLE_CONNECTIONS_MAX) return false;
    idle.push(connection);
    return true;
  }

  #forget(key: string, connection: ClientConnection): void {
    const idle = this.#idle.get(key);
    const position = idle?.indexOf(connection) ?? -1;
    if (position >= 0) idle!.splice(position, 1);
    if (idle?.length === 0) this.#idle.delete(key);
  }
}

function keyOf({ address }: PeerUrl): string {
  return "path" in address ? address.path : `${address.host} ${address.port}`;
}

class Collector implements HttpCallListener {
  call: HttpCall | undefined;
  readonly #sizeMax: number;
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (error: HttpError) => void;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  #status = 0;
  #headers: readonly HttpField[] = [];

  constructor(sizeMax: number, resolve: (answer: HttpAnswer) => void, reject: (error: HttpError) => void) {
    this.#sizeMax = sizeMax;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onHead(status: number, headers: readonly HttpField[]): void {
    this.#status = status;
    this.#headers = headers;
  }

  onData(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (this.#size <= this.#sizeMax) {
      this.#chunks.push(chunk.slice());
      return;
    }
    this.call!.abort();
    this.#reject(new HttpError("EMSGSIZE", `an answer of more than ${this.#sizeMax} bytes`, false));
  }

  onEnd(): void {
    this.#resolve({ status: this.#status, headers: this.#headers, body: concatBytes(this.#chunks) });
  }

  onFail(error: HttpError): void {
    this.#reject(error);
  }
}
