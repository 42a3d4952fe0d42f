import { MEMBERSHIP_CHANGES_MAX } from "../base/limits.ts";
import { EntryType, type Message, MessageType } from "../raft/mod.ts";

/**
 * Changes of the membership that others have passed on to this leader while one is under way already. Raft makes one at a
 * time and refuses the others without a word, so that who asked would wait in vain. (etcd lets them.)
 */
export class HeldChanges {
  #held: Message[] = [];

  /** False: the message is something else, or there is no room for more of them. */
  hold(message: Message): boolean {
    if (!isChange(message) || this.#held.length >= MEMBERSHIP_CHANGES_MAX) return false;
    this.#held.push(message);
    return true;
  }

  /** Hands them out in the order in which they came, as long as none is under way. */
  release(isChanging: () => boolean, step: (message: Message) => void): void {
    while (this.#held.length > 0 && !isChanging()) step(this.#held.shift()!);
  }
}

function isChange({ type, entries }: Message): boolean {
  return type === MessageType.PROPOSAL && entries.length === 1 && entries[0].type !== EntryType.NORMAL;
}
