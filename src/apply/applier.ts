import { fromBinary } from "@bufbuild/protobuf";
import type { Requester } from "../auth/mod.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import { WireWriter } from "../base/varint.ts";
import { AlarmRequest_AlarmAction, AlarmRequestSchema } from "../gen/etcdserverpb/maintenance_pb.ts";
import {
  LeaseCheckpointRequestSchema,
  LeaseGrantRequestSchema,
  LeaseRevokeRequestSchema,
} from "../gen/etcdserverpb/lease_pb.ts";
import { type Alarm, AlarmType, encodeAlarm, type Keyspace, LEASE_COST } from "../keyspace/mod.ts";
import type { Membership } from "../membership/mod.ts";
import { NO_ROW, type WriteTransaction } from "../mvcc/mod.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeTxnRequest,
  type PutRequest,
  RaftOperation,
  type TxnRequest,
} from "../wire/mod.ts";
import { checkAccess } from "./access.ts";
import { applyAuth } from "./auth.ts";
import { applyCluster } from "./cluster.ts";
import { putCost, txnCost } from "./cost.ts";
import { gate } from "./gates.ts";
import { deleteSteps, putIn } from "./operations.ts";
import { failed, type Outcome, type Steps, succeeded, withoutSpace } from "./outcome.ts";
import { copyFramed, deletedBody } from "./response.ts";
import { applyTxn } from "./txn.ts";

export interface ApplyContext {
  /** Monotonic milliseconds: only expiries depend on it, and they are not replicated. */
  readonly nowMs: number;
  /** Somebody on this member waits for the response. */
  readonly isWaitedFor: boolean;
  /** The log is being replayed at start: hashes of compactions are not kept, as etcd forgets them with the process. */
  readonly isReplay: boolean;
  /** On whose behalf; looked at only while access control is enabled. */
  readonly requester: Requester;
}

/** An operation of the log that this version does not know. Going on would diverge from the other members. */
export class UnknownOperationError extends Error {
  constructor(operation: number) {
    super(
      `the log holds an operation that this version does not know (field ${operation} of InternalRaftRequest); ` +
        `start a version that does`,
    );
    this.name = "UnknownOperationError";
  }
}

/** Executes the operations of committed entries on one keyspace and the membership, in log order. */
export class Applier {
  readonly #keyspace: Keyspace;
  readonly #membership: Membership;

  constructor(keyspace: Keyspace, membership: Membership) {
    this.#keyspace = keyspace;
    this.#membership = membership;
  }

  /** Executes one operation: at once, or as steps that must be run to their end before the next operation. */
  apply(operation: number, body: Uint8Array, context: ApplyContext): Outcome | Steps<Outcome> {
    const error = gate(this.#keyspace.alarms, operation, body);
    if (error !== undefined) return failed(error);
    return this.#keyspace.auth.isEnabled
      ? this.#executePermitted(operation, body, context)
      : this.#execute(operation, body, context);
  }

  /** Looks at permissions first, which may be those on a million keys of one lease. */
  *#executePermitted(operation: number, body: Uint8Array, context: ApplyContext): Steps<Outcome> {
    const error = yield* checkAccess(this.#keyspace, operation, body, context.requester);
    if (error !== undefined) return failed(error);
    const result = this.#execute(operation, body, context);
    return "next" in result ? yield* result : result;
  }

  #execute(operation: number, body: Uint8Array, context: ApplyContext): Outcome | Steps<Outcome> {
    switch (operation) {
      case RaftOperation.PUT:
        return this.#put(decodePutRequest(body), context);
      case RaftOperation.TXN:
        return this.#txn(decodeTxnRequest(body), context);
      case RaftOperation.DELETE_RANGE:
        return this.#deleteRange(body, context);
      case RaftOperation.COMPACTION:
        return this.#compact(body, context);
      case RaftOperation.LEASE_GRANT:
        return this.#leaseGrant(body, context);
      case RaftOperation.LEASE_REVOKE:
        return this.#leaseRevoke(body);
      case RaftOperation.LEASE_CHECKPOINT:
        return this.#leaseCheckpoint(body, context);
      case RaftOperation.ALARM:
        return this.#alarm(body);
      case RaftOperation.RANGE:
        // Old versions of etcd sent reads through the log; whoever waited for one does not any more.
        return succeeded(this.#keyspace.store.revision);
      default:
        return this.#administer(operation, body, context.requester);
    }
  }

  /** Whatever is not about keys and leases: users and roles, or the cluster. */
  #administer(operation: number, body: Uint8Array, requester: Requester): Outcome {
    const { auth, store } = this.#keyspace;
    if (applyCluster(this.#membership, operation, body)) return succeeded(store.revision);
    const answer = applyAuth(auth, operation, body, requester);
    if (answer === undefined) throw new UnknownOperationError(operation);
    if (answer.error !== undefined) return failed(answer.error);
    return succeeded(store.revision, answer.response === undefined ? NO_BODY : [answer.response]);
  }

  #put(request: PutRequest, context: ApplyContext): Outcome {
    const { store, lessor, quota } = this.#keyspace;
    if (request.lease !== 0n && !lessor.has(request.lease)) return failed("lease_not_found");
    const needsPrevious = request.prevKv || request.ignoreValue || request.ignoreLease;
    const row = needsPrevious ? store.getRow(request.key, 0) : NO_ROW;
    if (row === NO_ROW && (request.ignoreValue || request.ignoreLease)) return failed("key_not_found");
    const body = request.prevKv && context.isWaitedFor && row !== NO_ROW ? [copyFramed(store, row, 2)] : NO_BODY;
    const hasRoom = quota.hasRoomFor(putCost(request));
    const write = store.beginWrite();
    putIn(this.#keyspace, write, request);
    const outcome = commit(write, body);
    return hasRoom ? outcome : withoutSpace(outcome);
  }

  *#txn(request: TxnRequest, context: ApplyContext): Steps<Outcome> {
    const hasRoom = this.#keyspace.quota.hasRoomFor(txnCost(request));
    // Nobody will get the response of one without room, and its parts would have to be closed.
    const outcome = yield* applyTxn(this.#keyspace, request, context.isWaitedFor && hasRoom);
    return hasRoom || outcome.error !== undefined ? outcome : withoutSpace(outcome);
  }

  *#deleteRange(body: Uint8Array, context: ApplyContext): Steps<Outcome> {
    const write = this.#keyspace.store.beginWrite();
    const deleted = yield* deleteSteps(this.#keyspace, write, decodeDeleteRangeRequest(body), context.isWaitedFor);
    return commit(write, context.isWaitedFor ? deletedBody(deleted) : NO_BODY);
  }

  #compact(body: Uint8Array, context: ApplyContext): Outcome {
    const { store } = this.#keyspace;
    const { revision } = decodeCompactionRequest(body);
    const job = store.compact(revision, { cacheHash: !context.isReplay });
    if (job === "future") return failed("future_revision");
    if (job === "compacted") return failed("compacted");
    return { ...succeeded(store.revision), compaction: job };
  }

  #leaseGrant(body: Uint8Array, context: ApplyContext): Outcome {
    const { store, lessor, quota } = this.#keyspace;
    const request = fromBinary(LeaseGrantRequestSchema, body);
    const hasRoom = quota.hasRoomFor(LEASE_COST);
    const granted = lessor.grant(request.ID, Number(request.TTL), context.nowMs);
    if (typeof granted === "string") return failed(granted);
    const writer = new WireWriter(32);
    writer.integer64Field(2, request.ID);
    writer.integerField(3, granted);
    const outcome = succeeded(store.revision, [writer.finish()]);
    return hasRoom ? outcome : withoutSpace(outcome);
  }

