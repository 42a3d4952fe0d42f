/** A keyspace with its applier: requests as messages, outcomes as messages or the name of an error. */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Applier, type ApplyError, type Outcome } from "../../src/apply/mod.ts";
import type { Requester } from "../../src/auth/mod.ts";
import { concatBytes, utf8, utf8Text } from "../../src/base/bytes.ts";
import {
  CompactionRequestSchema,
  CompactionResponseSchema,
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  PutRequestSchema,
  PutResponseSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from "../../src/gen/etcdserverpb/kv_pb.ts";
import {
  LeaseCheckpointRequestSchema,
  LeaseCheckpointResponseSchema,
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseRevokeResponseSchema,
} from "../../src/gen/etcdserverpb/lease_pb.ts";
import { AlarmRequestSchema, AlarmResponseSchema } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Keyspace } from "../../src/keyspace/mod.ts";
import { Membership } from "../../src/membership/mod.ts";
import { RecordView } from "../../src/mvcc/mod.ts";
import { type Part, RaftOperation } from "../../src/wire/mod.ts";

export interface Applied<Response> {
  readonly error: ApplyError | undefined;
  readonly revision: number;
  readonly response: Response;
  /** Steps that the operation took. */
  readonly stepCount: number;
}

export interface AppliedBytes extends Omit<Applied<never>, "response"> {
  readonly body: Uint8Array;
}

export class World {
  readonly keyspace: Keyspace;
  readonly membership = new Membership();
  readonly applier: Applier;
  /** Whether somebody waits for the responses. */
  isWaitedFor = true;
  /** On whose behalf they are. */
  requester: Requester = { username: "", authRevision: 0 };

  constructor(quotaBackendBytes = 0) {
    this.keyspace = new Keyspace({ electionTimeoutMs: 1000, revokeRetryMs: 7000, hashSeed: 1, quotaBackendBytes });
    this.applier = new Applier(this.keyspace, this.membership);
  }

  put(key: string, value: string, lease = 0n): Applied<MessageShape<typeof PutResponseSchema>> {
    return this.putWith({ key: utf8(key), value: utf8(value), lease });
  }

  putWith(request: MessageInitShape<typeof PutRequestSchema>): Applied<MessageShape<typeof PutResponseSchema>> {
    return this.#apply(RaftOperation.PUT, PutRequestSchema, request, PutResponseSchema);
  }

  deleteRange(
    request: MessageInitShape<typeof DeleteRangeRequestSchema>,
  ): Applied<MessageShape<typeof DeleteRangeResponseSchema>> {
    return this.#apply(RaftOperation.DELETE_RANGE, DeleteRangeRequestSchema, request, DeleteRangeResponseSchema);
  }

  txn(request: MessageInitShape<typeof TxnRequestSchema>): Applied<MessageShape<typeof TxnResponseSchema>> {
    return this.#apply(RaftOperation.TXN, TxnRequestSchema, request, TxnResponseSchema);
  }

  compact(revision: bigint): Applied<MessageShape<typeof CompactionResponseSchema>> {
    return this.#apply(RaftOperation.COMPACTION, CompactionRequestSchema, { revision }, CompactionResponseSchema);
  }

  grant(ID: bigint, TTL = 60n): Applied<MessageShape<typeof LeaseGrantResponseSchema>> {
    return this.#apply(RaftOperation.LEASE_GRANT, LeaseGrantRequestSchema, { ID, TTL }, LeaseGrantResponseSchema);
  }

  revoke(ID: bigint): Applied<MessageShape<typeof LeaseRevokeResponseSchema>> {
    return this.#apply(RaftOperation.LEASE_REVOKE, LeaseRevokeRequestSchema, { ID }, LeaseRevokeResponseSchema);
  }

  checkpoint(ID: bigint, remainingTTL: bigint): Applied<MessageShape<typeof LeaseCheckpointResponseSchema>> {
    const request = { checkpoints: [{ ID, remainingTTL }] };
    const { LEASE_CHECKPOINT } = RaftOperation;
    return this.#apply(LEASE_CHECKPOINT, LeaseCheckpointRequestSchema, request, LeaseCheckpointResponseSchema);
  }

  alarm(request: MessageInitShape<typeof AlarmRequestSchema>): Applied<MessageShape<typeof AlarmResponseSchema>> {
    return this.#apply(RaftOperation.ALARM, AlarmRequestSchema, request, AlarmResponseSchema);
  }

  /** All keys as "key=value", in order. */
  get content(): string {
    const { store } = this.keyspace;
    const rows: string[] = [];
    const record = new RecordView();
    const job = store.openRange(ALL);
    if (typeof job === "string") throw new Error(job);
    while (job.step(1000) === "running");
    for (let i = 0; i < job.rowCount; i++) {
      store.readRecord(job.row(i), record);
      rows.push(`${utf8Text(store.key(job.row(i)))}=${utf8Text(record.value())}`);
    }
    job.close();
    return rows.join(" ");
  }

  /** Applies an operation whose request and response are bytes. */
  run(operation: number, body: Uint8Array): AppliedBytes {
    const { isWaitedFor, requester } = this;
    const context = { nowMs: 0, isWaitedFor, isReplay: false, requester };
    const result = this.applier.apply(operation, body, context);
    let stepCount = 1;
    let outcome: Outcome;
    if ("next" in result) {
      let step = result.next();
      for (; step.done !== true; step = result.next()) stepCount++;
      outcome = step.value;
    } else outcome = result;
    const { error, revision, compaction } = outcome;
    if (compaction !== undefined) { while (compaction.step(1000) !== "done"); }
    return { error, revision, stepCount, body: concatBytes(outcome.body.map(wholePart)) };
  }

  #apply<Request extends DescMessage, Response extends DescMessage>(
    operation: number,
    requestSchema: Request,
    request: MessageInitShape<Request>,
    responseSchema: Response,
  ): Applied<MessageShape<Response>> {
    const { body, ...applied } = this.run(operation, toBinary(requestSchema, create(requestSchema, request)));
    return { ...applied, response: fromBinary(responseSchema, body) };
  }
}

function wholePart(part: Part): Uint8Array {
  if (part instanceof Uint8Array) return part;
  const bytes = new Uint8Array(part.size);
  for (let offset = 0; offset < bytes.length;) offset += part.read(bytes.subarray(offset));
  part.close();
  return bytes;
}

const ALL = {
  key: Uint8Array.of(0),
  rangeEnd: Uint8Array.of(0),
  revision: 0,
  limit: 0,
  sortOrder: 0,
  sortTarget: 0,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};
