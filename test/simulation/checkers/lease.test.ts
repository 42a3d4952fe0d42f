import { expect, test } from "bun:test";
import { checkLeases } from "./lease.ts";
import { grant, put, putEvent, Scribe } from "./scribe.ts";

const TOLERANCE = { clockDrift: 0.1, revokeMs: 500, extensionMs: 1000 };
const TTL_MS = 10_000;

/** Lease 7 with a key, granted at 1000 ms, not renewed. */
function granted(): Scribe {
  const scribe = new Scribe();
  scribe.ms = 1000;
  scribe.do(1, grant(7n, TTL_MS));
  scribe.do(1, put("a", "v1", 7n));
  return scribe;
}

function violations(scribe: Scribe): string[] {
  return checkLeases(scribe.end(), TOLERANCE).violations;
}

function expiredAt(ms: number, prepare: (scribe: Scribe) => void = () => {}): string[] {
  const scribe = granted();
  prepare(scribe);
  scribe.ms = ms;
  scribe.expire(7n);
  return violations(scribe);
}

function renewAt(ms: number): (scribe: Scribe) => void {
  return (scribe) => {
    scribe.ms = ms;
    scribe.do(1, { kind: "leaseKeepAlive", id: 7n });
  };
}

test("a lease that expires when it is due is right", () => {
  const scribe = granted();
  scribe.ms = 11_000;
  scribe.expire(7n);
  expect(checkLeases(scribe.end(), TOLERANCE)).toEqual({
    violations: [],
    judged: { leases: 1, expiries: 1, "expiries judged late or not": 1, "keys attached": 1 },
  });
});

test("a lease that expires early is found, but for what clocks may be off", () => {
  expect(expiredAt(10_000)).toEqual([]);
  expect(expiredAt(9_999)).toEqual(["lease 7 expired at 9999 ms, but was renewed at 1000 ms for 10000 ms"]);
});

test("a renewal moves the time, also one that was lost on the way back", () => {
  expect(expiredAt(11_000, renewAt(5000))).toEqual([
    "lease 7 expired at 11000 ms, but was renewed at 5000 ms for 10000 ms",
  ]);
  expect(expiredAt(15_000, renewAt(5000))).toEqual([]);
  const lost = (scribe: Scribe) => {
    scribe.ms = 5000;
    scribe.begin(1, { kind: "leaseKeepAlive", id: 7n });
  };
  expect(expiredAt(11_000, lost)).toEqual([]);
  expect(expiredAt(15_000, lost)).toEqual([]);
});

test("a lease that outlasts its time is found", () => {
  expect(expiredAt(12_500)).toEqual([]);
  expect(expiredAt(12_501)).toEqual([
    "lease 7 expired at 12501 ms, but its 10000 ms were counted from 1000 ms on at the latest",
  ]);
});

test("a new leader counts anew, and a little more; a world that was broken begins when it is healed", () => {
  const elect = (scribe: Scribe) => {
    scribe.ms = 6000;
    scribe.raft(1n, { role: "leader", term: 4 });
    scribe.raft(1n, { role: "leader", term: 4, commit: 0 });
  };
  expect(expiredAt(18_500, elect)).toEqual([]);
  expect(expiredAt(18_501, elect)).toHaveLength(1);
  const heal = (scribe: Scribe) => scribe.observations.faults.push({ startMs: 2000, endMs: 8000, what: "partition" });
  expect(expiredAt(19_500, heal)).toEqual([]);
  expect(expiredAt(19_501, heal)).toHaveLength(1);
});

test("in the midst of a fault nobody can say whether it is late", () => {
  const fault = (scribe: Scribe) =>
    scribe.observations.faults.push({ startMs: 2000, endMs: 50_000, what: "partition" });
  expect(expiredAt(40_000, fault)).toEqual([]);
});

test("a lease that is left in the end must not have been due", () => {
  const scribe = granted();
  scribe.ms = 12_500;
  expect(violations(scribe)).toEqual([]);
  scribe.ms = 13_000;
  expect(violations(scribe)).toEqual([
    "lease 7 was still there at 13000 ms, but its 10000 ms were counted from 1000 ms on at the latest",
  ]);
  scribe.observations.end.leases.push(9n);
  expect(checkLeases(scribe.observations, TOLERANCE).violations).toContain(
    "lease 9 is there in the end, but nobody was granted it",
  );
});

test("a revocation may come at any time, and ends the lease", () => {
  const scribe = granted();
  scribe.ms = 2000;
  scribe.do(1, { kind: "leaseRevoke", id: 7n });
  expect(violations(scribe)).toEqual([]);
  scribe.observations.end.leases.push(7n);
  expect(checkLeases(scribe.observations, TOLERANCE).violations).toContain(
    "lease 7 is there in the end, but had ended",
  );
});

test("a key that outlasts its lease is found", () => {
  const scribe = granted();
  scribe.ms = 11_000;
  const revision = scribe.revision;
  scribe.observations.leaseEnds.push({ moment: scribe.moment(), ms: scribe.ms, id: 7n, revision });
  expect(violations(scribe)).toContain("key a outlasted lease 7, which ended at 2");
});

test("a key attached to a lease after its end is found", () => {
  const scribe = granted();
  scribe.ms = 11_000;
  scribe.expire(7n);
  scribe.make([putEvent("b", "v2", 4, 7n)]);
  expect(violations(scribe)).toEqual(["key b was attached at revision 4 to lease 7 after its end"]);
});

test("a lease that ends twice, or without having been, is found", () => {
  const scribe = granted();
  scribe.ms = 11_000;
  scribe.expire(7n);
  scribe.expire(7n);
  scribe.expire(8n);
  expect(violations(scribe)).toEqual(["lease 7 ended twice", "lease 8 ended, but nobody was granted it"]);
});

test("a lease that is kept alive after its end is found, unless the world is broken", () => {
  const kept = (prepare: (scribe: Scribe) => void) => {
    const scribe = granted();
    prepare(scribe);
    scribe.ms = 11_000;
    scribe.expire(7n);
    scribe.ms = 12_000;
    const late = scribe.begin(1, { kind: "leaseKeepAlive", id: 7n });
    const response = { kind: "leaseKeepAlive", revision: 3, ttlMs: TTL_MS } as const;
    late.outcome = { kind: "answered", returned: scribe.moment(), returnedMs: scribe.ms, response };
    return violations(scribe);
  };
  expect(kept(() => {})).toEqual(["lease 7 was kept alive at 12000 ms, but had ended at 11000 ms"]);
  const fault = { startMs: 11_900, endMs: 13_000, what: "partition" };
  expect(kept((scribe) => scribe.observations.faults.push(fault))).toEqual([]);
});
