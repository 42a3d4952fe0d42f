/** `snapshot restore`: the data directory of a new member, with the contents of a snapshot. */

import { join } from "node:path";
import { EMPTY_BYTES, utf8 } from "../../base/bytes.ts";
import { DiskError } from "../../io/disk.ts";
import { silentLogger } from "../../io/log.ts";
import { systemClock, systemCrypto, systemDisk } from "../../io/system/mod.ts";
import { Bucket, encodeAddMember, encodeV2Store, type InitialMember, MetaKey } from "../../member/mod.ts";
import {
  bootstrapClusterId,
  bootstrapMemberId,
  idText,
  type Member,
  memberJson,
  Membership,
} from "../../membership/mod.ts";
import { EMPTY_CONF_STATE, EntryType } from "../../raft/mod.ts";
import { encodeSnapshotFile, snapshotFileName } from "../../storage/snapshot_file.ts";
import { Wal, WalError } from "../../storage/wal/mod.ts";
import {
  type Command,
  CommandError,
  type Console,
  ExitCode,
  type Flag,
  type FlagValues,
  type Invocation,
} from "../command_line/mod.ts";
import { Progress } from "../output/mod.ts";
import { asCommandError, withDatabase } from "./database.ts";
import { checkDigest, DIGEST_SIZE, hasDigest } from "./digest.ts";
import { readInitialCluster } from "./initial_cluster.ts";
import { type Buckets, changeRows, emptyBucket, readBuckets, writeBuckets } from "./rewrite.ts";
import { mainRevision, revisionKey, uint64Bytes } from "./schema.ts";
import { StagedDirectory } from "./staging.ts";

/** What etcd maps into memory at first; nothing is mapped here. */
const MEMORY_MAP_SIZE = 10n * 1024n ** 3n;
/** Of everything that a restored log begins with. */
const FIRST_TERM = 1;

const FLAGS: readonly Flag[] = [
  { name: "data-dir", kind: "string", defaultValue: "", usage: "directory to restore to (default: <name>.etcd)" },
  { name: "wal-dir", kind: "string", defaultValue: "", usage: "directory of the log (default: inside --data-dir)" },
  { name: "name", kind: "string", defaultValue: "default", usage: "name of the member" },
  {
    name: "initial-cluster",
    kind: "string",
    defaultValue: "default=http://localhost:2380",
    usage: "the members of the new cluster with their peer URLs",
  },
  {
    name: "initial-cluster-token",
    kind: "string",
    defaultValue: "etcd-cluster",
    usage: "what tells the new cluster from others",
  },
  {
    name: "initial-advertise-peer-urls",
    kind: "string",
    defaultValue: "http://localhost:2380",
    usage: "peer URLs of this member, as --initial-cluster names them",
  },
  {
    name: "skip-hash-check",
    kind: "bool",
    defaultValue: false,
    usage: "do not compare the SHA-256 (for a database file copied from a data directory, which has none)",
  },
  {
    name: "initial-memory-map-size",
    kind: "uint64",
    defaultValue: MEMORY_MAP_SIZE,
    usage: "accepted for etcd's sake: nothing is mapped into memory",
  },
  {
    name: "bump-revision",
    kind: "uint64",
    defaultValue: 0n,
    usage: "how far to raise the revision, so that for clients it never goes back",
  },
  {
    name: "mark-compacted",
    kind: "bool",
    defaultValue: false,
    usage: "compact at the raised revision, so that watchers notice (with --bump-revision, and only with it)",
  },
];

export const SNAPSHOT_RESTORE: Command = {
  name: "restore",
  argumentsUsage: "<filename> --data-dir {output dir} [options]",
  summary: "Makes the data directory of a new member from a snapshot",
  description: "Makes the data directory of a member of a new cluster, with the contents of a snapshot file.\n\n" +
    "Every member of the new cluster is restored from the same file, with the same --initial-cluster and\n" +
    "--initial-cluster-token and its own --name and --initial-advertise-peer-urls. The directory appears complete\n" +
    "and durable, or not at all.",
  flags: FLAGS,
  run,
};

interface Plan {
  readonly source: string;
  readonly dataDirectory: string;
  /** Empty: inside the data directory. */
  readonly walDirectory: string;
  readonly self: Member;
  readonly clusterId: bigint;
  /** By ascending id. */
  readonly members: readonly Member[];
  readonly skipsDigest: boolean;
  /** 0n: not at all. */
  readonly bump: bigint;
}

