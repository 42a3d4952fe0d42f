import { expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../../src/base/bytes.ts";
import { CompactionRequestSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmRequestSchema,
  AlarmType,
} from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { CorruptionError, type CorruptionOptions, MemberRemovedError } from "../../src/member/mod.ts";
import { RecordView } from "../../src/mvcc/mod.ts";
import type { Transport } from "../../src/peer/mod.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { Cluster, type ClusterMember } from "../harness/cluster.ts";
import { put, untilEqual } from "./cluster_support.ts";

const OFF: CorruptionOptions = { checksAtStart: false, intervalMs: 0, compactionIntervalMs: 0 };

/** Three members with a few keys. */
async function startCluster(options: Partial<CorruptionOptions>): Promise<Cluster> {
  const cluster = await Cluster.start(3, { corruptionChecks: { ...OFF, ...options } });
  const leader = await cluster.untilLeader();
  for (let i = 0; i < 5; i++) await put(cluster, leader, `key${i}`, "value");
  await untilEqual(cluster);
  return cluster;
}

/** Flips a bit in the memory of one member. */
function damage({ running }: ClusterMember): void {
  const { store } = running.keyspace;
  const record = new RecordView();
  store.readRecord(store.getRow(utf8("key2"), 0), record);
  record.bytes[record.valueStart] ^= 1;
}

function corruptIds({ running }: ClusterMember): bigint[] {
  return running.keyspace.alarms.list().map(({ memberId }) => memberId);
}

async function propose(cluster: Cluster, { running }: ClusterMember, operation: number, body: Uint8Array) {
  const error = await cluster.clockUntilSettled<string | undefined>((settle) =>
    running.propose(operation, body, (outcome, reason) => settle(reason ?? outcome?.error))
  );
  expect(error).toBeUndefined();
}

test("a member whose memory is damaged is found by everything's hash; nobody writes until an operator allows it", async () => {
  const cluster = await startCluster({ intervalMs: 10_000 });
  const leader = await cluster.untilLeader();
  await cluster.clock.advance(25_000);
  expect(corruptIds(leader)).toEqual([]);
  const [bad, good] = cluster.others(leader);
  damage(bad);
  await cluster.clock.advance(11_000);
  for (const machine of cluster.machines) expect(corruptIds(machine)).toEqual([bad.running.id]);
  expect(await put(cluster, good, "key", "value")).toBe("corrupt" as never);
  const request = { action: AlarmAction.DEACTIVATE, memberID: bad.running.id, alarm: AlarmType.CORRUPT };
  await propose(cluster, good, RaftOperation.ALARM, toBinary(AlarmRequestSchema, create(AlarmRequestSchema, request)));
  expect(await put(cluster, good, "key", "value")).toBe("done");
  await cluster.stopAll();
});

test("a leader whose memory is damaged is found by what the members hashed at a compaction", async () => {
  const cluster = await startCluster({ compactionIntervalMs: 10_000 });
  const leader = await cluster.untilLeader();
  damage(leader);
  await cluster.clock.advance(25_000);
  expect(corruptIds(leader)).toEqual([]);
  const body = toBinary(CompactionRequestSchema, create(CompactionRequestSchema, { revision: 5n }));
  await propose(cluster, leader, RaftOperation.COMPACTION, body);
  await cluster.clock.advance(11_000);
  for (const machine of cluster.machines) expect(corruptIds(machine)).toEqual([leader.running.id]);
  await cluster.stopAll();
});

test("a member that starts beside others who hold something else refuses to serve, and says what to do", async () => {
  const cluster = await startCluster({ checksAtStart: true });
  const leader = await cluster.untilLeader();
  const [first, second] = cluster.others(leader);
  await cluster.stop(first);
  await cluster.restart(first);
  await cluster.stop(second);
  damage(leader);
  const failure = cluster.restart(second);
  expect(failure).rejects.toThrow("found data inconsistency with peers; find out which members agree");
  await failure.catch((error) => expect(error).toBeInstanceOf(CorruptionError));
});

test("a start that fails while others are asked for their hashes leaves nothing running", async () => {
  const cluster = await startCluster({ checksAtStart: true });
  const [machine] = cluster.machines;
  await cluster.stopAll();
  await cluster.clock.advance(60_000);
  const before = cluster.clock.timerCount;
  const transport: Transport = {
    // Told that it was removed, it ends after a second; its questions are open for longer.
    start: (_id, _clusterId, handler) => handler.reportRemoved(),
    ask: () => new Promise((resolve) => cluster.clock.after(3000, () => resolve(undefined))),
    stop: () => Promise.resolve(),
    sendSnapshot: () => Promise.resolve(false),
    addPeer() {},
    updatePeer() {},
    removePeer() {},
    send() {},
    activeSinceMs: () => undefined,
    versionOf: () => undefined,
  };
  const failure = cluster.wait(cluster.begin(machine, { transport }).catch((error) => error));
  expect(await failure).toBeInstanceOf(MemberRemovedError);
  await cluster.clock.advance(10_000);
  expect(cluster.clock.timerCount).toBe(before);
});
