/** `migrate`: the schema of a stopped member's database, made that of an older or newer version of etcd. */

import { silentLogger } from "../../io/log.ts";
import { systemClock, systemDisk } from "../../io/system/mod.ts";
import { utf8 } from "../../base/bytes.ts";
import { DiskError } from "../../io/disk.ts";
import { Bucket, MetaKey } from "../../member/mod.ts";
import type { Entry } from "../../raft/mod.ts";
import type { BoltDatabase } from "../../storage/bolt/mod.ts";
import { findSnapshot, Wal, WalError } from "../../storage/wal/mod.ts";
import { type Command, CommandError, type Console, ExitCode, type Invocation } from "../command_line/mod.ts";
import { databasePath, replaceDatabase, walPath } from "./data_directory.ts";
import { requireFile, withDatabase } from "./database.ts";
import { DATA_DIRECTORY_FLAG } from "./defrag.ts";
import { minimalVersion } from "./log_version.ts";
import { changeRows, readBuckets } from "./rewrite.ts";
import { readStorageVersion, readUint64 } from "./schema.ts";
import { compareVersions, longText, parseSchemaVersion, type SchemaVersion, shortText } from "./schema_version.ts";

const OLDEST: SchemaVersion = { major: 3, minor: 5 };
/** Since then the database says which version it is of. */
const FIRST_NAMED: SchemaVersion = { major: 3, minor: 6 };
const NEWEST: SchemaVersion = { major: 3, minor: 7 };

export const MIGRATE: Command = {
  name: "migrate",
  summary: "Makes the data directory of a stopped member one that another version of etcd can use",
  flags: [
    DATA_DIRECTORY_FLAG,
    { name: "target-version", kind: "string", defaultValue: "", usage: 'version to migrate to, "X.Y", at least 3.5' },
    { name: "force", kind: "bool", defaultValue: false, usage: "write the version even if the contents do not fit it" },
  ],
  requiredFlags: ["data-dir", "target-version"],
  run: async ({ flags, console }: Invocation) => {
    const target = readTarget(flags.string("target-version"));
    const directory = flags.string("data-dir");
    const path = databasePath(directory);
    await requireFile(path);
    await withDatabase(
      path,
      flags.duration("timeout"),
      (database) => migrate(database, directory, target, flags.boolean("force"), console),
    );
    return ExitCode.SUCCESS;
  },
};

function readTarget(text: string): SchemaVersion {
  const refuse = (reason: string): never => {
    throw new CommandError(ExitCode.BAD_ARGUMENTS, reason);
  };
  const parts = text.split(".");
  if (parts.length !== 2) return refuse(`wrong target version format, expected "X.Y", got ${JSON.stringify(text)}`);
  const wrong = parts.find((part) => !/^\d{1,15}$/.test(part));
  if (wrong !== undefined) {
    return refuse(`failed to parse target version: strconv.ParseInt: parsing ${JSON.stringify(wrong)}: invalid syntax`);
  }
  const target = { major: Number(parts[0]), minor: Number(parts[1]) };
  if (compareVersions(target, OLDEST) < 0) {
    return refuse(`target version ${JSON.stringify(shortText(target))} not supported. Minimal "${shortText(OLDEST)}"`);
  }
  return target;
}

