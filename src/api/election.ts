import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { equalBytes } from "../base/bytes.ts";
import type { ResponseHeader } from "../gen/etcdserverpb/header_pb.ts";
import type { RequestOpSchema } from "../gen/etcdserverpb/kv_pb.ts";
import { Event_EventType, type KeyValue } from "../gen/mvccpb/kv_pb.ts";
import {
  CampaignRequestSchema,
  CampaignResponseSchema,
  type LeaderKey,
  LeaderRequestSchema,
  LeaderResponseSchema,
  ProclaimRequestSchema,
  ProclaimResponseSchema,
  ResignRequestSchema,
  ResignResponseSchema,
} from "../gen/v3electionpb/election_pb.ts";
import { Code, type Method, RpcError, type StreamCall } from "../io/rpc.ts";
import { createdAt, LeaseQueue, sessionLease } from "./lease_queue.ts";
import { type LocalClient, LocalServices, localStreamMethod, localUnaryMethod } from "./local_client.ts";
import { decodeMessage, decodeStreamMessage } from "./request.ts";

const SERVICE = "/v3electionpb.Election/";

const LEADER_MISSING = new RpcError(Code.UNKNOWN, '"leader" field must be provided');
const NO_LEADER = new RpcError(Code.UNKNOWN, "election: no leader");
const NOT_LEADER = new RpcError(Code.UNKNOWN, "election: not leader");

/** v3electionpb.Election over the KV, Watch and Lease methods among `methods`. */
export function electionService(methods: readonly Method[]): Method[] {
  const services = new LocalServices(methods);
  return [
    localUnaryMethod(services, `${SERVICE}Campaign`, campaign),
    localUnaryMethod(services, `${SERVICE}Proclaim`, proclaim),
    localUnaryMethod(services, `${SERVICE}Leader`, leader),
    localStreamMethod(services, `${SERVICE}Observe`, observe),
    localUnaryMethod(services, `${SERVICE}Resign`, resign),
  ];
}

/** Waits to be elected. A candidate that goes away while it waits leaves the queue. */
async function campaign(client: LocalClient, bytes: Uint8Array): Promise<Uint8Array> {
  const { name, lease: givenLease, value } = decodeMessage(CampaignRequestSchema, bytes);
  const lease = await sessionLease(client, givenLease);
  const queue = new LeaseQueue(client, name);
  const key = queue.key(lease);
  const { header, succeeded, responses } = await client.txn({
    compare: [createdAt(key, 0n)],
    success: [put(key, value, lease)],
    failure: [{ request: { case: "requestRange", value: { key } } }],
  });
  let rev = header!.revision;
  try {
    if (!succeeded) {
      const [{ response }] = responses;
      const [own] = response.case === "responseRange" ? response.value.kvs : [];
      rev = own.createRevision;
      if (!equalBytes(own.value, value)) await proclaimValue(client, { key, rev, lease }, value);
    }
    client.throwIfCancelled();
    await queue.waitForHead(rev);
  } catch (reason) {
    // Whether this succeeds makes no difference to the caller; the key ends with its lease at the latest.
    await resignKey(client, key, rev).catch(() => {});
    throw reason;
  }
  const response = { header, leader: { name, key, rev, lease } };
  return toBinary(CampaignResponseSchema, create(CampaignResponseSchema, response));
}

async function proclaim(client: LocalClient, bytes: Uint8Array): Promise<Uint8Array> {
  const { leader, value } = decodeMessage(ProclaimRequestSchema, bytes);
  if (leader === undefined) throw LEADER_MISSING;
  const lease = await sessionLease(client, leader.lease);
  const header = await proclaimValue(client, { key: leader.key, rev: leader.rev, lease }, value);
  return toBinary(ProclaimResponseSchema, create(ProclaimResponseSchema, { header }));
}

