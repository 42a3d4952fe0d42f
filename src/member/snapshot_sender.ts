import { SNAPSHOT_RELEASE_DELAY_MS, SNAPSHOT_SENDS_MAX } from "../base/limits.ts";
import { formatSize } from "../base/size.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import { idText } from "../membership/mod.ts";
import type { Transport } from "../peer/mod.ts";
import type { Message } from "../raft/mod.ts";
import type { PositionedSnapshot } from "./database_snapshot.ts";

export interface SnapshotSenderParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly transport: Transport;
  readonly openSnapshot: () => Promise<PositionedSnapshot>;
  readonly report: (id: bigint, hasArrived: boolean) => void;
}

/**
 * Sends members what their log lacks: the state as a file, as it is when it is sent. Raft's message only says that it is
 * wanted; what leaves carries the position and the configuration of the file.
 */
export class SnapshotSender {
  readonly #parts: SnapshotSenderParts;
  #sendCount = 0;
  /** Those who have theirs, and not yet what came after it. */
  readonly #releases = new Set<Timer>();
  #isStopped = false;

  constructor(parts: SnapshotSenderParts) {
    this.#parts = parts;
  }

  /** The entries behind a snapshot on its way must stay in the log. */
  get holdsLog(): boolean {
    return this.#sendCount > 0 || this.#releases.size > 0;
  }

  send(message: Message): void {
    const { report } = this.#parts;
    if (this.#isStopped || this.#sendCount >= SNAPSHOT_SENDS_MAX) return report(message.to, false);
    this.#sendCount++;
    this.#send(message).then((hasArrived) => {
      this.#sendCount--;
      if (this.#isStopped) return;
      if (hasArrived) this.#holdOn();
      report(message.to, hasArrived);
    });
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#releases) timer.cancel();
    this.#releases.clear();
  }

  async #send(message: Message): Promise<boolean> {
    const { log, transport, openSnapshot } = this.#parts;
    let view: PositionedSnapshot | undefined;
    try {
      view = await openSnapshot();
      const { index, term, confState, v2Store, size } = view;
      const fields = { "snapshot-index": index, "to": idText(message.to), "bytes": size, "size": formatSize(size) };
      log.info("sending database snapshot", fields);
      const snapshot = { index, term, confState, data: v2Store };
      const hasArrived = await transport.sendSnapshot({ ...message, snapshot }, view);
      if (hasArrived) log.info("sent database snapshot", fields);
      else log.warn("failed to send database snapshot", fields);
      return hasArrived;
    } catch (error) {
      log.warn("cannot make a snapshot for another member", {
        "to": idText(message.to),
        "error": (error as Error).message,
      });
      return false;
    } finally {
      await view?.close().catch(() => {});
    }
  }

  #holdOn(): void {
    const timer = this.#parts.clock.after(SNAPSHOT_RELEASE_DELAY_MS, () => this.#releases.delete(timer));
    this.#releases.add(timer);
  }
}
