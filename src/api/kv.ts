import { JOB_STEP_BUDGET, TXN_DEPTH_VALID_MAX } from "../base/limits.ts";
import { WIRE_BYTES, WireWriter } from "../base/varint.ts";
import {
  isReadOnly,
  isSerializable,
  type Outcome,
  putCost,
  rangeBody,
  readTxn,
  type Steps,
  txnCost,
} from "../apply/mod.ts";
import type { MemoryBudget, Method, RpcError, StreamCall, UnaryCall } from "../io/rpc.ts";
import type { Member, MemberError } from "../member/mod.ts";
import type { RangeJob, RangeQuery } from "../mvcc/mod.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
  DepthError,
  Parts,
  RaftOperation,
  type RangeRequest,
  SortTarget,
  txnDepth,
  type TxnRequest,
} from "../wire/mod.ts";
import { ApiError, fromApply, fromMember } from "./errors.ts";
import { replyWithHeader, writeHeader } from "./header.ts";
import { decode, decodeStreamed, fail } from "./request.ts";
import { checkDeleteRange, checkPut, checkRange, checkRangeStream, checkTxn } from "./validation.ts";

export interface KvOptions {
  /** `--max-txn-ops` */
  readonly txnOperationsMax: number;
  /** `--max-request-bytes`: a chunk of RangeStream aims at this size. */
  readonly requestSizeMax: number;
  /** What unfinished ranges and unsent responses hold is counted here. */
  readonly budget: MemoryBudget;
}

const SERVICE = "/etcdserverpb.KV/";

export function kvService(member: Member, options: KvOptions): Method[] {
  return [
    { kind: "unary", path: `${SERVICE}Range`, handle: (call, request) => range(member, options, call, request) },
    { kind: "unary", path: `${SERVICE}Put`, handle: (call, request) => put(member, call, request) },
    { kind: "unary", path: `${SERVICE}DeleteRange`, handle: (call, request) => deleteRange(member, call, request) },
    { kind: "unary", path: `${SERVICE}Txn`, handle: (call, request) => txn(member, options, call, request) },
    { kind: "unary", path: `${SERVICE}Compact`, handle: (call, request) => compact(member, call, request) },
    {
      kind: "server_streaming",
      path: `${SERVICE}RangeStream`,
      handle: (call, request) => rangeStream(member, options, call, request),
    },
  ];
}

function put(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const request = decode(decodePutRequest, bytes);
  if (refuseForSpace(member, call, putCost(request))) return;
  const objection = checkPut(request);
  if (objection !== undefined) return fail(call, objection);
  propose(member, call, RaftOperation.PUT, bytes);
}

function deleteRange(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const objection = checkDeleteRange(decode(decodeDeleteRangeRequest, bytes));
  if (objection !== undefined) return fail(call, objection);
  propose(member, call, RaftOperation.DELETE_RANGE, bytes);
}

function txn(member: Member, options: KvOptions, call: UnaryCall, bytes: Uint8Array): void {
  const request = decode(decodeShallowTxn, bytes);
  if (request === undefined) return fail(call, ApiError.TOO_MANY_OPERATIONS);
  if (refuseForSpace(member, call, txnCost(request))) return;
  const objection = checkTxn(request, options.txnOperationsMax);
  if (objection !== undefined) return fail(call, objection);
  if (!isReadOnly(request)) return propose(member, call, RaftOperation.TXN, bytes);
  // The request may outlive the call's buffer when the read has to wait.
  const kept = decodeTxnRequest(bytes.slice());
  read(
    member,
    isSerializable(request),
    call,
    () => runSteps(member, readTxn(member.keyspace, kept), (outcome) => answer(member, call, outcome)),
  );
}

/** Undefined: valid, but nested deeper than it is worth decoding, as it has too many operations anyway. */
function decodeShallowTxn(bytes: Uint8Array): TxnRequest | undefined {
  try {
    return decodeTxnRequest(bytes);
  } catch (error) {
    if (error instanceof DepthError && txnDepth(bytes) <= TXN_DEPTH_VALID_MAX) return undefined;
    throw error;
  }
}

function compact(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { physical } = decode(decodeCompactionRequest, bytes);
  member.propose(RaftOperation.COMPACTION, bytes, (outcome, error) => {
    if (outcome === undefined) return fail(call, fromMember(error!));
    const { compaction } = outcome;
    if (physical && compaction !== undefined) {
      member.whenCompacted(compaction, () => replyWithHeader(call, member, 0, []));
    } else answer(member, call, outcome);
  });
}

/**
 * Refuses what the quota has no room for, before anything else of the request is looked at, and raises the alarm. True: it
 * has been answered, or will be once the alarm is raised.
 */