async function run({ flags, arguments: paths, console }: Invocation): Promise<number> {
  const plan = await makePlan(flags, paths);
  const fields = {
    path: plan.source,
    "wal-dir": plan.walDirectory || join(plan.dataDirectory, "member", "wal"),
    "data-dir": plan.dataDirectory,
    "snap-dir": join(plan.dataDirectory, "member", "snap"),
    "initial-memory-map-size": flags.integer("initial-memory-map-size"),
  };
  const interruption = new Interruption(console);
  try {
    await requireRoom(plan.dataDirectory, plan.walDirectory);
    console.log.info("restoring snapshot", fields);
    await restore(plan, flags.duration("timeout"), console, interruption);
    console.log.info("restored snapshot", fields);
    return ExitCode.SUCCESS;
  } catch (error) {
    if (interruption.exitCode === undefined) throw asRestoreError(error);
    console.error("Error: interrupted; nothing was restored\n");
    return interruption.exitCode;
  } finally {
    interruption.release();
  }
}

/** Throws a CommandError for what the flags alone make impossible. */
async function makePlan(flags: FlagValues, paths: readonly string[]): Promise<Plan> {
  if (paths.length !== 1) {
    throw new CommandError(ExitCode.BAD_ARGUMENTS, "snapshot restore requires exactly one argument");
  }
  const bump = flags.integer("bump-revision");
  if ((bump > 0n) !== flags.boolean("mark-compacted")) {
    throw new CommandError(ExitCode.BAD_ARGUMENTS, "--mark-compacted required if --revision-bump > 0");
  }
  const name = flags.string("name");
  const cluster = await readInitialCluster(
    name,
    flags.string("initial-cluster"),
    flags.string("initial-advertise-peer-urls"),
  );
  return {
    source: paths[0],
    dataDirectory: flags.string("data-dir") || `${name}.etcd`,
    walDirectory: flags.string("wal-dir"),
    ...identify(cluster, name, flags.string("initial-cluster-token")),
    skipsDigest: flags.boolean("skip-hash-check"),
    bump,
  };
}

/** The wish to end, looked at between two steps. */
class Interruption {
  exitCode: number | undefined;
  readonly release: () => void;

  constructor(console: Console) {
    this.release = console.onInterrupt((exitCode) => {
      this.exitCode = exitCode;
    });
  }

  check(): void {
    if (this.exitCode !== undefined) throw new CommandError(this.exitCode, "interrupted");
  }
}

/** Throws a CommandError unless both places are free. */
async function requireRoom(dataDirectory: string, walDirectory: string): Promise<void> {
  if (!await isMissingOrEmpty(dataDirectory)) {
    throw new CommandError(
      ExitCode.ERROR,
      `data-dir ${JSON.stringify(dataDirectory)} not empty or could not be read`,
    );
  }
  if (walDirectory !== "" && await systemDisk.stat(walDirectory) !== undefined) {
    throw new CommandError(ExitCode.ERROR, `wal-dir ${JSON.stringify(walDirectory)} exists`);
  }
}

async function isMissingOrEmpty(path: string): Promise<boolean> {
  try {
    const stat = await systemDisk.stat(path);
    return stat === undefined || (stat.isDirectory && (await systemDisk.list(path)).length === 0);
  } catch {
    return false;
  }
}

function identify(
  cluster: readonly InitialMember[],
  name: string,
  token: string,
): Pick<Plan, "self" | "clusterId" | "members"> {
  const sha1 = (data: Uint8Array) => systemCrypto.sha1(data);
  const membership = new Membership();
  let self: Member | undefined;
  for (const { name: memberName, peerUrls } of cluster) {
    const id = bootstrapMemberId(peerUrls, token, sha1);
    const member: Member = { id, name: memberName, peerUrls, clientUrls: [], isLearner: false };
    membership.add(member);
    if (memberName === name) self = member;
  }
  const members = membership.list();
  return { self: self!, members, clusterId: bootstrapClusterId(members.map((member) => member.id), sha1) };
}

/** Everything is made beside its place first: whatever happens, the names are there with all that belongs to them, or not. */
async function restore(plan: Plan, lockTimeoutMs: number, console: Console, interruption: Interruption): Promise<void> {
  const buckets = await readSource(plan, lockTimeoutMs, console, interruption);
  changeBuckets(buckets, plan, console);
  const staged: StagedDirectory[] = [];
  try {
    const data = await StagedDirectory.create(plan.dataDirectory);
    staged.push(data);
    const snapDirectory = join(data.path, "member", "snap");
    await systemDisk.makeDirectory(snapDirectory);
    await writeBuckets(join(snapDirectory, "db"), buckets);
    interruption.check();
    let walDirectory = join(data.path, "member", "wal");
    if (plan.walDirectory !== "") {
      const wal = await StagedDirectory.create(plan.walDirectory);
      // Its name comes first: a data directory without its log would be taken for that of a new member.
      staged.unshift(wal);
      walDirectory = wal.path;
    }
    await writeLog(plan, walDirectory, snapDirectory);
    await systemDisk.syncDirectory(snapDirectory);
    await systemDisk.syncDirectory(join(data.path, "member"));
    interruption.check();
    for (const directory of staged) await directory.publish();
  } catch (error) {
    for (const directory of staged) await directory.discard();
    throw error;
  }
}

