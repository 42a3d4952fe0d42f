import { expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { World } from "./world.ts";

const putOf = (key: string, value: string) => ({
  request: { case: "requestPut" as const, value: { key: utf8(key), value: utf8(value) } },
});

test("a put that finds the quota used up is carried out, and answered that there is no space", () => {
  const world = new World(300);
  expect(world.put("a", "1234567890").error).toBeUndefined();
  expect(world.put("b", "1")).toMatchObject({ error: "no_space", revision: 3 });
  expect(world.content).toBe("a=1234567890 b=1");
});

test("what fails for another reason says so, and is not carried out", () => {
  const world = new World(100);
  expect(world.put("a", "", 99n).error).toBe("lease_not_found");
  expect(world.content).toBe("");
});

test("a transaction costs as much as the dearer of its branches, nested ones included", () => {
  const nested = { request: { case: "requestTxn" as const, value: { failure: [putOf("c", "3"), putOf("d", "4")] } } };
  // Neither branch of nothing is dearer than 256 and two bytes a put.
  expect(new World(517).txn({ success: [putOf("a", "1")], failure: [nested] }).error).toBeUndefined();
  const world = new World(516);
  expect(world.txn({ success: [putOf("a", "1")], failure: [nested] })).toMatchObject({
    error: "no_space",
    response: { responses: [] },
  });
  expect(world.content).toBe("a=1");
});

test("a transaction that puts nothing, a deletion, a compaction and a revocation need no room", () => {
  const world = new World(100);
  world.put("a", "x".repeat(200));
  world.grant(7n);
  expect(world.txn({ success: [{ request: { case: "requestRange", value: { key: utf8("a") } } }] }).error)
    .toBeUndefined();
  expect(world.deleteRange({ key: utf8("a") }).error).toBeUndefined();
  expect(world.compact(3n).error).toBeUndefined();
  expect(world.revoke(7n).error).toBeUndefined();
});

test("a lease granted without room exists", () => {
  const world = new World(64);
  expect(world.grant(7n).error).toBe("no_space");
  expect(world.grant(7n).error).toBe("lease_exists");
  expect(new World(65).grant(7n).error).toBeUndefined();
});