  /** Deletes the attached keys in the order of their bytes, as one revision. */
  *#leaseRevoke(body: Uint8Array): Steps<Outcome> {
    const { store, lessor } = this.#keyspace;
    const { ID } = fromBinary(LeaseRevokeRequestSchema, body);
    const revocation = lessor.startRevoke(ID);
    if (revocation === undefined) return failed("lease_not_found");
    while (!revocation.step(JOB_STEP_BUDGET)) yield;
    const write = store.beginWrite();
    for (let i = 0; i < revocation.count; i++) {
      const request = { key: revocation.key(i), rangeEnd: EMPTY_BYTES, prevKv: false };
      yield* deleteSteps(this.#keyspace, write, request, false);
      if (i % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield;
    }
    revocation.finish();
    return commit(write, NO_BODY);
  }

  #leaseCheckpoint(body: Uint8Array, context: ApplyContext): Outcome {
    for (const { ID, remainingTTL } of fromBinary(LeaseCheckpointRequestSchema, body).checkpoints) {
      // Older members would not know what to do with it in the database.
      const isSaved = this.#membership.hasVersion(3, 6);
      this.#keyspace.lessor.checkpoint(ID, Number(remainingTTL), isSaved, context.nowMs);
    }
    return succeeded(this.#keyspace.store.revision);
  }

  #alarm(body: Uint8Array): Outcome {
    const { alarms, store } = this.#keyspace;
    const { action, memberID, alarm } = fromBinary(AlarmRequestSchema, body);
    let members: Alarm[] = [];
    if (action === AlarmRequest_AlarmAction.GET) members = alarms.list(alarm);
    else if (action === AlarmRequest_AlarmAction.ACTIVATE && Number(alarm) !== AlarmType.NONE) {
      members = [alarms.activate(memberID, alarm)];
    } else if (action === AlarmRequest_AlarmAction.DEACTIVATE) {
      const cleared = alarms.deactivate(memberID, alarm);
      if (cleared !== undefined) members = [cleared];
    }
    const writer = new WireWriter();
    for (const member of members) writer.messageField(2, encodeAlarm(member));
    return succeeded(store.revision, [writer.finish()]);
  }
}

const NO_BODY: readonly Uint8Array[] = [];

/** Single-key deletions between two yields. */
const KEYS_PER_STEP = 512;

function commit(write: WriteTransaction, body: Outcome["body"]): Outcome {
  const { revision, firstRow, endRow } = write;
  write.commit();
  return { error: undefined, revision, body, firstRow, endRow, compaction: undefined };
}
