import { expect, test } from "bun:test";
import { checkHistory } from "./history.ts";
import { del, put, putEvent, Scribe } from "./scribe.ts";

function written(): Scribe {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("b", "v2"));
  scribe.do(1, del("a"));
  return scribe;
}

function violations(scribe: Scribe): string[] {
  return checkHistory(scribe.end()).violations;
}

test("members that execute the same revisions in order agree", () => {
  const scribe = written();
  scribe.follow(2n);
  expect(checkHistory(scribe.end())).toEqual({ violations: [], judged: { "revisions executed": 6 } });
});

test("a member that executes something else is found", () => {
  const scribe = written();
  scribe.observations.applied.push({
    moment: scribe.moment(),
    member: 2n,
    revision: 2,
    events: [putEvent("a", "v9", 2)],
    isAfterSnapshot: false,
  });
  expect(violations(scribe)).toEqual(["member 2 executed revision 2 as [put a=v9@2], others as [put a=v1@2]"]);
});

test("a revision executed twice is found, unless the process was a new one", () => {
  const scribe = written();
  const [first] = scribe.observations.applied;
  scribe.raft(1n, { isStart: true });
  scribe.observations.applied.push({ ...first, moment: scribe.moment() });
  expect(violations(scribe)).toEqual([]);
  scribe.observations.applied.push({ ...first, moment: scribe.moment() });
  expect(violations(scribe)).toEqual(["member 1 executed revision 2 after revision 2"]);
});

test("a revision left out is found, unless a snapshot made up for it", () => {
  const left = written();
  left.follow(2n);
  left.observations.applied.splice(4, 1);
  expect(violations(left)).toEqual(["member 2 executed revision 4 after revision 2"]);
  const { applied } = left.observations;
  applied[4] = { ...applied[4], isAfterSnapshot: true };
  expect(violations(left)).toEqual([]);
});

test("a revision behind a gap that nobody reported is found", () => {
  const scribe = written();
  scribe.observations.applied.splice(1, 1);
  expect(violations(scribe)).toContain("member 1 executed revision 4, but nobody reported the ones before it");
});