async function proclaimValue(
  client: LocalClient,
  { key, rev, lease }: Pick<LeaderKey, "key" | "rev" | "lease">,
  value: Uint8Array,
): Promise<ResponseHeader | undefined> {
  const { header, succeeded } = await client.txn({ compare: [createdAt(key, rev)], success: [put(key, value, lease)] });
  if (!succeeded) throw NOT_LEADER;
  return header;
}

/** Succeeds also when the leadership was lost before, as etcd's. */
async function resign(client: LocalClient, bytes: Uint8Array): Promise<Uint8Array> {
  const { leader } = decodeMessage(ResignRequestSchema, bytes);
  if (leader === undefined) throw LEADER_MISSING;
  await sessionLease(client, leader.lease);
  const { header } = await resignKey(client, leader.key, leader.rev);
  return toBinary(ResignResponseSchema, create(ResignResponseSchema, { header }));
}

function resignKey(client: LocalClient, key: Uint8Array, rev: bigint): ReturnType<LocalClient["txn"]> {
  return client.txn({
    compare: [createdAt(key, rev)],
    success: [{ request: { case: "requestDeleteRange", value: { key } } }],
  });
}

async function leader(client: LocalClient, bytes: Uint8Array): Promise<Uint8Array> {
  const { name } = decodeMessage(LeaderRequestSchema, bytes);
  const { header, kvs: [kv] } = await client.range(new LeaseQueue(client, name).head);
  if (kv === undefined) throw NO_LEADER;
  return leaderResponse(header, kv);
}

/** Sends the leader and what it proclaims, then its successor, and so on. Any error but a cancellation ends the stream well. */
async function observe(client: LocalClient, call: StreamCall, bytes: Uint8Array): Promise<void> {
  const { name } = decodeStreamMessage(LeaderRequestSchema, bytes);
  const queue = new LeaseQueue(client, name);
  const send = sender(call);
  try {
    for (;;) {
      const { header, kv } = await currentLeader(client, queue);
      await send(leaderResponse(header, kv));
      await sendProclamations(client, kv.key, header.revision + 1n, send);
    }
  } catch {
    client.throwIfCancelled();
  }
}

interface ObservedLeader {
  readonly header: ResponseHeader;
  readonly kv: KeyValue;
}

/** The leader, or the first candidate to come. */
async function currentLeader(client: LocalClient, queue: LeaseQueue): Promise<ObservedLeader> {
  const { header, kvs: [kv] } = await client.range(queue.head);
  if (kv !== undefined) return { header: header!, kv };
  for await (
    const { header: watchHeader, events } of client.watch({ ...queue.range, startRevision: header!.revision })
  ) {
    const put = events.find((event) => event.type === Event_EventType.PUT);
    if (put === undefined) continue;
    // A response may bring events of several revisions: the next watch must not miss what came after this one.
    return { header: { ...watchHeader!, revision: put.kv!.modRevision }, kv: put.kv! };
  }
  throw NO_LEADER;
}

/** Returns when the leader's key is deleted. */
async function sendProclamations(
  client: LocalClient,
  key: Uint8Array,
  startRevision: bigint,
  send: (message: Uint8Array) => Promise<void>,
): Promise<void> {
  for await (const { header, events } of client.watch({ key, startRevision })) {
    for (const event of events) {
      if (event.type === Event_EventType.DELETE) return;
      await send(leaderResponse(header, event.kv!));
    }
  }
}

/** Sends messages one by one, no faster than the client takes them. */
function sender(call: StreamCall): (message: Uint8Array) => Promise<void> {
  let resume = (): void => {};
  call.onDrain(() => resume());
  call.onCancel(() => resume());
  return async (message) => {
    if (!call.send(message) && !call.isClosed) await new Promise<void>((resolve) => resume = resolve);
  };
}

function leaderResponse(header: ResponseHeader | undefined, kv: KeyValue): Uint8Array {
  return toBinary(LeaderResponseSchema, create(LeaderResponseSchema, { header, kv }));
}

function put(key: Uint8Array, value: Uint8Array, lease: bigint): MessageInitShape<typeof RequestOpSchema> {
  return { request: { case: "requestPut", value: { key, value, lease } } };
}
