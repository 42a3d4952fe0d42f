import { expect, test } from "bun:test";
import fc from "fast-check";
import { latin1, utf8 } from "../../src/base/bytes.ts";
import { Lessor } from "../../src/lease/mod.ts";

const RETRY_MS = 3000;
const EXTEND_MS = 1000;

interface ModelLease {
  ttl: number;
  expiryMs: number;
  noticeMs: number;
}

const id = fc.bigInt({ min: -3n, max: 3n });
const key = fc.constantFrom("a", "b", "c", "d", "e");
const action = fc.oneof(
  fc.record({ kind: fc.constant("grant" as const), id, ttl: fc.integer({ min: -1, max: 12 }) }),
  fc.record({ kind: fc.constant("revoke" as const), id }),
  fc.record({ kind: fc.constant("attach" as const), id, key }),
  fc.record({ kind: fc.constant("detach" as const), id, key }),
  fc.record({ kind: fc.constant("renew" as const), id }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 4000 }) }),
  fc.record({ kind: fc.constant("expire" as const) }),
  fc.record({ kind: fc.constant("promote" as const) }),
  fc.record({ kind: fc.constant("demote" as const) }),
);

test("any sequence of operations agrees with a model of plain maps", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200, size: "max" }), (actions) => {
      const lessor = new Lessor({ minTtl: 2, retryMs: RETRY_MS, checkpointIntervalMs: Infinity });
      const leases = new Map<bigint, ModelLease>();
      const keys = new Map<string, bigint>();
      let isPrimary = false;
      let now = 0;
      const start = (lease: ModelLease, extendMs: number) => {
        lease.expiryMs = lease.noticeMs = isPrimary ? now + extendMs + lease.ttl * 1000 : Infinity;
      };
      const keysOf = (id: bigint) => [...keys].filter(([, holder]) => holder === id).map(([key]) => key).sort();

      for (const step of actions) {
        switch (step.kind) {
          case "grant": {
            const result = lessor.grant(step.id, step.ttl, now);
            if (step.id === 0n) expect(result).toBe("lease_not_found");
            else if (leases.has(step.id)) expect(result).toBe("lease_exists");
            else {
              const lease = { ttl: Math.max(2, step.ttl), expiryMs: 0, noticeMs: 0 };
              start(lease, 0);
              leases.set(step.id, lease);
              expect(result).toBe(lease.ttl);
            }
            break;
          }
          case "revoke": {
            const revoked = lessor.revoke(step.id)?.map(latin1);
            expect(revoked).toEqual(leases.has(step.id) ? keysOf(step.id) : undefined);
            for (const key of revoked ?? []) keys.delete(key);
            leases.delete(step.id);
            break;
          }
          case "attach":
            expect(lessor.attach(step.id, utf8(step.key))).toBe(leases.has(step.id));
            if (leases.has(step.id)) keys.set(step.key, step.id);
            break;
          case "detach": {
            const isHolder = keys.get(step.key) === step.id;
            expect(lessor.detach(step.id, utf8(step.key))).toBe(isHolder);
            if (isHolder) keys.delete(step.key);
            break;
          }
          case "renew": {
            const lease = leases.get(step.id);
            const { kind } = lessor.renew(step.id, now);
            if (!isPrimary) expect(kind).toBe("not_primary");
            else if (lease === undefined) expect(kind).toBe("not_found");
            else if (lease.expiryMs <= now) expect(kind).toBe("expired");
            else {
              expect(kind).toBe("renewed");
              start(lease, 0);
            }
            break;
          }
          case "wait":
            now += step.ms;
            break;
          case "expire": {
            const due = [...leases].filter(([, lease]) => lease.noticeMs <= now);
            expect(lessor.expired(now).sort()).toEqual(due.map(([id]) => id).sort());
            for (const [, lease] of due) lease.noticeMs = now + RETRY_MS;
            break;
          }
          case "promote":
            lessor.promote(now, EXTEND_MS);
            isPrimary = true;
            for (const lease of leases.values()) start(lease, EXTEND_MS);
            break;
          case "demote":
            lessor.demote();
            isPrimary = false;
            for (const lease of leases.values()) start(lease, 0);
            break;
        }
        expect(lessor.isPrimary).toBe(isPrimary);
        expect(lessor.leaseCount).toBe(leases.size);
        expect(lessor.attachedCount).toBe(keys.size);
        for (const name of ["a", "b", "c", "d", "e"]) expect(lessor.leaseOf(utf8(name))).toBe(keys.get(name) ?? 0n);
        for (const [id, lease] of leases) {
          const status = lessor.timeToLive(id, now)!;
          expect(status.grantedTtl).toBe(lease.ttl);
          expect(status.keyCount).toBe(keysOf(id).length);
          if (isPrimary) expect(status.ttl).toBe(Math.trunc((lease.expiryMs - now) / 1000) + 0);
        }
      }
    }),
    { numRuns: 150 },
  );
});
