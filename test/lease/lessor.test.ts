import { expect, test } from "bun:test";
import { latin1, utf8 } from "../../src/base/bytes.ts";
import { LEASE_TTL_MAX, Lessor, type LessorOptions } from "../../src/lease/mod.ts";

const MIN_TTL = 2;
const RETRY_MS = 7000;

function lessor(options: Partial<LessorOptions> = {}): Lessor {
  return new Lessor({ minTtl: MIN_TTL, retryMs: RETRY_MS, checkpointIntervalMs: Infinity, ...options });
}

function primary(options: Partial<LessorOptions> = {}): Lessor {
  const created = lessor(options);
  created.promote(0, 0);
  return created;
}

function texts(keys: readonly Uint8Array[] | undefined): string[] | undefined {
  return keys?.map(latin1);
}

// --- granting

test("a grant answers with the time to live, raised to the minimum", () => {
  const leases = lessor();
  expect(leases.grant(1n, 60, 0)).toBe(60);
  expect(leases.grant(2n, 1, 0)).toBe(MIN_TTL);
  expect(leases.grant(3n, 0, 0)).toBe(MIN_TTL);
  expect(leases.grant(4n, -5, 0)).toBe(MIN_TTL);
  expect(leases.leaseCount).toBe(4);
});

test("an id may be any int64 but zero", () => {
  const leases = lessor();
  for (const id of [-1n, -(2n ** 63n), 2n ** 63n - 1n]) {
    expect(leases.grant(id, 10, 0)).toBe(10);
    expect(leases.has(id)).toBe(true);
  }
  expect(leases.grant(0n, 10, 0)).toBe("lease_not_found");
});

test("a time to live beyond etcd's bound is refused, even for an id that exists", () => {
  const leases = lessor();
  expect(leases.grant(1n, LEASE_TTL_MAX, 0)).toBe(LEASE_TTL_MAX);
  expect(leases.grant(1n, LEASE_TTL_MAX + 1, 0)).toBe("lease_ttl_too_large");
  expect(leases.grant(2n, Number.MAX_SAFE_INTEGER, 0)).toBe("lease_ttl_too_large");
  expect(leases.has(2n)).toBe(false);
});

test("an id is granted once, and again after it was revoked", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  expect(leases.grant(1n, 20, 0)).toBe("lease_exists");
  expect(leases.timeToLive(1n, 0)!.grantedTtl).toBe(10);
  leases.revoke(1n);
  expect(leases.grant(1n, 20, 0)).toBe(20);
});

// --- keys

test("revoking gives the attached keys in the order of their bytes", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  for (const key of ["b", "\u007f", "a", "aa", "B"]) leases.attach(1n, utf8(key));
  expect(texts(leases.revoke(1n))).toEqual(["B", "a", "aa", "b", "\u007f"]);
  expect(leases.revoke(1n)).toBeUndefined();
});

test("a key belongs to the lease that it was attached to last", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  leases.grant(2n, 10, 0);
  expect(leases.attach(1n, utf8("k"))).toBe(true);
  expect(leases.leaseOf(utf8("k"))).toBe(1n);
  expect(leases.attach(2n, utf8("k"))).toBe(true);
  expect(leases.leaseOf(utf8("k"))).toBe(2n);
  expect(leases.timeToLive(1n, 0)!.keyCount).toBe(0);
  expect(leases.revoke(1n)).toEqual([]);
  expect(leases.leaseOf(utf8("k"))).toBe(2n);
});

test("a key is not attached to a lease that does not exist, and stays where it was", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  leases.attach(1n, utf8("k"));
  expect(leases.attach(9n, utf8("k"))).toBe(false);
  expect(leases.leaseOf(utf8("k"))).toBe(1n);
});

