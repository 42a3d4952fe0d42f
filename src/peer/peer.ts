import type { HttpExchange } from "../io/net.ts";
import { idText } from "../membership/mod.ts";
import { type Message, MessageType } from "../raft/mod.ts";
import type { PeerContext } from "./context.ts";
import type { PeerUrl } from "./http/mod.ts";
import type { PeerFigures } from "./peer_statistics.ts";
import { PeerStatus } from "./peer_status.ts";
import { Pipeline } from "./pipeline.ts";
import { Prober } from "./prober.ts";
import { postSnapshot } from "./snapshot_post.ts";
import { APPEND_STREAM, MESSAGE_STREAM, type StreamKind } from "./stream_kind.ts";
import { StreamReader } from "./stream_reader.ts";
import { StreamWriter } from "./stream_writer.ts";
import type { SnapshotView } from "./transport.ts";
import { UrlPicker } from "./url_picker.ts";

/** Another member, with all the ways to it and from it. */
export class Peer {
  readonly #context: PeerContext;
  readonly #id: bigint;
  readonly #figures: PeerFigures;
  readonly #picker: UrlPicker;
  readonly status: PeerStatus;
  readonly #messageWriter: StreamWriter;
  readonly #appendWriter: StreamWriter;
  readonly #readers: readonly StreamReader[];
  readonly #pipeline: Pipeline;
  readonly #prober: Prober;
  #isDropping = false;

  constructor(context: PeerContext, id: bigint, urls: readonly string[]) {
    const figures = context.statistics.of(id);
    const picker = new UrlPicker(urls);
    const status = new PeerStatus(context.clock, context.log, id, figures);
    this.#context = context;
    this.#id = id;
    this.#figures = figures;
    this.#picker = picker;
    this.status = status;
    this.#messageWriter = new StreamWriter(context, MESSAGE_STREAM, id, status, figures);
    this.#appendWriter = new StreamWriter(context, APPEND_STREAM, id, status, figures);
    this.#readers = [APPEND_STREAM, MESSAGE_STREAM].map((kind) =>
      new StreamReader(context, kind, id, status, figures, picker)
    );
    this.#pipeline = new Pipeline(context, id, status, figures, picker);
    this.#prober = new Prober(context, id, figures, picker);
  }

  start(): void {
    for (const reader of this.#readers) reader.start();
    this.#prober.start();
  }

  stop(): void {
    this.status.end();
    this.#prober.stop();
    for (const reader of this.#readers) reader.stop();
    this.#pipeline.stop();
    this.#messageWriter.stop();
    this.#appendWriter.stop();
  }

  update(urls: readonly string[]): void {
    this.#picker.update(urls);
  }

  /** The one that worked last stands first. */
  get urls(): readonly PeerUrl[] {
    return this.#picker.inTurn;
  }

  /** The peer holds a stream open: see StreamWriter. */
  attach(kind: StreamKind, exchange: HttpExchange, version: string | undefined): void {
    (kind === APPEND_STREAM ? this.#appendWriter : this.#messageWriter).attach(exchange, version);
  }

  /** Over the stream for it, else the other, else by a request of its own; never over two of them. */
  send(message: Message): void {
    let isSent: boolean;
    if (message.type === MessageType.APPEND && this.#appendWriter.isAttached) isSent = this.#appendWriter.send(message);
    else if (this.#messageWriter.isAttached) isSent = this.#messageWriter.send(message);
    else isSent = this.#pipeline.send(message);
    if (isSent) this.#isDropping = false;
    else this.#drop();
  }

  sendSnapshot(message: Message, view: SnapshotView): Promise<boolean> {
    return postSnapshot(this.#context, {
      peerId: this.#id,
      picker: this.#picker,
      status: this.status,
      figures: this.#figures,
      message,
      view,
    });
  }

  #drop(): void {
    this.#figures.sentFailures++;
    this.#context.handler.reportUnreachable(this.#id);
    if (this.#isDropping) return;
    this.#isDropping = true;
    this.#context.log.warn("dropped internal Raft message since sending buffer is full", {
      "local-member-id": idText(this.#context.identity.id),
      "remote-peer-id": idText(this.#id),
      "remote-peer-active": this.status.activeSinceMs !== undefined,
    });
  }
}
