import type { RequestId } from "../wire/mod.ts";

const SEQUENCES = 2 ** 48;
const MILLISECONDS = 2 ** 40;

/**
 * Ids unique among all members and over restarts, as etcd makes them: the member's low 16 bits, then 40 bits of the
 * start time in milliseconds, then an 8-bit counter that overflows into the time.
 */
export class RequestIds {
  readonly member: number;
  #sequence: number;

  constructor(memberId: bigint, startMs: number) {
    this.member = Number(memberId & 0xffffn);
    this.#sequence = (Math.floor(startMs) % MILLISECONDS) * 256;
  }

  next(): RequestId {
    this.#sequence = (this.#sequence + 1) % SEQUENCES;
    return { member: this.member, sequence: this.#sequence };
  }

  /** The next id as a positive int64, never 0: for leases whose id the server chooses. */
  nextInt63(): bigint {
    const { member, sequence } = this.next();
    const id = ((BigInt(member) << 48n) | BigInt(sequence)) & 0x7fffffffffffffffn;
    return id === 0n ? this.nextInt63() : id;
  }
}