test("a key is detached only from the lease that holds it", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  leases.grant(2n, 10, 0);
  leases.attach(1n, utf8("k"));
  expect(leases.detach(2n, utf8("k"))).toBe(false);
  expect(leases.detach(9n, utf8("k"))).toBe(false);
  expect(leases.detach(1n, utf8("other"))).toBe(false);
  expect(leases.detach(1n, utf8("k"))).toBe(true);
  expect(leases.leaseOf(utf8("k"))).toBe(0n);
  expect(leases.attachedCount).toBe(0);
});

test("a revocation can be done in steps while others look on", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  const names = Array.from({ length: 1000 }, (_, i) => `key-${String((i * 7919) % 1000).padStart(4, "0")}`);
  for (const name of names) leases.attach(1n, utf8(name));

  const revocation = leases.startRevoke(1n)!;
  let steps = 0;
  while (!revocation.step(100)) {
    expect(leases.has(1n)).toBe(true);
    expect(leases.renew(1n, 1)).toEqual({ kind: "expired" });
    steps++;
  }
  expect(steps).toBeGreaterThan(10);

  const revoked: string[] = [];
  for (let i = 0; i < revocation.count; i++) {
    const key = revocation.key(i);
    revoked.push(latin1(key));
    leases.detach(revocation.id, key);
  }
  revocation.finish();
  expect(revoked).toEqual(names.sort());
  expect(leases.has(1n)).toBe(false);
  expect(leases.attachedCount).toBe(0);
  expect(leases.renew(1n, 1)).toEqual({ kind: "not_found" });
});

test("a revoked lease leaves nothing behind", () => {
  const leases = primary({ checkpointIntervalMs: 1000 });
  leases.grant(1n, 10, 0);
  leases.attach(1n, utf8("k"));
  leases.revoke(1n);
  expect(leases.leaseOf(utf8("k"))).toBe(0n);
  expect(leases.attachedCount).toBe(0);
  expect(leases.timeToLive(1n, 0)).toBeUndefined();
  expect(leases.leases()).toEqual([]);
  expect(leases.expired(1e9)).toEqual([]);
  expect(leases.dueCheckpoints(5000)).toEqual([]);
  // Its slot serves the next lease, which must not inherit anything.
  leases.grant(2n, 10, 0);
  expect(leases.timeToLive(2n, 0)!.keyCount).toBe(0);
});

test("the keys of a lease are listed in portions, without those detached meanwhile", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  for (let i = 0; i < 10; i++) leases.attach(1n, utf8(`k${i}`));
  const next = leases.keyPortions(1n);
  const listed = texts(next(4))!;
  expect(listed.length).toBe(4);
  leases.detach(1n, utf8("k9"));
  for (let portion = next(4); portion.length > 0; portion = next(4)) listed.push(...texts(portion)!);
  expect(listed.sort()).toEqual(["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]);
  expect(leases.keyPortions(9n)(4)).toEqual([]);
});

// --- time on the primary

test("nothing expires and nothing is renewed before the promotion", () => {
  const leases = lessor();
  leases.grant(1n, 10, 0);
  expect(leases.isPrimary).toBe(false);
  expect(leases.expired(1e12)).toEqual([]);
  expect(leases.renew(1n, 0)).toEqual({ kind: "not_primary" });
  expect(leases.timeToLive(1n, 0)).toEqual({ ttl: undefined, grantedTtl: 10, keyCount: 0 });
});

test("a lease expires when its time to live has passed", () => {
  const leases = primary();
  leases.grant(1n, 10, 1000);
  expect(leases.expired(10_999)).toEqual([]);
  expect(leases.expired(11_000)).toEqual([1n]);
});

test("a renewal starts the time again", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  expect(leases.renew(1n, 9999)).toEqual({ kind: "renewed", ttl: 10 });
  expect(leases.expired(19_998)).toEqual([]);
  expect(leases.expired(19_999)).toEqual([1n]);
});

test("a lease past its expiry is not renewed: the answer has to wait for its revocation", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  expect(leases.renew(1n, 10_000)).toEqual({ kind: "expired" });
  leases.revoke(1n);
  expect(leases.renew(1n, 10_000)).toEqual({ kind: "not_found" });
});

