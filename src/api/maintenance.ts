import { toBinary } from "@bufbuild/protobuf";
import {
  AlarmRequestSchema,
  DefragmentRequestSchema,
  DowngradeRequest_DowngradeAction as DowngradeAction,
  DowngradeRequestSchema,
  HashKVRequestSchema,
  HashRequestSchema,
  MoveLeaderRequestSchema,
  StatusRequestSchema,
} from "../gen/etcdserverpb/maintenance_pb.ts";
import { ETCD_VERSION } from "../base/version.ts";
import { EMPTY_BYTES, utf8 } from "../base/bytes.ts";
import { clampInt64, WireWriter } from "../base/varint.ts";
import { Code, type Method, type UnaryCall } from "../io/rpc.ts";
import { AlarmType } from "../keyspace/mod.ts";
import { type DowngradeSettle, type KvHashSettle, type Member, shortVersion } from "../member/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import { ApiError, fromDowngrade, fromTransfer } from "./errors.ts";
import { replyWithHeader } from "./header.ts";
import { propose } from "./kv.ts";
import { decodeMessage, fail, ignoringRequest } from "./request.ts";
import { snapshotMethod, type SnapshotOptions } from "./snapshot.ts";

const SERVICE = "/etcdserverpb.Maintenance/";

export function maintenanceService(member: Member, options: SnapshotOptions): Method[] {
  return [
    {
      kind: "unary",
      path: `${SERVICE}Status`,
      handle: ignoringRequest(StatusRequestSchema, (call) => status(member, call)),
    },
    { kind: "unary", path: `${SERVICE}Alarm`, handle: (call, request) => alarm(member, call, request) },
    { kind: "unary", path: `${SERVICE}Hash`, handle: ignoringRequest(HashRequestSchema, (call) => hash(member, call)) },
    { kind: "unary", path: `${SERVICE}HashKV`, handle: (call, request) => hashKv(member, call, request) },
    {
      kind: "unary",
      path: `${SERVICE}Defragment`,
      handle: ignoringRequest(DefragmentRequestSchema, (call) => defragment(member, options, call)),
    },
    { kind: "unary", path: `${SERVICE}MoveLeader`, handle: (call, request) => moveLeader(member, call, request) },
    { kind: "unary", path: `${SERVICE}Downgrade`, handle: (call, request) => downgrade(member, call, request) },
    snapshotMethod(member, `${SERVICE}Snapshot`, options),
  ];
}

/** Local: answered by this member alone, also without a leader. */
function status(member: Member, call: UnaryCall): void {
  const { quota } = member.keyspace;
  const { downgrade } = member.membership;
  const { leader, term, commitIndex, appliedIndex } = member.raftStatus;
  const writer = new WireWriter();
  writer.bytesField(2, utf8(ETCD_VERSION));
  writer.integerField(3, member.databaseSize);
  writer.integer64Field(4, leader);
  writer.integerField(5, commitIndex);
  writer.integerField(6, term);
  writer.integerField(7, appliedIndex);
  if (leader === 0n) writer.bytesField(8, utf8(ApiError.NO_LEADER.message));
  for (const { memberId, type } of member.keyspace.alarms.list()) {
    const name = type === AlarmType.NOSPACE ? "NOSPACE" : "CORRUPT";
    writer.bytesField(8, utf8(`memberID:${memberId} alarm:${name}`));
  }
  writer.integerField(9, member.databaseSizeInUse);
  writer.boolField(10, member.isLearner);
  writer.bytesField(11, utf8(member.storageVersion));
  writer.integerField(12, quota.limit === Infinity ? quota.setting : quota.limit);
  // Present also where nothing is under way.
  writer.messageField(13, encodeDowngrade(downgrade));
  replyWithHeader(call, member, 0, [writer.finish()]);
}

/** etcdserverpb.DowngradeInfo. */
function encodeDowngrade(downgrade: Member["membership"]["downgrade"]): Uint8Array {
  if (downgrade?.isEnabled !== true) return EMPTY_BYTES;
  const writer = new WireWriter(16);
  writer.boolField(1, true);
  writer.bytesField(2, utf8(downgrade.targetVersion));
  return writer.finish();
}

/** Writes the database file anew, in the background of everything else. */
function defragment(member: Member, { log }: SnapshotOptions, call: UnaryCall): void {
  const { statistics } = member;
  const startMs = member.nowMs;
  log.info("starting defragment");
  statistics.defragmentingCount++;
  member.defragment().finally(() => statistics.defragmentingCount--).then(
    () => {
      statistics.defragmentSeconds.observe((member.nowMs - startMs) / 1000);
      log.info("finished defragment");
      // Without a header, as from etcd.
      call.reply(EMPTY_BYTES);
    },
    (error: Error) => {
      log.warn("failed to defragment", { error: error.message });
      call.fail(Code.UNKNOWN, error.message);
    },
  );
}

function moveLeader(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { targetID } = decodeMessage(MoveLeaderRequestSchema, bytes);
  member.moveLeader(targetID, (error) => {
    if (error !== undefined) fail(call, fromTransfer(error));
    // Without a header, as from etcd.
    else call.reply(EMPTY_BYTES);
  });
}

function downgrade(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { action, version } = decodeMessage(DowngradeRequestSchema, bytes);
  const settle: DowngradeSettle = (error) => {
    if (error !== undefined) return fail(call, fromDowngrade(error));
    const writer = new WireWriter(16);
    writer.bytesField(2, utf8(shortVersion(member.membership.clusterVersion)));
    replyWithHeader(call, member, 0, [writer.finish()]);
  };
  switch (action) {
    case DowngradeAction.VALIDATE:
      return member.versions.validateDowngrade(version, settle);
    case DowngradeAction.ENABLE:
      return member.versions.enableDowngrade(version, settle);
    case DowngradeAction.CANCEL:
      return member.versions.cancelDowngrade(() => settle(undefined));
    default:
      fail(call, ApiError.UNKNOWN_METHOD);
  }
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
  const settle: KvHashSettle = (result, headerRevision, error) => {
    if (result === undefined) return fail(call, error === "compacted" ? ApiError.COMPACTED : ApiError.FUTURE_REVISION);
    const { hash, compactRevision, hashRevision } = result;
    const writer = new WireWriter(32);
    writer.integerField(2, hash);
    writer.integerField(3, compactRevision);
    // A negative revision stands for the newest and is echoed as it came.
    if (revision < 0n) writer.integer64Field(4, revision);
    else writer.integerField(4, hashRevision);
    replyWithHeader(call, member, headerRevision, [writer.finish()]);
  };
  member.hashKv(clampInt64(revision), settle, () => call.isClosed);
}