async function migrate(
  database: BoltDatabase,
  directory: string,
  target: SchemaVersion,
  isForced: boolean,
  console: Console,
): Promise<void> {
  const current = await detectVersion(database, console);
  if (compareVersions(current, target) === 0) {
    console.log.info("storage version up-to-date", { "storage-version": shortText(current) });
    return;
  }
  let needed: SchemaVersion | undefined;
  try {
    needed = minimalVersion(await readEntries(walPath(directory)));
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    console.log.error("Failed to finalize config", { error });
    throw error;
  }
  const problem = findProblem(current, target, needed);
  if (problem !== undefined) {
    if (current.major !== target.major) {
      console.log.error("Changing major storage version is not supported", {
        "storage-version": longText(current),
        "target-storage-version": longText(target),
      });
    }
    if (!isForced) throw new CommandError(ExitCode.ERROR, problem);
    console.log.info("normal migrate failed, trying with force", { error: problem });
  }
  const isNamed = compareVersions(target, FIRST_NAMED) >= 0;
  const buckets = await readBuckets(database);
  changeRows(buckets, Bucket.META, [[MetaKey.STORAGE_VERSION, isNamed ? utf8(longText(target)) : undefined]]);
  await replaceDatabase(database, buckets);
  if (problem === undefined) {
    for (const step of stepsBetween(current, target)) {
      console.log.info("updated storage version", { "new-storage-version": longText(step) });
    }
  } else if (isNamed) {
    console.log.warn("forcefully set storage version", { "storage-version": shortText(target) });
  } else {
    console.log.warn("forcefully cleared storage version");
  }
}

async function detectVersion(database: BoltDatabase, console: Console): Promise<SchemaVersion> {
  const named = parseSchemaVersion(await readStorageVersion(database));
  if (named !== undefined) return named;
  if (await readUint64(database, MetaKey.TERM) !== 0n) return OLDEST;
  console.log.error(
    "failed to detect storage version. Please make sure you are using data dir from etcd v3.5 and older",
  );
  throw new CommandError(ExitCode.ERROR, "missing term information");
}

/** Why the contents cannot be those of `target`, in etcd's words. */
function findProblem(
  current: SchemaVersion,
  target: SchemaVersion,
  needed: SchemaVersion | undefined,
): string | undefined {
  const plan = (reason: string) => `cannot create migration plan: ${reason}`;
  if (current.major !== target.major) return plan("changing major storage version is not supported");
  const isUpgrade = compareVersions(current, target) < 0;
  for (const step of [...isUpgrade ? [] : [current], ...stepsBetween(current, target)]) {
    const isLast = compareVersions(step, target) === 0;
    if (compareVersions(step, NEWEST) > 0 && (isUpgrade || !isLast)) {
      return plan(`version ${JSON.stringify(longText(step))} is not supported`);
    }
  }
  if (!isUpgrade && needed !== undefined && compareVersions(target, needed) < 0) {
    return "cannot downgrade storage, WAL contains newer entries, as the target version " +
      `(${longText(target)}) is lower than the version (${longText(needed)}) detected from WAL logs`;
  }
  return undefined;
}

/** Each version on the way, the last one included. */
function stepsBetween(current: SchemaVersion, target: SchemaVersion): SchemaVersion[] {
  const direction = current.minor < target.minor ? 1 : -1;
  const count = Math.abs(target.minor - current.minor);
  return Array.from({ length: count }, (_, index) => ({
    major: current.major,
    minor: current.minor + direction * (index + 1),
  }));
}

/** The entries behind the newest snapshot. */
async function readEntries(directory: string): Promise<Entry[]> {
  if (await systemDisk.stat(directory) === undefined) {
    throw new CommandError(
      ExitCode.ERROR,
      `failed to get the lastest snapshot: [readWALNames] fileutil.ReadDir failed: ` +
        `open ${directory}: no such file or directory`,
    );
  }
  const entries: Entry[] = [];
  try {
    const snapshot = await findSnapshot(systemDisk, directory);
    const opened = await Wal.open(systemDisk, {
      directory,
      from: { index: snapshot?.index ?? 0, term: snapshot?.term ?? 0 },
      clock: systemClock,
      log: silentLogger,
    }, { metadata: () => {}, entry: (entry) => void entries.push({ ...entry, data: entry.data.slice() }) });
    entries.push(...opened.tail);
    await opened.wal.close();
  } catch (error) {
    if (!(error instanceof WalError || error instanceof DiskError)) throw error;
    throw new CommandError(ExitCode.ERROR, `failed to open wal: ${error.message}`);
  }
  return entries;
}
