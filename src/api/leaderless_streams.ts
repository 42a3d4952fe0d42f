import { LEADER_STREAMS_PRUNED_AT_MIN } from "../base/limits.ts";
import type { StreamCall } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import { ApiError } from "./errors.ts";

/**
 * Streams whose clients want to be connected to a member that has a leader: they are ended once it has had none for a
 * while. (One that is opened without a leader is refused anyway.)
 */
export class LeaderlessStreams {
  readonly #calls = new Set<StreamCall>();
  /** Calls that end are not reported, so closed ones are looked for when there are so many. */
  #pruneAt = LEADER_STREAMS_PRUNED_AT_MIN;

  constructor(member: Member) {
    member.onLeaderLost(() => this.#endAll());
  }

  add(call: StreamCall): void {
    if (this.#calls.size >= this.#pruneAt) this.#prune();
    this.#calls.add(call);
  }

  #prune(): void {
    for (const call of this.#calls) if (call.isClosed) this.#calls.delete(call);
    this.#pruneAt = Math.max(LEADER_STREAMS_PRUNED_AT_MIN, 2 * this.#calls.size);
  }

  #endAll(): void {
    const calls = [...this.#calls];
    this.#calls.clear();
    for (const call of calls) call.abort(ApiError.NO_LEADER);
  }
}
