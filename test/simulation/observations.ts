/**
 * What a simulated world records while it runs, and all that the checkers ever see: plain data, no objects of the members.
 * The world only writes down what it observes; whether that was right is for `checkers/` to say, afterwards.
 *
 * The world's side of the contract
 * 1. One counter orders everything: a `Moment` is taken (and the counter moved on) for every record below, so that no two
 *    are at the same one. Simulated milliseconds are beside it only where durations are judged, and for the story.
 * 2. A client has one operation at a time, and never repeats one by itself: an answer that does not come is `unknown`, and
 *    what the client does next is a new operation.
 * 3. An outcome is `refused` only if the operation certainly had no effect (etcd's definite errors: lease not found,
 *    compacted, no space). Whatever may still happen, or may have (timeouts, lost connections, a leader that changed, a
 *    client whose member crashed), is `unknown`.
 * 4. Every value that is put is unique in the run, and so is every lease id that is granted.
 * 5. `applied` begins with a member's first revision and goes on without gaps as long as the member lives. A member that
 *    starts again reports anew what it executes again; one that is sent a snapshot goes on behind it. Between all members,
 *    every revision up to the last is reported at least once, the first being 2 (an empty store is at revision 1).
 * 6. `raft` has a record whenever a member's term, vote, role, commit index or log changed, in the order in which they
 *    changed there, and one when it starts.
 * 7. Keys and values are strings of code units below 256, a byte each, so that strings compare as keys do.
 */

/** A position on the world's one counter of observations. */
export type Moment = number;

export interface Observations {
  readonly operations: Operation[];
  readonly applied: AppliedRevision[];
  readonly raft: RaftRecord[];
  readonly hashes: StateHash[];
  readonly watches: WatchRecord[];
  readonly leaseEnds: LeaseEnd[];
  /** Times in which something was being broken. The last one ends where the world was healed. */
  readonly faults: FaultInterval[];
  readonly starts: MemberStart[];
  readonly end: End;
}

/** When the recording ended, with the world healed and at rest, and what there was then. */
export interface End {
  moment: Moment;
  ms: number;
  /** The leases that are left. */
  leases: bigint[];
  /** Every member that is in the cluster then, with its store's revision. */
  members: { id: bigint; revision: number }[];
}

export function newObservations(): Observations {
  return {
    operations: [],
    applied: [],
    raft: [],
    hashes: [],
    watches: [],
    leaseEnds: [],
    faults: [],
    starts: [],
    end: { moment: 0, ms: 0, leases: [], members: [] },
  };
}

// Operations of clients.

/** One call of a client, from the moment it began to the moment its outcome was known. */
export interface Operation {
  readonly client: number;
  readonly request: Request;
  readonly invoked: Moment;
  readonly invokedMs: number;
  outcome: Outcome;
}

export type Outcome =
  | { readonly kind: "answered"; readonly returned: Moment; readonly returnedMs: number; readonly response: Response }
  | { readonly kind: "refused"; readonly returned: Moment; readonly returnedMs: number; readonly error: string }
  | { readonly kind: "unknown" };

/** `rangeEnd` is etcd's: "" for one key, "\0" for all keys from `key` on, else exclusive. */
export interface RangeRequest {
  readonly kind: "range";
  readonly key: string;
  readonly rangeEnd: string;
  /** 0: at the head. */
  readonly revision: number;
  /** 0: all. */
  readonly limit: number;
  /** Answered by the member at hand from what it has, which may be old. */
  readonly isSerializable: boolean;
  readonly isCountOnly: boolean;
}

export interface PutRequest {
  readonly kind: "put";
  readonly key: string;
  readonly value: string;
  /** 0n: none. */
  readonly lease: bigint;
  readonly wantsPrevious: boolean;
}

export interface DeleteRangeRequest {
  readonly kind: "deleteRange";
  readonly key: string;
  readonly rangeEnd: string;
  readonly wantsPrevious: boolean;
}

/** Compares one attribute of one key. A key that is not there has 0 for all of them, and fails every compare of its value. */
export interface Compare {
  readonly key: string;
  readonly target: "value" | "version" | "createRevision" | "modRevision" | "lease";
  readonly relation: "=" | "!=" | "<" | ">";
  readonly operand: string | number | bigint;
}

/** `success` runs if all of `compares` hold, else `failure`. */
export interface TxnRequest {
  readonly kind: "txn";
  readonly compares: readonly Compare[];
  readonly success: readonly TxnOperation[];
  readonly failure: readonly TxnOperation[];
}

export type TxnOperation = RangeRequest | PutRequest | DeleteRangeRequest;

export interface CompactRequest {
  readonly kind: "compact";
  readonly revision: number;
}

export interface LeaseGrantRequest {
  readonly kind: "leaseGrant";
  readonly id: bigint;
  readonly ttlMs: number;
}

export interface LeaseRevokeRequest {
  readonly kind: "leaseRevoke";
  readonly id: bigint;
}

export interface LeaseKeepAliveRequest {
  readonly kind: "leaseKeepAlive";
  readonly id: bigint;
}

