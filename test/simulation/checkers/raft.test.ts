import { expect, test } from "bun:test";
import { checkLeaderCompleteness } from "./leader_completeness.ts";
import { checkLeaders } from "./leaders.ts";
import { checkLogMatching } from "./log_matching.ts";
import { entriesOf, Scribe } from "./scribe.ts";

/** Member 1 leads term 1 and commits two entries with member 2; member 3 has the first of them. */
function group(): Scribe {
  const scribe = new Scribe();
  for (const member of [1n, 2n, 3n]) scribe.raft(member, { isStart: true, term: 0 });
  scribe.raft(1n, { role: "candidate", vote: 1n });
  scribe.raft(2n, { vote: 1n });
  scribe.raft(1n, { role: "leader", vote: 1n, entries: entriesOf(1, 1, 2) });
  scribe.raft(2n, { vote: 1n, entries: entriesOf(1, 1, 2) });
  scribe.raft(3n, { entries: entriesOf(1, 1, 1) });
  scribe.raft(1n, { role: "leader", vote: 1n, commit: 2 });
  scribe.raft(2n, { vote: 1n, commit: 2 });
  return scribe;
}

test("a group in order has no violations, and it is told how much was judged", () => {
  const { observations } = group();
  expect(checkLeaders(observations)).toEqual({ violations: [], judged: { records: 10, "terms with a leader": 1 } });
  expect(checkLogMatching(observations).judged).toEqual({ entries: 5, "entries seen in two logs": 3 });
  expect(checkLogMatching(observations).violations).toEqual([]);
  expect(checkLeaderCompleteness(observations)).toEqual({
    violations: [],
    judged: { elections: 1, "entries committed": 2 },
  });
});

test("two leaders of one term are found", () => {
  const scribe = group();
  scribe.raft(3n, { role: "leader" });
  expect(checkLeaders(scribe.observations).violations).toEqual(["term 1 has two leaders, 1 and 3"]);
});

test("a vote that changes within its term is found, one of a new term is not", () => {
  const scribe = group();
  scribe.raft(2n, { term: 2, vote: 3n, commit: 2 });
  expect(checkLeaders(scribe.observations).violations).toEqual([]);
  scribe.raft(2n, { term: 2, vote: 1n, commit: 2 });
  expect(checkLeaders(scribe.observations).violations).toEqual(["member 2 changed its vote of term 2 from 3 to 1"]);
});

test("a term that falls is found, unless the process is a new one", () => {
  const scribe = group();
  scribe.raft(2n, { term: 5 });
  scribe.raft(2n, { isStart: true, term: 1, vote: 1n });
  expect(checkLeaders(scribe.observations).violations).toEqual([]);
  scribe.raft(2n, { term: 0 });
  expect(checkLeaders(scribe.observations).violations).toEqual(["member 2 went back from term 1 to 0"]);
});

test("equal positions with other contents are found", () => {
  const scribe = group();
  scribe.raft(3n, { entries: entriesOf(1, 2, 1, 500) });
  expect(checkLogMatching(scribe.observations).violations).toEqual([
    "entry 2 of term 1 at member 3 is not the one at member 1",
  ]);
});

test("equal positions behind others are found", () => {
  const scribe = group();
  scribe.raft(1n, { term: 3, role: "leader", entries: entriesOf(3, 3, 1) });
  scribe.raft(3n, { term: 3, entries: [...entriesOf(2, 2, 1), ...entriesOf(3, 3, 1)] });
  expect(checkLogMatching(scribe.observations).violations).toEqual([
    "entry 3 of term 3 at member 3 follows term 2, at member 1 term 1",
  ]);
});

test("a leader that overwrites its own log is found, a follower may", () => {
  const scribe = group();
  scribe.raft(3n, { entries: entriesOf(1, 2, 3) });
  scribe.raft(3n, { term: 2, entries: entriesOf(2, 3, 1) });
  expect(checkLogMatching(scribe.observations).violations).toEqual([]);
  scribe.raft(1n, { role: "leader", entries: entriesOf(1, 2, 1) });
  expect(checkLogMatching(scribe.observations).violations).toEqual([
    "member 1, leader of term 1, overwrote entry 2 of its own log",
  ]);
});

test("an entry without a place in the log is found", () => {
  const scribe = group();
  scribe.raft(3n, { entries: entriesOf(1, 7, 1) });
  expect(checkLogMatching(scribe.observations).violations).toEqual([
    "member 3: entry 7 has no place in a log from 1 to 1",
  ]);
});

test("logs go on behind compactions and snapshots", () => {
  const scribe = group();
  scribe.raft(2n, { vote: 1n, commit: 2, offset: { index: 1, term: 1 } });
  scribe.raft(3n, { offset: { index: 2, term: 1 } });
  scribe.raft(3n, { entries: entriesOf(1, 3, 1), commit: 3 });
  scribe.raft(2n, { vote: 1n, entries: entriesOf(1, 3, 1), commit: 2 });
  scribe.raft(2n, { isStart: true, term: 1, vote: 1n, offset: { index: 1, term: 1 }, entries: entriesOf(1, 2, 2) });
  expect(checkLogMatching(scribe.observations).violations).toEqual([]);
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([]);
  scribe.raft(3n, { offset: { index: 2, term: 9 }, commit: 3 });
  expect(checkLeaderCompleteness(scribe.observations).violations[0]).toBe(
    "member 3's log begins behind entry 2 of term 9, member 1 committed one of term 1",
  );
});

test("a leader without what was committed before its term is found", () => {
  const scribe = group();
  scribe.raft(3n, { term: 2, role: "leader", entries: entriesOf(2, 2, 1) });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([
    "member 3 leads term 2 without entry 2 of term 1, which member 1 committed in term 1",
  ]);
});

test("a leader that was elected before the commit was heard of is found as well", () => {
  const scribe = group();
  scribe.raft(1n, { role: "leader", vote: 1n, commit: 2, entries: entriesOf(1, 3, 1) });
  scribe.raft(2n, { term: 2, role: "leader", commit: 2, entries: entriesOf(2, 3, 1) });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([]);
  scribe.raft(1n, { role: "leader", vote: 1n, commit: 3 });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([
    "member 2 leads term 2 without entry 3 of term 1, which member 1 committed in term 1",
  ]);
});

test("a commit in an early term counts from then on, though a later term heard of it first", () => {
  const scribe = group();
  scribe.raft(1n, { role: "leader", vote: 1n, commit: 2, entries: entriesOf(1, 3, 1) });
  scribe.raft(2n, { term: 2, role: "leader", commit: 2, entries: entriesOf(2, 3, 1) });
  scribe.raft(3n, { term: 3, entries: entriesOf(1, 2, 2), commit: 3 });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([]);
  scribe.raft(1n, { role: "leader", vote: 1n, commit: 3 });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([
    "member 2 leads term 2 without entry 3 of term 1, which member 3 committed in term 1",
  ]);
});

test("different entries committed at one index are found", () => {
  const scribe = group();
  scribe.raft(3n, { term: 2, entries: entriesOf(2, 2, 1), commit: 2 });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([
    "member 3 committed entry 2 of term 2, member 1 one of term 1",
  ]);
});

test("a commit index that falls or passes the log is found", () => {
  const scribe = group();
  scribe.raft(2n, { vote: 1n, commit: 1 });
  scribe.raft(3n, { commit: 5 });
  expect(checkLeaderCompleteness(scribe.observations).violations).toEqual([
    "member 2 in term 1: its commit index went back from 2 to 1",
    "member 3 in term 1: its commit index 5 is past the end of its log, 1",
  ]);
});
