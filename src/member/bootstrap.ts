/**
 * From a directory to a state: creates the log of a new member, or replays that of an existing one.
 *
 * A new cluster's log begins as etcd's does: one conf change per member at term 1, already committed. A member that joins
 * a cluster begins with an empty log. A start that broke off before anything was known to be durable is made again.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Applier, applyConfChange, finished } from "../apply/mod.ts";
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
import { findSnapshot, type OpenedWal, Wal, type WalMetadata, type WalSnapshot } from "../storage/wal/mod.ts";
import { decodeRaftRequest } from "../wire/mod.ts";
import type { CheckpointState } from "./checkpointer.ts";
import { confStateOf } from "./conf_state.ts";
import { createDatabase, loadDatabase } from "./database_start.ts";
import { entriesOfLoneMember } from "./force_new_cluster.ts";
import type { ClusterOrigin, InitialMember, MemberOptions } from "./options.ts";

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
  /** There was a log already. */
  readonly isRestart: boolean;
  /** The members of the cluster that this one joins, as long as its own log says nothing of them. */
  readonly others: readonly Member[];
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
  // Before anything is written: whoever is refused leaves an empty directory.
  const origin = await originOf(options);
  const metadata = metadataOf(options, origin);
  const checkpoint = await createDatabase(options, directory, target);
  const wal = await Wal.create(options.disk, {
    directory: directory.walPath,
    segmentSize: options.walSegmentSize,
    metadata,
    clock: options.clock,
    log: options.log,
  });
  return await begin(options, { directory, checkpoint, compaction: undefined }, wal, metadata, origin);
}

function originOf({ name, peerUrls, origin }: MemberOptions): Promise<ClusterOrigin> {
  return origin === undefined ? Promise.resolve({ initial: [{ name, peerUrls }] }) : origin();
}

