import { create, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BROWSER_WATCH_HEARTBEAT_MS, BROWSER_WATCH_PROGRESS_MS, BROWSER_WATCH_TICK_MS } from "../base/limits.ts";
import { varintSize, WIRE_BYTES, WireReader, wireTag, writeVarint } from "../base/varint.ts";
import {
  type WatchCreateRequest,
  WatchProgressRequestSchema,
  WatchRequestSchema as EtcdWatchRequestSchema,
} from "../gen/etcdserverpb/watch_pb.ts";
import { HeartbeatSchema, WatchRequestSchema, WatchResponseSchema } from "../gen/keelson/v1/watch_pb.ts";
import type { Clock, Timer } from "../io/clock.ts";
import { Code, type MessageBody, type Method, RpcError, type StreamCall } from "../io/rpc.ts";
import { type LocalStreamCall, startStream, statusOf, type StreamMethod } from "../io/rpc_local.ts";
import { decodeStreamMessage } from "./request.ts";

/** keelson.v1.Watch: a list of create requests on one stream of responses, over etcd's Watch. */
export function browserWatchService(watch: StreamMethod, clock: Clock): Method[] {
  return [{
    kind: "server_streaming",
    path: "/keelson.v1.Watch/Watch",
    handle: (call, request) => {
      // A copy, as what is read of it outlives this call of the handler.
      const { creates } = decodeStreamMessage(WatchRequestSchema, request.slice());
      if (creates.length === 0) {
        throw new RpcError(Code.INVALID_ARGUMENT, "keelson: a watch needs at least one create request");
      }
      return new BrowserWatch(call, startStream(watch, undefined, call), clock, creates).run();
    },
  }];
}

const RESPONSE_TAG = wireTag(1, WIRE_BYTES);
const PROGRESS_REQUEST = toBinary(
  EtcdWatchRequestSchema,
  create(EtcdWatchRequestSchema, {
    requestUnion: { case: "progressRequest", value: create(WatchProgressRequestSchema) },
  }),
);

class BrowserWatch {
  readonly #call: StreamCall;
  readonly #watch: LocalStreamCall;
  readonly #clock: Clock;
  readonly #creates: readonly WatchCreateRequest[];
  readonly #timer: Timer;
  /** Creates not answered yet, and watchers that were created and not canceled. */
  #unanswered: number;
  #open = 0;
  #lastSentMs: number;
  /** A progress request was sent for this silence. */
  #asksProgress = false;
  #wake: (() => void) | undefined;
  #isBlocked = false;

  constructor(call: StreamCall, watch: LocalStreamCall, clock: Clock, creates: readonly WatchCreateRequest[]) {
    this.#call = call;
    this.#watch = watch;
    this.#clock = clock;
    this.#creates = creates;
    this.#unanswered = creates.length;
    this.#lastSentMs = clock.monotonicMs();
    this.#timer = clock.every(BROWSER_WATCH_TICK_MS, () => this.#tick());
    call.onDrain(() => {
      this.#isBlocked = false;
      this.#wake?.();
    });
    call.onCancel((cause) => {
      watch.cancel(cause);
      this.#wake?.();
    });
  }

