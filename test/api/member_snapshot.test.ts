import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOCAL_STREAM_HIGH_WATER, SNAPSHOT_BLOCK_SIZE } from "../../src/base/limits.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { runTool } from "../cli/tool.ts";
import { TestMember, type TestStream } from "../harness/member.ts";

const VALUE_SIZE = 256 * 1024;
/** Much more than a stream that nobody reads may queue and read ahead. */
const KEYS = 2 * (LOCAL_STREAM_HIGH_WATER + 2 * SNAPSHOT_BLOCK_SIZE) / VALUE_SIZE;

async function fill(member: TestMember, value: number): Promise<void> {
  for (let key = 0; key < KEYS; key++) {
    await member.call(KV.method.put, { key: utf8(`key${key}`), value: new Uint8Array(VALUE_SIZE).fill(value) });
  }
}

type SnapshotStream = TestStream<
  typeof Maintenance.method.snapshot.input,
  typeof Maintenance.method.snapshot.output
>;

/** All that the stream sends: the file, and the digest behind it. */
async function receive(stream: SnapshotStream): Promise<Uint8Array> {
  const blobs: Uint8Array[] = [];
  for (let message = await stream.next(); message !== undefined; message = await stream.next()) {
    blobs.push(message.blob);
  }
  return new Uint8Array(Buffer.concat(blobs));
}

async function hashOf(saved: Uint8Array): Promise<Record<string, number>> {
  const directory = mkdtempSync(join(tmpdir(), "snapshot-"));
  const path = join(directory, "saved.db");
  try {
    writeFileSync(path, saved);
    expect((await runTool(["snapshot", "status", path])).error).toBe("");
    return JSON.parse((await runTool(["hashkv", path, "-w", "json"])).out);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a snapshot is the state at one revision, whatever is written, compacted and rewritten while it is sent", async () => {
  const member = await TestMember.start({ member: { walSegmentSize: 4 * VALUE_SIZE } });
  await fill(member, 1);
  const { hash, header } = await member.call(Maintenance.method.hashKV, {});
  const stream = member.stream(Maintenance.method.snapshot, {});
  const first = (await stream.next())!;

  await fill(member, 2);
  await member.call(KV.method.compact, { revision: header!.revision + 1n, physical: true });
  // Another checkpoint, and a file in the place of the one that is being sent.
  const later = await receive(member.stream(Maintenance.method.snapshot, {}));
  await member.call(Maintenance.method.defragment, {});

  const rest = await receive(stream);
  const saved = new Uint8Array(Buffer.concat([first.blob, rest]));
  expect(Number(first.remainingBytes)).toBe(rest.length - 32);
  const digest = createHash("sha256").update(saved.subarray(0, saved.length - 32)).digest();
  expect(digest.equals(saved.subarray(saved.length - 32))).toBe(true);
  expect(await hashOf(saved)).toEqual({ hash, hashRevision: Number(header!.revision), compactRevision: -1 });
  expect((await hashOf(later)).hashRevision).toBe(2 * KEYS + 1);
  await member.stop();
});

test("a client that does not read delays neither writes nor checkpoints", async () => {
  const member = await TestMember.start({ member: { walSegmentSize: 4 * VALUE_SIZE } });
  await fill(member, 1);
  const idle = member.stream(Maintenance.method.snapshot, {});
  await idle.next();
  await fill(member, 2);
  await member.call(Maintenance.method.defragment, {});
  expect((await receive(member.stream(Maintenance.method.snapshot, {}))).length).toBeGreaterThan(KEYS * VALUE_SIZE);
  await member.stop();
});
