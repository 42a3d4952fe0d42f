/**
 * The disk as the storage layer sees it. `io/system` implements it on the real file system, the simulation on a model
 * that loses, tears and reorders whatever was not synced. Paths are absolute or relative to the working directory.
 *
 * What a crash leaves (the contract both implementations are held to):
 * - file data is durable after `syncData` (or `sync`) resolved; unsynced writes may be lost, torn at 512-byte sectors or reordered;
 * - a created, renamed or removed name is durable after `syncDirectory` of its parent resolved;
 * - operations on one file issued without waiting for each other take effect in the order issued, except across a crash.
 */

/** A failed disk operation. `code` is the system's ("ENOSPC", "EIO", "ENOENT", "EACCES", "EEXIST", "EWOULDBLOCK", ...). */
export class DiskError extends Error {
  readonly code: string;
  readonly path: string;

  constructor(code: string, operation: string, path: string, detail?: string) {
    super(`${operation} ${path}: ${detail ?? code}`);
    this.name = "DiskError";
    this.code = code;
    this.path = path;
  }
}

export interface FileStat {
  readonly size: number;
  readonly isDirectory: boolean;
  /** Permission bits, e.g. 0o700. */
  readonly mode: number;
}

export interface File {
  readonly path: string;
  /** Reads up to `target.length` bytes at `position`; returns the count, 0 at the end. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `data` at `position`, not yet durable. `data` must not change until it resolves. */
  write(data: Uint8Array, position: number): Promise<void>;
  /** Makes written data durable, and the size where it grew (fdatasync). After a failure nothing may be assumed of the file. */
  syncData(): Promise<void>;
  /** `write` then `syncData` as one operation: the log's hot path, at most one hop to another thread. */
  writeDurable(data: Uint8Array, position: number): Promise<void>;
  /** Reserves real (zero reading) blocks up to `size` and extends the file to it: never sparse. ENOSPC if there is no room. */
  allocate(size: number): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  /**
   * Takes the locks that etcd takes: flock(LOCK_EX | LOCK_NB) as on its database, and on Linux also that of the open file
   * description, as on its log (neither sees the other; the file must be open for writing). Held until `close`. False if
   * another process (or another open of it) holds one.
   */
  tryLock(): Promise<boolean>;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Opens for writing too. Default: read only. */
  readonly write?: boolean;
  /** Creates the file where it is missing (mode 0600). */
  readonly create?: boolean;
  /** With `create`: EEXIST if it exists. */
  readonly exclusive?: boolean;
}

export interface Disk {
  open(path: string, options?: OpenOptions): Promise<File>;
  /** Names in a directory, sorted. */
  list(path: string): Promise<string[]>;
  /** Undefined where nothing is there. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Creates a directory (mode 0700) and its missing parents; no error if it exists. */
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; no error if it is missing. */
  remove(path: string): Promise<void>;
  /** Removes a directory and all below it; no error if it is missing. */
  removeDirectory(path: string): Promise<void>;
  /** Makes creations, renames and removals of names in this directory durable (fsync of the directory). */
  syncDirectory(path: string): Promise<void>;
}
