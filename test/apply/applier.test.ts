import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { EMPTY_BYTES, utf8, utf8Text } from "../../src/base/bytes.ts";
import { UnknownOperationError } from "../../src/apply/mod.ts";
import type { RequestOpSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { World } from "./world.ts";

type Operation = MessageInitShape<typeof RequestOpSchema>;

const PUT: Operation = { request: { case: "requestPut", value: { key: utf8("a") } } };
const DELETE: Operation = { request: { case: "requestDeleteRange", value: { key: utf8("a") } } };
const NESTED_PUT: Operation = { request: { case: "requestTxn", value: { success: [PUT] } } };

describe("put", () => {
  test("counts versions and keeps the create revision until the key is deleted", () => {
    const world = new World();
    world.put("a", "1");
    world.put("a", "2");
    const second = world.putWith({ key: utf8("a"), value: utf8("3"), prevKv: true });
    expect(second.response.prevKv).toMatchObject({ createRevision: 2n, modRevision: 3n, version: 2n });
    world.deleteRange({ key: utf8("a") });
    world.put("a", "4");
    const { prevKv } = world.putWith({ key: utf8("a"), prevKv: true }).response;
    expect(prevKv).toMatchObject({ createRevision: 6n, modRevision: 6n, version: 1n });
  });

  test("may keep the value or the lease, and then needs the key", () => {
    const world = new World();
    world.grant(5n);
    expect(world.putWith({ key: utf8("a"), ignoreValue: true }).error).toBe("key_not_found");
    expect(world.putWith({ key: utf8("a"), ignoreLease: true }).error).toBe("key_not_found");
    world.put("a", "kept", 5n);
    world.putWith({ key: utf8("a"), value: utf8("new"), ignoreLease: true });
    expect(world.keyspace.lessor.leaseOf(utf8("a"))).toBe(5n);
    expect(world.content).toBe("a=new");
    world.putWith({ key: utf8("a"), ignoreValue: true });
    expect(world.keyspace.lessor.leaseOf(utf8("a"))).toBe(0n);
    expect(world.content).toBe("a=new");
  });

  test("with an unknown lease changes nothing", () => {
    const world = new World();
    expect(world.put("a", "1", 5n).error).toBe("lease_not_found");
    expect(world.keyspace.store.revision).toBe(1);
  });
});

describe("delete", () => {
  const RANGES: [text: string, key: string, rangeEnd: string, left: string][] = [
    ["a key", "b", "", "a c d"],
    ["a range", "b", "d", "a d"],
    ["all from a key on", "c", "\0", "a b"],
    ["everything", "\0", "\0", ""],
    ["a range that ends before it begins", "d", "b", "a b c d"],
  ];

  test.each(RANGES)("removes %s", (_text, key, rangeEnd, left) => {
    const world = new World();
    for (const name of ["a", "b", "c", "d"]) world.put(name, "");
    const { response, revision } = world.deleteRange({ key: utf8(key), rangeEnd: utf8(rangeEnd), prevKv: true });
    expect(world.content.replaceAll("=", "")).toBe(left);
    const deleted = 4 - (left === "" ? 0 : left.split(" ").length);
    expect(Number(response.deleted)).toBe(deleted);
    expect(response.prevKvs.length).toBe(deleted);
    expect(revision).toBe(deleted === 0 ? 5 : 6);
  });
});

describe("a lease", () => {
  test("is granted for two seconds at least, once, and not forever", () => {
    const world = new World();
    expect(world.grant(5n, 1n).response).toMatchObject({ ID: 5n, TTL: 2n });
    expect(world.grant(-6n, -100n).response).toMatchObject({ ID: -6n, TTL: 2n });
    expect(world.grant(7n, 9_000_000_000n).response.TTL).toBe(9_000_000_000n);
    expect(world.grant(8n, 9_000_000_001n).error).toBe("lease_ttl_too_large");
    expect(world.grant(9n, 2n ** 63n - 1n).error).toBe("lease_ttl_too_large");
    expect(world.grant(5n).error).toBe("lease_exists");
  });

  test("takes its keys along in one revision, in the order of their bytes", () => {
    const world = new World();
    world.grant(5n);
    for (const key of ["b", "ba", "a", "\xff", "c"]) world.put(key, "", 5n);
    world.put("other", "");
    const { revision } = world.revoke(5n);
    expect(revision).toBe(8);
    const { store } = world.keyspace;
    const keys: string[] = [];
    for (let row = store.rowAtOrAfter(8); row < store.endRow; row = store.nextRow(row)) {
      keys.push(utf8Text(store.key(row)));
    }
    expect(keys).toEqual(["a", "b", "ba", "c", "\xff"]);
    expect(world.revoke(5n).error).toBe("lease_not_found");
  });

  test("without keys goes without a revision", () => {
    const world = new World();
    world.grant(5n);
    expect(world.revoke(5n).revision).toBe(1);
  });

  test("of many keys goes in steps", () => {
    const world = new World();
    world.grant(5n);
    for (let i = 0; i < 5000; i++) world.put(`key${i}`, "", 5n);
    expect(world.revoke(5n).stepCount).toBeGreaterThan(5);
    expect(world.content).toBe("");
    expect(world.keyspace.lessor.attachedCount).toBe(0);
  });

  test("remembers a checkpoint; one of an unknown lease is passed over", () => {
    const world = new World();
    world.grant(5n, 60n);
    expect(world.checkpoint(5n, 42n).error).toBeUndefined();
    expect(world.checkpoint(6n, 42n).error).toBeUndefined();
    // Members of 3.5 would not save it: nobody does as long as there may be one.
    expect(world.keyspace.lessor.records()).toMatchObject([{ id: 5n, ttl: 60, remainingTtl: 0 }]);
    world.membership.setClusterVersion("3.6.0");
    world.checkpoint(5n, 41n);
    expect(world.keyspace.lessor.records()).toMatchObject([{ id: 5n, ttl: 60, remainingTtl: 41 }]);
  });
});

test("compaction goes forward, up to the present", () => {
  const world = new World();
  for (const value of ["1", "2", "3"]) world.put("a", value);
  expect(world.compact(5n).error).toBe("future_revision");
  expect(world.compact(3n)).toMatchObject({ error: undefined, revision: 4 });
  expect(world.compact(3n).error).toBe("compacted");
  expect(world.compact(2n).error).toBe("compacted");
  expect(world.compact(4n).error).toBeUndefined();
});

test("a store that was never compacted accepts a compaction to nothing, as etcd's does", () => {
  const world = new World();
  expect(world.compact(0n).error).toBeUndefined();
});

describe("alarms", () => {
  const names = (members: { memberID: bigint; alarm: AlarmType }[]) =>
    members.map(({ memberID, alarm }) => `${memberID} ${AlarmType[alarm]}`);

  test("are raised once, listed by type, and cleared", () => {
    const world = new World();
    const { NOSPACE, CORRUPT, NONE } = AlarmType;
    const alarm = (action: Action, memberID: bigint, alarm: AlarmType) =>
      names(world.alarm({ action, memberID, alarm }).response.alarms);
    expect(alarm(Action.ACTIVATE, 1n, NOSPACE)).toEqual(["1 NOSPACE"]);
    expect(alarm(Action.ACTIVATE, 1n, NOSPACE)).toEqual(["1 NOSPACE"]);
    expect(alarm(Action.ACTIVATE, 0n, CORRUPT)).toEqual(["0 CORRUPT"]);
    expect(alarm(Action.ACTIVATE, 1n, NONE)).toEqual([]);
    expect(alarm(Action.GET, 0n, NONE).sort()).toEqual(["0 CORRUPT", "1 NOSPACE"]);
    expect(alarm(Action.GET, 0n, CORRUPT)).toEqual(["0 CORRUPT"]);
    expect(alarm(Action.DEACTIVATE, 2n, NOSPACE)).toEqual([]);
    expect(alarm(Action.DEACTIVATE, 1n, NOSPACE)).toEqual(["1 NOSPACE"]);
    expect(alarm(Action.GET, 0n, NONE)).toEqual(["0 CORRUPT"]);
  });

  const OPERATIONS: [name: string, run: (world: World) => string | undefined, noSpace?: string, corrupt?: string][] = [
    ["put", (world) => world.put("a", "").error, "no_space", "corrupt"],
    ["delete", (world) => world.deleteRange({ key: utf8("a") }).error, undefined, "corrupt"],
    ["a transaction with a put", (world) => world.txn({ success: [PUT] }).error, "no_space", "corrupt"],
    ["one with a put in the other branch", (world) => world.txn({ failure: [PUT] }).error, "no_space", "corrupt"],
    ["one with a nested put", (world) => world.txn({ success: [NESTED_PUT] }).error, "no_space", "corrupt"],
    ["one that deletes", (world) => world.txn({ success: [DELETE] }).error, undefined, "corrupt"],
    ["granting a lease", (world) => world.grant(9n).error, "no_space", "corrupt"],
    ["revoking a lease", (world) => world.revoke(5n).error, undefined, "corrupt"],
    ["a lease checkpoint", (world) => world.checkpoint(5n, 1n).error, undefined, undefined],
    ["compaction", (world) => world.compact(2n).error, undefined, "corrupt"],
    ["asking for alarms", (world) => world.alarm({}).error, undefined, undefined],
  ];
  test.each(OPERATIONS)("let %s through or not", (_name, run, noSpace, corrupt) => {
    const prepared = (...alarms: AlarmType[]) => {
      const world = new World();
      world.put("a", "");
      world.grant(5n);
      for (const alarm of alarms) world.alarm({ action: Action.ACTIVATE, memberID: 1n, alarm });
      return world;
    };
    expect(run(prepared())).toBeUndefined();
    expect(run(prepared(AlarmType.NOSPACE))).toBe(noSpace);
    expect(run(prepared(AlarmType.CORRUPT))).toBe(corrupt);
    // CORRUPT wins.
    expect(run(prepared(AlarmType.NOSPACE, AlarmType.CORRUPT))).toBe(corrupt ?? noSpace);
  });

  test("win over everything else that is wrong with a request", () => {
    const world = new World();
    world.alarm({ action: Action.ACTIVATE, memberID: 1n, alarm: AlarmType.NOSPACE });
    expect(world.put("a", "", 99n).error).toBe("no_space");
    expect(world.grant(9n, 10_000_000_000n).error).toBe("no_space");
  });
});

test("an operation that this version does not know is not passed over", () => {
  const { applier, requester } = new World();
  const context = { nowMs: 0, isWaitedFor: false, isReplay: true, requester };
  expect(() => applier.apply(12, EMPTY_BYTES, context)).toThrow(UnknownOperationError);
  expect(() => applier.apply(RaftOperation.PUT + 900, EMPTY_BYTES, context)).toThrow("does not know");
});
