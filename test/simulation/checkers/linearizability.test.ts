import { expect, test } from "bun:test";
import type { KeyValue, Observations, Operation, RangeResponse, Response } from "../observations.ts";
import { checkLinearizability, checkLinearizabilityOfAnswers } from "./linearizability.ts";
import { checkRevisions } from "./revisions.ts";
import { del, get, grant, put, Scribe } from "./scribe.ts";

function violations(observations: Observations): string[] {
  const resolved = checkRevisions(observations).resolved;
  const withHistory = checkLinearizability(observations, resolved).violations;
  const ofAnswers = checkLinearizabilityOfAnswers(observations).violations;
  expect(ofAnswers.length > 0).toBe(withHistory.length > 0);
  return ofAnswers;
}

function tamper(operation: Operation, change: Partial<RangeResponse>): void {
  if (operation.outcome.kind !== "answered") throw new Error("only answers can be tampered with");
  operation.outcome = {
    ...operation.outcome,
    response: { ...operation.outcome.response, ...change } as Response,
  };
}

test("reads that see the last write are in order", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(2, get("a"));
  scribe.do(1, del("a"));
  scribe.do(2, get("a", "b"));
  expect(violations(scribe.end())).toEqual([]);
});

test("a read that misses an acknowledged write is found, and named", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  const stale = scribe.do(2, get("a"));
  tamper(stale, { revision: 1, kvs: [], count: 0 });
  expect(violations(scribe.end())[0]).toContain("client 2, 4..5: range a -> 0 found [], revision 1");
});

test("a read of a value that nobody wrote there is found", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("b", "v2"));
  const wrong = scribe.do(2, get("a"));
  const kv: KeyValue = { key: "a", value: "v2", createRevision: 2, modRevision: 2, version: 1, lease: 0n };
  tamper(wrong, { kvs: [kv] });
  expect(violations(scribe.end())).toHaveLength(1);
});

test("two writes cannot have made one revision", () => {
  const scribe = new Scribe();
  const first = scribe.begin(1, put("a", "v1"));
  const second = scribe.begin(2, put("b", "v2"));
  scribe.execute(first);
  scribe.execute(second);
  scribe.answer(first);
  scribe.answer(second);
  scribe.do(3, { ...get("a", "c"), isCountOnly: true });
  expect(violations(scribe.end())).toEqual([]);
  tamper(second, { revision: 2 });
  expect(violations(scribe.observations)).toHaveLength(1);
});

test("a write that is answered late may be seen before its answer", () => {
  const scribe = new Scribe();
  const slow = scribe.begin(1, put("a", "v1"));
  scribe.do(2, get("a"));
  scribe.execute(slow);
  scribe.do(2, get("a"));
  scribe.answer(slow);
  expect(violations(scribe.end())).toEqual([]);
});

test("a write without an answer may have happened later, or never, but not sometimes", () => {
  const scribe = new Scribe();
  const lost = scribe.begin(1, put("a", "v1"));
  scribe.begin(1, put("a", "v2"));
  scribe.do(2, get("a"));
  scribe.execute(lost);
  scribe.do(2, get("a"));
  expect(violations(scribe.end())).toEqual([]);
  const gone = scribe.do(2, get("a"));
  tamper(gone, { kvs: [], count: 0 });
  expect(violations(scribe.observations)).toHaveLength(1);
});

test("a deletion without an answer explains what is missing after it", () => {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("b", "v2"));
  const lost = scribe.begin(3, del("a", "c"));
  scribe.do(2, get("a", "c"));
  scribe.execute(lost);
  scribe.do(2, get("b"));
  expect(violations(scribe.end())).toEqual([]);
  // It took both keys or none.
  const half = scribe.do(2, get("a"));
  const kv: KeyValue = { key: "a", value: "v1", createRevision: 2, modRevision: 2, version: 1, lease: 0n };
  tamper(half, { kvs: [kv], count: 1 });
  expect(violations(scribe.observations)).toHaveLength(1);
});

test("transactions see all of their keys at one moment", () => {
  const scribe = new Scribe();
  const compares = [{ key: "a", target: "version", relation: "=", operand: 0 }] as const;
  scribe.do(1, { kind: "txn", compares, success: [put("a", "v1"), put("b", "v2")], failure: [get("a")] });
  const second = scribe.do(2, { kind: "txn", compares, success: [put("a", "v3")], failure: [get("a"), get("b")] });
  expect(violations(scribe.end())).toEqual([]);
  if (second.outcome.kind !== "answered" || second.outcome.response.kind !== "txn") throw new Error("no txn");
  const [first] = second.outcome.response.responses;
  const torn = { ...first, kvs: [], count: 0 } as RangeResponse;
  second.outcome = { ...second.outcome, response: { ...second.outcome.response, responses: [first, torn] } };
  expect(violations(scribe.observations)).toHaveLength(1);
});

test("a compare of a revision that is not known may have had either result", () => {
  const scribe = new Scribe();
  const lost = scribe.begin(1, put("a", "v1"));
  scribe.execute(lost);
  const compares = [{ key: "a", target: "modRevision", relation: "=", operand: 2 }] as const;
  const txn = scribe.begin(2, { kind: "txn", compares, success: [del("a")], failure: [] });
  scribe.execute(txn);
  scribe.do(2, get("a"));
  expect(violations(scribe.end())).toEqual([]);
});

test("keys go with their lease", () => {
  const scribe = new Scribe();
  scribe.do(1, grant(7n, 1000));
  scribe.do(1, grant(8n, 1000));
  scribe.do(1, put("a", "v1", 7n));
  scribe.do(1, put("b", "v2", 8n));
  scribe.do(1, { kind: "leaseRevoke", id: 7n });
  scribe.do(2, get("a"));
  scribe.expire(8n);
  scribe.do(2, get("b"));
  expect(violations(scribe.end())).toEqual([]);
  const survivor = scribe.do(2, get("a"));
  const kv: KeyValue = { key: "a", value: "v1", createRevision: 2, modRevision: 2, version: 1, lease: 7n };
  tamper(survivor, { kvs: [kv], count: 1 });
  expect(violations(scribe.observations)).toHaveLength(1);
});

test("keys that nothing connects are judged apart", () => {
  const scribe = new Scribe();
  for (const key of ["a", "b", "c", "d"]) scribe.do(1, put(key, `v${key}`));
  scribe.do(1, get("a", "c"));
  const { judged } = checkLinearizabilityOfAnswers(scribe.end());
  expect(judged).toEqual({ operations: 5, "groups of keys": 3, steps: 5 });
});

test("what was refused had no effect", () => {
  const scribe = new Scribe();
  const refused = scribe.begin(1, put("a", "v1"));
  refused.outcome = { kind: "refused", returned: scribe.moment(), returnedMs: 0, error: "lease not found" };
  scribe.do(2, get("a"));
  expect(violations(scribe.end())).toEqual([]);
});

test("giving up is a violation", () => {
  const scribe = new Scribe();
  for (let client = 0; client < 20; client++) scribe.begin(client, del("a", "z"));
  for (let at = 0; at < 20; at++) scribe.do(30, put(`k${at}`, `v${at}`));
  const last = scribe.do(30, get("k0"));
  tamper(last, { count: 2 });
  expect(checkLinearizabilityOfAnswers(scribe.end(), 500).violations[0]).toMatch(
    /^gave up the search .* after 50\d steps/,
  );
});
