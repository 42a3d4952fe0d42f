/** A server or a client of ours on a simulated network, and what speaks to it byte by byte. */

import { latin1 } from "../../../src/base/bytes.ts";
import type { ByteStream, ByteStreamListener, HttpExchange, HttpField } from "../../../src/io/net.ts";
import {
  type HttpCallListener,
  HttpClient,
  type HttpError,
  HttpServer,
  parsePeerUrl,
  type PeerUrl,
} from "../../../src/peer/http/mod.ts";
import { type SimulatedHost, SimulatedNetwork } from "../../harness/simulated_network.ts";
import { MachineTime, ProcessTime } from "../../simulation/world/clock.ts";
import { Random } from "../../simulation/world/random.ts";
import { Scheduler } from "../../simulation/world/scheduler.ts";

export const SERVER_URL: PeerUrl = parsePeerUrl("http://server:2380")!;

/** The other side of a connection, by hand. */
export class RawPeer implements ByteStreamListener {
  readonly stream: ByteStream;
  readonly #unsent: Uint8Array[] = [];
  #isWaiting = false;
  received = "";
  hasEnded = false;
  isClosed = false;
  error: string | undefined;

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.listen(this);
  }

  onData(bytes: Uint8Array): void {
    this.received += latin1(bytes);
  }

  onEnd(): void {
    this.hasEnded = true;
  }

  onDrain(): void {
    this.#isWaiting = false;
    while (this.#unsent.length > 0 && !this.#isWaiting) this.#isWaiting = !this.stream.write(this.#unsent.shift()!);
  }

  onClose(error?: Error & { code?: string }): void {
    this.isClosed = true;
    this.error = error?.code;
  }

  /** As many writes as there are pieces of that size. */
  send(text: string, pieceSize = Infinity): void {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    for (let at = 0; at < bytes.length; at += pieceSize) this.#unsent.push(bytes.slice(at, at + pieceSize));
    if (!this.#isWaiting) this.onDrain();
  }

  /** What came since the last time. */
  take(): string {
    const { received } = this;
    this.received = "";
    return received;
  }
}

export class HttpWorld {
  readonly scheduler = new Scheduler();
  readonly network: SimulatedNetwork;
  readonly serverHost: SimulatedHost;
  readonly clientHost: SimulatedHost;
  readonly serverTime: ProcessTime;
  readonly clientTime: ProcessTime;

  constructor(seed = 1) {
    this.network = new SimulatedNetwork({ scheduler: this.scheduler, random: new Random(seed) });
    this.serverTime = new ProcessTime(this.scheduler, new MachineTime(this.scheduler, 1, 0), 0, () => {});
    this.clientTime = new ProcessTime(this.scheduler, new MachineTime(this.scheduler, 1, 0), 0, () => {});
    this.serverHost = this.network.host("server", this.serverTime);
    this.clientHost = this.network.host("client", this.clientTime);
  }

  run(ms = 50): void {
    this.scheduler.runUntil(this.scheduler.nowMs + ms);
  }

  serve(handler: (exchange: HttpExchange) => void): HttpServer {
    const server = new HttpServer({ clock: this.serverTime, handler });
    void this.serverHost.listen({ host: "server", port: 2380 }, {
      onStream: (stream) => server.serve(stream),
      onStreamClosed() {},
    });
    return server;
  }

  client(): HttpClient {
    return new HttpClient({ network: this.clientHost, clock: this.clientTime });
  }

  /** A client that speaks by hand. */
  rawClient(): RawPeer {
    let peer: RawPeer | undefined;
    void this.clientHost.connect({ host: "server", port: 2380 }, 1000).then((stream) => peer = new RawPeer(stream));
    this.run();
    return peer!;
  }

  /** Servers that speak by hand, one for each connection. */
  rawServers(): RawPeer[] {
    const peers: RawPeer[] = [];
    void this.serverHost.listen({ host: "server", port: 2380 }, {
      onStream: (stream) => peers.push(new RawPeer(stream)),
      onStreamClosed() {},
    });
    return peers;
  }
}

/** What became of a call. */
export class CallRecorder implements HttpCallListener {
  status = 0;
  headers: readonly HttpField[] = [];
  text = "";
  isEnded = false;
  error: HttpError | undefined;

  onHead(status: number, headers: readonly HttpField[]): void {
    this.status = status;
    this.headers = headers;
  }

  onData(chunk: Uint8Array): void {
    this.text += latin1(chunk);
  }

  onEnd(): void {
    this.isEnded = true;
  }

  onFail(error: HttpError): void {
    this.error = error;
  }
}
