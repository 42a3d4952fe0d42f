import { expect, test } from "bun:test";
import { INBOX_MESSAGES_MAX, INBOX_SIZE_MAX } from "../../src/base/limits.ts";
import { Inbox } from "../../src/member/inbox.ts";
import { type Message, MessageType, newMessage } from "../../src/raft/mod.ts";

function message(index: number, size = 0): Message {
  const entries = size === 0 ? [] : [{ term: 1, index, type: 0 as const, data: new Uint8Array(size) }];
  return { ...newMessage(MessageType.APPEND, 1n), index, entries };
}

test("messages leave in the order in which they came", () => {
  const inbox = new Inbox();
  let next = 0;
  for (let i = 0; i < 3 * INBOX_MESSAGES_MAX; i++) {
    inbox.add(message(i));
    // Never empty, so that what has left has to make room by itself.
    if (i > 10) expect(inbox.next()!.index).toBe(next++);
  }
  while (!inbox.isEmpty) expect(inbox.next()!.index).toBe(next++);
  expect([next, inbox.next(), inbox.droppedCount]).toEqual([3 * INBOX_MESSAGES_MAX, undefined, 0]);
});

test("what finds it full is dropped, by number and by size", () => {
  const inbox = new Inbox();
  for (let i = 0; i < INBOX_MESSAGES_MAX + 2; i++) inbox.add(message(i));
  expect(inbox.droppedCount).toBe(2);
  inbox.next();
  inbox.add(message(7));
  expect(inbox.droppedCount).toBe(2);

  const large = new Inbox();
  large.add(message(1, INBOX_SIZE_MAX));
  large.add(message(2));
  expect(large.droppedCount).toBe(1);
  large.next();
  large.add(message(3));
  expect(large.next()!.index).toBe(3);
});

test("a member is reported unreachable once, and every snapshot", () => {
  const inbox = new Inbox();
  inbox.addUnreachable(2n);
  inbox.addUnreachable(2n);
  inbox.addSnapshotReport({ id: 3n, hasArrived: true });
  expect(inbox.isEmpty).toBe(false);
  expect(inbox.takeUnreachable()).toEqual([2n]);
  expect(inbox.takeSnapshotReports()).toEqual([{ id: 3n, hasArrived: true }]);
  expect(inbox.isEmpty).toBe(true);
  inbox.addGone(4n);
  expect(inbox.isEmpty).toBe(false);
  expect(inbox.takeGone()).toEqual([4n]);
  expect(inbox.takeGone()).toEqual([]);
  expect(inbox.isEmpty).toBe(true);
});
