/**
 * From a directory to a state: creates the log of a new member, or replays that of an existing one.
 *
 * A new cluster's log begins as etcd's does: one conf change per member at term 1, already committed.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Applier, applyConfChange as applyToMembership } from "../apply/mod.ts";
import { COMMITTED_SIZE_MAX, JOB_STEP_BUDGET, LOG_MEMORY_SIZE_MAX } from "../base/limits.ts";
import { utf8 } from "../base/bytes.ts";
import type { Entropy } from "../io/entropy.ts";
import { ConfChangeSchema, ConfChangeType as ConfChangeTypeProto } from "../gen/raftpb/raft_pb.ts";
import {
  bootstrapClusterId,
  bootstrapMemberId,
  idText,
  type Member,
  memberJson,
  type Membership,
} from "../membership/mod.ts";
import {
  changeConfState,
  type ConfChange,
  type ConfState,
  EMPTY_CONF_STATE,
  type Entry,
  EntryType,
  type HardState,
  Raft,
  RaftLog,
} from "../raft/mod.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import { DataDirectory, DataDirectoryError } from "../storage/data_directory.ts";
import { findSnapshot, Wal, type WalMetadata, type WalSnapshot } from "../storage/wal/mod.ts";
import { decodeRaftRequest } from "../wire/mod.ts";
import type { CheckpointState } from "./checkpointer.ts";
import { createDatabase, loadDatabase } from "./database_start.ts";
import type { MemberOptions } from "./options.ts";

export interface Bootstrapped {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly raft: Raft;
  readonly wal: Wal;
  readonly directory: DataDirectory;
  /** What the database holds. */
  readonly checkpoint: CheckpointState;
  /** A compaction that was scheduled and is still to be carried out. */
  readonly compaction: CompactionJob | undefined;
  /** Entries of the log that were executed again; 0 for a new member. */
  readonly replayedCount: number;
}

/** The state to be filled. */
export interface BootstrapTarget {
  readonly applier: Applier;
  readonly keyspace: Keyspace;
  readonly membership: Membership;
}

/** What the data directory holds, and how far it brought the state. */
interface Opened {
  readonly directory: DataDirectory;
  readonly checkpoint: CheckpointState;
  readonly compaction: CompactionJob | undefined;
}

