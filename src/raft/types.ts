/** Raft's own values, with the names and numbers of raftpb (frozen: on disk and on the wire). Member ids are uint64, 0n = none. */

import { EMPTY_BYTES } from "../base/bytes.ts";

export const EntryType = { NORMAL: 0, CONF_CHANGE: 1, CONF_CHANGE_V2: 2 } as const;
export type EntryType = typeof EntryType[keyof typeof EntryType];

/** One position of the log. `data` is never changed once the entry exists; an empty one is a leader's no-op. */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

export const NO_ENTRIES: readonly Entry[] = [];

/** What must be durable before a vote or an acknowledgement leaves: the term, the vote in it, and (as a hint only) the commit index. */
export interface HardState {
  readonly term: number;
  readonly vote: bigint;
  readonly commit: number;
}

/** The membership that a log position works under. */
export interface ConfState {
  readonly voters: readonly bigint[];
  readonly learners: readonly bigint[];
  readonly votersOutgoing: readonly bigint[];
  readonly learnersNext: readonly bigint[];
  readonly autoLeave: boolean;
}

export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** Whether a configuration knows the member, in whatever role. */
export function isMember({ voters, learners, votersOutgoing }: ConfState, id: bigint): boolean {
  return voters.includes(id) || learners.includes(id) || votersOutgoing.includes(id);
}

export const ConfChangeType = { ADD_NODE: 0, REMOVE_NODE: 1, UPDATE_NODE: 2, ADD_LEARNER_NODE: 3 } as const;
export type ConfChangeType = typeof ConfChangeType[keyof typeof ConfChangeType];

/** A simple membership change. `memberId` 0n means: the change was refused, only account for the entry. */
export interface ConfChange {
  readonly type: ConfChangeType;
  readonly memberId: bigint;
}

export const ConfChangeTransition = { AUTO: 0, JOINT_IMPLICIT: 1, JOINT_EXPLICIT: 2 } as const;
export type ConfChangeTransition = typeof ConfChangeTransition[keyof typeof ConfChangeTransition];

/**
 * Several membership changes as one. AUTO takes the simple way for a single change and joint consensus for more;
 * JOINT_EXPLICIT stays in the joint configuration until a change without `changes` leaves it.
 */
export interface ConfChangeV2 {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChange[];
}

/** The state machine at one log position. `data` is the application's; the core never looks into it. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly data: Uint8Array;
}

/** Numbers are raftpb's. Those marked local never travel between members. */
export const MessageType = {
  /** Local: the functions that `tick` and the driver call have taken their place. */
  HUP: 0,
  BEAT: 1,
  PROPOSAL: 2,
  APPEND: 3,
  APPEND_RESPONSE: 4,
  VOTE: 5,
  VOTE_RESPONSE: 6,
  SNAPSHOT: 7,
  HEARTBEAT: 8,
  HEARTBEAT_RESPONSE: 9,
  /** Local. */
  UNREACHABLE: 10,
  SNAPSHOT_STATUS: 11,
  CHECK_QUORUM: 12,
  TRANSFER_LEADER: 13,
  TIMEOUT_NOW: 14,
  READ_INDEX: 15,
  READ_INDEX_RESPONSE: 16,
  PRE_VOTE: 17,
  PRE_VOTE_RESPONSE: 18,
  /** Local, between a member and its storage. */
  STORAGE_APPEND: 19,
  STORAGE_APPEND_RESPONSE: 20,
  STORAGE_APPLY: 21,
  STORAGE_APPLY_RESPONSE: 22,
  FORGET_LEADER: 23,
} as const;
export type MessageType = typeof MessageType[keyof typeof MessageType];

export const NO_MEMBER = 0n;
/** Where acknowledgements of this member's own storage come from, in place of a member's id. */
export const APPEND_THREAD = 0xffff_ffff_ffff_ffffn;
export const APPLY_THREAD = 0xffff_ffff_ffff_fffen;

/**
 * A message between members, or from this member's own storage to its core. What each field means depends on the type;
 * fields without a meaning are zero or empty. `term` 0 stands for: outside of any term.
 *
 * `index` and `logTerm` name a position of the log: the one before `entries` in APPEND, the last one in VOTE, the
 * acknowledged one in APPEND_RESPONSE. With `reject`, the latter names the position refused, `rejectHint` and `logTerm`
 * the position at which the logs may agree.
 */
export interface Message {
  readonly type: MessageType;
  readonly to: bigint;
  readonly from: bigint;
  readonly term: number;
  readonly logTerm: number;
  readonly index: number;
  readonly commit: number;
  readonly reject: boolean;
  readonly rejectHint: number;
  readonly entries: readonly Entry[];
  readonly context: Uint8Array;
  readonly snapshot: Snapshot | undefined;
}

/** A message while it is being written. All have the same fields in the same order, so that the engine sees one shape. */
export type Draft = { -readonly [Field in keyof Message]: Message[Field] };

export function newMessage(type: MessageType, to: bigint): Draft {
  return {
    type,
    to,
    from: NO_MEMBER,
    term: 0,
    logTerm: 0,
    index: 0,
    commit: 0,
    reject: false,
    rejectHint: 0,
    entries: NO_ENTRIES,
    context: EMPTY_BYTES,
    snapshot: undefined,
  };
}

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** What a member believes of the cluster right now; nothing of it is durable. */
export interface SoftState {
  readonly leader: bigint;
  readonly role: Role;
}

/** The answer to `readIndex`: once `index` is applied here, a read sees all that was committed when it was asked. */
export interface ReadState {
  readonly index: number;
  /** The request's own context. */
  readonly context: Uint8Array;
}

/**
 * Everything the core wants done, as one value (raft's asynchronous-storage contract):
 * 1. send `messages`; they need not wait for anything, except that a VOTE waits for the append of its own Ready: others may
 *    elect this member by themselves, and a restart that does not know of the term would lead it a second time;
 * 2. append `entries`, then `hardState`, to the log; make them durable if `mustSync`. Several Readys may be merged into
 *    one append, in order. A `snapshot` takes the place of the log before its entries, and of the state machine: once it is
 *    installed and durable, nothing that was handed out before it is applied any more;
 * 3. only once that append is durable, step or send each of `appendResponses`, in order;
 * 4. apply `committedEntries` in order (they are durable here), then call `applied`;
 * 5. `readStates` answer earlier calls of `readIndex`.
 */
export interface Ready {
  readonly softState: SoftState | undefined;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  readonly mustSync: boolean;
  readonly messages: readonly Message[];
  readonly appendResponses: readonly Message[];
  readonly committedEntries: readonly Entry[];
  readonly readStates: readonly ReadState[];
}
