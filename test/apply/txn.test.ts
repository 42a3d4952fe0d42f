import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import type { CompareSchema, RequestOpSchema, ResponseOp } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { COMPARED_CASES, COMPARED_STATE, type ComparedCase } from "./compares.ts";
import { World } from "./world.ts";

type Operation = MessageInitShape<typeof RequestOpSchema>;
type Comparison = MessageInitShape<typeof CompareSchema>;

function put(key: string, value: string, lease = 0n): Operation {
  return { request: { case: "requestPut", value: { key: utf8(key), value: utf8(value), lease } } };
}

function get(key: string, rangeEnd = "", revision = 0n): Operation {
  return { request: { case: "requestRange", value: { key: utf8(key), rangeEnd: utf8(rangeEnd), revision } } };
}

function remove(key: string, rangeEnd = "", prevKv = false): Operation {
  return { request: { case: "requestDeleteRange", value: { key: utf8(key), rangeEnd: utf8(rangeEnd), prevKv } } };
}

function txn(compare: Comparison[], success: Operation[], failure: Operation[] = []): Operation {
  return { request: { case: "requestTxn", value: { compare, success, failure } } };
}

function exists(key: string): Comparison {
  return { key: utf8(key), target: 0, result: 1, targetUnion: { case: "version", value: 0n } };
}

/** A response in a line: what it is, its header's revision, and what it found or did. */
function line(operation: ResponseOp): string {
  const { response } = operation;
  switch (response.case) {
    case "responseRange": {
      const { header, kvs, count } = response.value;
      return `range@${header?.revision} ${
        kvs.map((kv) => `${utf8Text(kv.key)}=${utf8Text(kv.value)}`).join(",")
      } of ${count}`;
    }
    case "responsePut":
      return `put@${response.value.header?.revision}`;
    case "responseDeleteRange": {
      const { header, deleted, prevKvs } = response.value;
      return `delete@${header?.revision} ${deleted}${
        prevKvs.map((kv) => ` ${utf8Text(kv.key)}=${utf8Text(kv.value)}`).join("")
      }`;
    }
    case "responseTxn": {
      const { header, succeeded, responses } = response.value;
      return `txn@${header?.revision} ${succeeded} [${responses.map(line).join("; ")}]`;
    }
    case undefined:
      return "nothing";
  }
}

describe("a comparison holds as in etcd", () => {
  const world = new World();
  world.grant(7n);
  for (const state of COMPARED_STATE) world.put(state.key, state.value, "lease" in state ? state.lease : 0n);

  function comparison({ key, rangeEnd, target, union }: ComparedCase, result: number): Comparison {
    const targetUnion = union.case === "value" ? { case: union.case, value: utf8(union.value) } : union;
    return { key: utf8(key), rangeEnd: utf8(rangeEnd), target, result, targetUnion };
  }

  test.each(COMPARED_CASES.map((compared) => [compared.text, compared] as const))("with %s", (_text, compared) => {
    const holds = [0, 1, 2, 3].map((result) =>
      world.txn({ compare: [comparison(compared, result)] }).response.succeeded
    );
    expect(holds).toEqual([...compared.holds]);
  });

  test("only if all of them do", () => {
    expect(world.txn({ compare: [exists("a"), exists("b")] }).response.succeeded).toBe(true);
    expect(world.txn({ compare: [exists("a"), exists("nowhere"), exists("b")] }).response.succeeded).toBe(false);
    expect(world.txn({}).response.succeeded).toBe(true);
  });
});

test("every write of a transaction has its one revision, and reads see the writes before them", () => {
  const world = new World();
  world.put("a", "old");
  const { revision, response } = world.txn({
    success: [get("a", "z"), put("a", "new"), get("a", "z"), put("b", "1"), remove("a", "", true), get("a", "z")],
  });
  expect(revision).toBe(3);
  expect(response.responses.map(line)).toEqual([
    "range@2 a=old of 1",
    "put@3",
    "range@3 a=new of 1",
    "put@3",
    "delete@3 1 a=new",
    "range@3 b=1 of 1",
  ]);
  expect(world.content).toBe("b=1");
});

test("a transaction that changes nothing takes no revision", () => {
  const world = new World();
  world.put("a", "1");
  const { revision, response } = world.txn({ success: [remove("nowhere"), get("a")] });
  expect(revision).toBe(2);
  expect(response.responses.map(line)).toEqual(["delete@2 0", "range@2 a=1 of 1"]);
});

test("a range inside may ask for an older revision", () => {
  const world = new World();
  world.put("a", "1");
  world.put("a", "2");
  const { response } = world.txn({ success: [put("a", "3"), get("a", "", 2n)] });
  expect(response.responses.map(line)).toEqual(["put@4", "range@4 a=1 of 1"]);
});

test("all branches of the tree are chosen before anything is written", () => {
  const world = new World();
  const { response } = world.txn({
    success: [
      put("a", "1"),
      txn([exists("a")], [put("seen", "")], [put("unseen", ""), txn([exists("a")], [], [get("a")])]),
    ],
  });
  // The innermost comparison, too, was made before "a" was there; its range comes after.
  expect(response.responses.map(line)).toEqual(["put@2", "txn@0 false [put@2; txn@0 false [range@2 a=1 of 1]]"]);
  expect(world.content).toBe("a=1 unseen=");
});

