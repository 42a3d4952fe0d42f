import type { SnapshotView } from "../../../src/peer/mod.ts";
import type { Message } from "../../../src/raft/mod.ts";
import type { Endpoint, Network } from "./network.ts";

/** Small, so that a snapshot takes several and can be broken off between them. */
const PIECE_SIZE = 8 * 1024;

/** A snapshot on its way: read at the sender piece by piece, as the receiver asks for them. */
export class SnapshotTransfer {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly #network: Network;
  readonly #message: Message;
  readonly #view: SnapshotView;
  #settle: (hasArrived: boolean) => void = () => {};
  /** Tells the receiver, where it waits for a piece, that none will come. */
  #fail: ((reason: Error) => void) | undefined;
  #isBroken = false;

  constructor(network: Network, from: Endpoint, to: Endpoint, message: Message, view: SnapshotView) {
    this.#network = network;
    this.from = from;
    this.to = to;
    this.#message = message;
    this.#view = view;
  }

  involves(endpoint: Endpoint): boolean {
    return endpoint === this.from || endpoint === this.to;
  }

  run(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#settle = resolve;
    this.to.time.run(this.#delayMs(), () => {
      const message = { ...this.#message, entries: this.#message.entries.slice() };
      if (this.to.handler.isRemoved(this.from.id)) return this.#answer(false);
      this.to.handler.receiveSnapshot(message, this.#pieces()).then(
        () => this.#answer(true),
        () => this.#answer(false),
      );
    });
    return promise;
  }

  /** The connection is gone: both ends are told. */
  break(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.from.time.run(0, () => this.#settle(false));
    this.to.time.run(0, () => this.#fail?.(new Error("the connection was lost")));
  }

  #answer(hasArrived: boolean): void {
    if (hasArrived) this.#network.coverage.count("snapshots received");
    if (!this.#isBroken) this.from.time.run(this.#delayMs(), () => this.#settle(hasArrived));
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    for (let position = 0; position < this.#view.size;) {
      const piece = await this.#fetch(position);
      position += piece.length;
      yield piece;
    }
  }

  /** Reads at the sender, and brings it here. */
  #fetch(position: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#fail = reject;
    if (this.#isBroken) reject(new Error("the connection was lost"));
    this.from.time.run(this.#delayMs(), () => {
      const target = new Uint8Array(Math.min(PIECE_SIZE, this.#view.size - position));
      this.#view.read(target, position).then(
        (count) => void this.to.time.run(this.#delayMs(), () => resolve(target.subarray(0, count))),
        () => void this.to.time.run(this.#delayMs(), () => reject(new Error("the sender could not read on"))),
      );
    });
    return promise;
  }

  #delayMs(): number {
    return this.#network.delayMs(this.#network.link(this.from.id, this.to.id));
  }
}
