import { expect, test } from "bun:test";
import type { Operation, Response } from "../observations.ts";
import { checkRevisions } from "./revisions.ts";
import { del, get, grant, put, putEvent, Scribe } from "./scribe.ts";

function tamper(operation: Operation, change: object): void {
  if (operation.outcome.kind !== "answered") throw new Error("only answers can be tampered with");
  operation.outcome = { ...operation.outcome, response: { ...operation.outcome.response, ...change } as Response };
}

function violations(scribe: Scribe): string[] {
  return checkRevisions(scribe.end()).violations;
}

test("answers that fit the history are right, and what was unknown is resolved", () => {
  const scribe = new Scribe();
  scribe.do(1, grant(5n, 1000));
  scribe.do(1, put("a", "v1", 5n));
  const lost = scribe.begin(2, put("b", "v2"));
  scribe.execute(lost);
  const never = scribe.begin(2, put("b", "v3"));
  scribe.do(1, get("a", "z"));
  scribe.expire(5n);
  scribe.do(1, del("a"));
  scribe.do(1, { ...get("a"), revision: 2 });
  const { violations, judged, resolved } = checkRevisions(scribe.end());
  expect(violations).toEqual([]);
  expect(resolved.get(lost)).toBe(3);
  expect(resolved.has(never)).toBe(false);
  expect(judged).toEqual({ answers: 5, writes: 1, "old reads": 1, "outcomes resolved": 1, "lease ends": 1 });
});

test("a read behind what a client had seen is found", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("b", "v2"));
  // Nothing of it is wrong but its place: key a is the same at both revisions.
  tamper(scribe.do(2, get("a")), { revision: 2 });
  expect(violations(scribe)).toEqual([
    "client 2, 7..8: range a -> 1 found [a=v1@2], revision 2: a client had seen revision 3 before the call",
  ]);
});

test("a watcher's event counts as seen", () => {
  const scribe = new Scribe();
  const slow = scribe.begin(1, put("a", "v1"));
  scribe.execute(slow);
  scribe.watch("a", "", 2);
  tamper(scribe.do(2, get("b")), { revision: 1 });
  scribe.answer(slow);
  expect(violations(scribe)[0]).toContain("a client had seen revision 2");
});

test("a serializable read may be old, but not wrong", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("a", "v2"));
  const old = scribe.do(2, { ...get("a"), isSerializable: true });
  tamper(old, { revision: 1, kvs: [], count: 0 });
  expect(violations(scribe)).toEqual([]);
  tamper(old, { revision: 2, kvs: [], count: 0 });
  expect(violations(scribe)[0]).toContain("not what is right at revision 2");
});

test("a read of an old revision must be what it was then", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("a", "v2"));
  const old = scribe.do(2, { ...get("a"), revision: 2 });
  expect(violations(scribe)).toEqual([]);
  tamper(old, { kvs: [putEvent("a", "v2", 3).kv] });
  expect(violations(scribe)[0]).toContain("not what is right at revision 2");
  tamper(old, { revision: 1 });
  expect(violations(scribe)[0]).toContain("read at revision 2, which the member did not have");
});

test("two writes cannot have made one revision", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, del("a"));
  tamper(scribe.do(2, del("a")), { deleted: 1 });
  expect(violations(scribe)[0]).toContain("the revision was made by another: client 1, 4..6: delete a");
});

test("a lease revoked while its only key is deleted has made nothing, whoever is judged first", () => {
  for (const [first, second] of [[1, 2], [2, 1]] as const) {
    const scribe = new Scribe();
    scribe.do(3, grant(5n, 1000));
    scribe.do(3, put("a", "v1", 5n));
    const operations = [scribe.begin(first, first === 1 ? del("a") : { kind: "leaseRevoke", id: 5n })];
    operations.push(scribe.begin(second, second === 1 ? del("a") : { kind: "leaseRevoke", id: 5n }));
    operations.sort((one, other) => one.client - other.client);
    for (const operation of operations) scribe.execute(operation);
    for (const operation of operations) scribe.answer(operation);
    expect(violations(scribe)).toEqual([]);
  }
});

test("an acknowledged write that is not in the history is found", () => {
  const scribe = new Scribe();
  const lost = scribe.do(1, put("a", "v1"));
  scribe.observations.applied.pop();
  scribe.make([]);
  expect(violations(scribe)[0]).toContain("put a=v1 -> revision 2: there is no such revision");
  tamper(lost, { revision: 1 });
  expect(violations(scribe)[0]).toContain("not what is right at that revision");
});

test("an answer before the write is durable anywhere is found", () => {
  const scribe = new Scribe();
  const early = scribe.begin(1, put("a", "v1"));
  const returned = scribe.moment();
  scribe.execute(early);
  early.outcome = {
    kind: "answered",
    returned,
    returnedMs: 0,
    response: { kind: "put", revision: 2, previous: undefined },
  };
  expect(violations(scribe)[0]).toContain("the revision was made after the response");
});

test("a write that took effect before it was asked for is found", () => {
  const scribe = new Scribe();
  scribe.make([putEvent("a", "v1", 2)]);
  const late = scribe.begin(1, put("a", "v1"));
  const returned = scribe.moment();
  late.outcome = {
    kind: "answered",
    returned,
    returnedMs: 0,
    response: { kind: "put", revision: 2, previous: undefined },
  };
  expect(violations(scribe)[0]).toContain("the revision was made before the call");
});

test("a revision that nobody asked for is found", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.make([putEvent("b", "v9", 3)]);
  expect(violations(scribe)).toEqual(["revision 3 [put b=v9@3] was made by no operation"]);
});

test("an operation of unknown outcome happens once at most", () => {
  const scribe = new Scribe();
  const lost = scribe.begin(1, put("a", "v1"));
  scribe.execute(lost);
  scribe.execute(lost);
  expect(violations(scribe)[0]).toMatch(/^revision [23] \[put a=v1@[23]\] was made by no operation; candidates/);
});

test("unknown operations that could have made several revisions are shared out among them", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  const wide = scribe.begin(2, del("a", "c"));
  const narrow = scribe.begin(3, del("a"));
  scribe.execute(wide);
  scribe.do(1, put("a", "v2"));
  scribe.do(1, put("b", "v3"));
  scribe.execute(narrow);
  const { violations, resolved } = checkRevisions(scribe.end());
  expect(violations).toEqual([]);
  expect([resolved.get(wide), resolved.get(narrow)]).toEqual([3, 6]);
});

test("wrong previous records, counts and versions are found", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  const second = scribe.do(1, { ...put("a", "v2"), wantsPrevious: true });
  const read = scribe.do(1, get("a"));
  expect(violations(scribe)).toEqual([]);
  tamper(second, { previous: undefined });
  expect(violations(scribe)).toHaveLength(2);
  tamper(second, { previous: putEvent("a", "v1", 2).kv });
  tamper(read, { kvs: [{ ...putEvent("a", "v2", 3).kv, createRevision: 2, version: 3 }] });
  expect(violations(scribe)).toHaveLength(1);
});

test("a member's keep-alive says nothing of the store", () => {
  const scribe = new Scribe();
  scribe.do(1, grant(5n, 1000));
  scribe.do(1, put("a", "v1"));
  tamper(scribe.do(1, { kind: "leaseKeepAlive", id: 5n }), { revision: 1 });
  expect(violations(scribe)).toEqual([]);
  tamper(scribe.do(1, { kind: "compact", revision: 2 }), { revision: 1 });
  expect(violations(scribe)).toHaveLength(1);
});
