import { describe, expect, test } from "bun:test";
import { SURVEY_PREFIXES_MAX } from "../../src/base/limits.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import {
  AlarmRequest_AlarmAction as Action,
  AlarmType,
  Maintenance,
} from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import type { MemberOptions } from "../../src/member/mod.ts";
import { type PrefixSize, PrefixSurvey } from "../../src/member/prefix_survey.ts";
import { Store } from "../../src/mvcc/mod.ts";
import { TestMember } from "../harness/member.ts";
import { RecordingLog } from "../harness/recording_log.ts";

const NO_SPACE = "8 etcdserver: mvcc: database space exceeded";
const QUOTA = 100_000;

async function started(options: Partial<MemberOptions> = {}) {
  const log = new RecordingLog();
  const server = await TestMember.start({ member: { quotaBackendBytes: QUOTA, log, ...options } });
  const put = (key: string, size: number) =>
    server.errorOf(KV.method.put, { key: utf8(key), value: new Uint8Array(size) });
  const alarms = async () => {
    const { alarms } = await server.call(Maintenance.method.alarm, {});
    return alarms.map(({ memberID, alarm }) => `${memberID === server.member.id} ${AlarmType[alarm]}`);
  };
  /** Drops all history, and keys with this first letter with it. */
  const empty = async (letter: string) => {
    const { header } = await server.call(KV.method.deleteRange, { key: utf8(letter), rangeEnd: utf8(`${letter}~`) });
    await server.call(KV.method.put, { key: utf8("small") }).catch(() => undefined);
    await server.call(KV.method.compact, { revision: header!.revision, physical: true });
  };
  return { server, log, put, alarms, empty };
}

describe("a member whose quota is used up", () => {
  test("refuses what needs space, before anything else, and raises its alarm first", async () => {
    const { server, put, alarms } = await started();
    expect(await put("a", 90_000)).toBe("no error");
    expect(await put("b", 20_000)).toBe(NO_SPACE);
    expect(await alarms()).toEqual(["true NOSPACE"]);
    // Also what would be refused for another reason, and what is small enough.
    expect(await server.errorOf(KV.method.put, { value: new Uint8Array(20_000) })).toBe(NO_SPACE);
    expect(await put("b", 1)).toBe(NO_SPACE);
    expect(await server.errorOf(Lease.method.leaseGrant, { TTL: 60n })).toBe(NO_SPACE);
    const success = [{ request: { case: "requestPut" as const, value: { key: utf8("b") } } }];
    expect(await server.errorOf(KV.method.txn, { success })).toBe(NO_SPACE);
    expect(await server.errorOf(KV.method.range, { key: utf8("a") })).toBe("no error");
    expect(await server.errorOf(KV.method.txn, {})).toBe("no error");
  });

  test("tells who put too much at once only when the alarm is raised, though the put was carried out", async () => {
    const { server, log } = await started();
    const value = new Uint8Array(60_000);
    const calls = ["a", "b", "c"].map((key) => server.startCall(KV.method.put, { key: utf8(key), value }));
    const raised: boolean[] = [];
    const answers = calls.map((call) =>
      call.response.then(() => "stored", (error: Error) => {
        raised.push(server.member.keyspace.alarms.isRaised(1));
        return error.message;
      })
    );
    const text = "etcdserver: mvcc: database space exceeded";
    expect(await server.clock.run(Promise.all(answers))).toEqual(["stored", text, text]);
    expect(raised).toEqual([true, true]);
    expect((await server.call(KV.method.range, { key: utf8("a"), rangeEnd: utf8("d") })).count).toBe(3n);
    expect(log.with("message exceeded backend quota; raising alarm")).toHaveLength(1);
  });

  test("works again once there is room and the alarm is cleared, and not before", async () => {
    const { server, put, alarms, empty } = await started();
    await put("a", 90_000);
    await put("b", 20_000);
    await empty("a");
    await server.clock.advance(60_000);
    expect(server.member.keyspace.quota.usedRatio).toBeLessThan(0.1);
    expect(await put("b", 1)).toBe(NO_SPACE);
    await server.call(Maintenance.method.alarm, {
      action: Action.DEACTIVATE,
      memberID: server.member.id,
      alarm: AlarmType.NOSPACE,
    });
    expect(await alarms()).toEqual([]);
    expect(await put("b", 1)).toBe("no error");
  });

  test("raises its alarm after a restart with less than it holds, once something needs space", async () => {
    const { server, put } = await started({ quotaBackendBytes: -1 });
    expect(await put("a", 500_000)).toBe("no error");
    await server.stop();
    const log = new RecordingLog();
    const disk = server.disk.kill({ seed: 1 });
    const restarted = await TestMember.start({ disk, member: { quotaBackendBytes: QUOTA, log } });
    expect(await restarted.errorOf(KV.method.range, { key: utf8("a") })).toBe("no error");
    expect(await restarted.errorOf(KV.method.put, { key: utf8("b") })).toBe(NO_SPACE);
    expect((await restarted.call(Maintenance.method.alarm, {})).alarms).toHaveLength(1);
  });
});

