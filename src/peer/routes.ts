/** The server's side of the peer port: which request goes where, and who may ask at all, with etcd's codes and texts. */

import { utf8 } from "../base/bytes.ts";
import { PEER_LOGGED_TEXT_MAX, PEER_MESSAGE_SIZE_MAX } from "../base/limits.ts";
import type { HttpExchange, HttpField } from "../io/net.ts";
import { idFromText, idText } from "../membership/mod.ts";
import type { Message } from "../raft/mod.ts";
import { isCredible } from "./admission.ts";
import { answerQuestion } from "./answering.ts";
import { Bodies } from "./bodies.ts";
import { decodeMessage } from "./codec/mod.ts";
import type { PeerContext } from "./context.ts";
import { fieldValue } from "./http/mod.ts";
import {
  CLUSTER_ID_FIELD,
  incompatibility,
  PEER_URLS_FIELD,
  RAFT_TO_FIELD,
  SERVER_FROM_FIELD,
  SERVER_VERSION_FIELD,
} from "./identity.ts";
import type { Peer } from "./peer.ts";
import { PROBING_PATH } from "./prober.ts";
import type { Remotes } from "./remotes.ts";
import { reply, replyText } from "./reply.ts";
import { receiveSnapshot } from "./snapshot_intake.ts";
import { STREAM_KINDS } from "./stream_kind.ts";
import { timestampOf } from "./timestamp.ts";

const PIPELINE_PATH = "/raft";
const STREAM_PATH = "/raft/stream/";
const SNAPSHOT_PATH = "/raft/snapshot";

export interface RoutesParts {
  readonly context: PeerContext;
  readonly peers: ReadonlyMap<bigint, Peer>;
  readonly remotes: Remotes;
}

export class Routes {
  readonly #context: PeerContext;
  readonly #peers: ReadonlyMap<bigint, Peer>;
  readonly #remotes: Remotes;
  readonly #fields: readonly HttpField[];
  readonly #bodies = new Bodies();

  constructor({ context, peers, remotes }: RoutesParts) {
    this.#context = context;
    this.#peers = peers;
    this.#remotes = remotes;
    this.#fields = [[CLUSTER_ID_FIELD, idText(context.identity.clusterId)]];
  }

  /** Sets the exchange's listeners, or answers it. */
  handle(exchange: HttpExchange): void {
    const path = exchange.path.split("?", 1)[0];
    if (path === PIPELINE_PATH) this.#takeMessage(exchange);
    else if (path.startsWith(STREAM_PATH)) this.#openStream(exchange, path);
    else if (path === SNAPSHOT_PATH) this.#takeSnapshot(exchange);
    else if (path === PROBING_PATH) this.#tellTime(exchange);
    else if (path.startsWith("/raft/")) replyText(exchange, 404, "404 page not found");
    else answerQuestion(this.#context, exchange, this.#bodies, this.#fields);
  }

  #tellTime(exchange: HttpExchange): void {
    const body = utf8(`{"OK":true,"Now":"${timestampOf(this.#context.clock.wallMs())}"}\n`);
    reply(exchange, 200, "text/plain; charset=utf-8", body, []);
  }

