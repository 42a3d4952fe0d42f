import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import {
  type ConfState,
  EMPTY_CONF_STATE,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  MessageType,
  newMessage,
  Raft,
  RaftLog,
  type RaftOptions,
  type Ready,
} from "../../src/raft/mod.ts";

const FIRST = 10;
const THREE: ConfState = { ...EMPTY_CONF_STATE, voters: [1n, 2n, 3n] };

/** Member 1, whose log goes on behind index 10 with entries of these terms. */
function member(
  terms: readonly number[],
  options: Partial<RaftOptions> = {},
  hardState: Partial<HardState> = {},
): Raft {
  const log = new RaftLog(FIRST, 1);
  terms.forEach((term, i) => log.append(entry(term, FIRST + 1 + i)));
  return new Raft({
    id: 1n,
    log,
    hardState: { term: terms.at(-1) ?? 1, vote: 0n, commit: FIRST, ...hardState },
    confState: THREE,
    applied: FIRST,
    random: () => 0,
    electionTicks: 10,
    committedSizeMax: 1 << 20,
    ...options,
  });
}

function entry(term: number, index: number): Entry {
  return { term, index, type: EntryType.NORMAL, data: utf8(`${term}/${index}`) };
}

function message(type: MessageType, from: bigint, term: number, fields: Partial<Message> = {}): Message {
  return { ...newMessage(type, 1n), from, term, ...fields };
}

function append(from: bigint, term: number, logTerm: number, index: number, entries: Entry[], commit = FIRST): Message {
  return message(MessageType.APPEND, from, term, { logTerm, index, entries, commit });
}

/** Makes durable what the Readys ask for, and lets the member hear of it. */
function finishAppends(raft: Raft, ...readys: Ready[]): void {
  for (const { appendResponses } of readys) {
    for (const response of appendResponses) if (response.to === raft.id) raft.step(response);
  }
}

function settle(raft: Raft): Message[] {
  const sent: Message[] = [];
  while (raft.hasReady) {
    const ready = raft.ready();
    sent.push(...ready.messages, ...ready.appendResponses.filter(({ to }) => to !== raft.id));
    finishAppends(raft, ready);
    if (ready.committedEntries.length > 0) raft.applied(ready.committedEntries.at(-1)!.index);
  }
  return sent;
}

function elect(raft: Raft): void {
  raft.campaign();
  settle(raft);
  raft.step(message(MessageType.VOTE_RESPONSE, 2n, raft.term));
  expect(raft.role).toBe("leader");
}

const indexes = (entries: readonly Entry[]) => entries.map(({ index }) => index);

