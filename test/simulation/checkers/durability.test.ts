import { expect, test } from "bun:test";
import { checkDurability } from "./durability.ts";
import { put, Scribe } from "./scribe.ts";

function startedAt(revision: number, isAlone = true): Scribe {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  const unheard = scribe.begin(2, put("b", "v2"));
  scribe.execute(unheard);
  scribe.observations.starts.push({ moment: scribe.moment(), member: 1n, isAlone, revision });
  scribe.do(1, put("c", "v3"));
  return scribe;
}

test("a member that comes up with what it acknowledged has lost nothing, with or without the rest", () => {
  expect(checkDurability(startedAt(2).end())).toEqual({
    violations: [],
    judged: { starts: 1, "acknowledged writes before a start": 1 },
  });
  expect(checkDurability(startedAt(3).end()).violations).toEqual([]);
});

test("a member alone that comes up with less is found", () => {
  expect(checkDurability(startedAt(1).end()).violations).toEqual([
    "member 1 came up at revision 1, but had told client 1 of revision 2",
  ]);
});

test("a member of a cluster may come up behind the others", () => {
  expect(checkDurability(startedAt(1, false).end()).violations).toEqual([]);
});
