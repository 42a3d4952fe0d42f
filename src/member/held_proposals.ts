import { FORWARDED_HELD_MAX, FORWARDED_HELD_MS_MAX, FORWARDED_HELD_SIZE_MAX } from "../base/limits.ts";
import { EntryType, type Message, MessageType } from "../raft/mod.ts";

interface Held {
  readonly data: Uint8Array;
  readonly sinceMs: number;
}

/**
 * What other members have passed on to this one, and it has no leader to give it to: it hands its leadership over, or has
 * lost it. Raft refuses such a proposal without a word, and who asked would wait until its time is up; so it goes to the
 * next leader. (etcd lets them wait.) Each goes on at most once: carried out twice it could do harm.
 */
export class HeldProposals {
  #held: Held[] = [];
  #size = 0;

  /** False: the message is something else, or there is no room. */
  hold({ type, entries }: Message, nowMs: number): boolean {
    if (type !== MessageType.PROPOSAL || entries.some((entry) => entry.type !== EntryType.NORMAL)) return false;
    let size = this.#size;
    for (const { data } of entries) size += data.length;
    if (this.#held.length >= FORWARDED_HELD_MAX || size > FORWARDED_HELD_SIZE_MAX) return false;
    for (const { data } of entries) this.#held.push({ data, sinceMs: nowMs });
    this.#size = size;
    return true;
  }

  /** Hands out what is there, in its order; not what nobody waits for any more. */
  release(nowMs: number, propose: (data: Uint8Array) => void): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = [];
    this.#size = 0;
    for (const { data, sinceMs } of held) if (nowMs - sinceMs < FORWARDED_HELD_MS_MAX) propose(data);
  }
}
