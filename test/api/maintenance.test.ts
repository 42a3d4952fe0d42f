import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { DowngradeRequest_DowngradeAction as Action, Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { TestMember } from "../harness/member.ts";

const { status, moveLeader, downgrade, defragment } = Maintenance.method;

describe("Status", () => {
  test("says what is stored, what may be, and which versions are at work", async () => {
    const server = await TestMember.start({ member: { quotaBackendBytes: 12345 } });
    const answer = await server.call(status, {});
    expect(answer).toMatchObject({
      version: "3.7.1",
      leader: server.member.id,
      isLearner: false,
      storageVersion: "3.7.0",
      dbSizeQuota: 12345n,
      errors: [],
    });
    expect(answer.downgradeInfo).toMatchObject({ enabled: false, targetVersion: "" });
    expect(answer.dbSize).toBeGreaterThanOrEqual(answer.dbSizeInUse);
  });

  test("reports the default quota where none is set, and a negative one as it is", async () => {
    const unset = await TestMember.start();
    expect((await unset.call(status, {})).dbSizeQuota).toBe(2147483648n);
    const unbounded = await TestMember.start({ member: { quotaBackendBytes: -7 } });
    expect((await unbounded.call(status, {})).dbSizeQuota).toBe(-7n);
  });

  test("names the alarms", async () => {
    const server = await TestMember.start({ member: { quotaBackendBytes: 100 } });
    await server.errorOf(KV.method.put, { key: utf8("a") });
    expect((await server.call(status, {})).errors).toEqual([`memberID:${server.member.id} alarm:NOSPACE`]);
  });
});

describe("Defragment", () => {
  test("writes the database anew while reads and writes go on", async () => {
    const server = await TestMember.start();
    for (let i = 0; i < 50; i++) await server.call(KV.method.put, { key: utf8("a"), value: new Uint8Array(1000) });
    const pass = server.startCall(defragment, {}).response;
    let isDone = false;
    pass.then(() => isDone = true);
    await server.call(KV.method.put, { key: utf8("b") });
    expect((await server.call(KV.method.range, { key: utf8("b") })).count).toBe(1n);
    expect(isDone).toBe(false);
    expect((await server.clock.run(pass)).header).toBeUndefined();
    const { dbSize, dbSizeInUse } = await server.call(status, {});
    expect(dbSize).toBe(BigInt(server.member.databaseSize));
    expect(dbSizeInUse).toBeGreaterThan(50_000n);
    expect(server.member.statistics).toMatchObject({ defragmentingCount: 0, defragmentSeconds: { count: 1 } });
  });

  test("answers all who ask at once", async () => {
    const server = await TestMember.start();
    await server.call(KV.method.put, { key: utf8("a") });
    const passes = [1, 2, 3].map(() => server.startCall(defragment, {}).response);
    expect(await server.clock.run(Promise.all(passes))).toHaveLength(3);
  });

  test("takes less space after keys are deleted and compacted", async () => {
    const server = await TestMember.start();
    for (let i = 0; i < 50; i++) await server.call(KV.method.put, { key: utf8(`${i}`), value: new Uint8Array(4000) });
    await server.call(defragment, {});
    const before = (await server.call(status, {})).dbSize;
    const { header } = await server.call(KV.method.deleteRange, { key: utf8("0"), rangeEnd: utf8(":") });
    await server.call(KV.method.compact, { revision: header!.revision, physical: true });
    const between = await server.call(status, {});
    expect(between.dbSizeInUse).toBeLessThan(before / 4n);
    await server.call(defragment, {});
    expect((await server.call(status, {})).dbSize).toBeLessThan(before / 2n);
  });
});

test("MoveLeader leaves the leadership where it is wanted, and gives it to no stranger", async () => {
  const server = await TestMember.start();
  const { header } = await server.call(moveLeader, { targetID: server.member.id });
  expect(header).toBeUndefined();
  expect(await server.errorOf(moveLeader, { targetID: 9n })).toBe("9 etcdserver: bad leader transferee");
});

test("Downgrade lowers the cluster version and keeps it lowered over a restart", async () => {
  const server = await TestMember.start();
  const ask = (action: Action, version = "") => server.errorOf(downgrade, { action, version });
  expect(await ask(Action.VALIDATE, "x")).toBe("3 etcdserver: wrong downgrade target version format");
  expect(await ask(Action.VALIDATE, "3.5")).toBe("3 etcdserver: invalid downgrade target version");
  expect(await ask(9 as Action)).toBe("2 etcdserver: unknown method");
  expect(await server.call(downgrade, { action: Action.ENABLE, version: "3.6" })).toMatchObject({ version: "3.7" });
  expect(await ask(Action.VALIDATE, "3.6")).toBe("9 etcdserver: cluster has a downgrade job in progress");
  await server.clock.advance(5000);
  expect(await server.call(status, {}))
    .toMatchObject({ storageVersion: "3.6.0", downgradeInfo: { enabled: true, targetVersion: "3.6.0" } });
  const restarted = await server.restart();
  await restarted.clock.advance(5000);
  expect(await restarted.call(status, {}))
    .toMatchObject({ storageVersion: "3.6.0", downgradeInfo: { enabled: true, targetVersion: "3.6.0" } });
  await restarted.call(downgrade, { action: Action.CANCEL });
  await restarted.clock.advance(5000);
  expect(await restarted.call(status, {})).toMatchObject({
    storageVersion: "3.7.0",
    downgradeInfo: { enabled: false },
  });
});
