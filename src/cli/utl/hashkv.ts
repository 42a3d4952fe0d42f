/** `hashkv`: the hash of the history of all keys, as every member of a cluster has it at that revision. */

import { utf8 } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { KeySet } from "../../base/key_set.ts";
import { HASHED_ROWS_MIN } from "../../base/limits.ts";
import { Bucket, MetaKey } from "../../member/mod.ts";
import type { BoltDatabase } from "../../storage/bolt/mod.ts";
import { type Command, CommandError, ExitCode, type Flag, type Invocation } from "../command_line/mod.ts";
import { type HashKv, printerOf } from "../output/mod.ts";
import { requireFile, withDatabase } from "./database.ts";
import { findKey, isTombstoneKey, mainRevision } from "./schema.ts";

const REVISION_FLAG: Flag = {
  name: "rev",
  kind: "int64",
  defaultValue: 0n,
  usage: "revision up to which to hash (default: the newest)",
};

export const HASH_KV: Command = {
  name: "hashkv",
  argumentsUsage: "<filename>",
  summary: "Prints the hash of the history of all keys in a file",
  description:
    "Prints the hash of the history of all keys in a snapshot file, or in the database of a member that does\n" +
    "not run, with its revision and the revision it was compacted at. The file stays as it is.",
  argumentCount: 1,
  flags: [REVISION_FLAG],
  run: async ({ flags, arguments: paths, console }: Invocation) => {
    const printer = printerOf(flags);
    await requireFile(paths[0]);
    const revision = flags.integer("rev");
    const hash = await withDatabase(paths[0], flags.duration("timeout"), (database) => hashHistory(database, revision));
    console.out(printer.hashKv(hash));
    return ExitCode.SUCCESS;
  },
};

/**
 * The hash up to `asked`, 0 for the newest revision. Below the compacted revision only what a compaction at `asked` would
 * keep is hashed, as such rows may be there or not.
 */
async function hashHistory(database: BoltDatabase, asked: bigint): Promise<HashKv> {
  const compactRevision = maxOf(
    await readRevision(database, MetaKey.FINISHED_COMPACT_REVISION),
    await readRevision(database, MetaKey.SCHEDULED_COMPACT_REVISION),
  );
  if (asked > 0n && asked < compactRevision) {
    throw new CommandError(ExitCode.ERROR, "mvcc: required revision has been compacted");
  }
  const history = await readHistory(database, asked === 0n ? undefined : asked);
  const newest = maxOf(history.newest, compactRevision, 1n);
  if (asked > newest) throw new CommandError(ExitCode.ERROR, "mvcc: required revision is a future revision");
  const hashRevision = asked === 0n ? newest : asked;
  return { hash: await hashRows(database, history, hashRevision, compactRevision), hashRevision, compactRevision };
}

interface History {
  /** 0 without rows. */
  readonly newest: bigint;
  /** For each row in order: it is its key's newest, and no tombstone. */
  readonly isKept: Uint8Array;
  /** There is such a row. */
  readonly hasKept: boolean;
}

/** Looks at the rows up to `revision` (undefined: all) for the newest of each key. */
async function readHistory(database: BoltDatabase, revision: bigint | undefined): Promise<History> {
  let isKept = new Uint8Array(HASHED_ROWS_MIN);
  let newest = 0n;
  let row = 0;
  const keys = new KeySet();
  /** By entry of `keys`. */
  let rowOf = new Uint32Array(HASHED_ROWS_MIN);
  const place = { start: 0, end: 0 };
  await visitRows(database, (bytes, keyStart, keySize, valueStart, valueSize, main) => {
    newest = main;
    if (row === isKept.length) isKept = grown(isKept, new Uint8Array(2 * row));
    if (revision === undefined || main <= revision) {
      findKey(bytes, valueStart, valueSize, place);
      let entry = keys.find(bytes, place.start, place.end);
      if (entry < 0) entry = keys.insert(bytes, place.start, place.end);
      else isKept[rowOf[entry]] = 0;
      if (entry >= rowOf.length) rowOf = grown(rowOf, new Uint32Array(2 * entry));
      rowOf[entry] = row;
      isKept[row] = isTombstoneKey(bytes, keyStart, keySize) ? 0 : 1;
    }
    row++;
  });
  return { newest, isKept, hasKept: isKept.includes(1) };
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

async function hashRows(
  database: BoltDatabase,
  { isKept, hasKept }: History,
  revision: bigint,
  compactRevision: bigint,
): Promise<number> {
  let hash = updateCrc32c(0, utf8(Bucket.KEY));
  let row = 0;
  await visitRows(database, (bytes, keyStart, keySize, valueStart, valueSize, main) => {
    // Where nothing at all is kept, etcd hashes everything it finds; members agree on that too.
    const isHashed = main <= revision && (main > compactRevision || !hasKept || isKept[row] === 1);
    row++;
    // Versions of etcd differ in whether a compaction leaves a tombstone at its own revision.
    if (!isHashed || (main === compactRevision && isTombstoneKey(bytes, keyStart, keySize))) return;
    hash = updateCrc32c(hash, bytes, keyStart, keyStart + keySize);
    hash = updateCrc32c(hash, bytes, valueStart, valueStart + valueSize);
  });
  return hash;
}

type RevisionVisitor = (
  bytes: Uint8Array,
  keyStart: number,
  keySize: number,
  valueStart: number,
  valueSize: number,
  main: bigint,
) => void;

async function visitRows(database: BoltDatabase, visit: RevisionVisitor): Promise<void> {
  const scan = (await database.bucket(utf8(Bucket.KEY)))?.scan();
  if (scan === undefined) {
    throw new CommandError(ExitCode.ERROR, "there is no bucket of keys: this is no database of etcd");
  }
  const check = (bytes: Uint8Array, keyStart: number, keySize: number, valueStart: number, valueSize: number) => {
    const main = mainRevision(bytes, keyStart, keySize);
    if (main === undefined) throw new CommandError(ExitCode.ERROR, "there is a key that is no revision in bucket key");
    visit(bytes, keyStart, keySize, valueStart, valueSize, main);
  };
  while (await scan.step(check));
}

/** -1 where there was no compaction, as in etcd. */
async function readRevision(database: BoltDatabase, key: string): Promise<bigint> {
  const bytes = await database.get(utf8(Bucket.META), utf8(key));
  return bytes === undefined ? -1n : mainRevision(bytes, 0, bytes.length) ?? -1n;
}

function maxOf(...values: bigint[]): bigint {
  return values.reduce((a, b) => a > b ? a : b);
}