/** Opens the data directory and brings the state to the end of its log. */
export async function bootstrap(options: MemberOptions, target: BootstrapTarget): Promise<Bootstrapped> {
  const directory = await DataDirectory.open(options.disk, {
    path: options.dataDirectory,
    walPath: options.walDirectory,
    log: options.log,
  });
  try {
    return directory.hasWal ? await restart(options, directory, target) : await initialize(options, directory, target);
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function initialize(
  options: MemberOptions,
  directory: DataDirectory,
  target: BootstrapTarget,
): Promise<Bootstrapped> {
  const checkpoint = await createDatabase(options, directory, target);
  const sha1 = (data: Uint8Array) => options.crypto.sha1(data);
  const memberId = bootstrapMemberId(options.peerUrls, options.clusterToken, sha1);
  const clusterId = bootstrapClusterId([memberId], sha1);
  const wal = await Wal.create(options.disk, {
    directory: directory.walPath,
    segmentSize: options.walSegmentSize,
    metadata: { memberId, clusterId },
    clock: options.clock,
    log: options.log,
  });
  return await beginCluster(options, { directory, checkpoint, compaction: undefined }, wal, { memberId, clusterId });
}

/** Writes the entry that every log begins with: this member's own. It is committed by being durable. */
async function beginCluster(
  options: MemberOptions,
  opened: Opened,
  wal: Wal,
  { memberId, clusterId }: WalMetadata,
): Promise<Bootstrapped> {
  const member: Member = {
    id: memberId,
    name: options.name,
    peerUrls: options.peerUrls,
    clientUrls: [],
    isLearner: false,
  };
  const entry: Entry = { term: 1, index: 1, type: EntryType.CONF_CHANGE, data: encodeAddMember(member) };
  const hardState: HardState = { term: 1, vote: 0n, commit: 1 };
  await wal.append(hardState, [entry], true);

  const log = new RaftLog();
  log.append(entry);
  const raft = makeRaft(options, memberId, log, hardState, EMPTY_CONF_STATE, 0);
  options.log.info("starting local member", {
    "local-member-id": idText(memberId),
    "cluster-id": idText(clusterId),
  });
  return { ...opened, memberId, clusterId, raft, wal, replayedCount: 0 };
}

async function restart(
  options: MemberOptions,
  directory: DataDirectory,
  target: BootstrapTarget,
): Promise<Bootstrapped> {
  const { disk, log, clock } = options;
  const snapshot = await findSnapshot(disk, directory.walPath) ?? NO_SNAPSHOT;
  const { checkpoint, compaction } = await loadDatabase(options, directory, target, snapshot);
  const replay = new Replay(options, target, snapshot, checkpoint.index);
  const opened = await Wal.open(disk, {
    directory: directory.walPath,
    segmentSize: options.walSegmentSize,
    from: snapshot,
    clock,
    log,
  }, replay);
  const { metadata, hardState, wal } = opened;
  // The process ended between creating the log and making its first entry durable: nothing was acknowledged yet.
  if (hardState.commit === 0) {
    return await beginCluster(options, { directory, checkpoint, compaction }, wal, metadata);
  }
  const { memberId, clusterId } = metadata;
  for (const entry of opened.tail) replay.log.append(entry);
  const fault = faultOf(directory, target, checkpoint.index, opened.lastIndex);
  if (fault !== undefined) {
    await wal.close();
    throw new DataDirectoryError(fault);
  }
  // The commit index in the log is a hint and may be behind; what is in the database was committed.
  const commit = Math.max(hardState.commit, checkpoint.index);
  const raft = makeRaft(options, memberId, replay.log, { ...hardState, commit }, replay.confState, commit);
  log.info("restarting local member", {
    "cluster-id": idText(clusterId),
    "local-member-id": idText(memberId),
    "commit-index": commit,
  });
  return { memberId, clusterId, raft, wal, directory, checkpoint, compaction, replayedCount: replay.count };
}

/** Why what was read must not be served; undefined: it may. */
function faultOf(
  { walPath, database }: DataDirectory,
  { keyspace }: BootstrapTarget,
  databaseIndex: number,
  lastIndex: number,
): string | undefined {
  if (lastIndex < databaseIndex) {
    return `the log in ${walPath} ends with entry ${lastIndex}, but ${database.path} holds the state after entry ` +
      `${databaseIndex}: they do not belong together; restore both from the same backup`;
  }
  if (keyspace.auth.isEnabled) {
    return "authentication is enabled in this data directory, and this version does not enforce it yet: everybody " +
      "could read and write everything; start etcd on it, or disable authentication with it first";
  }
  return undefined;
}

/** Where a log is read from that has no snapshot. */
const NO_SNAPSHOT: WalSnapshot = { index: 0, term: 0, confState: undefined };

/** Applies committed entries as the log hands them out, and keeps the last ones for followers. */
class Replay {
  readonly log: RaftLog;
  confState: ConfState;
  count = 0;
  readonly #options: MemberOptions;
  readonly #applier: Applier;
  readonly #membership: Membership;
  /** Entries up to here are part of the state already. */
  readonly #appliedIndex: number;

  constructor(
    options: MemberOptions,
    { applier, membership }: BootstrapTarget,
    snapshot: WalSnapshot,
    appliedIndex: number,
  ) {
    this.log = new RaftLog(snapshot.index, snapshot.term);
    this.confState = confStateOf(membership);
    this.#options = options;
    this.#applier = applier;
    this.#membership = membership;
    this.#appliedIndex = appliedIndex;
  }

  /** The log's own identity is taken from what `Wal.open` returns. */
  metadata(): void {}

  entry(entry: Entry): void {
    this.log.append(entry);
    // The entry at hand is applied before the next one comes: as far as memory goes it is already.
    if (this.log.size > LOG_MEMORY_SIZE_MAX) this.log.compact(entry.index);
    else if (entry.index % 1024 === 0) this.log.compact(entry.index - this.#options.snapshotCatchUpEntries);
    if (entry.index <= this.#appliedIndex) return;
    this.count++;
    if (entry.type !== EntryType.NORMAL) {
      this.confState = applyConfChange(entry, this.#membership, (change) => changeConfState(this.confState, change));
    } else if (entry.data.length > 0) this.#apply(entry);
  }

  #apply(entry: Entry): void {
    const request = decodeRaftRequest(entry.data);
    const { operation, body } = request;
    const nowMs = this.#options.clock.monotonicMs();
    const context = { nowMs, isWaitedFor: false, isReplay: true, requester: request };
    const result = this.#applier.apply(operation, body, context);
    let outcome;
    if ("next" in result) {
      let step = result.next();
      while (step.done !== true) step = result.next();
      outcome = step.value;
    } else outcome = result;
    const { compaction } = outcome;
    // Nothing is pinned during a replay, so that a compaction never waits.
    if (compaction !== undefined) { while (compaction.step(JOB_STEP_BUDGET) !== "done"); }
  }
}

/** The configuration that a membership works under, as etcd derives it. */
function confStateOf(membership: Membership): ConfState {
  const members = membership.list();
  return {
    ...EMPTY_CONF_STATE,
    voters: members.filter(({ isLearner }) => !isLearner).map(({ id }) => id),
    learners: members.filter(({ isLearner }) => isLearner).map(({ id }) => id),
  };
}

/** Brings a committed membership change into force, if it is still allowed; `change` is raft's part of it. */
export function applyConfChange(
  entry: Entry,
  membership: Membership,
  change: (change: ConfChange) => ConfState,
): ConfState {
  const { type, memberId } = applyToMembership(membership, entry.data);
  return change({ type: type as ConfChange["type"], memberId });
}

/** The conf change, as an entry's data, by which a cluster gets a member that it begins with. */
export function encodeAddMember(member: Member): Uint8Array {
  return toBinary(
    ConfChangeSchema,
    create(ConfChangeSchema, {
      type: ConfChangeTypeProto.ConfChangeAddNode,
      nodeId: member.id,
      context: utf8(memberJson(member)),
    }),
  );
}

function makeRaft(
  options: MemberOptions,
  id: bigint,
  log: RaftLog,
  hardState: HardState,
  confState: ConfState,
  applied: number,
): Raft {
  return new Raft({
    id,
    log,
    hardState,
    confState,
    applied,
    random: randomSource(options.entropy),
    electionTicks: options.electionTicks,
    committedSizeMax: COMMITTED_SIZE_MAX,
  });
}

/** Random integers from 0 to `limit` - 1, where `limit` is small beside 2^32. */
function randomSource(entropy: Entropy): (limit: number) => number {
  const bytes = new Uint8Array(4);
  return (limit) => new DataView(entropy.fill(bytes).buffer).getUint32(0) % limit;
}
