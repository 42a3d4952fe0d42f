import { expect, test } from "bun:test";
import { VoteResult } from "../../../src/raft/quorum/mod.ts";
import { configurationText, ProgressTracker, trackerText } from "../../../src/raft/tracker/mod.ts";
import { changeSimple, enterJoint, leaveJoint, restoreConfiguration } from "../../../src/raft/conf_change/mod.ts";
import type { ChangeResult } from "../../../src/raft/conf_change/mod.ts";
import { EMPTY_CONF_STATE } from "../../../src/raft/types.ts";
import { parseConfChanges } from "../conf_change/notation.ts";

function install(tracker: ProgressTracker, change: ChangeResult, lastIndex = 10): void {
  if (change.error !== undefined) throw new Error(change.error);
  tracker.install(change, lastIndex);
}

function trackerOf(voters: bigint[], learners: bigint[] = []): ProgressTracker {
  const tracker = new ProgressTracker({ inflightsMax: 4, inflightBytesMax: 0 });
  install(tracker, restoreConfiguration({ ...EMPTY_CONF_STATE, voters, learners }));
  return tracker;
}

test("members sit in slots ascending by id, whatever their role and size", () => {
  const tracker = trackerOf([0xffff_ffff_ffff_fff0n, 3n], [7n]);
  expect(tracker.members.map(({ id }) => id)).toEqual([3n, 7n, 0xffff_ffff_ffff_fff0n]);
  expect(tracker.slotOf(7n)).toBe(1);
  expect(tracker.slotOf(8n)).toBe(-1);
  expect(tracker.progressOf(8n)).toBeUndefined();
  expect([tracker.isVoter(3n), tracker.isVoter(7n)]).toEqual([true, false]);
});

test("the index of a majority of the voters is committed, learners do not count", () => {
  const tracker = trackerOf([1n, 2n, 3n], [4n, 5n]);
  for (const [id, match] of [[1n, 8], [2n, 5], [4n, 9], [5n, 9]] as const) tracker.progressOf(id)!.maybeUpdate(match);
  expect(tracker.committedIndex()).toBe(5);
  expect(trackerOf([]).committedIndex()).toBe(Infinity);
});

test("reads are confirmed by a majority as entries are", () => {
  const tracker = trackerOf([1n, 2n, 3n]);
  tracker.progressOf(1n)!.acknowledgedRead = 4;
  expect(tracker.confirmedReads()).toBe(0);
  tracker.progressOf(3n)!.acknowledgedRead = 3;
  expect(tracker.confirmedReads()).toBe(3);
});

test("in a joint configuration both halves must have an index", () => {
  const tracker = trackerOf([1n, 2n, 3n]);
  install(tracker, enterJoint(tracker.configuration, false, parseConfChanges("r3 v4 v5")));
  expect(configurationText(tracker.configuration)).toBe("voters=(1 2 4 5)&&(1 2 3)");
  expect([tracker.isJoint, tracker.isSingleton]).toEqual([true, false]);
  for (const id of [1n, 4n, 5n]) tracker.progressOf(id)!.maybeUpdate(9);
  expect(tracker.committedIndex()).toBe(0);
  tracker.progressOf(3n)!.maybeUpdate(6);
  expect(tracker.committedIndex()).toBe(6);
});

test("members that stay keep their progress, those that come or come back begin anew", () => {
  const tracker = trackerOf([1n, 2n, 3n]);
  for (const { id } of tracker.members) tracker.progressOf(id)!.maybeUpdate(20);
  install(tracker, changeSimple(tracker.configuration, parseConfChanges("l3 r2 v2 l4")), 30);
  expect(trackerText(tracker)).toBe(
    [
      "1: StateProbe match=20 next=21",
      "2: StateProbe match=0 next=30",
      "3: StateProbe match=20 next=21 learner",
      "4: StateProbe match=0 next=30 learner",
      "",
    ].join("\n"),
  );
});

test("a staged learner goes on as a voter until the joint configuration is left", () => {
  const tracker = trackerOf([1n, 2n]);
  const second = tracker.progressOf(2n)!;
  install(tracker, enterJoint(tracker.configuration, true, parseConfChanges("l2 v3")));
  expect(configurationText(tracker.configuration)).toBe("voters=(1 3)&&(1 2) learners_next=(2) autoleave");
  expect(second.isLearner).toBe(false);
  install(tracker, leaveJoint(tracker.configuration));
  expect(tracker.progressOf(2n)).toBe(second);
  expect(second.isLearner).toBe(true);
  expect(configurationText(tracker.configuration)).toBe("voters=(1 3) learners=(2)");
});

test("the first vote of a member counts, those of learners and strangers do not", () => {
  const tracker = trackerOf([1n, 2n, 3n], [4n]);
  for (const [id, isGranted] of [[1n, true], [2n, false], [2n, true], [4n, true], [9n, true]] as const) {
    tracker.recordVote(id, isGranted);
  }
  expect(tracker.tallyVotes()).toEqual({ granted: 1, rejected: 1, result: VoteResult.PENDING });
  tracker.recordVote(3n, true);
  expect(tracker.tallyVotes()).toEqual({ granted: 2, rejected: 1, result: VoteResult.WON });
  tracker.resetVotes();
  expect(tracker.tallyVotes()).toEqual({ granted: 0, rejected: 0, result: VoteResult.PENDING });
});

test("a quorum is active while a majority of the voters was heard of", () => {
  const tracker = trackerOf([1n, 2n, 3n], [4n]);
  expect(tracker.isQuorumActive()).toBe(true);
  tracker.progressOf(1n)!.isRecentlyActive = false;
  expect(tracker.isQuorumActive()).toBe(true);
  tracker.progressOf(2n)!.isRecentlyActive = false;
  expect(tracker.isQuorumActive()).toBe(false);
});
