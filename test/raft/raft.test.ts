import { describe, expect, test } from "bun:test";
import {
  ConfChangeType,
  EMPTY_CONF_STATE,
  type Message,
  Raft,
  RaftLog,
  type RaftOptions,
  type Ready,
} from "../../src/raft/mod.ts";
import { utf8 } from "../../src/base/bytes.ts";

const ID = 7n;

function singleVoter(overrides: Partial<RaftOptions> = {}): Raft {
  return new Raft({
    id: ID,
    log: new RaftLog(),
    hardState: { term: 0, vote: 0n, commit: 0 },
    confState: { ...EMPTY_CONF_STATE, voters: [ID] },
    applied: 0,
    random: () => 0,
    electionTicks: 10,
    committedSizeMax: 1 << 20,
    ...overrides,
  });
}

function acknowledge(raft: Raft, ready: Ready): void {
  for (const message of ready.appendResponses) raft.step(message as Message);
}

/** Runs every Ready to its end: append, acknowledge, apply. Returns the data of what was applied. */
function settle(raft: Raft): string[] {
  const applied: string[] = [];
  while (raft.hasReady) {
    const ready = raft.ready();
    acknowledge(raft, ready);
    for (const entry of ready.committedEntries) {
      applied.push(`${entry.index}:${new TextDecoder().decode(entry.data)}`);
      raft.applied(entry.index);
    }
  }
  return applied;
}

describe("a single voter", () => {
  test("leads only once its own vote is durable", () => {
    const raft = singleVoter();
    raft.campaign();
    const ready = raft.ready();
    expect(raft.role).toBe("candidate");
    expect(ready.hardState).toEqual({ term: 1, vote: ID, commit: 0 });
    expect(ready.mustSync).toBe(true);
    acknowledge(raft, ready);
    expect(raft.role).toBe("leader");
  });

  test("campaigns by itself after the election timeout", () => {
    const raft = singleVoter();
    for (let i = 0; i < 9; i++) raft.tick();
    expect(raft.role).toBe("follower");
    raft.tick();
    expect(raft.role).toBe("candidate");
  });

  test("commits and hands out a proposal only after its append is durable", () => {
    const raft = singleVoter();
    raft.campaign();
    settle(raft);
    expect(raft.propose(utf8("a"))).toBe(true);
    const ready = raft.ready();
    expect(ready.entries.map((entry) => entry.index)).toEqual([2]);
    expect(ready.committedEntries).toEqual([]);
    expect(raft.hasReady).toBe(false);
    expect(raft.commitIndex).toBe(1);
    acknowledge(raft, ready);
    expect(raft.commitIndex).toBe(2);
    expect(raft.ready().committedEntries.map((entry) => entry.index)).toEqual([2]);
  });

  test("lets several proposals share one append and one acknowledgement", () => {
    const raft = singleVoter();
    raft.campaign();
    settle(raft);
    for (const name of ["a", "b", "c"]) raft.propose(utf8(name));
    const ready = raft.ready();
    expect(ready.entries.length).toBe(3);
    expect(ready.appendResponses.length).toBe(2);
    acknowledge(raft, ready);
    expect(settle(raft)).toEqual(["2:a", "3:b", "4:c"]);
  });

  test("keeps taking proposals while an earlier append is being written", () => {
    const raft = singleVoter();
    raft.campaign();
    settle(raft);
    raft.propose(utf8("a"));
    const first = raft.ready();
    raft.propose(utf8("b"));
    const second = raft.ready();
    expect(second.entries.map((entry) => entry.index)).toEqual([3]);
    acknowledge(raft, first);
    expect(raft.commitIndex).toBe(2);
    acknowledge(raft, second);
    expect(settle(raft)).toEqual(["2:a", "3:b"]);
  });

  test("drops proposals while it does not lead", () => {
    expect(singleVoter().propose(utf8("a"))).toBe(false);
  });

  test("asks for no sync when only the commit index moved", () => {
    const raft = singleVoter();
    raft.campaign();
    settle(raft);
    raft.propose(utf8("a"));
    acknowledge(raft, raft.ready());
    const ready = raft.ready();
    expect(ready.hardState?.commit).toBe(2);
    expect(ready.mustSync).toBe(false);
  });

  test("hands out committed entries in bounded portions, the next once the last is applied", () => {
    const raft = singleVoter({ committedSizeMax: 10 });
    raft.campaign();
    settle(raft);
    for (const name of ["aa", "bb", "cc"]) raft.propose(utf8(name));
    acknowledge(raft, raft.ready());
    expect(raft.ready().committedEntries.map((entry) => entry.index)).toEqual([2]);
    expect(raft.hasReady).toBe(false);
    raft.applied(2);
    expect(raft.ready().committedEntries.map((entry) => entry.index)).toEqual([3]);
  });

  test("after a restart takes a new term and commits its uncommitted tail with it", () => {
    const log = new RaftLog();
    log.append({ term: 1, index: 1, type: 0, data: utf8("a") });
    log.append({ term: 1, index: 2, type: 0, data: utf8("b") });
    const raft = singleVoter({ log, hardState: { term: 1, vote: ID, commit: 1 }, applied: 1 });
    raft.campaign();
    expect(settle(raft)).toEqual(["2:b", "3:"]);
    expect(raft.term).toBe(2);
  });

  test("may read alone only when an entry of its own term is committed", () => {
    const raft = singleVoter();
    expect(raft.canReadAlone).toBe(false);
    raft.campaign();
    acknowledge(raft, raft.ready());
    expect(raft.role).toBe("leader");
    expect(raft.canReadAlone).toBe(false);
    settle(raft);
    expect(raft.canReadAlone).toBe(true);
  });
});

describe("configuration changes", () => {
  test("add, demote and remove members", () => {
    const raft = singleVoter();
    expect(raft.applyConfChange({ type: ConfChangeType.ADD_NODE, memberId: 3n }).voters).toEqual([3n, 7n]);
    expect(raft.applyConfChange({ type: ConfChangeType.ADD_LEARNER_NODE, memberId: 3n }).learners).toEqual([3n]);
    expect(raft.applyConfChange({ type: ConfChangeType.REMOVE_NODE, memberId: 3n }).learners).toEqual([]);
    expect(raft.applyConfChange({ type: ConfChangeType.ADD_NODE, memberId: 0n }).voters).toEqual([7n]);
    expect(raft.applyConfChange({ type: ConfChangeType.UPDATE_NODE, memberId: 7n }).voters).toEqual([7n]);
  });
});
