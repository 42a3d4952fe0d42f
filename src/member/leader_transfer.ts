import { formatDuration } from "../base/duration.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import { idText, type Membership } from "../membership/mod.ts";

export interface LeaderTransferParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly membership: Membership;
  readonly memberId: bigint;
  /** Whom this member takes for the leader. */
  readonly leader: () => bigint;
  /** Asks raft, which may fail silently. */
  readonly transfer: (target: bigint) => void;
  /** Time between looks at whether it has come about. */
  readonly tickMs: number;
  readonly timeoutMs: number;
}

export type TransferError = "not_leader" | "bad_leader_transferee" | "leader_transfer_timeout";
export type TransferSettle = (error: TransferError | undefined) => void;

/** Hands the leadership to another member because somebody asked for it. */
export class LeaderTransfer {
  readonly #parts: LeaderTransferParts;
  readonly #waiting = new Map<Timer, TransferSettle>();

  constructor(parts: LeaderTransferParts) {
    this.#parts = parts;
  }

  /** Settles once the target leads, at once where it does already; `timeoutMs` is all it waits. */
  begin(target: bigint, settle: TransferSettle): void {
    const { clock, log, membership, memberId, leader, transfer } = this.#parts;
    if (leader() !== memberId) return settle("not_leader");
    const member = membership.get(target);
    if (member === undefined || member.isLearner) return settle("bad_leader_transferee");
    log.info("leadership transfer starting", {
      "local-member-id": idText(memberId),
      "current-leader-member-id": idText(memberId),
      "transferee-member-id": idText(target),
    });
    const startMs = clock.monotonicMs();
    transfer(target);
    this.#waitFor(target, startMs, (error) => {
      if (error === undefined) {
        log.info("leadership transfer finished", {
          "local-member-id": idText(memberId),
          "old-leader-member-id": idText(memberId),
          "new-leader-member-id": idText(target),
          took: formatDuration(clock.monotonicMs() - startMs),
        });
      }
      settle(error);
    });
  }

  /** What is waited for now will not be seen to come about. */
  stop(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [timer, settle] of waiting) {
      timer.cancel();
      settle("leader_transfer_timeout");
    }
  }

  #waitFor(target: bigint, startMs: number, settle: TransferSettle): void {
    const { clock, leader, tickMs, timeoutMs } = this.#parts;
    if (leader() === target) return settle(undefined);
    const timer = clock.every(tickMs, () => {
      const isDone = leader() === target;
      if (!isDone && clock.monotonicMs() - startMs < timeoutMs) return;
      timer.cancel();
      this.#waiting.delete(timer);
      settle(isDone ? undefined : "leader_transfer_timeout");
    });
    this.#waiting.set(timer, settle);
  }
}
