/** Raft's own values, with the names and numbers of raftpb (frozen: on disk and on the wire). Member ids are uint64, 0n = none. */

export const EntryType = { NORMAL: 0, CONF_CHANGE: 1, CONF_CHANGE_V2: 2 } as const;
export type EntryType = typeof EntryType[keyof typeof EntryType];

/** One position of the log. `data` is never changed once the entry exists; an empty one is a leader's no-op. */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

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

export const ConfChangeType = { ADD_NODE: 0, REMOVE_NODE: 1, UPDATE_NODE: 2, ADD_LEARNER_NODE: 3 } as const;
export type ConfChangeType = typeof ConfChangeType[keyof typeof ConfChangeType];

/** A simple membership change. `memberId` 0n means: the change was refused, only account for the entry. */
export interface ConfChange {
  readonly type: ConfChangeType;
  readonly memberId: bigint;
}

/** Message types that this core handles; numbers are raftpb's. */
export const MessageType = {
  APPEND_RESPONSE: 4,
  VOTE_RESPONSE: 6,
  STORAGE_APPEND_RESPONSE: 20,
} as const;
export type MessageType = typeof MessageType[keyof typeof MessageType];

/**
 * A message between members, or from this member's own storage to its core. `index` is the acknowledged position of an
 * append response or of a storage append response; `logTerm` is the term of that position in the latter.
 */
export interface Message {
  readonly type: MessageType;
  readonly from: bigint;
  readonly to: bigint;
  readonly term: number;
  readonly index: number;
  readonly logTerm: number;
}

export type Role = "follower" | "candidate" | "leader";

/** What a member believes of the cluster right now; nothing of it is durable. */
export interface SoftState {
  readonly leader: bigint;
  readonly role: Role;
}

/**
 * Everything the core wants done, as one value (raft's asynchronous-storage contract):
 * 1. append `entries`, then `hardState`, to the log; make them durable if `mustSync`. Several Readys may be merged into
 *    one append, in order;
 * 2. only once that append is durable, step or send each of `appendResponses`, in order;
 * 3. apply `committedEntries` in order (they are durable here), then call `applied`.
 */
export interface Ready {
  readonly softState: SoftState | undefined;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  readonly mustSync: boolean;
  readonly appendResponses: readonly Message[];
  readonly committedEntries: readonly Entry[];
}
