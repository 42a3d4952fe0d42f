import { PEER_PIPELINE_POSTS_MAX, PEER_PIPELINE_QUEUE_MAX } from "../base/limits.ts";
import type { Message } from "../raft/mod.ts";
import { writeMessage } from "./codec/mod.ts";
import { emptyWriter, type PeerContext } from "./context.ts";
import type { PeerFigures } from "./peer_statistics.ts";
import type { PeerStatus } from "./peer_status.ts";
import { post } from "./post.ts";
import type { UrlPicker } from "./url_picker.ts";

/** Sends a peer messages while it has no stream open. Their order may change; none is sent twice. */
export class Pipeline {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #status: PeerStatus;
  readonly #figures: PeerFigures;
  readonly #picker: UrlPicker;
  readonly #queue: Message[] = [];
  #postCount = 0;
  #isStopped = false;

  constructor(
    context: PeerContext,
    peerId: bigint,
    status: PeerStatus,
    figures: PeerFigures,
    picker: UrlPicker,
  ) {
    this.#context = context;
    this.#peerId = peerId;
    this.#status = status;
    this.#figures = figures;
    this.#picker = picker;
  }

  /** False: there is no room for the message. */
  send(message: Message): boolean {
    if (this.#postCount < PEER_PIPELINE_POSTS_MAX) {
      void this.#post(message);
      return true;
    }
    if (this.#queue.length >= PEER_PIPELINE_QUEUE_MAX) return false;
    this.#queue.push(message);
    return true;
  }

  stop(): void {
    this.#isStopped = true;
    this.#queue.length = 0;
  }

  async #post(message: Message): Promise<void> {
    const { connectTimeoutMs, readTimeoutMs, writeTimeoutMs } = this.#context;
    this.#postCount++;
    const writer = emptyWriter(this.#context);
    writeMessage(writer, message);
    const body = writer.finish();
    const hasArrived = await post(this.#context, {
      peerId: this.#peerId,
      picker: this.#picker,
      status: this.#status,
      path: "/raft",
      from: message.from,
      contentType: "application/protobuf",
      body,
      patience: {
        connectMs: connectTimeoutMs,
        answerMs: readTimeoutMs,
        idleMs: readTimeoutMs,
        stallMs: writeTimeoutMs,
      },
      action: "write",
      source: "pipeline",
    });
    this.#postCount--;
    if (hasArrived) this.#figures.sentBytes += body.length;
    else this.#figures.sentFailures++;
    if (this.#isStopped) return;
    const next = this.#queue.shift();
    if (next !== undefined) void this.#post(next);
  }
}
