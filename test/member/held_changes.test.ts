import { expect, test } from "bun:test";
import { EMPTY_BYTES } from "../../src/base/bytes.ts";
import { MEMBERSHIP_CHANGES_MAX } from "../../src/base/limits.ts";
import { HeldChanges } from "../../src/member/held_changes.ts";
import { EntryType, type Message, MessageType, newMessage } from "../../src/raft/mod.ts";

function proposal(index: number, ...types: EntryType[]): Message {
  const entries = types.map((type) => ({ term: 0, index, type, data: EMPTY_BYTES }));
  return { ...newMessage(MessageType.PROPOSAL, 1n), entries };
}

test("changes of the membership are held, and let go in their order while none is under way", () => {
  const held = new HeldChanges();
  const stepped: number[] = [];
  let isChanging = true;
  for (const index of [1, 2, 3]) expect(held.hold(proposal(index, EntryType.CONF_CHANGE))).toBe(true);
  const release = (): void =>
    held.release(() => isChanging, ({ entries }) => {
      stepped.push(entries[0].index);
      isChanging = true;
    });
  release();
  expect(stepped).toEqual([]);
  for (let i = 0; i < 3; i++) {
    isChanging = false;
    release();
  }
  release();
  expect(stepped).toEqual([1, 2, 3]);
});

test("nothing else is held, and not more than there is room for", () => {
  const held = new HeldChanges();
  expect(held.hold(proposal(1, EntryType.NORMAL))).toBe(false);
  expect(held.hold(proposal(1, EntryType.CONF_CHANGE, EntryType.NORMAL))).toBe(false);
  expect(held.hold({ ...proposal(1, EntryType.CONF_CHANGE), type: MessageType.APPEND })).toBe(false);
  for (let i = 0; i < MEMBERSHIP_CHANGES_MAX; i++) expect(held.hold(proposal(i, EntryType.CONF_CHANGE))).toBe(true);
  expect(held.hold(proposal(1, EntryType.CONF_CHANGE))).toBe(false);
});