/** The members that a new cluster begins with, in the order of their ids. */
function initialMembers({ clusterToken, crypto }: MemberOptions, initial: readonly InitialMember[]): Member[] {
  const sha1 = (data: Uint8Array) => crypto.sha1(data);
  const members = initial.map(({ name, peerUrls }) => ({
    id: bootstrapMemberId(peerUrls, clusterToken, sha1),
    name,
    peerUrls,
    clientUrls: [],
    isLearner: false,
  }));
  return members.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Who this member is, and in which cluster. */
function metadataOf(options: MemberOptions, origin: ClusterOrigin): WalMetadata {
  if ("existing" in origin) {
    const { memberId, clusterId } = origin.existing;
    return { memberId, clusterId };
  }
  const members = initialMembers(options, origin.initial);
  const own = members.find(({ name }) => name === options.name);
  if (own === undefined) {
    throw new DataDirectoryError(`the new cluster has no member of the name ${JSON.stringify(options.name)}`);
  }
  return {
    memberId: own.id,
    clusterId: bootstrapClusterId(members.map(({ id }) => id), (data) => options.crypto.sha1(data)),
  };
}

/** The first steps of a member whose log has nothing but a head, or a part of what `beginCluster` writes. */
async function begin(
  options: MemberOptions,
  opened: Opened,
  wal: Wal,
  { memberId, clusterId }: WalMetadata,
  origin: ClusterOrigin,
): Promise<Bootstrapped> {
  options.log.info("starting local member", {
    "local-member-id": idText(memberId),
    "cluster-id": idText(clusterId),
  });
  const identity = { memberId, clusterId, wal, replayedCount: 0, isRestart: false };
  if ("initial" in origin) {
    const raft = await beginCluster(options, wal, memberId, initialMembers(options, origin.initial));
    return { ...opened, ...identity, raft, others: [] };
  }
  // The leader brings everything else: who the members are, too.
  const raft = makeRaft(options, memberId, new RaftLog(), NO_HARD_STATE, EMPTY_CONF_STATE, 0);
  return { ...opened, ...identity, raft, others: origin.existing.members };
}

/**
 * Writes the entries that every log of a new cluster begins with: its members, each by a conf change. They are committed
 * by being durable, since every member begins with the same ones.
 */
async function beginCluster(
  options: MemberOptions,
  wal: Wal,
  memberId: bigint,
  members: readonly Member[],
): Promise<Raft> {
  const log = new RaftLog();
  const entries = members.map((member, i): Entry => ({
    term: 1,
    index: i + 1,
    type: EntryType.CONF_CHANGE,
    data: encodeAddMember(member),
  }));
  const hardState: HardState = { term: 1, vote: 0n, commit: entries.length };
  await wal.append(hardState, entries, true);
  for (const entry of entries) log.append(entry);
  return makeRaft(options, memberId, log, hardState, EMPTY_CONF_STATE, 0);
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
  try {
    const state = { directory, checkpoint, compaction };
    if (isUnbegun(opened)) return await beginAgain(options, state, opened);
    const fault = faultOf(directory, target, checkpoint.index, opened.lastIndex) ?? learnersFault(options, target);
    if (fault !== undefined) throw new DataDirectoryError(fault);
    return await resume(options, state, opened, replay, target);
  } catch (error) {
    // What closing may find wrong besides is not worth more than the reason.
    await opened.wal.close().catch(() => {});
    throw error;
  }
}

/**
 * The process ended before it knew that the first entries are durable, or before a leader reached it: nothing was
 * acknowledged and nobody was voted for, since the first election of a cluster brings term 2.
 */
function isUnbegun({ hardState, tail }: OpenedWal): boolean {
  return hardState.commit === 0 && hardState.term <= 1 && tail.every(isInitial);
}

async function beginAgain(options: MemberOptions, state: Opened, { wal, metadata }: OpenedWal): Promise<Bootstrapped> {
  const origin = await originOf(options);
  const { memberId, clusterId } = metadataOf(options, origin);
  if (memberId === metadata.memberId && clusterId === metadata.clusterId) {
    return await begin(options, state, wal, metadata, origin);
  }
  throw new DataDirectoryError(
    `the log in ${state.directory.walPath} was begun for member ${idText(metadata.memberId)} of cluster ` +
      `${idText(metadata.clusterId)}, and this start is that of member ${idText(memberId)} of cluster ` +
      `${idText(clusterId)}: start as before, or with an empty data directory (the log holds nothing yet)`,
  );
}

/** Goes on where the log ends, or, alone, where it is known to be committed. */
async function resume(
  options: MemberOptions,
  state: Opened,
  { metadata, hardState, tail, wal }: OpenedWal,
  replay: Replay,
  { membership }: BootstrapTarget,
): Promise<Bootstrapped> {
  const { memberId, clusterId } = metadata;
  const { forcesNewCluster = false, log } = options;
  // The commit index in the log is a hint and may be behind; what is in the database was committed.
  const applied = Math.max(hardState.commit, state.checkpoint.index);
  const kept = forcesNewCluster ? tail.filter(({ index }) => index <= applied) : tail;
  for (const entry of kept) replay.log.append(entry);
  let commit = applied;
  if (forcesNewCluster) {
    tellDiscarded(options, tail.length - kept.length, applied);
    const entries = entriesOfLoneMember(memberId, membership, options.peerUrls, {
      term: hardState.term,
      index: applied,
    });
    for (const entry of entries) replay.log.append(entry);
    commit += entries.length;
    // The entries first, since a hard state commits only what is durable: from then on this is a cluster of one member.
    if (entries.length > 0) await wal.append(undefined, entries, true);
    await wal.append({ ...hardState, commit }, [], true);
  }
  const raft = makeRaft(options, memberId, replay.log, { ...hardState, commit }, replay.confState, applied);
  log.info(forcesNewCluster ? "forcing restart member" : "restarting local member", {
    "cluster-id": idText(clusterId),
    "local-member-id": idText(memberId),
    ...(forcesNewCluster && { "wal-commit-index": hardState.commit }),
    "commit-index": commit,
  });
  return { memberId, clusterId, raft, wal, ...state, replayedCount: replay.count, isRestart: true, others: [] };
}

function tellDiscarded({ log }: MemberOptions, count: number, commit: number): void {
  if (count === 0) return;
  log.info("discarding uncommitted WAL entries", {
    "entry-index": commit + 1,
    "commit-index-from-wal": commit,
    "number-of-discarded-entries": count,
  });
}

function learnersFault({ learnersMax }: MemberOptions, { membership }: BootstrapTarget): string | undefined {
  const count = membership.list().filter(({ isLearner }) => isLearner).length;
  if (learnersMax === undefined || count <= learnersMax) return undefined;
  return `membership: too many learner members in cluster: it has ${count}, and --max-learners is ${learnersMax}; set it ` +
    "as the other members have it";
}

/** Why what was read must not be served; undefined: it may. */
function faultOf(
  { walPath, database }: DataDirectory,
  { keyspace, membership }: BootstrapTarget,
  databaseIndex: number,
  lastIndex: number,
): string | undefined {
  if (lastIndex < databaseIndex) {
    return `the log in ${walPath} ends with entry ${lastIndex}, but ${database.path} holds the state after entry ` +
      `${databaseIndex}: they do not belong together; restore both from the same backup`;
  }
  // In a cluster it goes on voting, and serves no client (see api): the others may need its vote.
  if (keyspace.auth.isEnabled && membership.list().length <= 1) {
    return "authentication is enabled in this data directory, and this version does not enforce it yet: everybody " +
      "could read and write everything; start etcd on it, or disable authentication with it first";
  }
  return undefined;
}

/** Whether a new cluster's log may begin with this entry. */
function isInitial({ term, type }: Entry): boolean {
  return term === 1 && type === EntryType.CONF_CHANGE;
}

const NO_HARD_STATE: HardState = { term: 0, vote: 0n, commit: 0 };

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
      const { type, memberId } = applyConfChange(this.#membership, entry.data);
      this.confState = changeConfState(this.confState, { type: type as ConfChange["type"], memberId });
    } else if (entry.data.length > 0) this.#apply(entry);
  }

  #apply(entry: Entry): void {
    const request = decodeRaftRequest(entry.data);
    const { operation, body } = request;
    const nowMs = this.#options.clock.monotonicMs();
    const context = { nowMs, isWaitedFor: false, isReplay: true, requester: request };
    const { compaction } = finished(this.#applier.apply(operation, body, context));
    // Nothing is pinned during a replay, so that a compaction never waits.
    if (compaction !== undefined) { while (compaction.step(JOB_STEP_BUDGET) !== "done"); }
  }
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
    // Alone there is nobody to ask, and no quorum to lose.
    preVote: options.transport !== undefined && (options.preVote ?? true),
    checkQuorum: options.transport !== undefined,
    committedSizeMax: COMMITTED_SIZE_MAX,
  });
}

/** Random integers from 0 to `limit` - 1, where `limit` is small beside 2^32. */
function randomSource(entropy: Entropy): (limit: number) => number {
  const bytes = new Uint8Array(4);
  return (limit) => new DataView(entropy.fill(bytes).buffer).getUint32(0) % limit;
}