describe("a follower", () => {
  test("applies nothing before it is durable, though it knows that it is committed", () => {
    const raft = member([]);
    raft.step(append(2n, 1, 1, FIRST, [entry(1, 11)], 11));
    const ready = raft.ready();
    expect(raft.commitIndex).toBe(11);
    expect(ready.committedEntries).toEqual([]);
    finishAppends(raft, ready);
    expect(indexes(raft.ready().committedEntries)).toEqual([11]);
  });

  test("does not take an entry for durable that was replaced and came back while the disk was still busy", () => {
    const raft = member([]);
    raft.step(append(2n, 1, 1, FIRST, [entry(1, 11)]));
    const first = raft.ready();
    raft.step(append(3n, 2, 1, FIRST, [entry(2, 11)]));
    const second = raft.ready();
    raft.step(append(2n, 3, 1, FIRST, [entry(1, 11), entry(3, 12)], 12));
    const third = raft.ready();
    // The disk holds 1/11 now, and will hold 2/11 before it holds 1/11 again.
    finishAppends(raft, first);
    expect(raft.ready().committedEntries).toEqual([]);
    finishAppends(raft, second);
    expect(raft.ready().committedEntries).toEqual([]);
    finishAppends(raft, third);
    expect(indexes(raft.ready().committedEntries)).toEqual([11, 12]);
  });

  test("keeps entries behind those of a late append, as the leader may have sent them before", () => {
    const raft = member([]);
    raft.step(append(2n, 1, 1, FIRST, [entry(1, 11), entry(1, 12)]));
    raft.step(append(2n, 1, 1, FIRST, [entry(1, 11)]));
    expect(raft.log.lastIndex).toBe(12);
  });

  test("commits no further than what the append has shown to be equal", () => {
    const raft = member([1, 1, 1]);
    raft.step(append(2n, 2, 1, FIRST, [entry(1, 11)], 13));
    expect(raft.commitIndex).toBe(11);
  });

  test("skips a whole term when it refuses an append", () => {
    const raft = member([2, 2, 2, 4, 4], {}, { term: 4 });
    raft.step(append(2n, 5, 3, 15, []));
    const [refusal] = settle(raft);
    expect(refusal).toMatchObject({ reject: true, index: 15, rejectHint: 13, logTerm: 2 });
  });

  test("echoes the context of a heartbeat byte for byte, whatever it is", () => {
    const raft = member([]);
    const context = Uint8Array.of(1, 2, 3);
    raft.step(message(MessageType.HEARTBEAT, 2n, 1, { context }));
    expect(settle(raft)[0].context).toEqual(context);
  });

  test("votes once per term, and only for a log that holds all of its own", () => {
    const raft = member([2, 2]);
    const ask = (from: bigint, term: number, logTerm: number, index: number) => {
      raft.step(message(MessageType.VOTE, from, term, { logTerm, index }));
      return settle(raft)[0].reject;
    };
    expect(ask(2n, 3, 2, 11)).toBe(true);
    expect(ask(2n, 3, 1, 20)).toBe(true);
    expect(ask(2n, 3, 2, 12)).toBe(false);
    expect(ask(3n, 3, 2, 13)).toBe(true);
    expect(ask(2n, 3, 2, 12)).toBe(false);
    expect(ask(3n, 4, 3, 11)).toBe(false);
  });

  test("says that it votes only once the vote is durable", () => {
    const raft = member([]);
    raft.step(message(MessageType.VOTE, 2n, 2, { logTerm: 1, index: 10 }));
    const ready = raft.ready();
    expect(ready.messages).toEqual([]);
    expect(ready.mustSync).toBe(true);
    expect(ready.hardState).toEqual({ term: 2, vote: 2n, commit: FIRST });
    expect(ready.appendResponses.map(({ type }) => type)).toEqual([MessageType.VOTE_RESPONSE]);
  });

  test("does not let a member that was cut off disturb a leader that it hears of", () => {
    const raft = member([], { checkQuorum: true });
    raft.step(message(MessageType.HEARTBEAT, 2n, 1));
    settle(raft);
    raft.step(message(MessageType.VOTE, 3n, 7, { logTerm: 1, index: 10 }));
    expect(raft.hasReady).toBe(false);
    expect(raft.term).toBe(1);
    for (let i = 0; i < 10; i++) raft.tick();
    raft.step(message(MessageType.VOTE, 3n, 7, { logTerm: 1, index: 10 }));
    expect(raft.term).toBe(7);
  });

  test("whose leader is gone votes for others, and waits no longer than what is drawn by lot", () => {
    const options = { checkQuorum: true, preVote: true, random: () => 3 };
    const leaderIsGone = (id: bigint): Raft => {
      const raft = member([], options);
      raft.step(message(MessageType.HEARTBEAT, 2n, 1));
      raft.ready();
      raft.reportGone(id);
      return raft;
    };
    const asked = (raft: Raft) => raft.ready().messages.map(({ type, to }) => [type, to]);
    const campaign = [[MessageType.PRE_VOTE, 2n], [MessageType.PRE_VOTE, 3n]];

    const raft = leaderIsGone(2n);
    for (let i = 0; i < 2; i++) raft.tick();
    expect(asked(raft)).toEqual([]);
    // Said again, it changes nothing.
    raft.reportGone(2n);
    raft.tick();
    expect(asked(raft)).toEqual(campaign);

    const voter = leaderIsGone(2n);
    voter.step(message(MessageType.PRE_VOTE, 3n, 2, { index: FIRST, logTerm: 1 }));
    expect(voter.ready().appendResponses.map(({ type, reject }) => [type, reject])).toContainEqual([
      MessageType.PRE_VOTE_RESPONSE,
      false,
    ]);

    const another = leaderIsGone(3n);
    for (let i = 0; i < 3; i++) another.tick();
    expect(asked(another)).toEqual([]);
  });

  test("does not campaign while a membership change may be committed and is not applied", () => {
    const log = new RaftLog(FIRST, 1);
    log.append({ term: 1, index: 11, type: EntryType.CONF_CHANGE_V2, data: new Uint8Array(0) });
    const raft = member([], { log }, { commit: 11 });
    raft.campaign();
    expect(raft.role).toBe("follower");
    raft.ready();
    raft.applied(11);
    raft.campaign();
    expect(raft.role).toBe("candidate");
  });

  test("stops when the leader takes for committed what it does not hold", () => {
    const raft = member([]);
    const heartbeat = message(MessageType.HEARTBEAT, 2n, 1, { commit: 11 });
    expect(() => raft.step(heartbeat)).toThrow(
      "tocommit(11) is out of range [lastIndex(10)]. Was the raft log corrupted, truncated, or lost?",
    );
  });

  test("keeps what is committed, whatever comes, and tells how far that is", () => {
    const raft = member([1, 1], {}, { commit: 11 });
    raft.step(append(2n, 2, 1, FIRST, [entry(2, 11), entry(2, 12)]));
    expect(raft.log.term(11)).toBe(1);
    expect(settle(raft)[0]).toMatchObject({ type: MessageType.APPEND_RESPONSE, index: 11, reject: false });
  });
});

