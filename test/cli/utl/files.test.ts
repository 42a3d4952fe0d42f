import { afterEach, beforeEach, expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { minimalVersion } from "../../../src/cli/utl/log_version.ts";
import { InternalRaftRequestSchema } from "../../../src/gen/etcdserverpb/raft_internal_pb.ts";
import { silentLogger } from "../../../src/io/log.ts";
import { systemClock, systemDisk } from "../../../src/io/system/mod.ts";
import { memberFromJson } from "../../../src/membership/mod.ts";
import { EntryType } from "../../../src/raft/mod.ts";
import { BoltDatabase } from "../../../src/storage/bolt/mod.ts";
import { findSnapshot, Wal } from "../../../src/storage/wal/mod.ts";
import { utf8, utf8Text } from "../../../src/base/bytes.ts";
import { runTool } from "../tool.ts";
import recorded from "./recorded.json";

let directory: string;
let snapshot: string;
let target: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "utl-"));
  snapshot = join(directory, "snapshot.db");
  target = join(directory, "restored");
  writeFileSync(snapshot, gunzipSync(Buffer.from(recorded.snapshot, "base64")));
});

afterEach(() => rmSync(directory, { recursive: true }));

async function restore(args: string[] = []) {
  const run = await runTool(["snapshot", "restore", snapshot, "--data-dir", target, ...args]);
  expect(run.error).toBe("");
  return run;
}

async function withDatabase<T>(use: (database: BoltDatabase) => Promise<T>): Promise<T> {
  const file = await systemDisk.open(join(target, "member/snap/db"));
  try {
    return await use(await BoltDatabase.open(file));
  } finally {
    await file.close();
  }
}

async function rowsOf(database: BoltDatabase, bucket: string): Promise<[key: string, value: string][]> {
  const rows: [string, string][] = [];
  const scan = (await database.bucket(utf8(bucket)))!.scan();
  while (
    await scan.step((bytes, keyStart, keySize, valueStart, valueSize) => {
      const text = (start: number, size: number) => utf8Text(bytes.slice(start, start + size));
      rows.push([text(keyStart, keySize), text(valueStart, valueSize)]);
    })
  );
  return rows;
}

const CLUSTER = [
  "--initial-cluster=a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,b=http://10.0.0.2:2381,c=http://10.0.0.3:2380",
  "--name=b",
  "--initial-advertise-peer-urls=http://10.0.0.2:2380,http://10.0.0.2:2381",
  "--initial-cluster-token=token",
];

test("a restored directory belongs to the new cluster, in its database and in its log", async () => {
  await restore(CLUSTER);
  const members = await withDatabase((database) => rowsOf(database, "members"));
  expect(members.map(([, json]) => memberFromJson(json).name).sort()).toEqual(["a", "b", "c"]);
  expect(await withDatabase((database) => rowsOf(database, "members_removed"))).toEqual([]);
  const index = await withDatabase((database) => database.get(utf8("meta"), utf8("consistent_index")));
  expect(Buffer.from(index!).readBigUInt64BE()).toBe(3n);

  const walPath = join(target, "member/wal");
  const found = (await findSnapshot(systemDisk, walPath))!;
  expect([found.index, found.term, found.confState!.voters.map((id) => id.toString(16))]).toEqual([
    3,
    1,
    members.map(([id]) => id),
  ]);
  let entries = 0;
  const opened = await Wal.open(systemDisk, {
    directory: walPath,
    from: { index: 0, term: 0 },
    clock: systemClock,
    log: silentLogger,
  }, { metadata: () => {}, entry: () => void entries++ });
  await opened.wal.close();
  expect(entries).toBe(3);
  expect(opened.hardState).toEqual({ term: 1, vote: found.confState!.voters[0], commit: 3 });
  const own = members.find(([id]) => id === opened.metadata.memberId.toString(16))!;
  expect(memberFromJson(own[1]).name).toBe("b");
});

test("members restored from one file with one token agree on who they are", async () => {
  const ids = new Set<string>();
  for (const name of ["a", "c"]) {
    rmSync(target, { recursive: true, force: true });
    const url = name === "a" ? "http://10.0.0.1:2380" : "http://10.0.0.3:2380";
    await restore([...CLUSTER, `--name=${name}`, `--initial-advertise-peer-urls=${url}`]);
    ids.add(JSON.stringify(await withDatabase((database) => rowsOf(database, "members"))));
  }
  expect(ids.size).toBe(1);
});

test("the keys of a restored directory are those of the snapshot", async () => {
  await restore();
  const path = join(target, "member/snap/db");
  const [before, after] = [await runTool(["hashkv", snapshot]), await runTool(["hashkv", path])];
  expect(after).toEqual(before);
  expect((await runTool(["snapshot", "status", path])).code).toBe(0);
});

test("a raised revision is there, empty, and everything before it counts as compacted", async () => {
  await restore(["--bump-revision=1000", "--mark-compacted"]);
  const run = await runTool(["hashkv", join(target, "member/snap/db"), "-w", "json"]);
  expect(JSON.parse(run.out)).toMatchObject({ hashRevision: 1009, compactRevision: 1009 });
});

test("the log may be elsewhere", async () => {
  const walPath = join(directory, "log", "wal");
  await restore([`--wal-dir=${walPath}`]);
  expect(readdirSync(join(target, "member"))).toEqual(["snap"]);
  expect(readdirSync(walPath)).toEqual(["0000000000000000-0000000000000000.wal"]);
});

