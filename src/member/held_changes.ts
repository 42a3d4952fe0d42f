import { FORWARDED_HELD_MS_MAX, MEMBERSHIP_CHANGES_MAX } from "../base/limits.ts";
import { type Entry, EntryType, type Message, MessageType } from "../raft/mod.ts";

interface Held {
  readonly change: Entry;
  readonly sinceMs: number;
}

/**
 * Changes of the membership that others have passed on to this member while another is under way, or while there is no
 * leader to give them to. Raft makes one at a time and refuses the others without a word, so that who asked would wait in
 * vain. (etcd lets them.)
 */
export class HeldChanges {
  #held: Held[] = [];

  /** False: the message is something else, or there is no room for more of them. */
  hold({ type, entries }: Message, nowMs: number): boolean {
    if (type !== MessageType.PROPOSAL || entries.length !== 1 || entries[0].type === EntryType.NORMAL) return false;
    if (this.#held.length >= MEMBERSHIP_CHANGES_MAX) return false;
    this.#held.push({ change: entries[0], sinceMs: nowMs });
    return true;
  }

  /** Hands them out in their order, as long as none is under way; not what nobody waits for any more. */
  release(nowMs: number, isChanging: () => boolean, propose: (data: Uint8Array, type: EntryType) => void): void {
    while (this.#held.length > 0 && !isChanging()) {
      const { change, sinceMs } = this.#held.shift()!;
      if (nowMs - sinceMs < FORWARDED_HELD_MS_MAX) propose(change.data, change.type);
    }
  }
}
