import { expect, test } from "bun:test";
import { FORWARDED_HELD_MAX, FORWARDED_HELD_MS_MAX } from "../../src/base/limits.ts";
import { HeldProposals } from "../../src/member/held_proposals.ts";
import { EntryType, type Message, MessageType, newMessage } from "../../src/raft/mod.ts";

function proposal(...bytes: number[]): Message {
  const entries = bytes.map((byte) => ({ term: 0, index: 0, type: EntryType.NORMAL, data: Uint8Array.of(byte) }));
  return { ...newMessage(MessageType.PROPOSAL, 1n), entries };
}

function released(held: HeldProposals, nowMs: number): number[] {
  const bytes: number[] = [];
  held.release(nowMs, (data) => bytes.push(data[0]));
  return bytes;
}

test("proposals go on in their order, and once", () => {
  const held = new HeldProposals();
  expect(held.hold(proposal(1, 2), 0)).toBe(true);
  expect(held.hold(proposal(3), 1)).toBe(true);
  expect(released(held, 10)).toEqual([1, 2, 3]);
  expect(released(held, 10)).toEqual([]);
});

test("changes of the membership and other messages are not held", () => {
  const held = new HeldProposals();
  expect(held.hold(newMessage(MessageType.HEARTBEAT, 1n), 0)).toBe(false);
  const { entries } = proposal(1);
  const change = { ...proposal(), entries: [{ ...entries[0], type: EntryType.CONF_CHANGE }] };
  expect(held.hold(change, 0)).toBe(false);
  expect(released(held, 0)).toEqual([]);
});

test("what nobody waits for any more does not go on", () => {
  const held = new HeldProposals();
  held.hold(proposal(1), 0);
  held.hold(proposal(2), 1000);
  expect(released(held, FORWARDED_HELD_MS_MAX)).toEqual([2]);
});

test("no more are held than there is room for", () => {
  const held = new HeldProposals();
  for (let i = 0; i < FORWARDED_HELD_MAX; i++) expect(held.hold(proposal(1), 0)).toBe(true);
  expect(held.hold(proposal(1), 0)).toBe(false);
  expect(released(held, 0)).toHaveLength(FORWARDED_HELD_MAX);
  expect(held.hold(proposal(1), 0)).toBe(true);
});
