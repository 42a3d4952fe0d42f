import { WireWriter } from "../base/varint.ts";

/** etcdserverpb.AlarmType (frozen). */
export const AlarmType = { NONE: 0, NOSPACE: 1, CORRUPT: 2 } as const;

export interface Alarm {
  readonly memberId: bigint;
  readonly type: number;
}

/** etcdserverpb.AlarmMember: in responses, and a key of etcd's alarm bucket (frozen). */
export function encodeAlarm({ memberId, type }: Alarm): Uint8Array {
  const writer = new WireWriter(24);
  writer.integer64Field(1, memberId);
  writer.integerField(2, type);
  return writer.finish();
}

/** The alarms raised in this keyspace, replicated like everything else in it. */
export class Alarms {
  readonly #raised = new Map<string, Alarm>();

  /** Those of one type, or all of them for NONE; in the order they were raised. */
  list(type: number = AlarmType.NONE): Alarm[] {
    return [...this.#raised.values()].filter((alarm) => type === AlarmType.NONE || alarm.type === type);
  }

  get isEmpty(): boolean {
    return this.#raised.size === 0;
  }

  isRaised(type: number): boolean {
    for (const alarm of this.#raised.values()) if (alarm.type === type) return true;
    return false;
  }

  isRaisedBy(memberId: bigint, type: number): boolean {
    return this.#raised.has(alarmKey(memberId, type));
  }

  /** Raises an alarm and returns it, also when it was raised before. */
  activate(memberId: bigint, type: number): Alarm {
    const key = alarmKey(memberId, type);
    const raised = this.#raised.get(key);
    if (raised !== undefined) return raised;
    const alarm = { memberId, type };
    this.#raised.set(key, alarm);
    return alarm;
  }

  /** Clears an alarm; returns it if it was raised. */
  deactivate(memberId: bigint, type: number): Alarm | undefined {
    const key = alarmKey(memberId, type);
    const alarm = this.#raised.get(key);
    this.#raised.delete(key);
    return alarm;
  }
}

function alarmKey(memberId: bigint, type: number): string {
  return `${type}/${memberId}`;
}
