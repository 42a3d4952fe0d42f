/** A client that watches: takes events at its own pace, goes away, and comes back elsewhere where it left off. */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Event_EventType } from "../../../src/gen/mvccpb/kv_pb.ts";
import {
  WatchCreateRequest_FilterType,
  WatchRequestSchema,
  type WatchResponse as WatchResponseMessage,
  WatchResponseSchema,
} from "../../../src/gen/etcdserverpb/watch_pb.ts";
import { type LocalStreamCall, startStream, wholeMessage } from "../../../src/io/rpc_local.ts";
import { eventText } from "../checkers/text.ts";
import type { WatchEvent, WatchRecord, WatchResponse } from "../observations.ts";
import { CANCELED } from "./connection.ts";
import type { Process } from "./machine.ts";
import type { Random } from "./random.ts";
import { toBytes, toKeyValue, toText } from "./requests.ts";
import type { World } from "./world.ts";

/** What is watched, over all resumptions. */
interface Interest {
  readonly key: string;
  readonly rangeEnd: string;
  readonly wantsPrevious: boolean;
  readonly filters: readonly ("put" | "delete")[];
}

export class WatchClient {
  readonly #world: World;
  readonly #number: number;
  readonly #random: Random;
  #interest: Interest;
  /** Where to go on; 0: from what comes next. */
  #nextRevision = 0;
  #position: number | undefined;
  #stream: Stream | undefined;
  #isStopped = false;

  constructor(world: World, number: number, random: Random) {
    this.#world = world;
    this.#number = number;
    this.#random = random;
    this.#interest = this.#newInterest();
    this.#openLater();
  }

  /** Opens no other watcher; the one that is open goes on. */
  settle(): void {
    this.#isStopped = true;
    this.#stream?.settle();
    if (this.#stream === undefined) this.#open();
  }

  onProcessEnd(process: Process): void {
    if (this.#stream?.process !== process) return;
    this.#stream = undefined;
    this.#openLater();
  }

  finish(): void {
    if (this.#stream !== undefined) this.#stream.record.isOpenAtEnd = true;
  }

  #newInterest(): Interest {
    const random = this.#random;
    const isWide = random.chance(0.7);
    return {
      key: random.pick(["a", "b", "c"]),
      rangeEnd: isWide ? random.pick(["e", "h", "\0"]) : "",
      wantsPrevious: random.chance(0.4),
      filters: random.chance(0.2) ? [random.pick(["put", "delete"])] : [],
    };
  }

  #openLater(): void {
    this.#world.scheduler.after(10 + this.#random.exponential(400), () => this.#open());
  }

  #open(): void {
    const world = this.#world;
    if (this.#stream !== undefined) return;
    const process = world.readyProcess(this.#random);
    if (process === undefined) return this.#openLater();
    if (!this.#isStopped && this.#random.chance(0.1)) this.#startAnew();
    const record: WatchRecord = {
      client: this.#number,
      ...this.#interest,
      startRevision: this.#nextRevision,
      resumes: this.#position,
      responses: [],
      isOpenAtEnd: false,
    };
    this.#position = world.observations.watches.push(record) - 1;
    world.coverage.count(this.#nextRevision > 0 ? "watchers that start in the past" : "watchers that start now");
    world.story.tell(() =>
      `watcher ${this.#number} opens at ${process.machine.name} from revision ${record.startRevision}`
    );
    this.#stream = new Stream(world, process, record, this.#random, {
      isSlow: !this.#isStopped && this.#random.chance(0.3),
      lifeMs: this.#isStopped ? Infinity : this.#random.between(500, 15_000),
      onResponse: (response) => this.#learn(response),
      onEnd: () => {
        this.#stream = undefined;
        this.#openLater();
      },
    });
  }

  /** Forgets what was watched, and begins something else, perhaps in the past. */
  #startAnew(): void {
    this.#interest = this.#newInterest();
    this.#position = undefined;
    const { revision } = this.#world.workload;
    this.#nextRevision = this.#random.chance(0.6) ? Math.max(1, revision - this.#random.below(40)) : 0;
  }

  #learn(response: WatchResponse): void {
    const { coverage } = this.#world;
    coverage.count(`watch responses: ${response.kind}`);
    if (response.kind === "created" && this.#nextRevision === 0) this.#nextRevision = response.revision + 1;
    else if (response.kind === "events" && response.events.length > 0) {
      this.#nextRevision = response.events[response.events.length - 1].revision + 1;
    } else if (response.kind === "progress") {
      this.#nextRevision = Math.max(this.#nextRevision, response.revision + 1);
    } else if (response.kind === "compacted") {
      // What is gone cannot be resumed.
      this.#nextRevision = response.compactRevision;
      this.#position = undefined;
    }
  }
}

interface StreamOptions {
  readonly isSlow: boolean;
  readonly lifeMs: number;
  readonly onResponse: (response: WatchResponse) => void;
  readonly onEnd: () => void;
}

class Stream {
  readonly process: Process;
  readonly record: WatchRecord;
  readonly #world: World;
  readonly #random: Random;
  readonly #options: StreamOptions;
  #call: LocalStreamCall | undefined;
  #isEnded = false;
  #isSlow: boolean;
  #isSettled = false;