test("what is used is the same after a restart, from a checkpoint or from the log alone", async () => {
  const { server, put } = await started();
  for (let i = 0; i < 20; i++) await put(`k${i % 7}`, 100 * i);
  await server.call(Lease.method.leaseGrant, { TTL: 600n });
  await server.call(KV.method.compact, { revision: 9n, physical: true });
  await server.call(KV.method.deleteRange, { key: utf8("k3") });
  const { used } = server.member.keyspace.quota;
  const fromLog = await server.restart();
  expect(fromLog.member.keyspace.quota.used).toBe(used);
  await fromLog.clock.run(fromLog.member.defragment());
  const fromCheckpoint = await fromLog.restart();
  expect(fromCheckpoint.member.keyspace.quota.used).toBe(used);
});

describe("a member that clears its alarm by itself", () => {
  async function full() {
    const world = await started({ clearsSpaceAlarm: true });
    await world.put("a", 90_000);
    await world.put("b", 20_000);
    return world;
  }

  test("does so when there has been room for a while", async () => {
    const { server, log, put, alarms, empty } = await full();
    await server.clock.advance(60_000);
    expect(await alarms()).toEqual(["true NOSPACE"]);
    await empty("a");
    await server.clock.advance(8000);
    expect(await alarms()).toEqual(["true NOSPACE"]);
    await server.clock.advance(4000);
    expect(await alarms()).toEqual([]);
    expect(await put("b", 1)).toBe("no error");
    expect(log.with("cleared this member's NOSPACE alarm")).toHaveLength(1);
  });

  test("leaves the alarms of others, and other alarms of its own", async () => {
    const { server, alarms, empty } = await full();
    const activate = (memberID: bigint, alarm: AlarmType) =>
      server.call(Maintenance.method.alarm, { action: Action.ACTIVATE, memberID, alarm });
    await activate(7n, AlarmType.NOSPACE);
    await empty("a");
    await activate(server.member.id, AlarmType.CORRUPT);
    await server.clock.advance(60_000);
    expect((await alarms()).sort()).toEqual(["false NOSPACE", "true CORRUPT"]);
  });
});

