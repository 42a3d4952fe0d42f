import { toBinary } from "@bufbuild/protobuf";
import {
  AlarmRequestSchema,
  HashKVRequestSchema,
  HashRequestSchema,
  StatusRequestSchema,
} from "../gen/etcdserverpb/maintenance_pb.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import { ETCD_VERSION, STORAGE_VERSION } from "../base/version.ts";
import { utf8 } from "../base/bytes.ts";
import { clampInt64, WireWriter } from "../base/varint.ts";
import type { Method, UnaryCall } from "../io/rpc.ts";
import { AlarmType } from "../keyspace/mod.ts";
import type { Member } from "../member/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import { ApiError, notBuilt } from "./errors.ts";
import { replyWithHeader } from "./header.ts";
import { propose } from "./kv.ts";
import { decodeMessage, fail, ignoringRequest } from "./request.ts";

const SERVICE = "/etcdserverpb.Maintenance/";

/** etcd's default quota, reported as long as no other can be set. */
const QUOTA_DEFAULT = 2 * 1024 ** 3;

export function maintenanceService(member: Member): Method[] {
  return [
    {
      kind: "unary",
      path: `${SERVICE}Status`,
      handle: ignoringRequest(StatusRequestSchema, (call) => status(member, call)),
    },
    { kind: "unary", path: `${SERVICE}Alarm`, handle: (call, request) => alarm(member, call, request) },
    { kind: "unary", path: `${SERVICE}Hash`, handle: ignoringRequest(HashRequestSchema, (call) => hash(member, call)) },
    { kind: "unary", path: `${SERVICE}HashKV`, handle: (call, request) => hashKv(member, call, request) },
    { kind: "unary", path: `${SERVICE}Defragment`, handle: (call) => fail(call, notBuilt("defragmentation")) },
    { kind: "unary", path: `${SERVICE}MoveLeader`, handle: (call) => fail(call, notBuilt("moving the leader")) },
    { kind: "unary", path: `${SERVICE}Downgrade`, handle: (call) => fail(call, notBuilt("downgrading")) },
    {
      kind: "server_streaming",
      path: `${SERVICE}Snapshot`,
      handle: (call) => fail(call, notBuilt("saving a snapshot")),
    },
  ];
}

/** Local: answered by this member alone, also without a leader. */
function status(member: Member, call: UnaryCall): void {
  const { leader, term, commitIndex, appliedIndex } = member.raftStatus;
  const sizes = member.keyspace.store.sizes();
  const held = sizes.slabAllocated + sizes.history + sizes.index;
  const writer = new WireWriter();
  writer.bytesField(2, utf8(ETCD_VERSION));
  writer.integerField(3, held);
  writer.integer64Field(4, leader);
  writer.integerField(5, commitIndex);
  writer.integerField(6, term);
  writer.integerField(7, appliedIndex);
  if (leader === 0n) writer.bytesField(8, utf8(ApiError.NO_LEADER.message));
  for (const { memberId, type } of member.keyspace.alarms.list()) {
    const name = type === AlarmType.NOSPACE ? "NOSPACE" : "CORRUPT";
    writer.bytesField(8, utf8(`memberID:${memberId} alarm:${name}`));
  }
  writer.integerField(9, sizes.slabLive + sizes.history + sizes.index);
  writer.bytesField(11, utf8(STORAGE_VERSION));
  writer.integerField(12, QUOTA_DEFAULT);
  // Present and empty: no downgrade is under way.
  writer.messageField(13, new Uint8Array(0));
  replyWithHeader(call, member, 0, [writer.finish()]);
}

function alarm(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const request = decodeMessage(AlarmRequestSchema, bytes);
  propose(member, call, RaftOperation.ALARM, toBinary(AlarmRequestSchema, request));
}

function hash(member: Member, call: UnaryCall): void {
  member.hash((hash, revision) => {
    const writer = new WireWriter(16);
    writer.integerField(2, hash);
    replyWithHeader(call, member, revision, [writer.finish()]);
  });
}

function hashKv(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { revision } = decodeMessage(HashKVRequestSchema, bytes);
  const { store } = member.keyspace;
  const job = store.hashKv(clampInt64(revision));
  if (job === "compacted") return fail(call, ApiError.COMPACTED);
  if (job === "future") return fail(call, ApiError.FUTURE_REVISION);
  const headerRevision = store.revision;
  member.runJob({
    step: () => {
      const state = job.step(JOB_STEP_BUDGET);
      if (state === "running" && !call.isClosed) return state;
      if (state !== "done") {
        job.close();
        fail(call, ApiError.COMPACTED);
        return "done";
      }
      const { hash, compactRevision, hashRevision } = job.result;
      const writer = new WireWriter(32);
      writer.integerField(2, hash);
      writer.integerField(3, compactRevision);
      // A negative revision stands for the newest and is echoed as it came.
      if (revision < 0n) writer.integer64Field(4, revision);
      else writer.integerField(4, hashRevision);
      replyWithHeader(call, member, headerRevision, [writer.finish()]);
      return "done";
    },
  });
}
