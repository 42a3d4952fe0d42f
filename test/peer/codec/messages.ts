/** The messages that the golden files hold, and how to read those files. */

import { hex, utf8 } from "../../../src/base/bytes.ts";
import {
  EMPTY_CONF_STATE,
  type Entry,
  EntryType,
  type Message,
  MessageType,
  newMessage,
} from "../../../src/raft/mod.ts";

export const LOCAL = 0x8e9e05c52164694dn;
export const REMOTE = 0x91bc3c398fb3c146n;

export const ETCD_VERSIONS = ["3.5.35", "3.6.16", "3.7.1"];

const { NORMAL, CONF_CHANGE } = EntryType;
const LONG = "value ".repeat(40);
const COUNTER = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
const REQUEST = "\0\0\0\0\0\0\0\t";

export function entry(type: EntryType, term: number, index: number, data: string): Entry {
  return { term, index, type, data: utf8(data) };
}

export function message(type: MessageType, fields: Partial<Message>): Message {
  return { ...newMessage(type, LOCAL), from: REMOTE, ...fields };
}

function append(term: number, logTerm: number, index: number, commit: number, entries: Entry[]): Message {
  return message(MessageType.APPEND, { term, logTerm, index, commit, entries });
}

export const MESSAGES: Readonly<Record<string, Message>> = {
  proposal: message(MessageType.PROPOSAL, { entries: [entry(NORMAL, 0, 0, "put")] }),
  append_empty: append(7, 7, 300, 299, []),
  append: append(7, 6, 300, 299, [
    entry(NORMAL, 6, 301, "first"),
    entry(CONF_CHANGE, 6, 302, "conf change"),
    entry(NORMAL, 7, 303, ""),
    entry(NORMAL, 7, 304, LONG),
  ]),
  append_response: message(MessageType.APPEND_RESPONSE, { term: 7, index: 304 }),
  append_response_reject: message(MessageType.APPEND_RESPONSE, {
    term: 7,
    logTerm: 5,
    index: 304,
    reject: true,
    rejectHint: 200,
  }),
  vote: message(MessageType.VOTE, { term: 8, logTerm: 7, index: 304, context: utf8("CampaignTransfer") }),
  vote_response: message(MessageType.VOTE_RESPONSE, { term: 8 }),
  heartbeat: message(MessageType.HEARTBEAT, { term: 8, commit: 4294967296 }),
  heartbeat_context: message(MessageType.HEARTBEAT, { term: 8, commit: 304, context: COUNTER }),
  heartbeat_response: message(MessageType.HEARTBEAT_RESPONSE, { term: 8, context: COUNTER }),
  transfer_leader: message(MessageType.TRANSFER_LEADER, { term: 8 }),
  timeout_now: message(MessageType.TIMEOUT_NOW, { term: 8 }),
  read_index: message(MessageType.READ_INDEX, { entries: [entry(NORMAL, 0, 0, REQUEST)] }),
  read_index_response: message(MessageType.READ_INDEX_RESPONSE, {
    term: 8,
    index: 304,
    entries: [entry(NORMAL, 0, 0, REQUEST)],
  }),
  pre_vote: message(MessageType.PRE_VOTE, { term: 2 ** 53 - 2, logTerm: 7, index: 2 ** 53 - 2 }),
  pre_vote_response_reject: message(MessageType.PRE_VOTE_RESPONSE, { term: 8, reject: true }),
};

export const SNAPSHOTS: Readonly<Record<string, Message>> = {
  snapshot: message(MessageType.SNAPSHOT, {
    term: 8,
    snapshot: {
      index: 304,
      term: 7,
      confState: { ...EMPTY_CONF_STATE, voters: [LOCAL, REMOTE, 1n], learners: [2n] },
      data: utf8(`{"members":[]}`),
    },
  }),
  snapshot_joint: message(MessageType.SNAPSHOT, {
    term: 8,
    snapshot: {
      index: 304,
      term: 7,
      confState: { voters: [LOCAL], learners: [], votersOutgoing: [REMOTE], learnersNext: [3n], autoLeave: true },
      data: utf8(""),
    },
  }),
};

/** What "message_stream" holds, beside a link heartbeat at its head and one in the middle. */
export const MESSAGE_STREAM: readonly Message[] = [
  MESSAGES.heartbeat,
  MESSAGES.heartbeat_response,
  MESSAGES.append_response,
];

/** What "append_stream" holds: a link heartbeat stands at its head and one after the third. */
export const APPEND_STREAM: readonly Message[] = [
  append(7, 7, 300, 299, [entry(NORMAL, 7, 301, "first")]),
  append(7, 7, 301, 300, [entry(NORMAL, 7, 302, "second"), entry(CONF_CHANGE, 7, 303, LONG)]),
  append(7, 7, 303, 303, []),
  append(7, 7, 303, 303, [entry(NORMAL, 7, 304, "")]),
  append(7, 7, 302, 303, [entry(CONF_CHANGE, 7, 303, LONG)]),
  append(9, 7, 304, 303, []),
  append(9, 7, 304, 303, [entry(NORMAL, 9, 305, "")]),
  append(9, 9, 305, 304, [entry(NORMAL, 9, 306, "last")]),
];

/** A golden file: bytes by name. */
export async function readGolden(version: string): Promise<Map<string, Uint8Array>> {
  const text = await Bun.file(new URL(`golden/etcd_${version}.txt`, import.meta.url)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const [name, bytes] = line.split(" ");
    return [name, Uint8Array.fromHex(bytes)];
  }));
}

/** Equal texts are equal messages, whatever buffers their bytes are in. */
export function text(message: Message): string {
  return JSON.stringify(message, (_, value) => {
    if (typeof value === "bigint") return `0x${value.toString(16)}`;
    return value instanceof Uint8Array ? hex(value) : value;
  });
}

export function texts(messages: readonly Message[]): string[] {
  return messages.map(text);
}
