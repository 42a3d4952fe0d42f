/**
 * A membership change as the data of an entry (raftpb, frozen: on disk and on the wire). Only what raft itself acts upon
 * is read; ids and contexts are the application's.
 *
 *     ConfChange       2: type   3: node id                                  (1: id   4: context)
 *     ConfChangeV2     1: transition   2: { 1: type   2: node id } ...       (3: context)
 */

import { WIRE_BYTES, WIRE_VARINT, WireReader, wireTag } from "../../base/varint.ts";
import {
  type ConfChange,
  ConfChangeTransition,
  ConfChangeType,
  type ConfChangeV2,
  type Entry,
  EntryType,
} from "../types.ts";

/** The change that a CONF_CHANGE or CONF_CHANGE_V2 entry carries. Throws `WireError` if it is malformed. */
export function decodeConfChange({ type, data }: Pick<Entry, "type" | "data">): ConfChangeV2 {
  const reader = new WireReader(data);
  if (type === EntryType.CONF_CHANGE_V2) return readV2(reader);
  const change = readSingle(reader, data.length, V1_TYPE, V1_MEMBER_ID);
  return { transition: ConfChangeTransition.AUTO, changes: [change] };
}

/** A change without changes: it leaves a joint configuration. */
export function isLeaveJoint({ transition, changes }: ConfChangeV2): boolean {
  return transition === ConfChangeTransition.AUTO && changes.length === 0;
}

/** "v1 l2 r3 u4": voters, learners, removals, updates. */
export function confChangesText(changes: readonly ConfChange[]): string {
  return changes.map(({ type, memberId }) => `${LETTERS[type] ?? "unknown"}${memberId}`).join(" ");
}

const LETTERS: Readonly<Record<number, string>> = {
  [ConfChangeType.ADD_NODE]: "v",
  [ConfChangeType.ADD_LEARNER_NODE]: "l",
  [ConfChangeType.REMOVE_NODE]: "r",
  [ConfChangeType.UPDATE_NODE]: "u",
};

const V1_TYPE = wireTag(2, WIRE_VARINT);
const V1_MEMBER_ID = wireTag(3, WIRE_VARINT);
const V2_TRANSITION = wireTag(1, WIRE_VARINT);
const V2_CHANGE = wireTag(2, WIRE_BYTES);
const SINGLE_TYPE = wireTag(1, WIRE_VARINT);
const SINGLE_MEMBER_ID = wireTag(2, WIRE_VARINT);

function readV2(reader: WireReader): ConfChangeV2 {
  const { end } = reader;
  const changes: ConfChange[] = [];
  let transition: ConfChangeTransition = ConfChangeTransition.AUTO;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === V2_TRANSITION) transition = reader.int32() as ConfChangeTransition;
    else if (tag === V2_CHANGE) {
      const length = reader.length();
      changes.push(readSingle(reader, reader.position + length, SINGLE_TYPE, SINGLE_MEMBER_ID));
      reader.end = end;
    } else reader.skip(tag);
  }
  return { transition, changes };
}

/** Reads up to `end`. An unknown type is kept as it is: the changer refuses it. */
function readSingle(reader: WireReader, end: number, typeTag: number, memberIdTag: number): ConfChange {
  let type: ConfChangeType = ConfChangeType.ADD_NODE;
  let memberId = 0n;
  reader.end = end;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === typeTag) type = reader.int32() as ConfChangeType;
    else if (tag === memberIdTag) memberId = reader.exactUint64();
    else reader.skip(tag);
  }
  return { type, memberId };
}