test("an empty directory is taken, one with something in it is not", async () => {
  mkdirSync(target);
  await restore();
  expect(readdirSync(target)).toEqual(["member"]);
  expect(await runTool(["snapshot", "restore", snapshot, "--data-dir", target])).toMatchObject({
    code: 1,
    error: `Error: data-dir ${JSON.stringify(target)} not empty or could not be read\n`,
  });
});

test("what fails half-way leaves nothing, also of the directories on the way", async () => {
  const inTheWay = join(directory, "file");
  writeFileSync(inTheWay, "");
  const args = ["snapshot", "restore", snapshot, "--data-dir", join(directory, "deep/down"), "--wal-dir"];
  expect((await runTool([...args, join(inTheWay, "wal")])).code).toBe(1);
  expect(readdirSync(directory).sort()).toEqual(["file", "snapshot.db"]);
});

test("an interruption leaves nothing", async () => {
  const run = await runTool(["snapshot", "restore", snapshot, "--data-dir", target], { interruptAfterMs: 0 });
  expect([run.code, run.error]).toEqual([130, "Error: interrupted; nothing was restored\n"]);
  expect(readdirSync(directory)).toEqual(["snapshot.db"]);
});

test("defrag keeps the contents and needs no more room", async () => {
  await restore();
  const path = join(target, "member/snap/db");
  const before = await runTool(["snapshot", "status", path, "-w", "json"]);
  const run = await runTool(["defrag", "--data-dir", target]);
  expect([run.code, run.logged.map((line) => line.message)]).toEqual([
    0,
    ["defragmenting", "finished defragmenting directory"],
  ]);
  const after = await runTool(["snapshot", "status", path, "-w", "json"]);
  expect(JSON.parse(after.out).hash).toBe(JSON.parse(before.out).hash);
  expect(JSON.parse(after.out).totalSize).toBeLessThanOrEqual(JSON.parse(before.out).totalSize);
  expect(readdirSync(join(target, "member/snap")).filter((name) => name.startsWith("db"))).toEqual(["db"]);
});

test("migrate goes down and up again, version by version, and says what it cannot", async () => {
  await restore();
  const path = join(target, "member/snap/db");
  const version = async () => JSON.parse((await runTool(["snapshot", "status", path, "-w", "json"])).out).version;
  const migrate = (to: string, ...more: string[]) =>
    runTool(["migrate", "--data-dir", target, "--target-version", to, ...more]);

  const down = await migrate("3.5");
  expect(down.logged.map((line) => line.fields!["new-storage-version"])).toEqual(["3.6.0", "3.5.0"]);
  expect(await version()).toBe("");
  await migrate("3.7");
  expect(await version()).toBe("3.7.0");
  expect((await migrate("3.7")).logged.map((line) => line.message)).toEqual(["storage version up-to-date"]);
  const refused = await migrate("3.8");
  expect([refused.code, refused.error]).toEqual([
    1,
    'Error: cannot create migration plan: version "3.8.0" is not supported\n',
  ]);
  expect(await version()).toBe("3.7.0");
  expect((await migrate("3.8", "--force")).code).toBe(0);
  expect(await version()).toBe("3.8.0");
});

test("files that a member holds are left alone, with a word on what to do", async () => {
  await restore();
  const held = await systemDisk.open(join(target, "member/snap/db"), { write: true });
  expect(await held.tryLock()).toBe(true);
  const before = readFileSync(held.path);
  for (const args of [["defrag", "--data-dir", target], ["hashkv", held.path], ["snapshot", "status", held.path]]) {
    const run = await runTool([...args, "--timeout=60ms"]);
    expect(run.code).toBe(1);
    expect(run.error).toContain("is in use by another process; stop that member");
  }
  await held.close();
  expect(readFileSync(held.path).equals(before)).toBe(true);
  expect(existsSync(`${target}.etcd`)).toBe(false);
});

test("the version that a log needs is the newest that its messages, fields and values are of", () => {
  const entry = (request: Parameters<typeof create<typeof InternalRaftRequestSchema>>[1]) => ({
    term: 1,
    index: 1,
    type: EntryType.NORMAL,
    data: toBinary(InternalRaftRequestSchema, create(InternalRaftRequestSchema, request)),
  });
  const conf = { term: 1, index: 1, type: EntryType.CONF_CHANGE, data: new Uint8Array(0) };
  expect(minimalVersion([])).toBeUndefined();
  expect(minimalVersion([conf])).toEqual({ major: 3, minor: 0 });
  expect(minimalVersion([conf, entry({ put: { key: utf8("a") } })])).toEqual({ major: 3, minor: 0 });
  expect(minimalVersion([conf, entry({ put: { prevKv: true } })])).toEqual({ major: 3, minor: 1 });
  expect(minimalVersion([entry({ leaseCheckpoint: {} })])).toEqual({ major: 3, minor: 4 });
  expect(minimalVersion([entry({ clusterVersionSet: { ver: "3.7.0" } }), conf])).toEqual({ major: 3, minor: 5 });
  expect(minimalVersion([entry({ downgradeVersionTest: { ver: "3.6.0" } })])).toEqual({ major: 3, minor: 6 });
});