describe("a leader", () => {
  test("commits by counting only what is of its own term, and all before that with it", () => {
    const raft = member([2], {}, { term: 3 });
    elect(raft);
    settle(raft);
    // Two of three hold 2/11, which another leader may replace still (Raft, figure 8).
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, 4, { index: 11 }));
    expect(raft.commitIndex).toBe(FIRST);
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, 4, { index: 12 }));
    expect(raft.commitIndex).toBe(12);
  });

  test("does not count itself before its own append is durable", () => {
    const raft = member([]);
    elect(raft);
    const ready = raft.ready();
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, raft.term, { index: 11 }));
    expect(raft.commitIndex).toBe(FIRST);
    finishAppends(raft, ready);
    expect(raft.commitIndex).toBe(11);
  });

  test("sends proposals that come together in one message", () => {
    const raft = member([]);
    elect(raft);
    settle(raft);
    for (const id of [2n, 3n]) raft.step(message(MessageType.APPEND_RESPONSE, id, raft.term, { index: 11 }));
    settle(raft);
    for (let i = 0; i < 64; i++) raft.propose(utf8("x"));
    const { messages, appendResponses } = raft.ready();
    expect(messages.map(({ to, entries }) => [to, entries.length])).toEqual([[2n, 64], [3n, 64]]);
    expect(appendResponses.filter(({ type }) => type === MessageType.APPEND_RESPONSE)).toHaveLength(1);
  });

  test("cuts what is too much for one message, and sends as many as may be on their way", () => {
    const raft = member([], { messageSizeMax: 1, inflightMessagesMax: 3 });
    elect(raft);
    settle(raft);
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, raft.term, { index: 11 }));
    settle(raft);
    for (let i = 0; i < 5; i++) raft.propose(utf8("x"));
    const appends = () => raft.ready().messages.filter(({ to, entries }) => to === 2n && entries.length > 0);
    expect(appends().map(({ index }) => index)).toEqual([11, 12, 13]);
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, raft.term, { index: 13 }));
    expect(appends().map(({ index }) => index)).toEqual([14, 15]);
  });

  test("takes one proposal of any size, then none beyond the limit until something is applied", () => {
    const raft = member([], { uncommittedSizeMax: 10 });
    elect(raft);
    settle(raft);
    expect(raft.propose(new Uint8Array(100))).toBe(true);
    expect(raft.propose(new Uint8Array(1))).toBe(false);
    expect(raft.propose(new Uint8Array(0))).toBe(true);
    settle(raft);
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, raft.term, { index: raft.log.lastIndex }));
    settle(raft);
    expect(raft.propose(new Uint8Array(1))).toBe(true);
  });

  test("steps down when a quorum has not answered for an election timeout", () => {
    const raft = member([], { checkQuorum: true });
    elect(raft);
    raft.step(message(MessageType.HEARTBEAT_RESPONSE, 3n, raft.term));
    for (let i = 0; i < 10; i++) raft.tick();
    expect(raft.role).toBe("leader");
    for (let i = 0; i < 10; i++) raft.tick();
    expect(raft.role).toBe("follower");
    expect(raft.leader).toBe(0n);
  });

  test("sends a snapshot only if there is one that its log goes on behind and that knows the member", () => {
    const raft = member([1, 1, 1], {}, { commit: 13 });
    raft.ready();
    raft.applied(13);
    elect(raft);
    settle(raft);
    raft.log.compact(12);
    const snapshotsFor = (confState: ConfState, index: number) => {
      raft.offerSnapshot({ index, term: 1, confState, data: new Uint8Array(0) });
      raft.step(
        message(MessageType.APPEND_RESPONSE, 3n, raft.term, { reject: true, index: 13, rejectHint: 10, logTerm: 1 }),
      );
      raft.step(message(MessageType.HEARTBEAT_RESPONSE, 3n, raft.term));
      return settle(raft).filter(({ type }) => type === MessageType.SNAPSHOT).map(({ snapshot }) => snapshot!.index);
    };
    expect(snapshotsFor(THREE, 11)).toEqual([]);
    expect(snapshotsFor({ ...THREE, voters: [1n, 2n] }, 13)).toEqual([]);
    expect(snapshotsFor(THREE, 13)).toEqual([13]);
    // Nothing else is sent until it has arrived, or has not.
    expect(snapshotsFor(THREE, 13)).toEqual([]);
    raft.reportSnapshot(3n, false);
    expect(snapshotsFor(THREE, 13)).toEqual([13]);
  });

  test("answers no read for a context that it has not sent", () => {
    const raft = member([], {}, { term: 1 });
    elect(raft);
    settle(raft);
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, raft.term, { index: 11 }));
    settle(raft);
    raft.readIndex(Uint8Array.of(7));
    const answer = (context: Uint8Array) => {
      raft.step(message(MessageType.HEARTBEAT_RESPONSE, 2n, raft.term, { context }));
      return raft.ready().readStates;
    };
    expect(answer(Uint8Array.of(1))).toEqual([]);
    expect(answer(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0))).toEqual([]);
    expect(answer(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255))).toEqual([]);
    expect(answer(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0))).toEqual([{ index: 11, context: Uint8Array.of(7) }]);
  });

  test("that was removed does not take itself for the only voter", () => {
    const raft = member([], { confState: { ...EMPTY_CONF_STATE, voters: [1n, 2n] } });
    elect(raft);
    settle(raft);
    raft.step(message(MessageType.APPEND_RESPONSE, 2n, raft.term, { index: 11 }));
    settle(raft);
    raft.applyConfChange({ type: 1, memberId: 1n });
    expect(raft.confState.voters).toEqual([2n]);
    expect(raft.canReadAlone).toBe(false);
    raft.readIndex(Uint8Array.of(7));
    expect(raft.ready().readStates).toEqual([]);
  });
});

describe("what is not for raft", () => {
  test("local messages from elsewhere and answers of strangers are told apart", () => {
    const raft = member([]);
    expect(raft.step(message(MessageType.HUP, 2n, 0))).toBe("local message");
    expect(raft.step(message(MessageType.CHECK_QUORUM, 2n, 0))).toBe("local message");
    const index = raft.log.lastIndex;
    expect(raft.step(message(MessageType.STORAGE_APPEND_RESPONSE, 2n, 1, { index, logTerm: 1 }))).toBe("local message");
    expect(raft.step(message(MessageType.STORAGE_APPLY_RESPONSE, 2n, 0, { entries: [entry(1, 11)] }))).toBe(
      "local message",
    );
    expect(raft.step(message(MessageType.APPEND_RESPONSE, 9n, 1))).toBe("unknown member");
    expect(raft.step(message(MessageType.PROPOSAL, 2n, 0, { entries: [entry(0, 0)] }))).toBe("proposal dropped");
    expect(raft.step(message(MessageType.HEARTBEAT, 2n, 1))).toBe("accepted");
  });
});
