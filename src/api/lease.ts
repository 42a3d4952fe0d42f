import { toBinary } from "@bufbuild/protobuf";
import {
  LeaseGrantRequestSchema,
  LeaseKeepAliveRequestSchema,
  LeaseLeasesRequestSchema,
  LeaseRevokeRequestSchema,
  LeaseTimeToLiveRequestSchema,
} from "../gen/etcdserverpb/lease_pb.ts";
import { LEASE_KEYS_PER_STEP, LEASE_RENEWALS_MAX } from "../base/limits.ts";
import { WireWriter } from "../base/varint.ts";
import type { Method, StreamCall, UnaryCall } from "../io/rpc.ts";
import { LEASE_COST } from "../keyspace/mod.ts";
import type { LeaseStatus } from "../lease/mod.ts";
import type { Member } from "../member/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import { fromMember } from "./errors.ts";
import { replyWithHeader, writeHeader } from "./header.ts";
import { propose, refuseForSpace } from "./kv.ts";
import { decodeMessage, decodeStreamMessage, fail, ignoringRequest } from "./request.ts";

const SERVICE = "/etcdserverpb.Lease/";

export function leaseService(member: Member): Method[] {
  return [
    { kind: "unary", path: `${SERVICE}LeaseGrant`, handle: (call, request) => grant(member, call, request) },
    {
      kind: "unary",
      path: `${SERVICE}LeaseRevoke`,
      handle: (call, request) => revoke(member, call, request),
    },
    { kind: "unary", path: `${SERVICE}LeaseTimeToLive`, handle: (call, request) => timeToLive(member, call, request) },
    {
      kind: "unary",
      path: `${SERVICE}LeaseLeases`,
      handle: ignoringRequest(LeaseLeasesRequestSchema, (call) => leases(member, call)),
    },
    { kind: "bidi_streaming", path: `${SERVICE}LeaseKeepAlive`, handle: (call) => keepAlive(member, call) },
  ];
}

/** An id of 0 asks the server to choose; the choice is made before replication, so that all members agree on it. */
function grant(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const request = decodeMessage(LeaseGrantRequestSchema, bytes);
  if (refuseForSpace(member, call, LEASE_COST)) return;
  if (request.ID !== 0n) return propose(member, call, RaftOperation.LEASE_GRANT, bytes);
  request.ID = member.nextLeaseId();
  propose(member, call, RaftOperation.LEASE_GRANT, toBinary(LeaseGrantRequestSchema, request));
}

function revoke(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  // Decoded here only to refuse what is malformed: nothing enters the log that could not be applied.
  decodeMessage(LeaseRevokeRequestSchema, bytes);
  propose(member, call, RaftOperation.LEASE_REVOKE, bytes);
}

function timeToLive(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { ID, keys } = decodeMessage(LeaseTimeToLiveRequestSchema, bytes);
  member.linearizableRead((error) => {
    if (error !== undefined) fail(call, fromMember(error));
    else member.whenApplied(() => findTimeToLive(member, call, ID, keys));
  });
}

/** What a lease has left only the leader knows; everything else every member does. */
function findTimeToLive(member: Member, call: UnaryCall, id: bigint, wantsKeys: boolean): void {
  const status = member.keyspace.lessor.timeToLive(id, member.nowMs);
  if (status === undefined || status.ttl !== undefined) return answerTimeToLive(member, call, id, wantsKeys, status);
  member.remainingTtl(id, (ttl, error) => {
    if (error !== undefined) return fail(call, fromMember(error));
    member.whenApplied(() => answerTimeToLive(member, call, id, wantsKeys, { ...status, ttl }));
  });
}

function answerTimeToLive(
  member: Member,
  call: UnaryCall,
  id: bigint,
  wantsKeys: boolean,
  status: LeaseStatus | undefined,
): void {
  const { lessor } = member.keyspace;
  const writer = new WireWriter();
  writer.integer64Field(2, id);
  writer.integerField(3, status === undefined ? -1 : status.ttl ?? 0);
  writer.integerField(4, status?.grantedTtl ?? 0);
  if (status === undefined || !wantsKeys || status.keyCount === 0) {
    return replyWithHeader(call, member, 0, [writer.finish()]);
  }
  const nextKeys = lessor.keyPortions(id);
  member.runJob({
    step: () => {
      const keys = nextKeys(LEASE_KEYS_PER_STEP);
      for (const key of keys) writer.messageField(5, key);
      if (keys.length > 0 && !call.isClosed) return "running";
      replyWithHeader(call, member, 0, [writer.finish()]);
      return "done";
    },
  });
}

function leases(member: Member, call: UnaryCall): void {
  const writer = new WireWriter();
  const lease = new WireWriter(16);
  for (const id of member.keyspace.lessor.leases()) {
    lease.reset();
    lease.integer64Field(1, id);
    writer.messageField(2, lease.view());
  }
  replyWithHeader(call, member, 0, [writer.finish()]);
}

/**
 * One response per request, in order. The header is written before the renewal, so that a client never sees a renewal at
 * a revision at which the lease was already revoked.
 */
function keepAlive(member: Member, call: StreamCall): void {
  let waiting = 0;
  let isHalfClosed = false;
  const finishIfDone = (): void => {
    if (isHalfClosed && waiting === 0) call.end();
  };
  // Renewals of expired leases settle late; the answers behind them keep their order.
  let queue: { bytes: Uint8Array | undefined }[] = [];
  const flush = (): void => {
    while (queue.length > 0 && queue[0].bytes !== undefined) call.send(queue.shift()!.bytes!);
    finishIfDone();
  };
  call.onMessage((bytes) => {
    const { ID } = decodeStreamMessage(LeaseKeepAliveRequestSchema, bytes);
    const writer = new WireWriter(64);
    writeHeader(writer, member, 0);
    writer.integer64Field(2, ID);
    const answer: { bytes: Uint8Array | undefined } = { bytes: undefined };
    queue.push(answer);
    waiting++;
    if (waiting >= LEASE_RENEWALS_MAX) call.pause();
    member.renewLease(ID, (ttl, error) => {
      if (error !== undefined) return fail(call, fromMember(error));
      writer.integerField(3, ttl);
      answer.bytes = writer.view();
      if (waiting === LEASE_RENEWALS_MAX) call.resume();
      waiting--;
      flush();
    });
  });
  call.onHalfClose(() => {
    isHalfClosed = true;
    finishIfDone();
  });
  call.onCancel(() => queue = []);
}