export function refuseForSpace(member: Member, call: UnaryCall, cost: number): boolean {
  if (member.keyspace.quota.hasRoomFor(cost)) return false;
  member.raiseSpaceAlarm(() => fail(call, ApiError.NO_SPACE));
  return true;
}

/** Replicates an operation and answers with its outcome. */
export function propose(member: Member, call: UnaryCall, operation: number, bytes: Uint8Array): void {
  member.propose(operation, bytes, (outcome, error) => {
    if (outcome === undefined) fail(call, fromMember(error!));
    else answer(member, call, outcome);
  });
}

function answer(member: Member, call: UnaryCall, outcome: Outcome): void {
  if (outcome.error !== undefined) fail(call, fromApply(outcome.error));
  else replyWithHeader(call, member, outcome.revision, outcome.body);
}

/** Calls `run` when the read may look at the store: at once for a serializable one. */
function read(member: Member, isLocal: boolean, call: UnaryCall | StreamCall, run: () => void): void {
  if (isLocal) run();
  else {
    member.linearizableRead((error: MemberError | undefined) => {
      if (error === undefined) run();
      else fail(call, fromMember(error));
    });
  }
}

function range(member: Member, options: KvOptions, call: UnaryCall, bytes: Uint8Array): void {
  const request = decode(decodeRangeRequest, bytes);
  const objection = checkRange(request);
  if (objection !== undefined) return fail(call, objection);
  // A read that has to wait outlives the call's buffer.
  const kept = request.serializable || member.isReadable ? request : decodeRangeRequest(bytes.slice());
  read(member, request.serializable, call, () => startRange(member, options, call, kept));
}

function startRange(member: Member, { budget }: KvOptions, call: UnaryCall, request: RangeRequest): void {
  const job = openRange(member, request);
  if (job === "compacted") return fail(call, ApiError.COMPACTED);
  if (job === "future") return fail(call, ApiError.FUTURE_REVISION);
  finishRange(member, budget, job, call, () => {
    const held = job.heldSize;
    replyWithHeader(call, member, job.headerRevision, rangeBody(job), () => budget.release(held));
  });
}

/** Opens a range at the revision asked for, or at the newest complete one. */
function openRange(
  member: Member,
  query: RangeQuery,
  withCount = true,
): ReturnType<Member["keyspace"]["store"]["openRange"]> {
  const revision = query.revision <= 0 ? member.headRevision : query.revision;
  return member.keyspace.store.openRange(revision === query.revision ? query : { ...query, revision }, withCount);
}

/**
 * Brings a job to its end: in this turn when it is small, otherwise in the background. What it holds is reserved in the
 * budget as it grows, and `onDone` takes over both. `onAbandoned` runs instead when the call ends first.
 */
function finishRange(
  member: Member,
  budget: MemoryBudget,
  job: RangeJob,
  call: UnaryCall | StreamCall,
  onDone: () => void,
  onAbandoned?: () => void,
): void {
  let reserved = 0;
  const step = (): "running" | "done" => {
    let error: RpcError | undefined;
    if (!call.isClosed) {
      const state = job.step(JOB_STEP_BUDGET);
      const grown = job.heldSize - reserved;
      if (budget.tryReserve(grown)) reserved += grown;
      else error = ApiError.RESPONSES_TOO_LARGE;
      if (state === "compacted") error = ApiError.COMPACTED;
      if (error === undefined) {
        if (state === "done") onDone();
        return state === "done" ? "done" : "running";
      }
    }
    job.close();
    budget.release(reserved);
    onAbandoned?.();
    if (error !== undefined) fail(call, error);
    return "done";
  };
  if (step() === "running") member.runJob({ step });
}

function runSteps(member: Member, steps: Steps<Outcome>, onDone: (outcome: Outcome) => void): void {
  const first = steps.next();
  if (first.done === true) return onDone(first.value);
  member.runJob({
    step: () => {
      const step = steps.next();
      if (step.done !== true) return "running";
      onDone(step.value);
      return "done";
    },
  });
}

/** Keys in the first chunk of a RangeStream; the following ones adapt to the size of their answers. */
const FIRST_CHUNK_LIMIT = 10;

function rangeStream(member: Member, options: KvOptions, call: StreamCall, bytes: Uint8Array): void {
  const request = decodeStreamed(decodeRangeRequest, bytes.slice());
  const objection = checkRangeStream(request);
  if (objection !== undefined) return fail(call, objection);
  read(member, request.serializable, call, () => new RangeStream(member, options, call, request).next());
}

/**
 * One range answered in chunks, all at the revision of the first. Only the last chunk carries header, more and count, so
 * that all of them merged are the answer of Range.
 */
