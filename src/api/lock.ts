import { create, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES } from "../base/bytes.ts";
import type { ResponseHeader } from "../gen/etcdserverpb/header_pb.ts";
import {
  LockRequestSchema,
  LockResponseSchema,
  UnlockRequestSchema,
  UnlockResponseSchema,
} from "../gen/v3lockpb/lock_pb.ts";
import { Code, type Method, RpcError } from "../io/rpc.ts";
import { createdAt, LeaseQueue, sessionLease } from "./lease_queue.ts";
import { type LocalClient, LocalServices, localUnaryMethod } from "./local_client.ts";
import { decodeMessage } from "./request.ts";

const SERVICE = "/v3lockpb.Lock/";

const SESSION_EXPIRED = new RpcError(Code.UNKNOWN, "mutex: session is expired");

/** v3lockpb.Lock over the KV, Watch and Lease methods among `methods`. */
export function lockService(methods: readonly Method[]): Method[] {
  const services = new LocalServices(methods);
  return [
    localUnaryMethod(services, `${SERVICE}Lock`, lock),
    localUnaryMethod(services, `${SERVICE}Unlock`, unlock),
  ];
}

/** Waits for the lock. A caller that goes away while it waits leaves the queue. */
async function lock(client: LocalClient, bytes: Uint8Array): Promise<Uint8Array> {
  const request = decodeMessage(LockRequestSchema, bytes);
  const lease = await sessionLease(client, request.lease);
  const queue = new LeaseQueue(client, request.name);
  const key = queue.key(lease);
  const head = { request: { case: "requestRange", value: queue.head } } as const;
  const { header, succeeded, responses } = await client.txn({
    compare: [createdAt(key, 0n)],
    success: [{ request: { case: "requestPut", value: { key, value: EMPTY_BYTES, lease } } }, head],
    // The lease is in the queue already: its place is taken up again.
    failure: [{ request: { case: "requestRange", value: { key } } }, head],
  });
  const [own, oldest] = responses.map(({ response }) => response.case === "responseRange" ? response.value.kvs : []);
  const createRevision = succeeded ? header!.revision : own[0].createRevision;
  const isHeld = oldest.length === 0 || oldest[0].createRevision === createRevision;
  if (isHeld && !succeeded) return lockResponse(header, key);
  try {
    client.throwIfCancelled();
    if (isHeld) return lockResponse(header, key);
    await queue.waitForHead(createRevision);
    const found = await client.range({ key });
    if (found.kvs.length > 0) return lockResponse(found.header, key);
  } catch (reason) {
    // Whether this succeeds makes no difference to the caller; the key ends with its lease at the latest.
    await client.deleteKey(key).catch(() => {});
    throw reason;
  }
  throw SESSION_EXPIRED;
}

function lockResponse(header: ResponseHeader | undefined, key: Uint8Array): Uint8Array {
  return toBinary(LockResponseSchema, create(LockResponseSchema, { header, key }));
}

/** Succeeds also when nothing was locked, as etcd's. */
async function unlock(client: LocalClient, bytes: Uint8Array): Promise<Uint8Array> {
  const { key } = decodeMessage(UnlockRequestSchema, bytes);
  const { header } = await client.deleteKey(key);
  return toBinary(UnlockResponseSchema, create(UnlockResponseSchema, { header }));
}
