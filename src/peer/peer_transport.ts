import { EMPTY_BYTES } from "../base/bytes.ts";
import { PEER_STOP_MS } from "../base/limits.ts";
import { WireWriter } from "../base/varint.ts";
import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import type { ByteStream, HttpExchange, Network } from "../io/net.ts";
import { idText } from "../membership/mod.ts";
import { type Message, NO_MEMBER } from "../raft/mod.ts";
import { Complaints } from "./complaints.ts";
import type { PeerContext } from "./context.ts";
import { HandlerGate } from "./handler_gate.ts";
import { HttpClient, HttpServer } from "./http/mod.ts";
import { identityFields } from "./identity.ts";
import { Peer } from "./peer.ts";
import { PeerStatistics } from "./peer_statistics.ts";
import { callQuestion } from "./question_call.ts";
import { Remotes } from "./remotes.ts";
import { replyText } from "./reply.ts";
import { Routes } from "./routes.ts";
import type { Answer, Question, SnapshotView, Transport, TransportHandler } from "./transport.ts";

export interface PeerTransportParts {
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where this member tells others that it is found. */
  readonly peerUrls: readonly string[];
  /** What this program says it is: "3.7.1". */
  readonly version: string;
  readonly electionTimeoutMs: number;
  /** Milliseconds without a byte after which a stream is taken for dead; etcd's default is 5000, for both. */
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
}

/** To connect takes so long at most, and an election timeout (etcd's figure). */
const CONNECT_BASE_MS = 1000;

interface Running {
  readonly context: PeerContext;
  readonly remotes: Remotes;
  readonly routes: Routes;
}

/** The way to real peers: etcd's protocol over HTTP/1.1. */
export class PeerTransport implements Transport {
  readonly #parts: PeerTransportParts;
  readonly #client: HttpClient;
  readonly #server: HttpServer;
  readonly #peers = new Map<bigint, Peer>();
  /** From `start` to `stop`. */
  #running: Running | undefined;
  #stopped: Promise<void> | undefined;
  /** For the metrics page. */
  readonly statistics = new PeerStatistics();

  constructor(parts: PeerTransportParts) {
    const { network, clock, writeTimeoutMs } = parts;
    this.#parts = parts;
    this.#client = new HttpClient({ network, clock });
    this.#server = new HttpServer({
      clock,
      handler: (exchange) => this.#handle(exchange),
      stallMs: writeTimeoutMs,
    });
  }

  /** Takes over a stream that a peer has opened, and of which `head` was read already; it is valid until this returns. */
  serve(stream: ByteStream, head: Uint8Array = EMPTY_BYTES): void {
    this.#server.serve(stream, head);
  }

  start(id: bigint, clusterId: bigint, handler: TransportHandler): void {
    const { clock, log, peerUrls, version, electionTimeoutMs, readTimeoutMs, writeTimeoutMs } = this.#parts;
    const identity = { id, clusterId, peerUrls, version };
    const context: PeerContext = {
      clock,
      log,
      complaints: new Complaints(clock, log),
      client: this.#client,
      handler: new HandlerGate(handler),
      identity,
      fields: identityFields(identity),
      statistics: this.statistics,
      writer: new WireWriter(),
      connectTimeoutMs: CONNECT_BASE_MS + electionTimeoutMs,
      readTimeoutMs,
      writeTimeoutMs,
    };
    const remotes = new Remotes(context);
    this.#running = { context, remotes, routes: new Routes({ context, peers: this.#peers, remotes }) };
  }

  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    for (const peer of this.#peers.values()) peer.stop();
    this.#peers.clear();
    running?.remotes.stop();
    const closed = running?.context.handler.close();
    this.#client.close();
    await this.#server.stop(PEER_STOP_MS);
    await closed;
  }

  addPeer(id: bigint, peerUrls: readonly string[]): void {
    const running = this.#running;
    if (running === undefined || id === running.context.identity.id || this.#peers.has(id)) return;
    running.remotes.remove(id);
    const peer = new Peer(running.context, id, peerUrls);
    this.#peers.set(id, peer);
    peer.start();
    this.#parts.log.info("added remote peer", this.#logFields(running, id, peerUrls));
  }

  updatePeer(id: bigint, peerUrls: readonly string[]): void {
    const running = this.#running;
    const peer = this.#peers.get(id);
    if (running === undefined || peer === undefined) return;
    peer.update(peerUrls);
    this.#parts.log.info("updated remote peer", this.#logFields(running, id, peerUrls));
  }

  removePeer(id: bigint): void {
    const running = this.#running;
    const peer = this.#peers.get(id);
    if (running === undefined || peer === undefined) return;
    this.#peers.delete(id);
    peer.stop();
    this.#parts.log.info("removed remote peer", this.#logFields(running, id));
  }

  send(messages: readonly Message[]): void {
    const running = this.#running;
    if (running === undefined) return;
    for (const message of messages) {
      if (message.to === NO_MEMBER) continue;
      const peer = this.#peers.get(message.to);
      if (peer === undefined) running.remotes.send(message);
      else peer.send(message);
    }
  }

  sendSnapshot(message: Message, view: SnapshotView): Promise<boolean> {
    const peer = this.#peers.get(message.to);
    return peer === undefined ? Promise.resolve(false) : peer.sendSnapshot(message, view);
  }

  ask(to: bigint, question: Question, timeoutMs: number): Promise<Answer | undefined> {
    const peer = this.#peers.get(to);
    if (peer === undefined || this.#running === undefined) return Promise.resolve(undefined);
    const { fields } = this.#running.context;
    const { clock } = this.#parts;
    return callQuestion({ client: this.#client, clock, urls: peer.urls, question, fields, timeoutMs });
  }

  activeSinceMs(id: bigint): number | undefined {
    return this.#peers.get(id)?.status.activeSinceMs;
  }

  versionOf(id: bigint): string | undefined {
    return this.#peers.get(id)?.status.version;
  }

  #handle(exchange: HttpExchange): void {
    const running = this.#running;
    if (running === undefined) replyText(exchange, 503, "the member is not running");
    else running.routes.handle(exchange);
  }

  #logFields({ context }: Running, id: bigint, urls?: readonly string[]): Record<string, unknown> {
    const fields = { "local-member-id": idText(context.identity.id), "remote-peer-id": idText(id) };
    return urls === undefined ? fields : { ...fields, "remote-peer-urls": urls };
  }
}
