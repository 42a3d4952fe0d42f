import { expect, test } from "bun:test";
import fc from "fast-check";
import { Inflights, Progress, ProgressState, progressText } from "../../../src/raft/tracker/mod.ts";

function newProgress(next: number, inflightsMax = 3): Progress {
  return new Progress(1n, next, false, new Inflights(inflightsMax, 0));
}

test("the next index stays ahead of the match, and nothing sent is forgotten while replicating", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("probe", "replicate" as const) }),
    fc.record({ kind: fc.constantFrom("snapshot", "send", "update", "commit" as const), index: fc.nat(30) }),
    fc.record({ kind: fc.constant("reject" as const), rejected: fc.nat(30), hint: fc.nat(30) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const progress = newProgress(1);
    for (const step of steps) {
      const { match, next } = progress;
      switch (step.kind) {
        case "probe":
          progress.becomeProbe();
          expect(progress.next).toBeGreaterThan(match);
          break;
        case "replicate":
          progress.becomeReplicate();
          expect(progress.next).toBe(match + 1);
          break;
        case "snapshot":
          progress.becomeSnapshot(Math.max(match, step.index));
          expect(progress.isPaused).toBe(true);
          break;
        case "send": {
          if (progress.isPaused || progress.inflights.isFull) break;
          const count = step.index % 3;
          progress.recordSentEntries(count, count * 10);
          expect(progress.next).toBe(progress.state === ProgressState.REPLICATE ? next + count : next);
          break;
        }
        case "commit":
          progress.recordSentCommit(step.index);
          expect(progress.canBumpCommit(step.index)).toBe(false);
          break;
        case "update":
          expect(progress.maybeUpdate(step.index)).toBe(step.index > match);
          expect(progress.match).toBe(Math.max(match, step.index));
          break;
        case "reject": {
          const isNews = progress.maybeDecreaseTo(step.rejected, step.hint);
          if (isNews) {
            expect(progress.next).toBeLessThanOrEqual(Math.max(next, match + 1));
            expect(progress.sentCommit).toBeLessThan(progress.next);
          } else expect(progress.next).toBe(next);
          break;
        }
      }
      expect(progress.next).toBeGreaterThan(progress.match);
    }
  }));
});

test("a probe sends one append with entries, then waits", () => {
  const progress = newProgress(5);
  progress.recordSentEntries(0, 0);
  expect(progress.isPaused).toBe(false);
  progress.recordSentEntries(2, 20);
  expect(progress.isPaused).toBe(true);
  expect(progress.next).toBe(5);
  progress.maybeUpdate(4);
  expect(progress.isPaused).toBe(false);
});

test("a stream of appends pauses when its inflights are full", () => {
  const progress = newProgress(1, 2);
  progress.becomeReplicate();
  progress.recordSentEntries(3, 30);
  expect(progress.isPaused).toBe(false);
  progress.recordSentEntries(1, 10);
  expect(progressText(progress)).toBe("StateReplicate match=0 next=5 paused inactive inflight=2[full]");
});

test("a rejection of what was acknowledged since is old", () => {
  const progress = newProgress(1);
  progress.maybeUpdate(7);
  progress.becomeReplicate();
  progress.recordSentEntries(3, 30);
  expect(progress.maybeDecreaseTo(7, 2)).toBe(false);
  expect(progress.maybeDecreaseTo(9, 2)).toBe(true);
  expect(progress.next).toBe(8);
});

test("a probe goes back to the hint, but not below what matches", () => {
  const progress = newProgress(10);
  expect(progress.maybeDecreaseTo(8, 3)).toBe(false);
  expect(progress.maybeDecreaseTo(9, 3)).toBe(true);
  expect(progress.next).toBe(4);
  progress.maybeUpdate(5);
  progress.becomeProbe();
  expect(progress.maybeDecreaseTo(5, 0)).toBe(true);
  expect(progress.next).toBe(6);
});

test("after a snapshot the probe begins behind it, if it arrived", () => {
  const arrived = newProgress(1);
  arrived.becomeSnapshot(20);
  expect(progressText(arrived)).toBe("StateSnapshot match=0 next=21 paused pendingSnap=20 inactive");
  arrived.becomeProbe();
  expect([arrived.next, arrived.sentCommit]).toEqual([21, 20]);

  const lost = newProgress(1);
  lost.becomeSnapshot(20);
  lost.pendingSnapshot = 0;
  lost.becomeProbe();
  expect([lost.next, lost.sentCommit]).toEqual([1, 0]);
});

test("a commit index is worth sending while the member could use it and was not told", () => {
  const progress = newProgress(6);
  progress.recordSentCommit(3);
  expect([3, 4, 9].map((commit) => progress.canBumpCommit(commit))).toEqual([false, true, true]);
  progress.recordSentCommit(5);
  expect(progress.canBumpCommit(9)).toBe(false);
});

test("no append is sent while a snapshot is pending", () => {
  const progress = newProgress(1);
  progress.becomeSnapshot(4);
  expect(() => progress.recordSentEntries(1, 1)).toThrow("snapshot is pending");
});