export type KvRequest = TxnOperation | TxnRequest;
export type Request = KvRequest | CompactRequest | LeaseGrantRequest | LeaseRevokeRequest | LeaseKeepAliveRequest;

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  /** 0n: none. */
  readonly lease: bigint;
}

/** What every response says of the store: its revision when the request was executed (etcd's header). */
interface Header {
  readonly revision: number;
}

export interface RangeResponse extends Header {
  readonly kind: "range";
  readonly kvs: readonly KeyValue[];
  readonly count: number;
  readonly more: boolean;
}

export interface PutResponse extends Header {
  readonly kind: "put";
  readonly previous: KeyValue | undefined;
}

export interface DeleteRangeResponse extends Header {
  readonly kind: "deleteRange";
  readonly deleted: number;
  readonly previous: readonly KeyValue[];
}

/** `responses` are those of the branch that ran; their own revisions say nothing. */
export interface TxnResponse extends Header {
  readonly kind: "txn";
  readonly succeeded: boolean;
  readonly responses: readonly TxnOperationResponse[];
}

export type TxnOperationResponse = RangeResponse | PutResponse | DeleteRangeResponse;

export interface PlainResponse extends Header {
  readonly kind: "compact" | "leaseRevoke";
}

/** `ttlMs` is what the server has made of the wish; 0 in a keep-alive: there is no such lease any more. */
export interface LeaseTtlResponse extends Header {
  readonly kind: "leaseGrant" | "leaseKeepAlive";
  readonly ttlMs: number;
}

export type KvResponse = TxnOperationResponse | TxnResponse;
export type Response = KvResponse | PlainResponse | LeaseTtlResponse;

// The history of the store.

export interface Put {
  readonly kind: "put";
  readonly kv: KeyValue;
}

export interface Deletion {
  readonly kind: "delete";
  readonly key: string;
}

export type Event = Put | Deletion;

/** A member executed an entry that made this revision; its events in their order. */
export interface AppliedRevision {
  readonly moment: Moment;
  readonly member: bigint;
  readonly revision: number;
  readonly events: readonly Event[];
  /** A received state has taken the place of the one that the member's last report was of. */
  readonly isAfterSnapshot: boolean;
}

/** A member that was down can answer again: its store's revision then. `isAlone`: it is the only voter. */
export interface MemberStart {
  readonly moment: Moment;
  readonly member: bigint;
  readonly isAlone: boolean;
  readonly revision: number;
}

/** What all that a member stores comes to after the entry at `applied`; hashes of different kinds are not compared. */
export interface StateHash {
  readonly moment: Moment;
  readonly member: bigint;
  readonly applied: number;
  readonly kind: string;
  readonly hash: number;
}

// Raft.

export type RaftRole = "follower" | "pre-candidate" | "candidate" | "leader";

/** A log position: equal digests stand for equal contents. */
export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly digest: number;
}

/** One member's consensus after a step. `isStart`: the first one of a process, whose `entries` are its whole log. */
export interface RaftRecord {
  readonly moment: Moment;
  readonly ms: number;
  readonly member: bigint;
  readonly isStart: boolean;
  readonly term: number;
  /** 0n: none in this term. */
  readonly vote: bigint;
  readonly role: RaftRole;
  readonly commit: number;
  /** Entries appended since the last record, in order. One at or before the end of the log replaces what was there. */
  readonly entries: readonly LogEntry[];
  /** The log begins behind this position: compacted, or replaced by a snapshot; undefined if as before. */
  readonly offset: { readonly index: number; readonly term: number } | undefined;
}

// Watches.

/** One watcher from its creation to its end. A client that resumes one has a new record. */
export interface WatchRecord {
  readonly client: number;
  readonly key: string;
  readonly rangeEnd: string;
  /** As asked for; 0: from what comes next. */
  readonly startRevision: number;
  readonly wantsPrevious: boolean;
  /** Kinds of events that are held back. */
  readonly filters: readonly ("put" | "delete")[];
  /** The record that this one goes on from, as a position in `watches`. */
  readonly resumes: number | undefined;
  readonly responses: WatchResponse[];
  /** Still open when the recording ended: then it must have been sent everything. */
  isOpenAtEnd: boolean;
}

export interface WatchResponse {
  readonly moment: Moment;
  readonly kind: "created" | "events" | "progress" | "compacted" | "canceled";
  /** The header's. */
  readonly revision: number;
  readonly events: readonly WatchEvent[];
  /** More of the same revision follows in the next response (fragments). */
  readonly isFragment: boolean;
  /** Of a "compacted" response. */
  readonly compactRevision: number;
}

export interface WatchEvent {
  readonly event: Event;
  /** The revision that made it. */
  readonly revision: number;
  readonly previous: KeyValue | undefined;
}

// Leases.

/** A lease ceased to exist when a member, the first of all, executed its revocation. */
export interface LeaseEnd {
  readonly moment: Moment;
  readonly ms: number;
  readonly id: bigint;
  /** The store's revision after it: a new one if keys were attached. */
  readonly revision: number;
}

export interface FaultInterval {
  readonly startMs: number;
  readonly endMs: number;
  /** For the story: "partition", "crash", "slow disk", ... */
  readonly what: string;
}
