import type { Clock, Timer } from "../io/clock.ts";
import { NO_MEMBER } from "../raft/mod.ts";
import type { ReconfigurationSettle } from "./membership_changes.ts";
import type { PromotionAnswer } from "./peer_questions.ts";

export interface PromotionParts {
  readonly clock: Clock;
  readonly memberId: bigint;
  /** Whom this member takes for the leader. */
  readonly leader: () => bigint;
  /** Promotes as the leader: "not_leader" where this member is none. */
  readonly promote: (id: bigint, settle: ReconfigurationSettle) => void;
  /** Asks another member, as the leader, to do it; undefined: no answer, or none that is final. */
  readonly ask: (to: bigint, id: bigint, timeoutMs: number) => Promise<PromotionAnswer | undefined>;
  readonly timeoutMs: number;
}

/** A leader that gave no answer is asked again after this. (etcd asks again at once.) */
const RETRY_MS = 50;

interface Promotion {
  readonly id: bigint;
  readonly settle: ReconfigurationSettle;
  readonly untilMs: number;
}

/** Promotions through any member: only the leader knows whether a learner is ready, so that it is asked. */
export class Promotions {
  readonly #parts: PromotionParts;
  readonly #timers = new Map<Promotion, Timer>();
  #isStopped = false;

  constructor(parts: PromotionParts) {
    this.#parts = parts;
  }

  begin(id: bigint, settle: ReconfigurationSettle): void {
    const { clock, timeoutMs } = this.#parts;
    this.#try({ id, settle, untilMs: clock.monotonicMs() + timeoutMs });
  }

  stop(): void {
    this.#isStopped = true;
    const waiting = [...this.#timers];
    this.#timers.clear();
    for (const [{ settle }, timer] of waiting) {
      timer.cancel();
      settle(undefined, "stopped");
    }
  }

  #try(promotion: Promotion): void {
    const { id, settle } = promotion;
    this.#parts.promote(id, (members, error) => {
      if (error === "not_leader") this.#forward(promotion);
      else settle(members, error);
    });
  }

  #forward(promotion: Promotion): void {
    const { clock, memberId, leader, ask } = this.#parts;
    const { id, settle, untilMs } = promotion;
    const leftMs = untilMs - clock.monotonicMs();
    const to = leader();
    if (this.#isStopped) return settle(undefined, "stopped");
    if (leftMs <= 0) return settle(undefined, to === NO_MEMBER ? "no_leader" : "timeout");
    // One that has just come to lead here will know in a moment.
    if (to === NO_MEMBER || to === memberId) return this.#retry(promotion);
    ask(to, id, leftMs).then((answer) => {
      if (answer === undefined) this.#retry(promotion);
      else if (typeof answer === "string") settle(undefined, answer);
      else settle(answer, undefined);
    });
  }

  #retry(promotion: Promotion): void {
    if (this.#isStopped) return promotion.settle(undefined, "stopped");
    const timer = this.#parts.clock.after(RETRY_MS, () => {
      this.#timers.delete(promotion);
      this.#try(promotion);
    });
    this.#timers.set(promotion, timer);
  }
}
