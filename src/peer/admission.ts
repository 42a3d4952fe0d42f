import { APPLY_THREAD, type Message, MessageType, NO_MEMBER } from "../raft/mod.ts";

/**
 * Whether to believe that `message` is what `sender` sends this member. Requests that followers pass on to whom they take
 * for the leader stay in the name of the member that they come from, which may be a third one; everything else is said in
 * the sender's own name.
 */
export function isCredible({ type, to, from }: Message, memberId: bigint, sender: bigint): boolean {
  if (to !== memberId || from === memberId || from === NO_MEMBER || from >= APPLY_THREAD) return false;
  return from === sender || isPassedOn(type);
}

function isPassedOn(type: MessageType): boolean {
  return type === MessageType.PROPOSAL || type === MessageType.READ_INDEX || type === MessageType.TRANSFER_LEADER;
}
