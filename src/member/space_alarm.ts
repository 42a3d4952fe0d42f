import { create, toBinary } from "@bufbuild/protobuf";
import { formatSize } from "../base/size.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmRequestSchema,
  AlarmType as AlarmTypeProto,
} from "../gen/etcdserverpb/maintenance_pb.ts";
import type { Logger } from "../io/log.ts";
import { AlarmType, type Keyspace } from "../keyspace/mod.ts";
import { RaftOperation } from "../wire/mod.ts";
import type { Settle } from "./proposals.ts";

export interface SpaceAlarmParts {
  readonly log: Logger;
  readonly keyspace: Keyspace;
  readonly memberId: bigint;
  readonly propose: (operation: number, body: Uint8Array, settle: Settle) => void;
}

/** This member's NOSPACE alarm, raised and cleared through the log like any other change. */
export class SpaceAlarm {
  readonly #parts: SpaceAlarmParts;
  /** Called once the proposal that is on its way has been settled; empty where there is none. */
  #waiting: (() => void)[] = [];

  constructor(parts: SpaceAlarmParts) {
    this.#parts = parts;
  }

  get isRaised(): boolean {
    const { keyspace, memberId } = this.#parts;
    return keyspace.alarms.isRaisedBy(memberId, AlarmType.NOSPACE);
  }

  /**
   * Raises the alarm and calls `done` when that is decided: whoever is refused for lack of space learns it after the alarm
   * is raised, as from etcd. Requests that come meanwhile share one proposal, and need none once it is raised.
   */
  raise(done: () => void): void {
    if (this.isRaised) return done();
    this.#waiting.push(done);
    if (this.#waiting.length > 1) return;
    this.#propose(AlarmAction.ACTIVATE, () => {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const callback of waiting) callback();
    });
  }

  /** An entry was carried out although the quota had no room for it. `done`: its client may hear of it. */
  onExceeded(done: () => void): void {
    const { keyspace, log } = this.#parts;
    const { alarms, quota } = keyspace;
    // The alarm refused it before the quota was asked.
    if (alarms.isRaised(AlarmType.NOSPACE)) return done();
    if (this.#waiting.length === 0) {
      log.warn("message exceeded backend quota; raising alarm", {
        "quota-size-bytes": quota.limit,
        "quota-size": formatSize(quota.limit),
        error: "etcdserver: no space",
      });
    }
    this.raise(done);
  }

  clear(done: () => void): void {
    this.#propose(AlarmAction.DEACTIVATE, done);
  }

  #propose(action: AlarmAction, done: () => void): void {
    const { memberId, propose } = this.#parts;
    const request = create(AlarmRequestSchema, { action, memberID: memberId, alarm: AlarmTypeProto.NOSPACE });
    // One that fails leaves the alarm as it was: the next request that finds no room tries again.
    propose(RaftOperation.ALARM, toBinary(AlarmRequestSchema, request), done);
  }
}
