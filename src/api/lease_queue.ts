/**
 * What locks and elections have in common: a queue of keys under one prefix, each attached to the lease of its owner, in
 * the order in which they were created. Whose key is the oldest is at the head.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { concatBytes, utf8 } from "../base/bytes.ts";
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  type CompareSchema,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  type RangeRequestSchema,
} from "../gen/etcdserverpb/kv_pb.ts";
import { Event_EventType } from "../gen/mvccpb/kv_pb.ts";
import type { LocalClient } from "./local_client.ts";

/** Time to live, in seconds, of the lease that a caller without one is given. */
const SESSION_TTL = 60;

/**
 * The caller's lease, or for 0 a new one. etcd keeps neither alive, also not while the call waits: a caller that may have
 * to wait for longer than a minute brings its own.
 */
export async function sessionLease(client: LocalClient, lease: bigint): Promise<bigint> {
  return lease !== 0n ? lease : await client.grantLease(SESSION_TTL);
}

/** The keys `<name>/<lease>`, the lease in lower-case hex. */
export class LeaseQueue {
  readonly #client: LocalClient;
  readonly #prefix: Uint8Array;
  readonly #prefixEnd: Uint8Array;

  constructor(client: LocalClient, name: Uint8Array) {
    this.#client = client;
    this.#prefix = concatBytes([name, utf8("/")]);
    this.#prefixEnd = concatBytes([name, utf8("0")]);
  }

  key(lease: bigint): Uint8Array {
    return concatBytes([this.#prefix, utf8(lease.toString(16))]);
  }

  /** All keys of the queue. */
  get range(): { key: Uint8Array; rangeEnd: Uint8Array } {
    return { key: this.#prefix, rangeEnd: this.#prefixEnd };
  }

  /** A request for the key at the head. */
  get head(): MessageInitShape<typeof RangeRequestSchema> {
    return {
      ...this.range,
      limit: 1n,
      sortOrder: RangeRequest_SortOrder.ASCEND,
      sortTarget: RangeRequest_SortTarget.CREATE,
    };
  }

  /**
   * Waits until no key older than `createRevision` is left. Only the one just before is watched, so that a deletion wakes
   * one waiter and not all of them. Throws when the call is cancelled.
   */
  async waitForHead(createRevision: bigint): Promise<void> {
    for (;;) {
      const { header, kvs } = await this.#client.range({
        ...this.range,
        limit: 1n,
        sortOrder: RangeRequest_SortOrder.DESCEND,
        sortTarget: RangeRequest_SortTarget.CREATE,
        maxCreateRevision: createRevision - 1n,
        keysOnly: true,
      });
      if (kvs.length === 0) return;
      await this.#waitForDeletion(kvs[0].key, header!.revision);
    }
  }

  async #waitForDeletion(key: Uint8Array, startRevision: bigint): Promise<void> {
    for await (const { events } of this.#client.watch({ key, startRevision })) {
      if (events.some((event) => event.type === Event_EventType.DELETE)) return;
    }
  }
}

/** Holds when the key was created at this revision; 0: when it does not exist. */
export function createdAt(key: Uint8Array, revision: bigint): MessageInitShape<typeof CompareSchema> {
  return {
    key,
    target: Compare_CompareTarget.CREATE,
    result: Compare_CompareResult.EQUAL,
    targetUnion: { case: "createRevision", value: revision },
  };
}
