import type { MessageShape } from "@bufbuild/protobuf";
import {
  WatchCreateRequest_FilterType,
  type WatchCreateRequestSchema,
  WatchRequestSchema,
} from "../gen/etcdserverpb/watch_pb.ts";
import { clampInt64 } from "../base/varint.ts";
import { WATCH_FRAGMENT_OVERHEAD } from "../base/limits.ts";
import type { Method, StreamCall } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import type { WatchCreateRequest, WatchOwner, WatchStream } from "../watch/mod.ts";
import { cachedHeader } from "./header.ts";
import { decodeStreamMessage } from "./request.ts";

export interface WatchOptions {
  /** `--max-request-bytes`: fragments are as large as etcd makes them. */
  readonly requestSizeMax: number;
  /** `--watch-progress-notify-interval` in milliseconds. */
  readonly watchProgressIntervalMs: number;
}

export function watchService(member: Member, options: WatchOptions): Method[] {
  return [{
    kind: "bidi_streaming",
    path: "/etcdserverpb.Watch/Watch",
    handle: (call) => {
      new WatchSession(member, options, call);
    },
  }];
}

/** One client's stream: requests go to the hub, responses are taken from the stream's outbox while the client reads. */
class WatchSession implements WatchOwner {
  readonly #member: Member;
  readonly #call: StreamCall;
  readonly #stream: WatchStream;
  /** The call has told us to hold back. */
  #isBlocked = false;
  /** Requests are not read while the outbox is full, since each is answered. */
  #isPaused = false;

  constructor(member: Member, options: WatchOptions, call: StreamCall) {
    this.#member = member;
    this.#call = call;
    this.#stream = member.keyspace.watchHub.open({
      owner: this,
      header: cachedHeader(member),
      responseSizeMax: options.requestSizeMax + WATCH_FRAGMENT_OVERHEAD,
      progressIntervalMs: member.jitter(options.watchProgressIntervalMs),
      now: member.nowMs,
    });
    call.onMessage((bytes) => this.#take(bytes));
    call.onDrain(() => {
      this.#isBlocked = false;
      this.drain();
    });
    // A client that has sent its last request still gets its events, as etcd sees it: the call ends when the client does.
    call.onHalfClose(() => {});
    call.onCancel(() => this.#stream.close());
  }

  drain(): void {
    while (!this.#isBlocked) {
      const message = this.#stream.next();
      if (message === undefined) break;
      const hasRoom = message instanceof Uint8Array ? this.#call.send(message) : this.#call.sendBody(message);
      if (!hasRoom) this.#isBlocked = true;
    }
    if (this.#isPaused && !this.#stream.isFull) {
      this.#isPaused = false;
      this.#call.resume();
    }
    if (this.#member.keyspace.watchHub.hasWork) this.#member.wake();
  }

  #take(bytes: Uint8Array): void {
    const { requestUnion } = decodeStreamMessage(WatchRequestSchema, bytes);
    switch (requestUnion.case) {
      case "createRequest":
        this.#stream.create(createRequest(requestUnion.value));
        break;
      case "cancelRequest":
        this.#stream.cancel(requestUnion.value.watchId);
        break;
      case "progressRequest":
        this.#stream.requestProgress();
    }
    this.drain();
    if (this.#stream.isFull && !this.#isPaused) {
      this.#isPaused = true;
      this.#call.pause();
    }
  }
}

function createRequest(request: MessageShape<typeof WatchCreateRequestSchema>): WatchCreateRequest {
  return {
    key: request.key,
    rangeEnd: request.rangeEnd,
    startRevision: clampInt64(request.startRevision),
    progressNotify: request.progressNotify,
    noPut: request.filters.includes(WatchCreateRequest_FilterType.NOPUT),
    noDelete: request.filters.includes(WatchCreateRequest_FilterType.NODELETE),
    prevKv: request.prevKv,
    watchId: request.watchId,
    fragment: request.fragment,
  };
}
