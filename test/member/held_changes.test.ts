import { expect, test } from "bun:test";
import { FORWARDED_HELD_MS_MAX, MEMBERSHIP_CHANGES_MAX } from "../../src/base/limits.ts";
import { HeldChanges } from "../../src/member/held_changes.ts";
import { EntryType, type Message, MessageType, newMessage } from "../../src/raft/mod.ts";

function proposal(index: number, ...types: EntryType[]): Message {
  const entries = types.map((type) => ({ term: 0, index: 0, type, data: Uint8Array.of(index) }));
  return { ...newMessage(MessageType.PROPOSAL, 1n), entries };
}

test("changes of the membership are held, and let go in their order while none is under way", () => {
  const held = new HeldChanges();
  const proposed: number[] = [];
  let isChanging = true;
  for (const index of [1, 2, 3]) expect(held.hold(proposal(index, EntryType.CONF_CHANGE), 1000)).toBe(true);
  const release = (): void =>
    held.release(1001, () => isChanging, (data, type) => {
      expect(type).toBe(EntryType.CONF_CHANGE);
      proposed.push(data[0]);
      isChanging = true;
    });
  release();
  expect(proposed).toEqual([]);
  for (let i = 0; i < 3; i++) {
    isChanging = false;
    release();
  }
  release();
  expect(proposed).toEqual([1, 2, 3]);
});

test("nothing else is held, and not more than there is room for", () => {
  const held = new HeldChanges();
  expect(held.hold(proposal(1, EntryType.NORMAL), 1000)).toBe(false);
  expect(held.hold(proposal(1, EntryType.CONF_CHANGE, EntryType.NORMAL), 1000)).toBe(false);
  expect(held.hold({ ...proposal(1, EntryType.CONF_CHANGE), type: MessageType.APPEND }, 1000)).toBe(false);
  for (let i = 0; i < MEMBERSHIP_CHANGES_MAX; i++) {
    expect(held.hold(proposal(i, EntryType.CONF_CHANGE), 1000)).toBe(true);
  }
  expect(held.hold(proposal(1, EntryType.CONF_CHANGE), 1000)).toBe(false);
});

test("what was held for too long is not proposed any more", () => {
  const held = new HeldChanges();
  const proposed: number[] = [];
  held.hold(proposal(1, EntryType.CONF_CHANGE), 1000);
  held.hold(proposal(2, EntryType.CONF_CHANGE), 2000);
  held.release(1000 + FORWARDED_HELD_MS_MAX, () => false, (data) => proposed.push(data[0]));
  expect(proposed).toEqual([2]);
});