test("a lease past its expiry lives on when another member becomes the primary", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  expect(leases.expired(10_000)).toEqual([1n]);
  leases.demote();
  expect(leases.renew(1n, 10_000)).toEqual({ kind: "not_primary" });
  expect(leases.expired(1e9)).toEqual([]);
});

test("an expired lease is reported once, and again when the retry interval has passed", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  expect(leases.expired(10_000)).toEqual([1n]);
  expect(leases.expired(10_000 + RETRY_MS - 1)).toEqual([]);
  expect(leases.expired(10_000 + RETRY_MS)).toEqual([1n]);
  leases.revoke(1n);
  expect(leases.expired(1e9)).toEqual([]);
});

test("expired leases come in portions, soonest expired first", () => {
  const leases = primary();
  for (let i = 0; i < 1200; i++) leases.grant(BigInt(i + 1), 10 + (i % 7), 0);
  const first = leases.expired(60_000);
  expect(first.length).toBe(500);
  const all = [...first, ...leases.expired(60_000), ...leases.expired(60_000)];
  expect(all.length).toBe(1200);
  expect(new Set(all).size).toBe(1200);
  const ttls = all.map((id) => leases.timeToLive(id, 0)!.grantedTtl);
  expect(ttls).toEqual([...ttls].sort((a, b) => a - b));
  expect(leases.expired(60_000)).toEqual([]);
});

test("the time left is in whole seconds toward zero, negative past the expiry", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  const ttlAt = (now: number) => leases.timeToLive(1n, now)!.ttl;
  expect(ttlAt(0)).toBe(10);
  expect(ttlAt(1)).toBe(9);
  expect(ttlAt(9500)).toBe(0);
  expect(Object.is(ttlAt(10_500), 0)).toBe(true);
  expect(ttlAt(12_300)).toBe(-2);
});

test("leases are listed soonest to expire first", () => {
  const leases = primary();
  leases.grant(1n, 30, 0);
  leases.grant(2n, 10, 0);
  leases.grant(3n, 20, 0);
  expect(leases.leases()).toEqual([2n, 3n, 1n]);
  leases.renew(2n, 9000);
  leases.renew(3n, 9000);
  expect(leases.leases()).toEqual([2n, 3n, 1n]);
  leases.renew(1n, 1);
  leases.renew(2n, 9999);
  expect(leases.leases()).toEqual([2n, 3n, 1n]);
});

// --- promotion

test("a promotion starts every lease again, with the extension", () => {
  const leases = primary();
  leases.grant(1n, 10, 0);
  leases.demote();
  leases.promote(5000, 1000);
  expect(leases.expired(15_999)).toEqual([]);
  expect(leases.expired(16_000)).toEqual([1n]);
});

test("a promotion goes on from what the last checkpoint left", () => {
  const leases = lessor();
  leases.grant(1n, 1000, 0);
  expect(leases.checkpoint(1n, 100, true, 0)).toBe(true);
  expect(leases.checkpoint(9n, 100, true, 0)).toBe(false);
  leases.promote(0, 0);
  expect(leases.timeToLive(1n, 0)!.ttl).toBe(100);
});

test("fewer leases than the revoke rate stay where they fall", () => {
  const leases = lessor();
  for (let i = 1; i <= 999; i++) leases.grant(BigInt(i), 10, 0);
  leases.promote(0, 0);
  for (let i = 1; i <= 999; i++) expect(leases.timeToLive(BigInt(i), 0)!.ttl).toBe(10);
});

