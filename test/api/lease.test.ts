import { describe, expect, test } from "bun:test";
import { LEASE_RENEWALS_MAX } from "../../src/base/limits.ts";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease, type LeaseKeepAliveResponse } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Watch } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { TestMember } from "../harness/member.ts";

/** How long a lease outlives its last deadline at most: expired ones are looked for twice a second. */
const SLACK_MS = 600;

async function grant(server: TestMember, ID: bigint, TTL: bigint): Promise<void> {
  await server.call(Lease.method.leaseGrant, { ID, TTL });
}

async function timeToLive(server: TestMember, ID: bigint): Promise<bigint> {
  return (await server.call(Lease.method.leaseTimeToLive, { ID })).TTL;
}

describe("granting", () => {
  test("takes the id given, and chooses one where there is none", async () => {
    const server = await TestMember.start();
    expect(await server.call(Lease.method.leaseGrant, { ID: -5n, TTL: 60n })).toMatchObject({ ID: -5n, TTL: 60n });
    const chosen = await server.call(Lease.method.leaseGrant, { TTL: 60n });
    expect(chosen.ID).toBeGreaterThan(0n);
    const other = await server.call(Lease.method.leaseGrant, { TTL: 60n });
    expect(other.ID).not.toBe(chosen.ID);
    expect(other.header).toMatchObject({ revision: 1n });
  });

  test("is refused as by etcd", async () => {
    const server = await TestMember.start();
    await grant(server, 5n, 60n);
    expect(await server.errorOf(Lease.method.leaseGrant, { ID: 5n, TTL: 1n })).toBe(
      "9 etcdserver: lease already exists",
    );
    expect(await server.errorOf(Lease.method.leaseGrant, { ID: 6n, TTL: 9_000_000_001n })).toBe(
      "11 etcdserver: too large lease TTL",
    );
    expect(await server.errorOf(Lease.method.leaseRevoke, { ID: 6n })).toBe("5 etcdserver: requested lease not found");
  });
});

describe("time", () => {
  test("runs down, and with it a lease ends and takes its keys along at one revision", async () => {
    const server = await TestMember.start();
    await grant(server, 5n, 10n);
    for (const key of ["b", "a"]) await server.call(KV.method.put, { key: utf8(key), lease: 5n });
    const watch = server.stream(Watch.method.watch);
    watch.send({ requestUnion: { case: "createRequest", value: { key: utf8("a"), rangeEnd: utf8("c") } } });
    expect(await watch.next()).toMatchObject({ created: true });
    await server.clock.advance(4000);
    expect(await timeToLive(server, 5n)).toBe(6n);
    await server.clock.advance(500);
    expect(await timeToLive(server, 5n)).toBe(5n);
    await server.clock.advance(5500 + SLACK_MS);
    expect(await timeToLive(server, 5n)).toBe(-1n);
    const { events, header } = (await watch.next())!;
    expect(events.map(({ type, kv }) => `${type} ${utf8Text(kv!.key)}@${kv!.modRevision}`)).toEqual(["1 a@4", "1 b@4"]);
    expect(header!.revision).toBe(4n);
  });

  test("begins again with a keep-alive", async () => {
    const server = await TestMember.start();
    await grant(server, 5n, 10n);
    const stream = server.stream(Lease.method.leaseKeepAlive);
    for (let i = 0; i < 5; i++) {
      await server.clock.advance(8000);
      stream.send({ ID: 5n });
      expect(await stream.next()).toMatchObject({ ID: 5n, TTL: 10n, header: { revision: 1n } });
    }
    await server.clock.advance(10_000 + SLACK_MS);
    expect(await timeToLive(server, 5n)).toBe(-1n);
  });

  test("begins again with a restart", async () => {
    const server = await TestMember.start();
    await grant(server, 5n, 10n);
    await grant(server, 6n, 20n);
    await server.call(KV.method.put, { key: utf8("a"), lease: 5n });
    await server.clock.advance(8000);
    const again = await server.restart();
    const found = await again.call(Lease.method.leaseTimeToLive, { ID: 5n, keys: true });
    // The time of an election comes on top.
    expect(found).toMatchObject({ TTL: 11n, grantedTTL: 10n, keys: [utf8("a")] });
    await again.clock.advance(10_000);
    expect(await timeToLive(again, 5n)).toBe(1n);
    await again.clock.advance(1000 + SLACK_MS);
    expect(await timeToLive(again, 5n)).toBe(-1n);
    expect((await again.call(KV.method.range, { key: utf8("a") })).count).toBe(0n);
    expect(await timeToLive(again, 6n)).toBe(9n);
  });
});

