import type { ConfState } from "../raft/mod.ts";

/** What a member offers of its database file; `Member` has these as its own methods. */
export interface MemberDatabase {
  /**
   * Makes a checkpoint that covers every entry applied before this call (none is made if the newest one does) and opens
   * it. Rejects with an Error that says what failed: the member keeps serving, and a later call may succeed.
   */
  openSnapshot(): Promise<DatabaseSnapshot>;
  /** Writes the whole database file anew, without what is dead in it. Reads and writes go on meanwhile. Rejects as above. */
  defragment(): Promise<void>;
  /** Bytes of the database file; what is newer than the last checkpoint is not in it yet. */
  readonly databaseSize: number;
  /** Bytes of it that a file written anew would take, about; at most `databaseSize`. */
  readonly databaseSizeInUse: number;
}

/** One state of the database, whatever becomes of the member's file: a complete file of its own, to be read at leisure. */
export interface DatabaseSnapshot {
  readonly size: number;
  /** The newest revision in it. */
  readonly revision: number;
  /** The index of the last entry in it. */
  readonly index: number;
  /** The version of the schema, "3.7.0"; empty where the file says none, which means 3.5. */
  readonly storageVersion: string;
  /** Fills `target` from `position` on; returns the count, less than asked for only at the end. Rejects if the file is damaged. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Lets go of the file; until then it takes its space on the disk, even if it has been replaced. */
  close(): Promise<void>;
}

/** The same with what another member has to know of it before it reads it. */
export interface PositionedSnapshot extends DatabaseSnapshot {
  /** The term of the last entry in it, and the configuration then. */
  readonly term: number;
  readonly confState: ConfState;
  /** The membership as etcd up to 3.6 reads it. */
  readonly v2Store: Uint8Array;
}