test("a pile of leases is spread so that no second expires more than three quarters of the revoke rate", () => {
  const leases = lessor();
  for (let i = 1; i <= 5000; i++) leases.grant(BigInt(i), 10, 0);
  leases.promote(0, 0);
  const perSecond = new Map<number, number>();
  for (let i = 1; i <= 5000; i++) {
    const { ttl } = leases.timeToLive(BigInt(i), 0)!;
    expect(ttl).toBeGreaterThanOrEqual(10);
    perSecond.set(ttl!, (perSecond.get(ttl!) ?? 0) + 1);
  }
  expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(751);
  expect(perSecond.size).toBeGreaterThanOrEqual(6);
  // Every one of them is still found by its expiry.
  const found = new Set<bigint>();
  for (let now = 0; now <= 60_000; now += 500) for (const id of leases.expired(now, 5000)) found.add(id);
  expect(found.size).toBe(5000);
});

test("leases that lie apart are not moved by a pile before them", () => {
  const leases = lessor();
  for (let i = 1; i <= 1500; i++) leases.grant(BigInt(i), 10, 0);
  leases.grant(9999n, 600, 0);
  leases.promote(0, 0);
  expect(leases.timeToLive(9999n, 0)!.ttl).toBe(600);
});

// --- checkpoints

test("a long lease is checkpointed after the interval, and again after it was applied", () => {
  const leases = primary({ checkpointIntervalMs: 300_000 });
  leases.grant(1n, 1000, 0);
  leases.grant(2n, 300, 0);
  expect(leases.dueCheckpoints(299_999)).toEqual([]);
  expect(leases.dueCheckpoints(300_000)).toEqual([{ id: 1n, remainingTtl: 700 }]);
  expect(leases.dueCheckpoints(700_000)).toEqual([]);
  leases.checkpoint(1n, 700, true, 300_500);
  expect(leases.dueCheckpoints(600_499)).toEqual([]);
  expect(leases.dueCheckpoints(600_500)).toEqual([{ id: 1n, remainingTtl: 400 }]);
});

test("a checkpointed lease is renewed only after the checkpoint was taken back", () => {
  const leases = primary({ checkpointIntervalMs: 300_000 });
  leases.grant(1n, 1000, 0);
  leases.checkpoint(1n, 700, true, 300_000);
  expect(leases.renew(1n, 300_001)).toEqual({ kind: "checkpointed" });
  leases.checkpoint(1n, 0, true, 300_002);
  expect(leases.renew(1n, 300_003)).toEqual({ kind: "renewed", ttl: 1000 });
  expect(leases.timeToLive(1n, 300_003)!.ttl).toBe(1000);
});

test("checkpoints come in portions", () => {
  const leases = primary({ checkpointIntervalMs: 1000 });
  for (let i = 1; i <= 25; i++) leases.grant(BigInt(i), 1000, 0);
  expect(leases.dueCheckpoints(5000, 10).length).toBe(10);
  expect(leases.dueCheckpoints(5000, 10).length).toBe(10);
  expect(leases.dueCheckpoints(5000, 10).length).toBe(5);
});

// --- saving

test("leases come back from their records, without keys and demoted", () => {
  const before = primary();
  before.grant(1n, 10, 0);
  before.grant(-2n, 1000, 0);
  before.checkpoint(-2n, 77, true, 0);
  before.attach(1n, utf8("k"));
  const records = [...before.records()];
  expect(records).toMatchObject([{ id: 1n, ttl: 10, remainingTtl: 0 }, { id: -2n, ttl: 1000, remainingTtl: 77 }]);

  const after = primary({ minTtl: 20 });
  after.grant(5n, 10, 0);
  after.attach(5n, utf8("old"));
  after.restore(records);
  expect(after.isPrimary).toBe(false);
  expect(after.leases()).toEqual([1n, -2n]);
  expect(after.timeToLive(1n, 0)).toEqual({ ttl: undefined, grantedTtl: 20, keyCount: 0 });
  expect(after.leaseOf(utf8("old"))).toBe(0n);
  expect(after.attach(1n, utf8("k"))).toBe(true);
  after.promote(0, 0);
  expect(after.timeToLive(-2n, 0)!.ttl).toBe(77);
});