function asRestoreError(reason: unknown): unknown {
  // What the log says to a member that starts is no help here.
  const error = reason instanceof WalError && reason.cause instanceof DiskError ? reason.cause : reason;
  if (error instanceof WalError) return new CommandError(ExitCode.ERROR, error.message);
  if (error instanceof DiskError && (error.code === "ENOSPC" || error.code === "EDQUOT")) {
    return new CommandError(
      ExitCode.ERROR,
      `${error.message}; nothing was restored: make room, or choose another directory`,
    );
  }
  return asCommandError(error);
}

async function readSource(
  { source, skipsDigest }: Plan,
  lockTimeoutMs: number,
  console: Console,
  interruption: Interruption,
): Promise<Buckets> {
  await requireDigest(source, skipsDigest);
  const progress = new Progress(console, "restoring");
  try {
    return await withDatabase(source, lockTimeoutMs, async (database) => {
      if (!skipsDigest) await checkDigest(database.file);
      await database.verifyAll();
      let done = 0;
      return await readBuckets(database, (size) => {
        interruption.check();
        done += size;
        progress.show(done, database.size);
      });
    });
  } finally {
    progress.clear();
  }
}

/** What etcdutl finds out before it looks into the file. Throws a CommandError. */
async function requireDigest(source: string, skipsDigest: boolean): Promise<void> {
  const stat = await systemDisk.stat(source);
  const fail = (message: string): never => {
    throw new CommandError(ExitCode.ERROR, message);
  };
  if (stat === undefined) return fail(`open ${source}: no such file or directory`);
  if (stat.isDirectory) return fail(`read ${source}: is a directory`);
  if (stat.size < DIGEST_SIZE) return fail(`seek ${source}: invalid argument`);
  if (!skipsDigest && !hasDigest(stat.size)) return fail("snapshot missing hash but --skip-hash-check=false");
}

/** Makes the contents those of the new cluster. */
function changeBuckets(buckets: Buckets, { members, bump }: Plan, console: Console): void {
  emptyBucket(buckets, Bucket.MEMBERS);
  emptyBucket(buckets, Bucket.MEMBERS_REMOVED);
  changeRows(buckets, Bucket.MEMBERS, members.map((member) => [idText(member.id), utf8(memberJson(member))]));
  changeRows(buckets, Bucket.META, [
    [MetaKey.CONSISTENT_INDEX, uint64Bytes(BigInt(members.length))],
    [MetaKey.TERM, uint64Bytes(BigInt(FIRST_TERM))],
  ]);
  if (bump > 0n) bumpRevision(buckets, bump, console);
}

/** A row without a value at the raised revision, and a compaction scheduled there. */
function bumpRevision(buckets: Buckets, bump: bigint, console: Console): void {
  const keys = buckets.get(Bucket.KEY) ?? emptyBucket(buckets, Bucket.KEY);
  const last = keys.lastKey();
  const latest = last === undefined ? 0n : mainRevision(last, 0, last.length) ?? 0n;
  const raised = BigInt.asIntN(64, latest + bump);
  if (raised <= latest) {
    throw new CommandError(ExitCode.ERROR, `--bump-revision=${bump} goes beyond the largest revision there can be`);
  }
  console.log.info("bumping latest revision", {
    "latest-revision": latest,
    "bump-amount": bump,
    "new-latest-revision": raised,
  });
  keys.append({ key: revisionKey(raised), value: EMPTY_BYTES });
  console.log.info("marking revision compacted", { revision: raised });
  changeRows(buckets, Bucket.META, [[MetaKey.SCHEDULED_COMPACT_REVISION, revisionKey(raised)]]);
}

/** The log of a member that has just begun: its members, committed, and a snapshot of them, as a record and as a file. */
async function writeLog(plan: Plan, walDirectory: string, snapDirectory: string): Promise<void> {
  const { members, self, clusterId } = plan;
  const wal = await Wal.create(systemDisk, {
    directory: walDirectory,
    metadata: { memberId: self.id, clusterId },
    clock: systemClock,
    log: silentLogger,
  });
  try {
    const commit = members.length;
    const entries = members.map((member, position) => ({
      term: FIRST_TERM,
      index: position + 1,
      type: EntryType.CONF_CHANGE,
      data: encodeAddMember(member),
    }));
    await wal.append({ term: FIRST_TERM, vote: members[0].id, commit }, entries, true);
    const confState = { ...EMPTY_CONF_STATE, voters: members.map((member) => member.id) };
    const membership = new Membership();
    for (const member of members) membership.add(member);
    const snapshot = { index: commit, term: FIRST_TERM, confState, data: encodeV2Store(membership) };
    const path = join(snapDirectory, snapshotFileName(FIRST_TERM, commit));
    const file = await systemDisk.open(path, { write: true, create: true, exclusive: true });
    await file.writeDurable(encodeSnapshotFile(snapshot), 0).finally(() => file.close());
    await wal.saveSnapshot({ index: commit, term: FIRST_TERM, confState });
  } finally {
    await wal.close();
  }
}
