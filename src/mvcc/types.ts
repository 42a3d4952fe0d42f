/** The vocabulary of the store's door: queries, outcomes, forms of a record, sizes. */

/** RangeRequest.SortOrder and SortTarget (frozen: on the wire). */
export const SORT_NONE = 0;
export const SORT_ASCEND = 1;
export const SORT_DESCEND = 2;
export const SORT_BY_KEY = 0;
export const SORT_BY_VERSION = 1;
export const SORT_BY_CREATE = 2;
export const SORT_BY_MOD = 3;
export const SORT_BY_VALUE = 4;

/** What a range asks for: the fields of a RangeRequest (a decoded request is one). int64 fields are clamped numbers. */
export interface RangeQuery {
  readonly key: Uint8Array;
  /** Empty: the single key. One zero byte: every key from `key` on. Otherwise exclusive. */
  readonly rangeEnd: Uint8Array;
  /** 0 or negative: the head. */
  readonly revision: number;
  /** 0 or negative: no limit. */
  readonly limit: number;
  readonly sortOrder: number;
  readonly sortTarget: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  /** Filters; 0 is off. */
  readonly minModRevision: number;
  readonly maxModRevision: number;
  readonly minCreateRevision: number;
  readonly maxCreateRevision: number;
}

/** Why a revision cannot be read, compacted or hashed. Each has its error text at the api. */
export type RevisionError = "compacted" | "future";

/** The row id that is no row. Row ids start at 1, only grow, and are never used twice in the life of a store. */
export const NO_ROW = 0;

/**
 * Forms in which a record is copied out, each beginning with the byte 0x12: field 2, length-delimited, which is
 * RangeResponse.kvs, PutResponse.prev_kv and Event.kv. Where the message wants another field (0x1a: Event.prev_kv,
 * DeleteRangeResponse.prev_kvs) the caller overwrites that byte.
 */
/** The KeyValue as it is stored. */
export const RECORD_FULL = 0;
/** Without value and lease: keys_only as etcd 3.7 answers it from its index. */
export const RECORD_KEYS_ONLY = 1;
/** Without value: keys_only when sorted by value. */
export const RECORD_WITHOUT_VALUE = 2;
/** For a watch event: a put as it is stored, a tombstone as {key, mod_revision}. */
export const RECORD_EVENT = 3;
export type RecordForm = 0 | 1 | 2 | 3;

/** Bytes held, truthfully. */
export interface StoreSizes {
  /** Slabs in use by the store, with their unused ends. */
  readonly slabAllocated: number;
  /** Records that can still be read. */
  readonly slabLive: number;
  /** Records removed by compaction whose slabs are not yet freed. */
  readonly slabDead: number;
  readonly history: number;
  readonly index: number;
  /** Rows of the history. */
  readonly rowCount: number;
  /** Keys in the index, tombstones included. */
  readonly indexedCount: number;
}

/** What was done to a store since it was made, replays included: etcd's metrics. */
export interface OperationCounts {
  ranges: number;
  puts: number;
  /** Deletions of a key or a range. */
  deletes: number;
  /** Write transactions of more than one operation. */
  txns: number;
  /** Bytes of the keys and values put. */
  putSize: number;
}

/** A HashKV answer. */
export interface KeyValueHash {
  readonly hash: number;
  readonly hashRevision: number;
  readonly compactRevision: number;
  /**
   * No key is alive at the revision. etcd then counts other rows of what was compacted before, but for a compaction at that
   * very revision, which leaves its tombstones: the hash that a compaction left is not the one computed before it.
   */
  readonly hasNoLiveKeys?: true;
}
