import { describe, expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { AlarmRequest_AlarmAction, AlarmType, Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Lock, type LockResponse } from "../../src/gen/v3lockpb/lock_pb.ts";
import { Code, RpcError } from "../../src/io/rpc.ts";
import { type StartedCall, TestMember } from "../harness/member.ts";

const CANCELED = new RpcError(Code.CANCELED, "context canceled");

async function withLeases(...ids: bigint[]): Promise<TestMember> {
  const server = await TestMember.start();
  for (const ID of ids) await server.call(Lease.method.leaseGrant, { ID, TTL: 1000n });
  return server;
}

/** Starts to wait for a lock, and lets the call get as far as it can. */
async function startLock(server: TestMember, name: string, lease: bigint): Promise<StartedCall<LockResponse>> {
  const call = server.startCall(Lock.method.lock, { name: utf8(name), lease });
  await server.clock.settle();
  return call;
}

function unlock(server: TestMember, key: string): Promise<unknown> {
  return server.call(Lock.method.unlock, { key: utf8(key) });
}

async function keys(server: TestMember): Promise<string> {
  const { kvs } = await server.call(KV.method.range, { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) });
  return kvs.map(({ key }) => utf8Text(key)).join(" ");
}

describe("a lock", () => {
  test("is a key named after the lease in hex", async () => {
    const server = await withLeases(0x1an, -0x1an);
    const { key, header } = await server.call(Lock.method.lock, { name: utf8("a"), lease: 0x1an });
    expect(utf8Text(key)).toBe("a/1a");
    expect(header).toMatchObject({ memberId: server.member.id, revision: 2n });
    expect(utf8Text((await server.call(Lock.method.lock, { name: utf8("b"), lease: -0x1an })).key)).toBe("b/-1a");
    expect(await keys(server)).toBe("a/1a b/-1a");
  });

  test("may be taken again by the lease that holds it", async () => {
    const server = await withLeases(1n);
    await server.call(Lock.method.lock, { name: utf8("a"), lease: 1n });
    await server.call(KV.method.put, { key: utf8("other") });
    const { key, header } = await server.call(Lock.method.lock, { name: utf8("a"), lease: 1n });
    expect([utf8Text(key), header!.revision]).toEqual(["a/1", 3n]);
  });

  test("goes to those who wait in the order in which they came", async () => {
    const server = await withLeases(1n, 2n, 3n);
    const held: string[] = [];
    for (const lease of [3n, 1n, 2n]) {
      const { response } = await startLock(server, "a", lease);
      response.then(({ key, header }) => held.push(`${utf8Text(key)}@${header!.revision}`));
    }
    await server.clock.settle();
    expect(held).toEqual(["a/3@2"]);
    await unlock(server, "a/3");
    await server.clock.settle();
    expect(held).toEqual(["a/3@2", "a/1@5"]);
    await server.call(Lease.method.leaseRevoke, { ID: 1n });
    await server.clock.settle();
    expect(held).toEqual(["a/3@2", "a/1@5", "a/2@6"]);
  });

  test("is not disturbed when one that waits before it gives up", async () => {
    const server = await withLeases(1n, 2n, 3n);
    await startLock(server, "a", 1n);
    const second = await startLock(server, "a", 2n);
    const third = await startLock(server, "a", 3n);
    second.call.cancel(CANCELED);
    await server.clock.settle();
    expect(await keys(server)).toBe("a/1 a/3");
    await unlock(server, "a/1");
    expect(utf8Text((await server.clock.run(third.response)).key)).toBe("a/3");
  });

  test("is not had by a lease that ended while it waited", async () => {
    const server = await withLeases(1n, 2n);
    await startLock(server, "a", 1n);
    const { response } = await startLock(server, "a", 2n);
    await server.call(Lease.method.leaseRevoke, { ID: 2n });
    await unlock(server, "a/1");
    const error = await server.clock.run(response.then(() => undefined, (reason) => reason as RpcError));
    expect(error).toMatchObject({ code: Code.UNKNOWN, message: "mutex: session is expired" });
  });

  test("is let go when its client goes away before it hears of it", async () => {
    const server = await withLeases(1n);
    const { call } = server.startCall(Lock.method.lock, { name: utf8("a"), lease: 1n });
    call.cancel(CANCELED);
    await server.clock.settle();
    expect(await keys(server)).toBe("");
  });

  test("that is held already is not let go with a second call that goes away", async () => {
    const server = await withLeases(1n);
    await startLock(server, "a", 1n);
    const { call } = server.startCall(Lock.method.lock, { name: utf8("a"), lease: 1n });
    call.cancel(CANCELED);
    await server.clock.settle();
    expect(await keys(server)).toBe("a/1");
  });

  test("without a lease gets one of a minute, which nobody keeps alive", async () => {
    const server = await TestMember.start();
    const { key } = await server.call(Lock.method.lock, { name: utf8("a") });
    const { kvs: [kv] } = await server.call(KV.method.range, { key });
    expect(utf8Text(key)).toBe(`a/${kv.lease.toString(16)}`);
    expect(await server.call(Lease.method.leaseTimeToLive, { ID: kv.lease })).toMatchObject({ grantedTTL: 60n });
    const { response } = await startLock(server, "a", 0n);
    await server.clock.advance(61_000);
    // Both have ended: the one that waited learns it when the one before it is gone.
    const error = await server.clock.run(response.then(() => undefined, (reason) => reason as RpcError));
    expect(error?.message).toBe("mutex: session is expired");
    expect(await keys(server)).toBe("");
  });
});

test("unlocking succeeds whether or not there was a lock", async () => {
  const server = await withLeases(1n);
  await server.call(Lock.method.lock, { name: utf8("a"), lease: 1n });
  expect(await unlock(server, "a/1")).toMatchObject({ header: { revision: 3n } });
  expect(await unlock(server, "a/1")).toMatchObject({ header: { revision: 3n } });
});

test("errors keep their text and lose their code on the way through etcd's client library", async () => {
  const server = await withLeases(1n);
  const { lock, unlock } = Lock.method;
  const errors = [
    await server.errorOf(unlock, {}),
    await server.errorOf(lock, { name: utf8("a"), lease: 999n }),
    await server.errorOf(lock, { name: new Uint8Array(2_000_000), lease: 1n }),
  ];
  await server.call(Maintenance.method.alarm, {
    action: AlarmRequest_AlarmAction.ACTIVATE,
    memberID: 1n,
    alarm: AlarmType.NOSPACE,
  });
  errors.push(await server.errorOf(lock, { name: utf8("a") }));
  expect(errors).toEqual([
    "2 etcdserver: key is not provided",
    "2 etcdserver: requested lease not found",
    "2 etcdserver: request is too large",
    "2 etcdserver: mvcc: database space exceeded",
  ]);
});