  constructor(world: World, process: Process, record: WatchRecord, random: Random, options: StreamOptions) {
    this.#world = world;
    this.process = process;
    this.record = record;
    this.#random = random;
    this.#options = options;
    this.#isSlow = options.isSlow;
    process.time.run(world.clientDelayMs(), () => this.#begin());
    if (options.lifeMs < Infinity) world.scheduler.after(options.lifeMs, () => this.#isSettled || this.#leave());
  }

  /** Stays, and reads as fast as it can. */
  settle(): void {
    this.#isSettled = true;
    this.#isSlow = false;
  }

  #begin(): void {
    const method = this.process.methods.get("/etcdserverpb.Watch/Watch");
    if (method === undefined || method.kind === "unary") throw new Error("watches are not served");
    this.#call = startStream(method, undefined);
    this.#send({
      requestUnion: {
        case: "createRequest",
        value: {
          key: toBytes(this.record.key),
          rangeEnd: toBytes(this.record.rangeEnd),
          startRevision: BigInt(this.record.startRevision),
          progressNotify: this.#random.chance(0.5),
          prevKv: this.record.wantsPrevious,
          filters: this.record.filters.map((kind) =>
            kind === "put" ? WatchCreateRequest_FilterType.NOPUT : WatchCreateRequest_FilterType.NODELETE
          ),
        },
      },
    });
    this.#receive();
  }

  #send(init: Parameters<typeof create<typeof WatchRequestSchema>>[1]): void {
    this.#call!.write(toBinary(WatchRequestSchema, create(WatchRequestSchema, init)));
  }

  /** In the member's process. */
  #receive(): void {
    this.#call!.receive().then((message) => {
      if (message === undefined) this.#endLater();
      else this.#bring(fromBinary(WatchResponseSchema, wholeMessage(message)));
    }, () => this.#endLater());
  }

  #bring(message: WatchResponseMessage): void {
    const world = this.#world;
    const delayMs = world.clientDelayMs() + (this.#isSlow ? this.#random.between(0, 3000) : 0);
    world.scheduler.after(delayMs, () => {
      if (this.#isEnded || this.process.time.isEnded) return;
      const response = this.#responseOf(message);
      this.record.responses.push(response);
      world.story.tell(() => `watcher ${this.record.client} is sent ${responseText(response)}`);
      this.#options.onResponse(response);
      if (response.kind === "compacted" || response.kind === "canceled") return this.#leave();
      this.process.time.run(world.clientDelayMs(), () => {
        if (this.#isEnded) return;
        if (this.#random.chance(0.1)) this.#send({ requestUnion: { case: "progressRequest", value: {} } });
        this.#receive();
      });
    });
  }

  #leave(): void {
    if (this.#isEnded || this.process.time.isEnded) return;
    this.process.time.run(this.#world.clientDelayMs(), () => this.#call?.cancel(CANCELED));
    this.#end();
  }

  #endLater(): void {
    this.#world.scheduler.after(this.#world.clientDelayMs(), () => this.#end());
  }

  #end(): void {
    if (this.#isEnded || this.process.time.isEnded) return;
    this.#isEnded = true;
    this.#options.onEnd();
  }

  #responseOf(message: WatchResponseMessage): WatchResponse {
    const events: WatchEvent[] = message.events.map(({ type, kv, prevKv }) => {
      if (kv === undefined) throw new Error("an event without its record");
      return {
        event: type === Event_EventType.PUT
          ? { kind: "put", kv: toKeyValue(kv) }
          : { kind: "delete", key: toText(kv.key) },
        revision: Number(kv.modRevision),
        previous: prevKv && toKeyValue(prevKv),
      };
    });
    return {
      moment: this.#world.nextMoment(),
      kind: kindOf(message),
      revision: Number(message.header?.revision ?? 0n),
      events,
      isFragment: message.fragment,
      compactRevision: Number(message.compactRevision),
    };
  }
}

function kindOf({ created, canceled, compactRevision, events }: WatchResponseMessage): WatchResponse["kind"] {
  if (compactRevision > 0n) return "compacted";
  if (canceled) return "canceled";
  if (created) return "created";
  return events.length > 0 ? "events" : "progress";
}

function responseText({ kind, revision, events, compactRevision }: WatchResponse): string {
  if (kind === "compacted") return `that ${compactRevision} is compacted`;
  return `${kind} at revision ${revision}${events.map(({ event }) => ` ${eventText(event)}`).join(",")}`;
}