  #openStream(exchange: HttpExchange, path: string): void {
    const { identity, handler, complaints } = this.#context;
    if (!this.#isMethod(exchange, "GET")) return;
    const fields: readonly HttpField[] = [[SERVER_VERSION_FIELD, identity.version], ...this.#fields];
    if (!this.#isCompatible(exchange, fields)) return;
    const end = path.lastIndexOf("/") + 1;
    const kind = STREAM_KINDS.find((kind) => kind.path === path.slice(0, end));
    if (kind === undefined) return replyText(exchange, 404, "invalid path", fields);
    const from = idFromText(path.slice(end));
    if (from === undefined) return replyText(exchange, 404, "invalid from", fields);
    const logFields = { "local-member-id": idText(identity.id), "remote-peer-id-from": idText(from) };
    if (handler.isRemoved(from)) {
      complaints.warn(idText(from), "rejected stream from remote peer because it was removed", logFields);
      return replyText(exchange, 410, "removed member", fields);
    }
    const peer = this.#peers.get(from);
    if (peer === undefined) {
      this.#meet(from, exchange);
      complaints.warn(idText(from), "failed to find remote peer in cluster", logFields);
      return replyText(exchange, 404, "error sender not found", fields);
    }
    const to = fieldValue(exchange.headers, RAFT_TO_FIELD) ?? "";
    if (to !== idText(identity.id)) {
      complaints.warn(idText(from), "ignored streaming request; ID mismatch", {
        ...logFields,
        "remote-peer-id-header": to.slice(0, PEER_LOGGED_TEXT_MAX),
      });
      return replyText(exchange, 412, "to field mismatch", fields);
    }
    exchange.respond(200, fields);
    peer.attach(kind, exchange, fieldValue(exchange.headers, SERVER_VERSION_FIELD));
  }

  #takeMessage(exchange: HttpExchange): void {
    const sender = this.#sender(exchange);
    if (sender === undefined) return;
    this.#bodies.gather(exchange, PEER_MESSAGE_SIZE_MAX, (body) => {
      if (body === "no room") return replyText(exchange, 503, "too many messages at once", this.#fields);
      if (body === "too large") return this.#refuseMessage(exchange, sender, "error reading raft message");
      let message: Message;
      try {
        message = decodeMessage(body);
      } catch {
        return this.#refuseMessage(exchange, sender, "error unmarshalling raft message");
      }
      if (!this.#isForThisMember(exchange, sender, message)) return;
      if (!isCredible(message, this.#context.identity.id, sender)) {
        return this.#refuseMessage(exchange, sender, "error processing raft message");
      }
      this.#context.statistics.of(sender).receivedBytes += body.length;
      this.#context.handler.receive(message);
      reply(exchange, 204, "", body.subarray(0, 0), this.#fields);
    });
  }

  #refuseMessage(exchange: HttpExchange, sender: bigint, text: string): void {
    this.#context.complaints.warn(idText(sender), text, { "remote-peer-id": idText(sender) });
    replyText(exchange, 400, text, this.#fields);
  }

  #takeSnapshot(exchange: HttpExchange): void {
    const sender = this.#sender(exchange);
    if (sender === undefined) return;
    receiveSnapshot({
      context: this.#context,
      exchange,
      sender,
      fields: this.#fields,
      isForThisMember: (message) => this.#isForThisMember(exchange, sender, message),
    });
  }

  /** Who posts, if it may; otherwise it has been told why not. */
  #sender(exchange: HttpExchange): bigint | undefined {
    if (!this.#isMethod(exchange, "POST") || !this.#isCompatible(exchange, this.#fields)) return undefined;
    const sender = idFromText(fieldValue(exchange.headers, SERVER_FROM_FIELD) ?? "");
    if (sender === undefined) replyText(exchange, 400, "the request does not say which member sends it", this.#fields);
    else this.#meet(sender, exchange);
    return sender;
  }

  /** Whoever is not known yet may be answered from now on. */
  #meet(id: bigint, { headers }: HttpExchange): void {
    const urls = fieldValue(headers, PEER_URLS_FIELD) ?? "";
    if (urls !== "" && !this.#peers.has(id) && !this.#context.handler.isRemoved(id)) this.#remotes.add(id, urls);
  }

  #isMethod(exchange: HttpExchange, method: string): boolean {
    if (exchange.method === method) return true;
    replyText(exchange, 405, "Method Not Allowed", [["allow", method]]);
    return false;
  }

  #isCompatible(exchange: HttpExchange, fields: readonly HttpField[]): boolean {
    const { identity, complaints } = this.#context;
    const { headers, remoteAddress } = exchange;
    const why = incompatibility(headers, identity);
    if (why === undefined) return true;
    const from = loggedText(headers, SERVER_FROM_FIELD);
    const message = why === "cluster ID mismatch"
      ? "request cluster ID mismatch"
      : "failed version compatibility check";
    complaints.warn(from, message, {
      "local-member-id": idText(identity.id),
      "local-member-cluster-id": idText(identity.clusterId),
      "local-member-server-version": identity.version,
      "remote-peer-server-name": from,
      "remote-peer-server-version": loggedText(headers, SERVER_VERSION_FIELD),
      "remote-peer-cluster-id": loggedText(headers, CLUSTER_ID_FIELD),
      "remote-address": remoteAddress,
    });
    replyText(exchange, 412, why, fields);
    return false;
  }

  /**
   * Otherwise whoever sent it has been told so. Of 403 it may conclude that it was removed from the cluster: so it is not
   * for members that pass on what a removed one has asked of them. (etcd answers it to these, too, and they end.)
   */
  #isForThisMember(exchange: HttpExchange, sender: bigint, { from, to }: Message): boolean {
    const { identity, handler, complaints } = this.#context;
    const isRemoved = handler.isRemoved(sender);
    if (!isRemoved && handler.isRemoved(from)) {
      this.#refuseMessage(exchange, sender, "error processing raft message");
      return false;
    }
    if (!isRemoved && to === identity.id) return true;
    const text = isRemoved ? "cannot process message from removed member" : "cannot process message to mismatch member";
    complaints.warn(
      idText(sender),
      isRemoved ? "rejected Raft message from removed member" : "rejected Raft message to mismatch member",
      {
        "local-member-id": idText(identity.id),
        [isRemoved ? "removed-member-id" : "mismatch-member-id"]: idText(isRemoved ? sender : to),
      },
    );
    reply(exchange, 403, "application/json", utf8(JSON.stringify({ message: text })), this.#fields);
    return false;
  }
}

function loggedText(headers: readonly HttpField[], name: string): string {
  return (fieldValue(headers, name) ?? "").slice(0, PEER_LOGGED_TEXT_MAX);
}
