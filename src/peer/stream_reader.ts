import { utf8Text } from "../base/bytes.ts";
import { PEER_DIAL_RETRY_MS, PEER_REPLY_SIZE_MAX } from "../base/limits.ts";
import type { Timer } from "../io/clock.ts";
import type { HttpField } from "../io/net.ts";
import { idText } from "../membership/mod.ts";
import type { Message } from "../raft/mod.ts";
import { isCredible } from "./admission.ts";
import { CodecError } from "./codec/mod.ts";
import type { PeerContext } from "./context.ts";
import { fieldValue, type HttpCall, type HttpCallListener, type HttpError, type PeerUrl } from "./http/mod.ts";
import { CLUSTER_ID_FIELD, hasStreams, SERVER_VERSION_FIELD } from "./identity.ts";
import type { PeerFigures } from "./peer_statistics.ts";
import type { PeerStatus } from "./peer_status.ts";
import type { StreamDecoder, StreamKind } from "./stream_kind.ts";
import type { UrlPicker } from "./url_picker.ts";

/** Asks a peer for a stream, again and again, and takes in what comes. */
export class StreamReader implements HttpCallListener {
  readonly #context: PeerContext;
  readonly #kind: StreamKind;
  readonly #peerId: bigint;
  readonly #status: PeerStatus;
  readonly #figures: PeerFigures;
  readonly #picker: UrlPicker;
  readonly #receive = (message: Message): void => this.#take(message);
  #isStopped = false;
  #retry: Timer | undefined;
  #dialledMs = -Infinity;
  #url: PeerUrl | undefined;
  #call: HttpCall | undefined;
  /** While the stream is open. */
  #decoder: StreamDecoder | undefined;
  /** Of an answer that is no stream. */
  #refusal = 0;
  #text = "";

  constructor(
    context: PeerContext,
    kind: StreamKind,
    peerId: bigint,
    status: PeerStatus,
    figures: PeerFigures,
    picker: UrlPicker,
  ) {
    this.#context = context;
    this.#kind = kind;
    this.#peerId = peerId;
    this.#status = status;
    this.#figures = figures;
    this.#picker = picker;
  }

  start(): void {
    this.#dial();
  }

  stop(): void {
    this.#isStopped = true;
    this.#retry?.cancel();
    this.#call?.abort();
  }

  #dial(): void {
    const { clock, client, identity, fields, connectTimeoutMs, readTimeoutMs, writeTimeoutMs } = this.#context;
    this.#dialledMs = clock.monotonicMs();
    this.#url = this.#picker.picked;
    if (this.#url === undefined) return this.#failDial("there is no address to reach it at");
    this.#call = client.request(this.#url, {
      method: "GET",
      path: this.#kind.path + idText(identity.id),
      headers: [...fields, ["X-Raft-To", idText(this.#peerId)]],
      patience: {
        connectMs: connectTimeoutMs,
        answerMs: readTimeoutMs,
        idleMs: readTimeoutMs,
        stallMs: writeTimeoutMs,
      },
    }, this);
  }

  // --- What the call hears.

  onHead(status: number, headers: readonly HttpField[]): void {
    if (status !== 200) {
      this.#refusal = status;
      this.#text = "";
      if (status === 410 && this.#isOfThisCluster(headers)) this.#context.handler.reportRemoved();
      return;
    }
    if (!hasStreams(headers)) return this.#refuse("it is no member that has streams");
    const { identity, log } = this.#context;
    this.#decoder = this.#kind.decoder(identity.id, this.#peerId, this.#receive);
    this.#status.streamOpened(fieldValue(headers, SERVER_VERSION_FIELD));
    log.info("established TCP streaming connection with remote peer", this.#logFields());
  }

  onData(chunk: Uint8Array): void {
    if (this.#decoder === undefined) {
      this.#text += utf8Text(chunk);
      if (this.#text.length > PEER_REPLY_SIZE_MAX) this.#refuse("its answer makes no sense");
      return;
    }
    this.#figures.receivedBytes += chunk.length;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      this.#call!.abort();
      this.#figures.receivedFailures++;
      this.#lose(error.message, true);
    }
  }

  onEnd(): void {
    if (this.#decoder === undefined) return this.#failDial(this.#reasonOf(this.#refusal, this.#text.trimEnd()));
    const isWhole = this.#decoder.isAtBoundary;
    this.#lose(isWhole ? "EOF" : "unexpected EOF", !isWhole);
  }

  onFail(error: HttpError): void {
    if (this.#decoder === undefined) {
      if (error.code === "ECONNREFUSED") this.#context.handler.reportGone(this.#peerId);
      this.#failDial(error.message);
    } else this.#lose(error.message, true);
  }

  // ---

  #take(message: Message): void {
    // The member may have been told to stop by a message before this one.
    if (this.#isStopped) return;
    const { identity, handler, complaints } = this.#context;
    if (isCredible(message, identity.id, this.#peerId)) return handler.receive(message);
    this.#figures.receivedFailures++;
    complaints.warn(idText(this.#peerId), "rejected Raft message to mismatch member", {
      ...this.#logFields(),
      "from": idText(message.from),
      "mismatch-member-id": idText(message.to),
    });
  }

  #refuse(reason: string): void {
    this.#call!.abort();
    this.#failDial(reason);
  }

  /** There is no stream. */
  #failDial(reason: string): void {
    if (this.#url !== undefined) this.#picker.markUnreachable(this.#url);
    this.#status.streamFailed("dial", this.#kind.name, reason);
    this.#scheduleDial();
  }

  /** The stream is over. */
  #lose(reason: string, isFailure: boolean): void {
    this.#decoder = undefined;
    this.#status.streamClosed();
    if (this.#isStopped) return;
    const { log } = this.#context;
    log.warn("lost TCP streaming connection with remote peer", { ...this.#logFields(), "error": reason });
    if (isFailure) this.#status.streamFailed("read", this.#kind.name, reason);
    this.#scheduleDial();
  }

  #scheduleDial(): void {
    this.#call = undefined;
    if (this.#isStopped) return;
    const { clock } = this.#context;
    const delayMs = Math.max(0, this.#dialledMs + PEER_DIAL_RETRY_MS - clock.monotonicMs());
    this.#retry = clock.after(delayMs, () => this.#dial());
  }

  #reasonOf(status: number, text: string): string {
    const { identity, complaints } = this.#context;
    const peerId = idText(this.#peerId);
    switch (status) {
      case 404:
        return `peer ${peerId} failed to find local node ${idText(identity.id)}`;
      case 410:
        return "the member has been permanently removed from the cluster";
      case 412:
        if (text === "cluster ID mismatch") {
          complaints.warn(peerId, "request sent was ignored by remote peer due to cluster ID mismatch", {
            ...this.#logFields(),
            "local-member-cluster-id": idText(identity.clusterId),
          });
        } else if (text === "incompatible version") {
          complaints.warn(
            peerId,
            "request sent was ignored by remote peer due to server version incompatibility",
            this.#logFields(),
          );
        }
        return text;
      default:
        return `unhandled http status ${status}`;
    }
  }

  #isOfThisCluster(headers: readonly HttpField[]): boolean {
    return fieldValue(headers, CLUSTER_ID_FIELD) === idText(this.#context.identity.clusterId);
  }

  #logFields(): Record<string, string> {
    return {
      "stream-reader-type": this.#kind.name,
      "local-member-id": idText(this.#context.identity.id),
      "remote-peer-id": idText(this.#peerId),
    };
  }
}
