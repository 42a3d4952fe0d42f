import { expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { Keyspace } from "../../src/keyspace/mod.ts";

function keyspaceOf(quotaBackendBytes: number): Keyspace {
  return new Keyspace({ electionTimeoutMs: 1000, revokeRetryMs: 7000, hashSeed: 1, quotaBackendBytes });
}

function put(keyspace: Keyspace, key: string, value: string): void {
  const write = keyspace.store.beginWrite();
  write.put(utf8(key), utf8(value), 0n);
  write.commit();
}

function remove(keyspace: Keyspace, key: string): void {
  const write = keyspace.store.beginWrite();
  write.deleteRange(utf8(key), new Uint8Array(0)).step(1);
  write.commit();
}

function compact(keyspace: Keyspace): void {
  const job = keyspace.store.compact(keyspace.store.revision);
  if (typeof job === "string") throw new Error(job);
  while (job.step(1000) !== "done");
}

test("zero stands for 2 GiB, a negative number for no bound", () => {
  expect(keyspaceOf(0).quota.limit).toBe(2147483648);
  expect(keyspaceOf(-1).quota.limit).toBe(Infinity);
  expect(keyspaceOf(1000).quota.limit).toBe(1000);
});

test("what is counted is key, value and element header of every record in etcd's database", () => {
  const keyspace = keyspaceOf(0);
  expect(keyspace.quota.used).toBe(0);
  put(keyspace, "key", "value");
  // KeyValue: key 5, create, mod and version 2 each, value 7.
  expect(keyspace.quota.used).toBe(17 + 16 + 5 + 6 + 7);
  keyspace.lessor.grant(1n, 60, 0);
  expect(keyspace.quota.used).toBe(17 + 16 + 5 + 6 + 7 + 64);
});

test("history counts until it is compacted, a deleted key until its tombstone is", () => {
  const keyspace = keyspaceOf(0);
  put(keyspace, "a", "x".repeat(1000));
  const one = keyspace.quota.used;
  for (let i = 0; i < 9; i++) put(keyspace, "a", "x".repeat(1000));
  expect(keyspace.quota.used).toBeGreaterThanOrEqual(10 * one);
  compact(keyspace);
  expect(keyspace.quota.used).toBe(one);
  remove(keyspace, "a");
  expect(keyspace.quota.used).toBeGreaterThan(one);
  compact(keyspace);
  // etcd keeps a tombstone at the compacted revision itself.
  expect(keyspace.quota.used).toBeLessThan(50);
  put(keyspace, "b", "");
  remove(keyspace, "b");
  put(keyspace, "c", "");
  compact(keyspace);
  expect(keyspace.store.keyCount).toBe(1);
});

test("a cost must leave something of the quota; what costs nothing always may go ahead", () => {
  const { quota } = keyspaceOf(1000);
  expect(quota.hasRoomFor(999)).toBe(true);
  expect(quota.hasRoomFor(1000)).toBe(false);
  const full = keyspaceOf(10);
  put(full, "a", "0123456789");
  expect(full.quota.hasRoomFor(1)).toBe(false);
  expect(full.quota.hasRoomFor(0)).toBe(true);
  expect(full.quota.usedRatio).toBeGreaterThan(1);
  expect(keyspaceOf(-1).quota.hasRoomFor(Number.MAX_SAFE_INTEGER)).toBe(true);
  expect(keyspaceOf(-1).quota.usedRatio).toBe(0);
});
