/** A store with its watch hub, and clients that write down what they get. */

import { fromBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES, latin1, utf8 } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { type WatchResponse, WatchResponseSchema } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { type Event, Event_EventType } from "../../src/gen/mvccpb/kv_pb.ts";
import { Store } from "../../src/mvcc/mod.ts";
import { type WatchBody, type WatchCreateRequest, WatchHub, type WatchStream } from "../../src/watch/mod.ts";

const TERM = 3n;
/** Bodies of large messages are read in portions of this size. */
const READ_SIZE = 1000;

export function header(revision: number): Uint8Array {
  const content = new WireWriter();
  content.integer64Field(1, 0xcdf818194e3a8c32n);
  content.integer64Field(2, 0x8e9e05c52164694dn);
  content.integerField(3, revision);
  content.integer64Field(4, TERM);
  const writer = new WireWriter();
  writer.messageField(1, content.finish());
  return writer.finish();
}

export type Write = { readonly put: string; readonly value?: string } | {
  readonly delete: string;
  readonly end?: string;
};

export class World {
  readonly store = new Store();
  readonly hub = new WatchHub(this.store);

  /** One transaction; returns its revision. */
  write(...writes: Write[]): number {
    const transaction = this.store.beginWrite();
    for (const write of writes) {
      if ("put" in write) transaction.put(utf8(write.put), utf8(write.value ?? "v"), 0n);
      else transaction.deleteRange(utf8(write.delete), utf8(write.end ?? "")).step(Infinity);
    }
    const { firstRow, endRow } = transaction;
    if (transaction.commit()) this.hub.publish(firstRow, endRow);
    this.hub.flush();
    return this.store.revision;
  }

  put(key: string, value?: string): number {
    return this.write({ put: key, value });
  }

  delete(key: string, end?: string): number {
    return this.write({ delete: key, end });
  }

  /** Compacts, and removes what is no longer readable. */
  compact(revision: number): void {
    const job = this.store.compact(revision);
    if (typeof job === "string") throw new Error(job);
    while (job.step(1e6) !== "done");
  }

  /** Lets everyone catch up who can. */
  settle(budget = 1e6): void {
    this.hub.flush();
    while (this.hub.hasWork) {
      this.hub.step(budget);
      // What the clients take makes room for more.
      this.hub.flush();
    }
  }

  client(options: { responseSizeMax?: number; progressIntervalMs?: number; now?: number } = {}): Client {
    return new Client(this, options);
  }
}

export class Client {
  readonly stream: WatchStream;
  readonly responses: WatchResponse[] = [];
  readonly messageSizes: number[] = [];
  /** Messages the transport takes before it asks to wait. */
  room = Infinity;

  constructor(world: World, options: { responseSizeMax?: number; progressIntervalMs?: number; now?: number }) {
    this.stream = world.hub.open({
      owner: this,
      header,
      responseSizeMax: options.responseSizeMax ?? 2 << 20,
      progressIntervalMs: options.progressIntervalMs ?? 600_000,
      now: options.now ?? 0,
    });
  }

  drain(): void {
    while (this.room > 0) {
      const message = this.stream.next();
      if (message === undefined) return;
      this.room--;
      const bytes = message instanceof Uint8Array ? message : readBody(message);
      this.messageSizes.push(bytes.length);
      this.responses.push(fromBinary(WatchResponseSchema, bytes.slice()));
    }
  }

  /** Takes messages again after it was slow. */
  resume(): void {
    this.room = Infinity;
    this.drain();
  }

  watch(key: string, options: Partial<WatchCreateRequest> & { end?: string; denied?: string } = {}): void {
    const { end, denied, ...fields } = options;
    this.stream.create({
      key: utf8(key),
      rangeEnd: end === undefined ? EMPTY_BYTES : utf8(end),
      startRevision: 0,
      progressNotify: false,
      noPut: false,
      noDelete: false,
      prevKv: false,
      watchId: 0n,
      fragment: false,
      ...fields,
    }, denied);
    this.drain();
  }

  cancel(id: bigint | number): void {
    this.stream.cancel(BigInt(id));
    this.drain();
  }

  requestProgress(): void {
    this.stream.requestProgress();
    this.drain();
  }

  /** What came since the last call, one line a response: `id@revision what`. */
  take(): string[] {
    return this.responses.splice(0).map(responseText);
  }
}

export function readBody(body: WatchBody): Uint8Array {
  const bytes = new Uint8Array(body.size);
  const part = new Uint8Array(READ_SIZE);
  let at = 0;
  for (let size = body.read(part); size > 0; size = body.read(part)) {
    bytes.set(part.subarray(0, size), at);
    at += size;
  }
  body.close();
  if (at !== bytes.length) throw new Error(`a body of ${bytes.length} bytes ended after ${at}`);
  return bytes;
}

export function responseText(response: WatchResponse): string {
  const parts = [`${response.watchId}@${response.header!.revision}`];
  if (response.created) parts.push("created");
  if (response.canceled) parts.push("canceled");
  if (response.compactRevision !== 0n) parts.push(`compacted at ${response.compactRevision}`);
  if (response.cancelReason !== "") parts.push(`"${response.cancelReason}"`);
  if (response.fragment) parts.push("fragment");
  if (response.events.length > 0) parts.push(response.events.map(eventText).join(", "));
  return parts.join(" ");
}

function eventText(event: Event): string {
  const kv = event.kv!;
  const previous = event.prevKv === undefined
    ? ""
    : ` was ${latin1(event.prevKv.key)}=${latin1(event.prevKv.value)}:${event.prevKv.modRevision}`;
  const value = event.type === Event_EventType.DELETE ? "-" : `=${latin1(kv.value)}`;
  return `${latin1(kv.key)}${value}:${kv.modRevision}${previous}`;
}
