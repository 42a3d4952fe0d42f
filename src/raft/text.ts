/** Text forms of raft's values, as etcd's raft prints them in logs and test scripts. */

import { confChangesText, decodeConfChange } from "./conf_change/mod.ts";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  MessageType,
  NO_MEMBER,
  type ReadState,
  type Ready,
  type Role,
  type Snapshot,
  type SoftState,
} from "./types.ts";

/** What a driver and its storage tell each other, written as messages: a Ready's append or apply, and what comes of it. */
export interface StorageMessage extends Message {
  readonly vote: bigint;
  readonly responses: readonly Message[];
}

const ENTRY_TYPES: Readonly<Record<EntryType, string>> = {
  [EntryType.NORMAL]: "EntryNormal",
  [EntryType.CONF_CHANGE]: "EntryConfChange",
  [EntryType.CONF_CHANGE_V2]: "EntryConfChangeV2",
};

const ROLES: Readonly<Record<Role, string>> = {
  follower: "StateFollower",
  "pre-candidate": "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

const MESSAGE_TYPES: Readonly<Record<MessageType, string>> = {
  [MessageType.HUP]: "MsgHup",
  [MessageType.BEAT]: "MsgBeat",
  [MessageType.PROPOSAL]: "MsgProp",
  [MessageType.APPEND]: "MsgApp",
  [MessageType.APPEND_RESPONSE]: "MsgAppResp",
  [MessageType.VOTE]: "MsgVote",
  [MessageType.VOTE_RESPONSE]: "MsgVoteResp",
  [MessageType.SNAPSHOT]: "MsgSnap",
  [MessageType.HEARTBEAT]: "MsgHeartbeat",
  [MessageType.HEARTBEAT_RESPONSE]: "MsgHeartbeatResp",
  [MessageType.UNREACHABLE]: "MsgUnreachable",
  [MessageType.SNAPSHOT_STATUS]: "MsgSnapStatus",
  [MessageType.CHECK_QUORUM]: "MsgCheckQuorum",
  [MessageType.TRANSFER_LEADER]: "MsgTransferLeader",
  [MessageType.TIMEOUT_NOW]: "MsgTimeoutNow",
  [MessageType.READ_INDEX]: "MsgReadIndex",
  [MessageType.READ_INDEX_RESPONSE]: "MsgReadIndexResp",
  [MessageType.PRE_VOTE]: "MsgPreVote",
  [MessageType.PRE_VOTE_RESPONSE]: "MsgPreVoteResp",
  [MessageType.STORAGE_APPEND]: "MsgStorageAppend",
  [MessageType.STORAGE_APPEND_RESPONSE]: "MsgStorageAppendResp",
  [MessageType.STORAGE_APPLY]: "MsgStorageApply",
  [MessageType.STORAGE_APPLY_RESPONSE]: "MsgStorageApplyResp",
  [MessageType.FORGET_LEADER]: "MsgForgetLeader",
};

export function roleText(role: Role): string {
  return ROLES[role];
}

export function messageTypeText(type: MessageType): string {
  return MESSAGE_TYPES[type];
}

/** `messages` takes the place of those of the Ready, where a driver sends more than these. */
export function readyText(ready: Ready, messages: readonly Message[] = ready.messages): string {
  const { softState, hardState, readStates, entries, snapshot, committedEntries, mustSync } = ready;
  let text = "";
  if (softState !== undefined) text += `${softStateText(softState)}\n`;
  if (hardState !== undefined) text += `HardState ${hardStateText(hardState)}\n`;
  if (readStates.length > 0) text += `ReadStates [${readStates.map(readStateText).join(" ")}]\n`;
  if (entries.length > 0) text += `Entries:\n${entriesText(entries)}`;
  if (snapshot !== undefined) text += `Snapshot ${snapshotText(snapshot)}\n`;
  if (committedEntries.length > 0) text += `CommittedEntries:\n${entriesText(committedEntries)}`;
  if (messages.length > 0) text += `Messages:\n${messages.map((message) => `${messageText(message)}\n`).join("")}`;
  return text === "" ? "<empty Ready>" : `Ready MustSync=${mustSync}:\n${text}`;
}

/** One line; more for several entries, a snapshot, or the responses of a storage message. */
export function messageText(message: Message | StorageMessage, indent = ""): string {
  const { from, to, type, term, logTerm, index, reject, rejectHint, commit, entries, snapshot } = message;
  let text = `${indent}${targetText(from)}->${targetText(to)} ${
    messageTypeText(type)
  } Term:${term} Log:${logTerm}/${index}`;
  if (reject) text += ` Rejected (Hint: ${rejectHint})`;
  if (commit !== 0) text += ` Commit:${commit}`;
  if ("vote" in message && message.vote !== NO_MEMBER) text += ` Vote:${message.vote}`;
  if (entries.length === 1) text += ` Entries:[${entryText(entries[0])}]`;
  else if (entries.length > 1) {
    text += ` Entries:[${entries.map((entry) => `\n${indent}  ${entryText(entry)}`).join("")}\n${indent}]`;
  }
  if (snapshot !== undefined) text += `\n${indent}  Snapshot: ${snapshotText(snapshot)}`;
  if ("responses" in message && message.responses.length > 0) {
    const responses = message.responses.map((response) => `\n${messageText(response, `${indent}  `)}`);
    text += ` Responses:[${responses.join("")}\n${indent}]`;
  }
  return text;
}

/** A line per entry. */
export function entriesText(entries: readonly Entry[]): string {
  return entries.map((entry) => `${entryText(entry)}\n`).join("");
}

export function entryText(entry: Entry): string {
  const data = entry.type === EntryType.NORMAL ? quote(entry.data) : confChangesText(decodeConfChange(entry).changes);
  return `${entry.term}/${entry.index} ${ENTRY_TYPES[entry.type]}${data === "" ? "" : ` ${data}`}`;
}

function softStateText({ leader, role }: SoftState): string {
  return `Lead:${leader} State:${roleText(role)}`;
}

function hardStateText({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === NO_MEMBER ? "" : ` Vote:${vote}`} Commit:${commit}`;
}

function readStateText({ index, context }: ReadState): string {
  return `{${index} [${context.join(" ")}]}`;
}

function snapshotText({ index, term, confState }: Snapshot): string {
  return `Index:${index} Term:${term} ConfState:${confStateText(confState)}`;
}

function confStateText({ voters, votersOutgoing, learners, learnersNext, autoLeave }: ConfState): string {
  const list = (ids: readonly bigint[]) => `[${ids.join(" ")}]`;
  return `Voters:${list(voters)} VotersOutgoing:${list(votersOutgoing)} Learners:${list(learners)} ` +
    `LearnersNext:${list(learnersNext)} AutoLeave:${autoLeave}`;
}

function targetText(id: bigint): string {
  if (id === NO_MEMBER) return "None";
  if (id === APPEND_THREAD) return "AppendThread";
  return id === APPLY_THREAD ? "ApplyThread" : id.toString(16);
}

/** Bytes as a string in quotes; what is not printable ASCII, byte by byte. */
function quote(data: Uint8Array): string {
  let text = '"';
  for (const byte of data) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === "\\") text += `\\${char}`;
    else if (byte >= 0x20 && byte < 0x7f) text += char;
    else text += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `${text}"`;
}
