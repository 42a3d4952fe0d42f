import { expect, test } from "bun:test";
import { put, Scribe } from "./scribe.ts";
import { checkStateHashes } from "./state_hash.ts";

test("equal hashes at equal positions are right, and positions of one member alone prove nothing", () => {
  const scribe = new Scribe();
  const hashes = scribe.observations.hashes;
  hashes.push({ moment: 1, member: 1n, applied: 5, kind: "state", hash: 77 });
  hashes.push({ moment: 2, member: 2n, applied: 5, kind: "state", hash: 77 });
  hashes.push({ moment: 3, member: 2n, applied: 6, kind: "state", hash: 78 });
  hashes.push({ moment: 4, member: 2n, applied: 6, kind: "keys", hash: 79 });
  expect(checkStateHashes(scribe.end())).toEqual({
    violations: [],
    judged: { hashes: 4, "hashes of two members": 1, "members in the end": 1 },
  });
});

test("different hashes at one position are found, of one member too", () => {
  const scribe = new Scribe();
  const hashes = scribe.observations.hashes;
  hashes.push({ moment: 1, member: 1n, applied: 5, kind: "state", hash: 77 });
  hashes.push({ moment: 2, member: 2n, applied: 5, kind: "state", hash: 78 });
  hashes.push({ moment: 3, member: 1n, applied: 5, kind: "state", hash: 79 });
  expect(checkStateHashes(scribe.end()).violations).toEqual([
    "after entry 5 the state hash of member 2 is 78, that of member 1 77",
    "after entry 5 the state hash of member 1 is 79, that of member 1 77",
  ]);
});

test("a member that is behind in the end is found", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  const observations = scribe.end([1n, 2n]);
  expect(checkStateHashes(observations).violations).toEqual([]);
  observations.end.members[1].revision = 1;
  expect(checkStateHashes(observations).violations).toEqual(["member 2 ended at revision 1, the cluster at 2"]);
});
