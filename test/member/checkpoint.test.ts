import { describe, expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { type Logger, silentLogger } from "../../src/io/log.ts";
import { BoltDatabase } from "../../src/storage/bolt/mod.ts";
import { TestMember, type TestMemberOptions } from "../harness/member.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";
import { SimulatedDisk } from "../harness/simulated_disk.ts";

const DB = "data/member/snap/db";
/** One byte of so many is damaged, each in its turn. */
const STEP = 211;
/** A checkpoint after every few entries. */
const OFTEN = { snapshotCount: 4, checkpointLogSize: 1 };
/** None by itself. */
const NEVER = { snapshotCount: 1_000_000 };

async function put(server: TestMember, key: string, value: string, lease = 0n): Promise<void> {
  await server.call(KV.method.put, { key: utf8(key), value: utf8(value), lease });
}

/** Waits until the disk has nothing to do any more. */
async function quiet({ clock, disk }: TestMember): Promise<void> {
  for (let rounds = 0, count = -1; rounds < 5; rounds++) {
    if (disk.operationCount !== count) rounds = 0;
    count = disk.operationCount;
    await clock.settle();
  }
}

/** All that a client could ask for. */
function contents({ member }: TestMember): string[] {
  const { store, lessor, alarms, auth } = member.keyspace;
  const lines = [`revision ${store.revision}, compacted ${store.compactRevision}`];
  const cursor = store.openRevisions(0, store.endRow, store.compactRevision);
  const bytes = new Uint8Array(40_000);
  while (cursor.next()) {
    cursor.copyKey(bytes, 0);
    cursor.copyValue(bytes, 18, 0, cursor.valueSize);
    lines.push(`${cursor.keySize} ${utf8Text(bytes.slice(0, 18 + cursor.valueSize))}`);
  }
  for (const { id, ttl, remainingTtl } of [...lessor.records()].sort((a, b) => Number(a.id - b.id))) {
    lines.push(`lease ${id} ${ttl} ${remainingTtl} ${lessor.timeToLive(id, 0)?.keyCount}`);
  }
  lines.push(JSON.stringify(alarms.list().map(({ memberId, type }) => [String(memberId), type])));
  lines.push(JSON.stringify(auth.records(), (_key, value) => value));
  lines.push(member.membership.clusterVersion, ...member.membership.list().map(({ name, id }) => `${name} ${id}`));
  return lines;
}

/** A member with history: overwritten, deleted and compacted keys, leases, values of several pages. */
async function filled(options: TestMemberOptions): Promise<TestMember> {
  const server = await TestMember.start(options);
  await server.call(Lease.method.leaseGrant, { ID: 7n, TTL: 100n });
  await server.call(Lease.method.leaseGrant, { ID: -7n, TTL: 200n });
  for (let i = 0; i < 12; i++) await put(server, `key${i % 5}`, `value${i}`.repeat(1 + i * 20), i % 3 === 0 ? 7n : 0n);
  await server.call(KV.method.deleteRange, { key: utf8("key1") });
  await put(server, "large", "x".repeat(13_000));
  await server.call(KV.method.compact, { revision: 9n, physical: true });
  await put(server, "key4", "last", -7n);
  return server;
}

/** The disk that the next process finds. */
async function stopped(server: TestMember): Promise<SimulatedDisk> {
  await server.stop();
  return server.disk.kill({ seed: 1 });
}

describe("a restart", () => {
  test.each(["from the log", "from what was appended", "from what was written anew"])(
    "%s finds the same state",
    async (how) => {
      const server = await filled({ member: how === "from what was appended" ? OFTEN : NEVER });
      await quiet(server);
      if (how === "from what was written anew") await server.clock.run(server.member.defragment());
      const before = contents(server);
      const disk = await stopped(server);
      const again = await TestMember.start({ disk });
      expect(contents(again)).toEqual(before);
      await put(again, "key2", "and on");
      await again.clock.run(again.member.defragment());
      const after = contents(again);
      const last = await again.restart();
      expect(contents(last)).toEqual(after);
      await last.stop();
    },
  );

  test("carries out a compaction that the database only knows as scheduled", async () => {
    const server = await TestMember.start({ member: OFTEN });
    for (let i = 0; i < 8; i++) await put(server, "key", `value${i}`);
    await quiet(server);
    await server.call(KV.method.compact, { revision: 8n });
    for (let i = 0; i < 8; i++) await put(server, "key", `value${i}`);
    await quiet(server);
    const hash = await server.call(Maintenance.method.hashKV, { revision: 0n });
    const disk = await stopped(server);
    const database = await BoltDatabase.open(await disk.open(DB));
    expect(await database.get(utf8("meta"), utf8("finishedCompactRev"))).toBeUndefined();
    expect(await database.get(utf8("meta"), utf8("scheduledCompactRev"))).toBeDefined();
    const again = await TestMember.start({ disk, member: NEVER });
    await quiet(again);
    expect(again.member.keyspace.store.finishedCompactRevision).toBe(8);
    expect((await again.call(Maintenance.method.hashKV, { revision: 0n })).hash).toBe(hash.hash);
    await again.stop();
  });

  test("says which file and page is damaged, whatever bit of it, and serves nothing from it", async () => {
    const server = await filled({ member: NEVER });
    await server.clock.run(server.member.defragment());
    const before = contents(server);
    const disk = await stopped(server);
    const whole = disk.contents().get(DB)!.slice();
    let found = 0;
    for (let position = 0; position < whole.length; position += STEP) {
      const damaged = whole.slice();
      damaged[position] ^= 1 << (position % 8);
      const copy = new SimulatedDisk({ seed: 1 });
      for (const [path, bytes] of disk.contents()) {
        if (!path.endsWith("/")) copy.place(path, path === DB ? damaged : bytes);
      }
      try {
        const again = await TestMember.start({ disk: copy, member: NEVER });
        expect(contents(again)).toEqual(before);
        await again.stop();
      } catch (error) {
        found++;
        expect((error as Error).message).toMatch(/data\/member\/snap\/db/);
        expect((error as Error).message).toMatch(/restore the data directory from a snapshot/);
      }
    }
    // What is left are bytes that belong to nothing.
    expect(found).toBeGreaterThan(whole.length / STEP / 2);
  }, 60_000);

  test("refuses a database that is ahead of its log, or behind what its log says", async () => {
    const server = await filled({ member: OFTEN });
    await quiet(server);
    const disk = await stopped(server);
    const older = await filled({ member: NEVER });
    const olderDisk = await stopped(older);
    const mixed = (database: SimulatedDisk, log: SimulatedDisk) => {
      const copy = new SimulatedDisk({ seed: 1 });
      for (const [path, bytes] of log.contents()) {
        if (!path.endsWith("/") && path !== DB) copy.place(path, bytes);
      }
      copy.place(DB, database.contents().get(DB)!);
      return copy;
    };
    await expect(TestMember.start({ disk: mixed(olderDisk, disk) })).rejects.toThrow(
      /failed to find database snapshot file \(snap: snapshot file doesn't exist\): the log says/,
    );
    const short = await TestMember.start({ member: NEVER });
    const shortDisk = await stopped(short);
    await expect(TestMember.start({ disk: mixed(disk, shortDisk) })).rejects.toThrow(
      /the log in data\/member\/wal ends with entry \d+, but data\/member\/snap\/db holds the state after entry \d+/,
    );
    const withoutLog = new SimulatedDisk({ seed: 1 });
    withoutLog.place(DB, disk.contents().get(DB)!);
    await expect(TestMember.start({ disk: withoutLog })).rejects.toThrow(/there is no log in data\/member\/wal/);
  });

  test("refuses a database in which authentication is enabled", async () => {
    const server = await TestMember.start({ member: NEVER });
    const { auth } = server.member.keyspace;
    const records = auth.records();
    auth.restore({ ...records, auth: [[utf8("authEnabled"), Uint8Array.of(1)], ...records.auth] });
    await server.clock.run(server.member.defragment());
    await expect(server.restart()).rejects.toThrow(/authentication is enabled in this data directory/);
  });

  test("lets a database that was received for a snapshot take its place", async () => {
    const server = await filled({ member: OFTEN });
    await quiet(server);
    const snapshot = await server.clock.run(server.member.openSnapshot());
    const bytes = new Uint8Array(snapshot.size);
    await snapshot.read(bytes, 0);
    const before = contents(server);
    const disk = await stopped(server);
    const empty = await stopped(await TestMember.start({ member: NEVER }));
    const copy = new SimulatedDisk({ seed: 1 });
    for (const [path, content] of disk.contents()) if (!path.endsWith("/") && path !== DB) copy.place(path, content);
    copy.place(DB, empty.contents().get(DB)!);
    const recorded = Number(
      `0x${[...disk.contents().keys()].findLast((path) => path.endsWith(".snap"))!.slice(-21, -5)}`,
    );
    copy.place(`data/member/snap/${recorded.toString(16).padStart(16, "0")}.snap.db`, bytes);
    const again = await TestMember.start({ disk: copy, member: NEVER });
    expect(contents(again)).toEqual(before);
    await again.stop();
  });
});

describe("a checkpoint", () => {
  test("that finds no room is told and tried again; the member serves meanwhile", async () => {
    const clock = new SimulatedClock();
    const disk = new SimulatedDisk({ seed: 1 });
    const told: string[] = [];
    const log = recorder(told);
    const server = await TestMember.start({ disk, clock, member: { ...NEVER, log } });
    await put(server, "key", "x".repeat(5000));
    const free = disk.room;
    expect(free).toBe(Infinity);
    disk.capacity = [...disk.contents().values()].reduce((size, content) => size + content.length, 0) + 5000;
    const names = [...disk.contents().keys()];
    await expect(clock.run(server.member.defragment())).rejects.toThrow(/no space left|ENOSPC/);
    expect([...disk.contents().keys()]).toEqual(names);
    expect(told.some((line) => line.startsWith("error: cannot write a checkpoint"))).toBe(true);
    await put(server, "key", "still served");
    disk.capacity = Infinity;
    await clock.run(server.member.defragment());
    const before = contents(server);
    const again = await server.restart();
    expect(contents(again)).toEqual(before);
    await again.stop();
  });

  test("that finds no room behind the database leaves it as it was, and is appended later", async () => {
    const server = await filled({ member: NEVER });
    await (await server.clock.run(server.member.openSnapshot())).close();
    const { disk, clock } = server;
    const before = disk.contents().get(DB)!.slice();
    await put(server, "more", "x".repeat(20_000));
    disk.capacity = [...disk.contents().values()].reduce((size, content) => size + content.length, 0) + 5000;
    await expect(clock.run(server.member.openSnapshot())).rejects.toThrow(/no space left|ENOSPC/);
    expect(disk.contents().get(DB)).toEqual(before);
    disk.capacity = Infinity;
    const creations = () => disk.trace.filter((line) => line.startsWith("create data/member/snap/tmp-db")).length;
    const created = creations();
    await (await clock.run(server.member.openSnapshot())).close();
    expect(creations()).toBe(created);
    const state = contents(server);
    const again = await server.restart();
    expect(contents(again)).toEqual(state);
    await again.stop();
  });

  test("is a new file after a sync of the old one has failed", async () => {
    let failing = false;
    const disk = new SimulatedDisk({
      seed: 1,
      fault: ({ kind, path }) => failing && kind === "sync" && path === DB ? { fail: "EIO" } : undefined,
    });
    const server = await filled({ disk, member: NEVER });
    await (await server.clock.run(server.member.openSnapshot())).close();
    await put(server, "more", "value");
    failing = true;
    await expect(server.clock.run(server.member.openSnapshot())).rejects.toThrow(/EIO/);
    failing = false;
    await put(server, "and", "more");
    const count = disk.trace.length;
    await (await server.clock.run(server.member.openSnapshot())).close();
    expect(disk.trace.slice(count)).toContain("rename data/member/snap/tmp-db to data/member/snap/db");
    const state = contents(server);
    const again = await server.restart();
    expect(contents(again)).toEqual(state);
    await again.stop();
  });

  test("is a new file after a compaction of what the old one was never told of: etcd counts versions from row to row", async () => {
    const server = await filled({ member: NEVER });
    const { disk, clock } = server;
    const renames = () => disk.trace.filter((line) => line.startsWith("rename data/member/snap/tmp-db")).length;
    await (await clock.run(server.member.openSnapshot())).close();
    const count = renames();
    for (let i = 0; i < 3; i++) await put(server, "key0", `${i}`);
    await server.call(KV.method.compact, { revision: 14n, physical: true });
    await (await clock.run(server.member.openSnapshot())).close();
    expect(renames()).toBe(count);
    for (let i = 0; i < 3; i++) await put(server, "key0", `${i}`);
    const { revision } = server.member.keyspace.store;
    await server.call(KV.method.compact, { revision: BigInt(revision), physical: true });
    await (await clock.run(server.member.openSnapshot())).close();
    expect(renames()).toBe(count + 1);
    const state = contents(server);
    const again = await server.restart();
    expect(contents(again)).toEqual(state);
    await again.stop();
  });

  test("leaves those who read an earlier state alone, even when the file is replaced", async () => {
    const server = await filled({ member: NEVER });
    const snapshot = await server.clock.run(server.member.openSnapshot());
    const first = new Uint8Array(snapshot.size);
    await snapshot.read(first, 0);
    for (let i = 0; i < 10; i++) await put(server, `key${i}`, "new".repeat(100));
    const second = await server.clock.run(server.member.openSnapshot());
    await server.clock.run(server.member.defragment());
    const again = new Uint8Array(snapshot.size);
    await snapshot.read(again, 0);
    expect(again).toEqual(first);
    expect(second.revision).toBe(server.member.keyspace.store.revision);
    expect(second.index).toBeGreaterThan(snapshot.index);
    await snapshot.close();
    await second.close();
    await server.stop();
  });

  test("is not made again for a snapshot that it covers", async () => {
    const server = await filled({ member: NEVER });
    await (await server.clock.run(server.member.openSnapshot())).close();
    const count = server.disk.operationCount;
    await (await server.clock.run(server.member.openSnapshot())).close();
    expect(server.disk.operationCount).toBe(count);
    await server.stop();
  });

  test("lets old segments of the log be purged", async () => {
    const server = await TestMember.start({ member: { ...OFTEN, walSegmentSize: 4096, walsMax: 2, snapshotsMax: 3 } });
    for (let i = 0; i < 40; i++) await put(server, `key${i % 3}`, "x".repeat(1000));
    await quiet(server);
    const names = [...server.disk.contents().keys()];
    expect(names.filter((name) => name.endsWith(".wal")).length).toBeLessThanOrEqual(3);
    expect(names.filter((name) => name.endsWith(".snap"))).toHaveLength(3);
    const before = contents(server);
    const again = await server.restart();
    expect(contents(again)).toEqual(before);
    await again.stop();
  });

  test("is given up when the member stops", async () => {
    const server = await filled({ member: NEVER });
    const defragmented = server.member.defragment().then(() => "done", (error) => String(error));
    await server.stop();
    expect(await defragmented).toContain("stopped");
    expect([...server.disk.contents().keys()].filter((name) => name.includes("tmp"))).toEqual([]);
  });
});

test("a second member on the same directory is refused, also after the database was replaced", async () => {
  const server = await TestMember.start({ member: NEVER });
  await expect(TestMember.start({ disk: server.disk })).rejects.toThrow(/in use by another process/);
  await put(server, "key", "value");
  await server.clock.run(server.member.defragment());
  await expect(TestMember.start({ disk: server.disk })).rejects.toThrow(/in use by another process/);
  await server.stop();
});

function recorder(lines: string[]): Logger {
  const record = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { ...silentLogger, info: record("info"), warn: record("warn"), error: record("error") };
}
