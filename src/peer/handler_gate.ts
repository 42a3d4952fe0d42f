import type { Message } from "../raft/mod.ts";
import type { Answer, Question, TransportHandler } from "./transport.ts";

/** Stands before the member: once it is closed, nothing gets through any more. */
export class HandlerGate implements TransportHandler {
  readonly #handler: TransportHandler;
  readonly #snapshots = new Set<Promise<void>>();
  #isClosed = false;

  constructor(handler: TransportHandler) {
    this.#handler = handler;
  }

  /** Resolves once no snapshot is being taken in; their pieces have to end before that. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#snapshots);
  }

  receive(message: Message): void {
    if (!this.#isClosed) this.#handler.receive(message);
  }

  async receiveSnapshot(message: Message, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#isClosed) throw new Error("the member is stopped");
    const received = this.#handler.receiveSnapshot(message, pieces);
    this.#snapshots.add(received);
    try {
      await received;
    } finally {
      this.#snapshots.delete(received);
    }
  }

  answer(question: Question): Promise<Answer> {
    if (!this.#isClosed) return this.#handler.answer(question);
    return Promise.resolve({ status: 503, contentType: "text/plain; charset=utf-8", body: new Uint8Array(0) });
  }

  reportUnreachable(id: bigint): void {
    if (!this.#isClosed) this.#handler.reportUnreachable(id);
  }

  reportGone(id: bigint): void {
    if (!this.#isClosed) this.#handler.reportGone(id);
  }

  isRemoved(id: bigint): boolean {
    return !this.#isClosed && this.#handler.isRemoved(id);
  }

  reportRemoved(): void {
    if (!this.#isClosed) this.#handler.reportRemoved();
  }
}