test("the other branch is neither checked nor executed", () => {
  const world = new World();
  const { error, response } = world.txn({
    compare: [exists("nowhere")],
    success: [put("a", "1", 99n), get("a", "", 1000n)],
    failure: [put("b", "2")],
  });
  expect(error).toBeUndefined();
  expect(response.succeeded).toBe(false);
  expect(world.content).toBe("b=2");
});

const FAILING: [text: string, operations: Operation[], error: string][] = [
  ["a lease that does not exist", [put("a", "1"), put("b", "2", 99n)], "lease_not_found"],
  ["the same in a nested transaction", [put("a", "1"), txn([], [txn([], [put("b", "2", 99n)])])], "lease_not_found"],
  ["a future revision", [put("a", "1"), get("a", "", 100n)], "future_revision"],
  ["a compacted revision", [put("a", "1"), get("a", "", 2n)], "compacted"],
  ["the value kept of a key that is not there", [
    put("a", "1"),
    { request: { case: "requestPut", value: { key: utf8("nowhere"), ignoreValue: true } } },
  ], "key_not_found"],
  ["the lease kept of a key that is not there", [
    put("a", "1"),
    { request: { case: "requestPut", value: { key: utf8("nowhere"), value: utf8("v"), ignoreLease: true } } },
  ], "key_not_found"],
];

describe("a transaction fails as a whole and leaves nothing behind", () => {
  test.each(FAILING)("for %s", (_text, success, expected) => {
    const world = new World();
    for (const value of ["1", "2", "3"]) world.put("old", value);
    world.compact(3n);
    const { error } = world.txn({ success });
    expect(error as string).toBe(expected);
    expect(world.content).toBe("old=3");
    expect(world.keyspace.store.revision).toBe(4);
  });
});

test("the revision that was compacted last can still be read", () => {
  const world = new World();
  for (const value of ["1", "2", "3"]) world.put("a", value);
  world.compact(3n);
  expect(world.txn({ success: [get("a", "", 3n)] }).response.responses.map(line)).toEqual(["range@4 a=2 of 1"]);
});

test("a deletion from a key on and a put under it take effect in their order", () => {
  // etcd's check of duplicates overlooks this pair.
  const world = new World();
  world.put("b", "old");
  world.txn({ success: [remove("a", "\0"), put("c", "new")] });
  expect(world.content).toBe("c=new");
  world.txn({ success: [put("d", "newer"), remove("a", "\0")] });
  expect(world.content).toBe("");
});

test("two deletions of the same key count it once", () => {
  const world = new World();
  world.put("a", "1");
  expect(world.txn({ success: [remove("a"), remove("a", "z"), get("a")] }).response.responses.map(line)).toEqual([
    "delete@3 1",
    "delete@3 0",
    "range@3  of 0",
  ]);
});

test("leases are attached and detached with the keys", () => {
  const world = new World();
  world.grant(5n);
  world.grant(6n);
  world.put("moved", "", 5n);
  world.put("dropped", "", 5n);
  world.put("deleted", "", 5n);
  world.txn({ success: [put("moved", "", 6n), put("dropped", ""), remove("deleted"), put("added", "", 5n)] });
  const { lessor } = world.keyspace;
  expect(["moved", "dropped", "deleted", "added"].map((key) => lessor.leaseOf(utf8(key)))).toEqual([6n, 0n, 0n, 5n]);
  expect(lessor.attachedCount).toBe(2);
  world.revoke(5n);
  expect(world.content).toBe("dropped= moved=");
});

test("the state is the same whether or not somebody waits for the response", () => {
  const hashes = [true, false].map((isWaitedFor) => {
    const world = new World();
    world.isWaitedFor = isWaitedFor;
    world.grant(5n);
    for (let i = 0; i < 20; i++) world.put(`key${i}`, "x".repeat(i), i % 3 === 0 ? 5n : 0n);
    const { response } = world.txn({
      compare: [exists("key1")],
      success: [
        get("key", "kez"),
        remove("key1", "key3", true),
        put("key9", "y"),
        txn([exists("key1")], [put("z", "")]),
      ],
    });
    expect(response.responses.length).toBe(isWaitedFor ? 4 : 0);
    world.deleteRange({ key: utf8("key5"), rangeEnd: utf8("key7"), prevKv: true });
    world.revoke(5n);
    const job = world.keyspace.store.hashKv(0);
    if (typeof job === "string") throw new Error(job);
    while (job.step(1000) !== "done");
    return job.result.hash;
  });
  expect(hashes[0]).toBe(hashes[1]);
});

test("a transaction over many keys is applied in steps", () => {
  const world = new World();
  for (let i = 0; i < 10_000; i++) world.put(`key${i}`, "");
  const compare = [{ key: utf8("key"), rangeEnd: utf8("kez"), target: 0, result: 0, targetUnion: VERSION_1 }];
  const { response, stepCount } = world.txn({ compare, success: [remove("key", "kez", true), put("a", "")] });
  expect(response.succeeded).toBe(true);
  expect(stepCount).toBeGreaterThan(5);
  expect(world.content).toBe("a=");
});

const VERSION_1 = { case: "version", value: 1n } as const;