describe("warnings", () => {
  test("come once at 80 and once at 90 percent, and name the largest prefixes", async () => {
    const { server, log, put, empty } = await started();
    const warned = () => log.with("space quota is used").map(({ fields }) => fields["used-percent"]);
    await put("a/events/1", 30_000);
    await put("a/events/2", 30_000);
    await put("a/pods/1", 10_000);
    await server.clock.advance(5000);
    expect(warned()).toEqual([]);
    expect(server.member.space.warningRatio).toBe(0);
    await put("flat", 10_000);
    await server.clock.advance(5000);
    expect(warned()).toEqual([80]);
    expect(log.with("space quota is used")[0].fields["largest-prefixes"]).toEqual([
      '"a/events/" 60 kB',
      '"a/pods/" 10 kB',
      '"" 10 kB',
    ]);
    expect(server.member.space.warningRatio).toBe(0.8);
    expect(server.member.space.largestPrefixes.map(({ prefix }) => prefix)).toEqual(["a/events/", "a/pods/", ""]);
    await put("flat/b", 11_000);
    await server.clock.advance(5000);
    expect(warned()).toEqual([80, 91]);
    await empty("f");
    await server.clock.advance(5000);
    expect(server.member.space.warningRatio).toBe(0);
    expect(server.member.space.largestPrefixes).toEqual([]);
    await put("flat", 10_000);
    await server.clock.advance(5000);
    expect(warned()).toEqual([80, 91, 80]);
  });

  test("do not come again while the use moves a little around the threshold", async () => {
    const { server, log, put, empty } = await started();
    await put("a", 75_000);
    for (let i = 0; i < 5; i++) {
      await put("b", 6000);
      await server.clock.advance(3000);
      await empty("b");
      await server.clock.advance(3000);
    }
    expect(log.with("space quota is used")).toHaveLength(1);
  });

  test("do not come where there is no bound", async () => {
    const { server, log, put } = await started({ quotaBackendBytes: -1 });
    await put("a", 1_000_000);
    await server.clock.advance(5000);
    expect(log.with("space quota is used")).toEqual([]);
  });
});

describe("the survey of prefixes", () => {
  function surveyed(keys: Iterable<string>, count: number, between: (store: Store) => void = () => {}): PrefixSize[] {
    const store = new Store();
    for (const key of keys) put(store, key);
    let result: readonly PrefixSize[] = [];
    const survey = new PrefixSurvey(store, count, (largest) => result = largest);
    while (survey.step() !== "done") between(store);
    return [...result];
  }

  function put(store: Store, key: string): void {
    const write = store.beginWrite();
    write.put(utf8(key), utf8("12345678"), 0n);
    write.commit();
  }

  test("takes up to three slashes of a key for its prefix, and none of a key without", () => {
    const prefixes = surveyed(["/registry/pods/a/b", "/registry/pods/a/c", "x/y", "plain", "/"], 10)
      .map(({ prefix }) => prefix);
    expect(prefixes[0]).toBe("/registry/pods/");
    expect(prefixes.sort()).toEqual(["", "/", "/registry/pods/", "x/"]);
  });

  test("counts history as the quota does", () => {
    const store = new Store();
    for (let i = 0; i < 3; i++) put(store, "a/b");
    const write = store.beginWrite();
    write.deleteRange(utf8("a/b"), new Uint8Array(0)).step(1);
    write.commit();
    let size = 0;
    const survey = new PrefixSurvey(store, 1, (largest) => size = largest[0].size);
    while (survey.step() !== "done");
    // A tombstone's key is one byte longer in the database, which neither of them counts.
    expect(size).toBe(store.storedSize);
  });

  test("finds a large prefix among more than it can count", () => {
    function* keys() {
      for (let i = 0; i < 5 * SURVEY_PREFIXES_MAX; i++) {
        yield `small${i}/x`;
        if (i % 10 === 0) yield "large/x";
      }
    }
    expect(surveyed(keys(), 1)[0].prefix).toBe("large/");
  });

  test("goes on over what is written and compacted between its steps", () => {
    function* keys() {
      for (let i = 0; i < 5000; i++) yield `a/${i % 7}`;
    }
    const [largest] = surveyed(keys(), 1, (store) => {
      put(store, "b/x");
      const job = store.compact(store.revision);
      if (typeof job !== "string") { while (job.step(10_000) !== "done"); }
    });
    expect(largest.prefix).toBe("a/");
  });
});