describe("a keep-alive stream", () => {
  test("answers every request in order, 0 for what is not there", async () => {
    const server = await TestMember.start();
    for (const id of [1n, 2n, 3n]) await grant(server, id, 10n * id);
    const stream = server.stream(Lease.method.leaseKeepAlive);
    for (const ID of [3n, 9n, 1n, 3n]) stream.send({ ID });
    stream.call.halfClose();
    const answers: string[] = [];
    for (let next = await stream.next(); next !== undefined; next = await stream.next()) answers.push(textOf(next));
    expect(answers).toEqual(["3: 30", "9: 0", "1: 10", "3: 30"]);
  });

  test("does not say that a lease lives which is about to be revoked", async () => {
    const server = await TestMember.start();
    // Expired leases are looked for every half second: this one ends between two looks.
    await server.clock.advance(100);
    await grant(server, 5n, 10n);
    await grant(server, 6n, 100n);
    const stream = server.stream(Lease.method.leaseKeepAlive);
    let isAnswered = false;
    const first = stream.receive().then((answer) => {
      isAnswered = true;
      return answer;
    });
    await server.clock.advance(10_000 - 100);
    server.clock.after(150, () => {
      stream.send({ ID: 5n });
      stream.send({ ID: 6n });
    });
    await server.clock.advance(200);
    expect(isAnswered).toBe(false);
    await server.clock.advance(SLACK_MS);
    expect(textOf((await first)!)).toBe("5: 0");
    expect(textOf((await stream.next())!)).toBe("6: 100");
  });

  test("is not read while too many of its requests wait, and all of them are answered", async () => {
    const server = await TestMember.start();
    await server.clock.advance(100);
    await grant(server, 5n, 10n);
    await grant(server, 6n, 100n);
    const stream = server.stream(Lease.method.leaseKeepAlive);
    await server.clock.advance(9950);
    const count = 3 * LEASE_RENEWALS_MAX;
    // Due between two looks for expired leases, so that the first request makes all behind it wait.
    server.clock.after(100, () => {
      for (let i = 0; i < count; i++) stream.send({ ID: i % 100 === 0 ? 5n : 6n });
      stream.call.halfClose();
    });
    await server.clock.advance(100);
    let answered = 0;
    const answers: string[] = [];
    const reading = (async () => {
      for (let next = await stream.receive(); next !== undefined; next = await stream.receive(), answered++) {
        answers.push(textOf(next));
      }
    })();
    await server.clock.settle();
    expect(answered).toBe(0);
    await server.clock.advance(5 * SLACK_MS);
    await server.clock.run(reading);
    expect(answers.length).toBe(count);
    expect(answers.every((answer, i) => answer === (i % 100 === 0 ? "5: 0" : "6: 100"))).toBe(true);
  });

  function textOf({ ID, TTL }: LeaseKeepAliveResponse): string {
    return `${ID}: ${TTL}`;
  }
});

test("time to live tells of keys only when asked, and of an unknown lease with -1", async () => {
  const server = await TestMember.start();
  await grant(server, 5n, 60n);
  await server.call(KV.method.put, { key: utf8("a"), lease: 5n });
  const { leaseTimeToLive } = Lease.method;
  expect(await server.call(leaseTimeToLive, { ID: 5n })).toMatchObject({ ID: 5n, grantedTTL: 60n, keys: [] });
  expect(await server.call(leaseTimeToLive, { ID: 5n, keys: true })).toMatchObject({ keys: [utf8("a")] });
  expect(await server.call(leaseTimeToLive, { ID: 7n, keys: true })).toMatchObject({
    ID: 7n,
    TTL: -1n,
    grantedTTL: 0n,
  });
});

test("leases are listed by the time they have left", async () => {
  const server = await TestMember.start();
  await grant(server, 1n, 300n);
  await grant(server, 2n, 100n);
  await grant(server, -3n, 200n);
  const { leases } = await server.call(Lease.method.leaseLeases, {});
  expect(leases.map(({ ID }) => ID)).toEqual([2n, -3n, 1n]);
});