class RangeStream {
  readonly #member: Member;
  readonly #options: KvOptions;
  readonly #call: StreamCall;
  readonly #request: RangeRequest;
  readonly #limit: number;
  #key: Uint8Array;
  #chunkLimit: number;
  #headerRevision = 0;
  #count = 0;

  constructor(member: Member, options: KvOptions, call: StreamCall, request: RangeRequest) {
    this.#member = member;
    this.#options = options;
    this.#call = call;
    // etcd sorts and cuts each chunk by itself where a target comes without an order, and so loses keys: here, key order.
    this.#request = { ...request, sortTarget: SortTarget.KEY };
    this.#limit = request.limit === 0 ? Infinity : request.limit;
    this.#key = request.key;
    this.#chunkLimit = Math.min(FIRST_CHUNK_LIMIT, this.#limit);
  }

  next(): void {
    const limit = this.#request.countOnly ? 0 : this.#chunkLimit;
    this.#open(this.#key, limit, this.#request.countOnly, (job) => this.#send(job));
  }

  #open(
    key: Uint8Array,
    limit: number,
    countOnly: boolean,
    onDone: (job: RangeJob) => void,
    onAbandoned?: () => void,
  ): void {
    const revision = this.#request.revision > 0 ? this.#request.revision : this.#headerRevision;
    // The chunks are counted as they are sent; only what a limit leaves out is counted by the store.
    const job = openRange(this.#member, { ...this.#request, key, limit, countOnly, revision }, countOnly);
    if (typeof job === "string") {
      onAbandoned?.();
      return fail(this.#call, job === "compacted" ? ApiError.COMPACTED : ApiError.FUTURE_REVISION);
    }
    finishRange(this.#member, this.#options.budget, job, this.#call, () => onDone(job), onAbandoned);
  }

  #send(job: RangeJob): void {
    if (this.#headerRevision === 0) this.#headerRevision = job.headerRevision;
    const { requestSizeMax } = this.#options;
    if (this.#request.countOnly) {
      const { count } = job;
      this.#release(job);
      this.#sendLast(undefined, false, count);
      return;
    }
    this.#count += job.rowCount;
    const { more, rowCount } = job;
    if (!more) return this.#sendLast(job, false, this.#count);
    const nextKey = successor(job.key(rowCount - 1));
    if (this.#count >= this.#limit) {
      // The rest is counted, not sent.
      this.#open(nextKey, 0, true, (rest) => {
        const { count } = rest;
        this.#release(rest);
        this.#sendLast(job, true, this.#count + count);
      }, () => this.#release(job));
      return;
    }
    this.#key = nextKey;
    const { size } = job;
    if (size < requestSizeMax / 2) this.#chunkLimit *= 2;
    else if (size > requestSizeMax * 2) this.#chunkLimit = Math.max(1, Math.floor(this.#chunkLimit / 2));
    this.#chunkLimit = Math.min(this.#chunkLimit, this.#limit - this.#count);
    const isRoom = this.#call.sendBody(this.#chunk(job, new WireWriter()));
    if (isRoom) this.#member.runJob({ step: () => (this.next(), "done") });
    else this.#call.onDrain(() => this.next());
  }

  #sendLast(job: RangeJob | undefined, more: boolean, count: number): void {
    const header = new WireWriter();
    writeHeader(header, this.#member, this.#headerRevision);
    const trailer = new WireWriter();
    trailer.boolField(3, more);
    trailer.integerField(4, count);
    this.#call.sendBody(this.#chunk(job, header, trailer));
    this.#call.end();
  }

  #chunk(job: RangeJob | undefined, header: WireWriter, trailer?: WireWriter): Parts {
    const held = job?.heldSize ?? 0;
    return new Parts(chunkParts(job, header, trailer), () => this.#options.budget.release(held));
  }

  #release(job: RangeJob): void {
    this.#options.budget.release(job.heldSize);
    job.close();
  }
}

/** RangeStreamResponse{range_response(1)}: what is given of header, records and trailer, with the length in front. */
function chunkParts(job: RangeJob | undefined, header: WireWriter, trailer?: WireWriter): (Uint8Array | RangeJob)[] {
  const start = new WireWriter(16);
  start.tag(1, WIRE_BYTES);
  start.varint(header.position + (job?.size ?? 0) + (trailer?.position ?? 0));
  start.raw(header.view());
  const parts: (Uint8Array | RangeJob)[] = [start.view()];
  if (job !== undefined) parts.push(job);
  if (trailer !== undefined) parts.push(trailer.view());
  return parts;
}

/** The smallest key after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