  async run(): Promise<void> {
    try {
      void this.#sendCreates();
      while (this.#unanswered + this.#open > 0) {
        const message = await this.#watch.receive();
        if (message === undefined) break;
        if (message instanceof Uint8Array) this.#forward(message);
        else this.#send(() => this.#call.sendBody(new WrappedBody(message)));
        if (this.#isBlocked && !this.#call.isClosed) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
      this.#call.end();
    } catch (reason) {
      const status = statusOf(reason);
      this.#call.fail(status.code, status.message, status.details);
    } finally {
      this.#timer.cancel();
      this.#watch.cancel(new RpcError(Code.CANCELED, "context canceled"));
    }
  }

  /** One after the other, as fast as the service takes them. */
  async #sendCreates(): Promise<void> {
    for (const createRequest of this.#creates) {
      const request: MessageShape<typeof EtcdWatchRequestSchema> = create(EtcdWatchRequestSchema, {
        requestUnion: { case: "createRequest", value: createRequest },
      });
      if (!this.#watch.write(toBinary(EtcdWatchRequestSchema, request))) await this.#watch.writable();
    }
  }

  #forward(message: Uint8Array): void {
    const { isCreated, isCanceled, watchId, revision } = controlsOf(message);
    if (watchId === -1 && !isCreated && !isCanceled) {
      this.#heartbeat(revision);
      return;
    }
    if (isCreated) {
      this.#unanswered--;
      if (!isCanceled) this.#open++;
    } else if (isCanceled) this.#open--;
    const size = 1 + varintSize(message.length);
    const wrapped = new Uint8Array(size + message.length);
    wrapped[0] = RESPONSE_TAG;
    writeVarint(wrapped, 1, message.length);
    wrapped.set(message, size);
    this.#send(() => this.#call.send(wrapped));
  }

  #tick(): void {
    const silentMs = this.#clock.monotonicMs() - this.#lastSentMs;
    if (this.#isBlocked) return; // the client has bytes to read: it is not silence that it sees
    if (silentMs >= BROWSER_WATCH_HEARTBEAT_MS) {
      this.#heartbeat(0);
    } else if (silentMs >= BROWSER_WATCH_PROGRESS_MS && !this.#asksProgress && this.#unanswered === 0) {
      this.#asksProgress = true;
      this.#watch.write(PROGRESS_REQUEST);
    }
  }

  /** Etcd answers a progress request only if all watchers have caught up: that answer is the heartbeat with a revision. */
  #heartbeat(revision: number): void {
    const value = create(HeartbeatSchema, { revision: BigInt(revision) });
    const message = create(WatchResponseSchema, { message: { case: "heartbeat", value } });
    this.#send(() => this.#call.send(toBinary(WatchResponseSchema, message)));
  }

  #send(send: () => boolean): void {
    this.#lastSentMs = this.#clock.monotonicMs();
    this.#asksProgress = false;
    if (!send()) this.#isBlocked = true;
  }
}

interface Controls {
  readonly isCreated: boolean;
  readonly isCanceled: boolean;
  readonly watchId: number;
  readonly revision: number;
}

/** What a WatchResponse says beside its events, which are passed over. */
function controlsOf(message: Uint8Array): Controls {
  const reader = new WireReader(message);
  let isCreated = false;
  let isCanceled = false;
  let watchId = 0;
  let revision = 0;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag >>> 3) {
      case 1:
        revision = revisionOf(reader.view());
        break;
      case 2:
        watchId = reader.int64();
        break;
      case 3:
        isCreated = reader.bool();
        break;
      case 4:
        isCanceled = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { isCreated, isCanceled, watchId, revision };
}

function revisionOf(header: Uint8Array): number {
  const reader = new WireReader(header);
  let revision = 0;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag >>> 3 === 3) revision = reader.int64();
    else reader.skip(tag);
  }
  return revision;
}

/** A large response (always one of events) as the field of ours that holds it. */
class WrappedBody implements MessageBody {
  readonly size: number;
  readonly #body: MessageBody;
  readonly #prefix: Uint8Array;
  #prefixRead = 0;

  constructor(body: MessageBody) {
    this.#body = body;
    this.#prefix = new Uint8Array(1 + varintSize(body.size));
    this.#prefix[0] = RESPONSE_TAG;
    writeVarint(this.#prefix, 1, body.size);
    this.size = this.#prefix.length + body.size;
  }

  read(target: Uint8Array): number {
    if (this.#prefixRead === this.#prefix.length) return this.#body.read(target);
    const part = this.#prefix.subarray(this.#prefixRead, this.#prefixRead + target.length);
    target.set(part);
    this.#prefixRead += part.length;
    return part.length;
  }

  close(): void {
    this.#body.close();
  }
}
