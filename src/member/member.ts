import { create, toBinary } from "@bufbuild/protobuf";
import { Applier, applyConfChange, type Outcome } from "../apply/mod.ts";
import { JOB_STEP_BUDGET, PURGE_INTERVAL_MS } from "../base/limits.ts";
import { formatDuration } from "../base/duration.ts";
import { formatSize } from "../base/size.ts";
import { ETCD_VERSION } from "../base/version.ts";
import { ClusterMemberAttrSetRequestSchema } from "../gen/membershippb/membership_pb.ts";
import type { Timer } from "../io/clock.ts";
import { Keyspace } from "../keyspace/mod.ts";
import { idText, Membership } from "../membership/mod.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import { type ConfChange, type Entry, NO_MEMBER, type SoftState } from "../raft/mod.ts";
import { encodeRaftRequest, HeaderIdentity, RaftOperation } from "../wire/mod.ts";
import { AppliedWaits } from "./applied_waits.ts";
import { type AutoCompaction, autoCompaction } from "./auto_compaction.ts";
import { bootstrap, type Bootstrapped } from "./bootstrap.ts";
import { storageVersionOf } from "./buckets.ts";
import { PacedCompaction } from "./compaction.ts";
import { defragmentAtStart } from "./bootstrap_defragment.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { MemberDatabase, PositionedSnapshot } from "./database_snapshot.ts";
import { CorruptionChecks, NO_CORRUPTION_CHECKS } from "./corruption.ts";
import { DiskWatch } from "./disk_watch.ts";
import { Duties, type RenewalSettle } from "./duties.ts";
import type { Job } from "./jobs.ts";
import { hashKv, type KvHashSettle } from "./kv_hash.ts";
import { LeaderLoss } from "./leader_loss.ts";
import { LeaderTransfer, type TransferSettle } from "./leader_transfer.ts";
import { Loop } from "./loop.ts";
import { type MemberOptions, requestTimeoutMs } from "./options.ts";
import { Inbox } from "./inbox.ts";
import { MembershipChanges, type ReconfigurationSettle } from "./membership_changes.ts";
import { PendingReads, type Read } from "./pending_reads.ts";
import { PeerAnswers } from "./peer_answers.ts";
import { PeerQuestions } from "./peer_questions.ts";
import { Peers } from "./peers.ts";
import { Promotions } from "./promotions.ts";
import { type MemberError, Proposals, type Settle } from "./proposals.ts";
import type { LearnerProgress } from "./reconfiguration_checks.ts";
import { RequestIds } from "./request_ids.ts";
import { logQuota } from "./quota_log.ts";
import { Statistics } from "./statistics.ts";
import { SpaceAlarm, type SpaceAlarmParts } from "./space_alarm.ts";
import { SpaceMonitor } from "./space_monitor.ts";
import { hashState } from "./state_hash.ts";
import { SnapshotInstall } from "./snapshot_install.ts";
import { Versions } from "./versions.ts";

/** Names of operations in log messages. */
const OPERATION_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(RaftOperation).map(([name, operation]) => [operation, name.toLowerCase().replaceAll("_", " ")]),
);

/** What `Status` reports of raft. */
export interface RaftStatus {
  readonly leader: bigint;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
}

/** The cluster has removed this member for ever; it stops on purpose. */
export class MemberRemovedError extends Error {
  constructor() {
    super("the member has been permanently removed from the cluster");
    this.name = "MemberRemovedError";
  }
}

/** How a member ends. */
export interface StopOptions {
  /** A leader hands over first, so that nobody waits for an election. Default: it does not. */
  readonly transfersLeadership?: boolean;
}

/** A member that was removed goes on for so long, so that the others hear of it (etcd's figure). */
const REMOVAL_DELAY_MS = 1000;

/** A running member: the door for the api. See mod.ts for its contract. */
export class Member implements MemberDatabase {
  readonly id: bigint;
  readonly clusterId: bigint;
  readonly headerIdentity: HeaderIdentity;
  readonly membership: Membership;
  readonly keyspace: Keyspace;
  /** How long proposals and reads are waited for. */
  readonly requestTimeoutMs: number;

  readonly #options: MemberOptions;
  readonly #bootstrapped: Bootstrapped;
  readonly #ids: RequestIds;
  readonly #proposals: Proposals;
  readonly #reads: PendingReads;
  readonly #changes: MembershipChanges;
  readonly #promotions: Promotions;
  readonly #appliedWaits = new AppliedWaits();
  readonly #peers: Peers;
  readonly #install: SnapshotInstall;
  readonly #loop: Loop;
  readonly #duties: Duties;
  readonly #checkpointer: Checkpointer;
  readonly statistics = new Statistics();
  readonly #spaceAlarm: SpaceAlarm;
  /** How the use of the quota is watched. */
  readonly space: SpaceMonitor;
  readonly #autoCompaction: AutoCompaction | undefined;
  /** The cluster version, and downgrades. */
  readonly versions: Versions;
  readonly #leaderTransfer: LeaderTransfer;
  readonly #leaderLoss: LeaderLoss;
  #isLearner = false;
  readonly #diskWatch: DiskWatch;
  readonly #corruptionChecks: CorruptionChecks;
  readonly #compactions = new Map<CompactionJob, PacedCompaction>();
  #ticks: Timer | undefined;
  #purges: Timer | undefined;
  #onFailure: (reason: Error) => void = () => {};
  #leader = NO_MEMBER;
  /** While this member publishes itself. */
  #publishAgain: (() => void) | undefined;
  /** Monotonic milliseconds at which the present leader was heard of; -Infinity: none yet. */
  #leaderSinceMs = -Infinity;
  #removal: Timer | undefined;
  /** Monotonic milliseconds of the last tick. */
  #lastTickMs = -Infinity;
  /** How often this process stood still, and how often it had when a quorum last confirmed what it believes. */
  #standstillCount = 0;
  #standstillsConfirmed = 0;
  readonly #ready = Promise.withResolvers<void>();
  #stopping: Promise<void> | undefined;

  private constructor(
    options: MemberOptions,
    bootstrapped: Bootstrapped,
    applier: Applier,
    keyspace: Keyspace,
    membership: Membership,
  ) {
    const { clock, log } = options;
    const { raft } = bootstrapped;
    const isLeader = (): boolean => this.#loop.isLeading;
    const propose: SpaceAlarmParts["propose"] = (operation, body, settle) => this.propose(operation, body, settle);
    this.id = bootstrapped.memberId;
    this.clusterId = bootstrapped.clusterId;
    this.headerIdentity = new HeaderIdentity(this.clusterId, this.id);
    this.membership = membership;
    this.keyspace = keyspace;
    this.requestTimeoutMs = requestTimeoutMs(options);
    this.#options = options;
    this.#bootstrapped = bootstrapped;
    this.#ids = new RequestIds(this.id, clock.wallMs());
    this.#proposals = new Proposals(this.#ids, options.requestSizeMax);
    this.#ready.promise.catch(() => {});
    this.#reads = new PendingReads({
      nextId: () => this.#ids.next(),
      readIndex: (context) => raft.readIndex(context),
    });
    this.#leaderLoss = new LeaderLoss(options.electionTicks);
    this.#changes = new MembershipChanges({
      log,
      memberId: this.id,
      membership,
      isStrict: options.strictReconfigCheck ?? true,
      sha1: (data) => options.crypto.sha1(data),
      nextId: () => this.#ids.next(),
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      isActiveSince: (id, sinceMs) => this.#peers.isActiveSince(id, sinceMs),
      learnerProgress: (id) => this.#progressOf(id),
      whenCaughtUp: (settle) => this.#whenCaughtUp(settle),
      wake: () => this.#loop.wake(),
    });
    const inbox = new Inbox();
    const questions = new PeerQuestions({
      transport: options.transport,
      memberId: this.id,
      requestTimeoutMs: this.requestTimeoutMs,
    });
    this.#promotions = new Promotions({
      clock,
      memberId: this.id,
      leader: () => raft.leader,
      promote: (id, settle) => this.#changes.promote(id, settle),
      ask: (to, id, timeoutMs) => questions.promote(to, id, timeoutMs),
      timeoutMs: this.requestTimeoutMs,
    });
    const answers = new PeerAnswers({
      renewLease: (id) => this.#duties.renewLeaseFor(id),
      whenCaughtUp: (settle) => this.#whenCaughtUp(settle),
      promote: (id, settle) => this.promoteMember(id, settle),
      hashKv: (revision, settle) => this.hashKv(revision, settle),
      linearizableRead: (read) => this.linearizableRead(read),
      runJob: (job) => this.runJob(job),
      storageVersion: () => this.storageVersion,
      membership,
      keyspace,
      nowMs: () => clock.monotonicMs(),
    });
    this.#peers = new Peers({
      clock,
      log: options.log,
      transport: options.transport,
      memberId: this.id,
      membership,
      inbox,
      lastIndex: () => raft.log.lastIndex,
      term: () => raft.term,
      snapshots: bootstrapped.directory.snapshots,
      openSnapshot: () => this.openSnapshot(),
      onRemoved: () => this.#onRemoved(),
      answer: (question) => answers.answer(question),
      wake: () => this.#loop.wake(),
    });
    this.#loop = new Loop({
      clock,
      raft,
      wal: bootstrapped.wal,
      applier,
      proposals: this.#proposals,
      changes: this.#changes,
      reads: this.#reads,
      inbox,
      applied: { index: raft.appliedIndex, term: raft.log.term(raft.appliedIndex) },
      replayEndIndex: bootstrapped.raft.log.lastIndex,
      snapshotCatchUpEntries: options.snapshotCatchUpEntries,
      send: (messages) => this.#peers.send(messages),
      isLogHeld: () => this.#peers.holdsLog,
      saveSnapshot: (snapshot) => bootstrapped.directory.snapshots.save(snapshot),
      installSnapshot: (snapshot) => this.#install.install(snapshot),
      onSoftState: (state) => this.#onSoftState(state),
      applyConfChange: (entry) => this.#applyConfChange(entry),
      publish: (firstRow, endRow) => keyspace.watchHub.publish(firstRow, endRow),
      serveWatchers: () => this.#serveWatchers(),
      startCompaction: (job) => this.#startCompaction(job),
      onLeading: () => this.#onLeading(),
      onApplied: (operation, body, outcome, durationMs) => {
        if (outcome.error === undefined) {
          if (operation === RaftOperation.LEASE_GRANT) this.statistics.leasesGrantedCount++;
          else if (operation === RaftOperation.LEASE_REVOKE) this.statistics.leasesRevokedCount++;
        }
        if (isOfLeases(operation)) this.#duties.retryRenewals();
        if (operation === RaftOperation.CLUSTER_VERSION_SET) this.versions.onApplied();
        if (durationMs > options.warningApplyMs && options.warningApplyMs > 0) {
          this.#warnOfSlowApply(operation, body, outcome, durationMs);
        }
      },
      onProgress: (nowMs) => {
        this.#appliedWaits.release(this.#loop.appliedIndex);
        this.#checkpointer.consider(nowMs);
      },
      onNoSpace: (done) => this.#spaceAlarm.onExceeded(done),
      onFatal: (reason) => this.#fail(reason),
    });
    this.#checkpointer = new Checkpointer({
      options,
      memberId: this.id,
      keyspace,
      membership,
      applied: () => ({ index: this.#loop.appliedIndex, term: this.#loop.appliedTerm }),
      confState: () => raft.confState,
      wal: bootstrapped.wal,
      directory: bootstrapped.directory,
      state: bootstrapped.checkpoint,
      whenApplied: (callback) => this.whenApplied(callback),
      onReleased: () => this.#retryJobs(),
      recordSnapshot: (snapshot) => this.#loop.recordSnapshot(snapshot),
    });
    this.#install = new SnapshotInstall({
      clock,
      log: options.log,
      directory: bootstrapped.directory,
      checkpointer: this.#checkpointer,
      keyspace,
      membership,
      newKeyspace: () => newKeyspace(options),
      newMembership: () => newMembership(options),
      onInstalled: (compaction) => {
        this.#publishAgain?.();
        this.#onMembership();
        if (compaction !== undefined) this.#startCompaction(compaction);
      },
    });
    this.#spaceAlarm = new SpaceAlarm({ log, keyspace, memberId: this.id, propose });
    this.space = new SpaceMonitor({
      clock,
      log,
      keyspace,
      alarm: this.#spaceAlarm,
      clearsAlarm: options.clearsSpaceAlarm ?? false,
      runJob: (job) => this.runJob(job),
    });
    const revision = () => keyspace.store.revision;
    this.#autoCompaction = options.compactionRetention &&
      autoCompaction(options.compactionRetention, { clock, log, isLeader, revision, propose });
    this.versions = new Versions({
      clock,
      log,
      membership,
      clusterId: this.clusterId,
      memberId: this.id,
      isLeader,
      memberVersions: () => this.#peers.versions(ETCD_VERSION),
      linearizableRead: (read) => this.linearizableRead(read),
      propose,
      saveState: async () => await (await this.openSnapshot()).close(),
      downgradeCheckMs: options.downgradeCheckMs ?? 5000,
    });
    this.#leaderTransfer = new LeaderTransfer({
      clock,
      log,
      membership,
      memberId: this.id,
      leader: () => raft.leader,
      transfer: (target) => {
        raft.transferLeader(target);
        this.#loop.wake();
      },
      tickMs: options.tickMs,
      timeoutMs: this.requestTimeoutMs,
    });
    this.#corruptionChecks = new CorruptionChecks({
      clock,
      log,
      keyspace,
      membership,
      memberId: this.id,
      isLeader,
      hashKv: (revision, settle) => this.hashKv(revision, settle),
      askHashKv: (to, revision) => questions.hashKv(to, revision),
      linearizableRead: (read) => this.linearizableRead(read),
      propose,
      timeoutMs: this.requestTimeoutMs,
      options: options.corruptionChecks ?? NO_CORRUPTION_CHECKS,
    });
    this.#diskWatch = new DiskWatch({
      log,
      raft,
      statistics: this.statistics,
      isLeader,
      appendCount: () => this.#loop.appendCount,
      isAppending: () => this.#loop.isAppending,
      isActive: (id) => this.#peers.isActiveSince(id, Infinity),
      transfer: (target) => {
        raft.transferLeader(target);
        this.#loop.wake();
      },
      tickMs: options.tickMs,
      electionTicks: options.electionTicks,
    });
    this.#duties = new Duties({
      clock,
      keyspace,
      isLeader,
      isOnTime: () => this.#standstillCount === this.#standstillsConfirmed && !this.#isLate(clock.monotonicMs()),
      isCaughtUp: () => this.isReadable || this.#loop.appliedIndex >= raft.commitIndex,
      proposeAsLeader: (operation, body) => this.#proposeAsLeader(operation, body),
      linearizableRead: (callback) => this.#confirm(callback),
      askLeaderToRenew: (id) => questions.renewLease(raft.leader, id),
      askLeaderForTtl: (id) => questions.remainingTtl(raft.leader, id),
      timeoutMs: this.requestTimeoutMs,
    });
  }

  /**
   * Opens or creates the data directory and replays the log. Without a transport it returns once this member leads and has
   * published itself; with one, once it takes part in its cluster: `whenReady` says when it has published itself.
   */
  static async start(options: MemberOptions): Promise<Member> {
    const membership = newMembership(options);
    const keyspace = newKeyspace(options);
    const applier = new Applier(keyspace, membership);
    const bootstrapped = await bootstrap(options, { applier, keyspace, membership });
    logQuota(options.log, options.quotaBackendBytes ?? 0);
    const member = new Member(options, bootstrapped, applier, keyspace, membership);
    await member.#begin();
    return member;
  }

  /** The longest turn of the loop so far, in milliseconds. */
  get turnLongestMs(): number {
    return this.#loop.turnLongestMs;
  }

  get raftStatus(): RaftStatus {
    const { raft } = this.#bootstrapped;
    return {
      leader: raft.leader,
      term: raft.term,
      commitIndex: raft.commitIndex,
      appliedIndex: this.#loop.appliedIndex,
    };
  }

  /** Proposals accepted and not yet answered. */
  get pendingProposalCount(): number {
    return this.#proposals.pendingCount;
  }

  get raftTerm(): number {
    return this.#bootstrapped.raft.term;
  }

  /**
   * Replicates an operation (a RaftOperation and its request in wire form, which is copied) and settles with its outcome.
   * An outcome whose body has sources must be sent or closed.
   */
  propose(operation: number, body: Uint8Array, settle: Settle): void {
    const { raft } = this.#bootstrapped;
    const unapplied = raft.commitIndex - this.#loop.appliedIndex;
    this.#proposals.add(operation, body, unapplied, this.#options.clock.monotonicMs(), settle);
    this.#loop.wake();
  }

  /** A linearizable read would be called back at once. */
  get isReadable(): boolean {
    return this.#loop.canReadAlone;
  }

  /** Calls `read` once the applied state is as new as every write acknowledged before this call: usually at once. */
  linearizableRead(read: Read): void {
    if (this.isReadable) read(undefined);
    else {
      this.#reads.add(read, this.#options.clock.monotonicMs());
      this.#loop.wake();
    }
  }

  /** This member has told the cluster its name and client URLs, and so takes part. Rejects if it never came to that. */
  get whenReady(): Promise<void> {
    return this.#ready.promise;
  }

  /** This member leads, and holds all that was committed before. */
  get isLeader(): boolean {
    return this.#loop.isLeading;
  }

  /** Calls `listener` each time that there has been no leader for a while. */
  onLeaderLost(listener: () => void): void {
    this.#leaderLoss.listen(listener);
  }

  /** This member receives everything and has no vote. */
  get isLearner(): boolean {
    return this.#isLearner;
  }

  /** Adds a member that others reach at these URLs; it may start once this has settled. Returns its id. */
  addMember(peerUrls: readonly string[], isLearner: boolean, settle: ReconfigurationSettle): bigint {
    return this.#changes.add(peerUrls, isLearner, settle);
  }

  /** Makes a voter of a learner that has caught up with the leader. */
  promoteMember(id: bigint, settle: ReconfigurationSettle): void {
    this.#promotions.begin(id, settle);
  }

  updateMember(id: bigint, peerUrls: readonly string[], settle: ReconfigurationSettle): void {
    this.#changes.update(id, peerUrls, settle);
  }

  removeMember(id: bigint, settle: ReconfigurationSettle): void {
    this.#changes.remove(id, settle);
  }

  /**
   * The revision at which the store can be read now where a request asks for the newest: 0, the head itself, or while an
   * entry is half applied the newest complete one.
   */
  get headRevision(): number {
    return this.#loop.isApplying ? this.keyspace.store.revision : 0;
  }

  /** Runs `callback` when no entry is half applied, for reads of state without revisions (leases, alarms). */
  whenApplied(callback: () => void): void {
    this.#loop.whenApplied(callback);
  }

  /** Works on a job in the background, a step at a time. */
  runJob(job: Job): void {
    this.#loop.jobs.add(job);
    this.#loop.wake();
  }

  /** Asks for a turn: watchers have something to do that no entry brings. */
  wake(): void {
    this.#loop.wake();
  }

  /** Runs `callback` when the deletions of a compaction have been carried out. */
  whenCompacted(job: CompactionJob, callback: () => void): void {
    const paced = this.#compactions.get(job);
    if (paced === undefined) callback();
    else paced.whenDone(callback);
  }

  /** Monotonic milliseconds, on the clock that leases expire by. */
  get nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** An interval lengthened at random by up to a tenth, so that timers of many clients do not fall together. */
  jitter(intervalMs: number): number {
    const random = new DataView(this.#options.entropy.fill(new Uint8Array(4)).buffer).getUint32(0);
    return intervalMs * (1 + random / 2 ** 32 / 10);
  }

  /** Computes the checksum over everything stored, with the revision it was taken at. */
  hash(settle: (hash: number, revision: number) => void): void {
    const startMs = this.nowMs;
    this.whenApplied(() => {
      const { keyspace, membership } = this;
      const { revision } = keyspace.store;
      const steps = hashState({ keyspace, membership, confState: this.#bootstrapped.raft.confState });
      this.runJob({
        step: () => {
          const step = steps.next();
          if (step.done !== true) return "running";
          this.statistics.hashSeconds.observe((this.nowMs - startMs) / 1000);
          settle(step.value, revision);
          return "done";
        },
      });
    });
  }

  /** Hashes the revisions up to `revision`, 0 or less for the newest; gives up, as compacted, once `isCancelled`. */
  hashKv(revision: number, settle: KvHashSettle, isCancelled: () => boolean = () => false): void {
    const { keyspace, statistics } = this;
    const runJob = (job: Job): void => this.runJob(job);
    hashKv({ store: keyspace.store, statistics, runJob, nowMs: () => this.nowMs }, revision, isCancelled, settle);
  }

  /** Raises this member's NOSPACE alarm, and calls back when that is decided. */
  raiseSpaceAlarm(done: () => void): void {
    this.#spaceAlarm.raise(done);
  }

  /** Hands the leadership to the member `target`, and settles when it leads. */
  moveLeader(target: bigint, settle: TransferSettle): void {
    this.#leaderTransfer.begin(target, settle);
  }

  /** The version of the database's schema: it follows the cluster's. Empty as long as that is not known. */
  get storageVersion(): string {
    return storageVersionOf(this.membership.clusterVersion);
  }

  /** Milliseconds for which the disk has not finished a write to the log; 0: it works. */
  get diskStalledMs(): number {
    return this.#diskWatch.stalledMs;
  }

  /** An id for a lease that leaves the choice to the server: positive, unique in the cluster. */
  nextLeaseId(): bigint {
    return this.#ids.nextInt63();
  }

  /**
   * Renews a lease; `settle` gets its TTL in seconds, or 0 when there is no such lease. A lease that has expired but is not
   * yet revoked is waited for, so that nobody is told of a renewal that a revocation undoes. Only the leader can renew.
   */
  renewLease(id: bigint, settle: RenewalSettle): void {
    this.#duties.renewLease(id, settle);
  }

  /** How many seconds a lease has left, negative where it is overdue, as the leader knows. */
  remainingTtl(id: bigint, settle: RenewalSettle): void {
    this.#duties.remainingTtl(id, settle);
  }

  /** See MemberDatabase. */
  openSnapshot(): Promise<PositionedSnapshot> {
    return this.#checkpointer.openSnapshot();
  }

  /** See MemberDatabase. */
  defragment(): Promise<void> {
    return this.#checkpointer.defragment();
  }

  get databaseSize(): number {
    return this.#checkpointer.databaseSize;
  }

  get databaseSizeInUse(): number {
    return this.#checkpointer.databaseSizeInUse;
  }

  /**
   * Fails what is pending, finishes the append in flight and closes the files. Called again, it is the same stop. A leader
   * may hand over before (`handOver`).
   */
  stop(options: StopOptions = {}): Promise<void> {
    return this.#stopping ??= this.#stop(options);
  }

  /**
   * Where this member leads, the voter that has been reachable for the longest time takes over, if there is one. Whatever
   * comes of it is only logged, and not waited for longer than for a request.
   */
  handOver(): Promise<void> {
    const target = this.isLeader ? this.#peers.longestActive(this.#bootstrapped.raft.confState.voters) : undefined;
    if (target === undefined) return Promise.resolve();
    return new Promise((resolve) =>
      this.moveLeader(target, (error) => {
        if (error !== undefined) this.#options.log.warn("leadership transfer failed", { error });
        resolve();
      })
    );
  }

  async #stop({ transfersLeadership = false }: StopOptions): Promise<void> {
    if (transfersLeadership) await this.handOver();
    this.#purges?.cancel();
    this.#removal?.cancel();
    this.#stopDuties();
    await this.#checkpointer.stop();
    const stopped = this.#loop.stop();
    await this.#install.stop();
    await stopped;
    await this.#peers.stop();
    this.#proposals.stop();
    this.#changes.stop();
    this.#promotions.stop();
    this.#appliedWaits.stop();
    this.#reads.failAll("stopped");
    this.#ready.reject(new Error("the member is stopped"));
    await this.#bootstrapped.wal.close();
    await this.#bootstrapped.directory.close();
  }

  /** Whoever starts a member has nothing yet that could tell it of a failure: until then the start itself fails. */
  async #begin(): Promise<void> {
    const failure = new Promise<never>((_, reject) => this.#onFailure = reject);
    try {
      await Promise.race([this.#takeUpWork(), failure]);
    } catch (error) {
      // What closing may find wrong besides is not worth more than the reason.
      await this.stop().catch(() => {});
      throw error;
    }
  }

  async #takeUpWork(): Promise<void> {
    const { raft } = this.#bootstrapped;
    const { clock, tickMs, log, transport } = this.#options;
    this.#ticks = clock.every(tickMs, () => this.#tick());
    // What is committed is applied first: the first entries bring the configuration in which this member may campaign.
    const { commitIndex } = raft;
    this.#loop.wake();
    while (this.#loop.appliedIndex < commitIndex && !this.#loop.isStopped) await this.#nextTurn();
    this.#checkGoesOn();
    this.#onMembership();
    this.#peers.start(this.clusterId, this.#bootstrapped.others);
    if (this.membership.isRemoved(this.id)) this.#onRemoved();
    if (this.#bootstrapped.isRestart) await this.#corruptionChecks.checkAtStart();
    this.#checkGoesOn();
    if (this.#isAlone) {
      log.info("started as single-node; fast-forwarding election ticks", { "local-member-id": idText(this.id) });
      raft.campaign();
      this.#loop.wake();
      // What it acknowledged in an earlier life is known to be committed only then. (If the rest of the log brings other
      // voters, it may take them too: so not for ever.)
      await new Promise<void>((resolve) => this.linearizableRead(() => resolve()));
    } else this.#advanceElection();
    const ready = this.#becomeReady();
    if (transport === undefined) await ready;
    else ready.then(() => this.#ready.resolve(), (error) => this.#ready.reject(error));
    this.#duties.start();
    this.space.start();
    this.#autoCompaction?.start();
    this.#corruptionChecks.start();
    if (this.#bootstrapped.compaction !== undefined) this.#startCompaction(this.#bootstrapped.compaction);
    this.#purges = clock.every(PURGE_INTERVAL_MS, () => void this.#checkpointer.purge());
    await this.#checkpointer.purge();
    this.#onFailure = this.#options.onFatal;
  }

  /** Throws once the start has failed elsewhere: nothing may be begun then that nobody would end. */
  #checkGoesOn(): void {
    if (this.#loop.isStopped) throw new Error("the member is stopped");
  }

  /** Nobody else votes. */
  get #isAlone(): boolean {
    const { voters } = this.#bootstrapped.raft.confState;
    return voters.length === 1 && voters[0] === this.id;
  }

  /** What takes a leader. */
  async #becomeReady(): Promise<void> {
    await this.#publish();
    // A leader decides on the cluster version; for any other member this is at once.
    await new Promise<void>((resolve) => this.versions.start(resolve));
    defragmentAtStart(this, this.#options.bootstrapDefragThresholdSize ?? 0, this.#options.log);
    this.#ready.resolve();
  }

  #tick(): void {
    const { clock } = this.#options;
    this.#loop.tick();
    const now = clock.monotonicMs();
    // After a standstill the tick may come before the messages that tell of another leader.
    if (this.#isLate(now)) this.#standstillCount++;
    this.#lastTickMs = now;
    this.#diskWatch.tick();
    this.#leaderLoss.tick(this.#leader !== NO_MEMBER);
    this.keyspace.watchHub.tick(now);
    const timeoutMs = this.requestTimeoutMs;
    this.#proposals.expire(now, timeoutMs, this.#timeoutError);
    this.#changes.expire(now, timeoutMs, this.#timeoutError);
    this.#appliedWaits.expire(now);
    this.#reads.expire(now, timeoutMs, () => "timeout");
    this.#checkpointer.consider(now);
  }

  /** Why there was no answer in time, as etcd puts it. */
  readonly #timeoutError = (sinceMs: number): MemberError => {
    const { electionTicks, tickMs } = this.#options;
    const previousLostMs = this.#leaderSinceMs - 2 * electionTicks * tickMs;
    if (sinceMs > previousLostMs && sinceMs < this.#leaderSinceMs) return "timeout_leader_failure";
    if (this.#leader === NO_MEMBER) return "timeout";
    const isConnected = this.#leader === this.id
      ? this.#peers.isQuorumActiveSince(sinceMs)
      : this.#peers.isActiveSince(this.#leader, sinceMs);
    return isConnected ? "timeout" : "timeout_connection_lost";
  };

  #onSoftState({ leader }: SoftState): void {
    const { clock, log } = this.#options;
    const { raft } = this.#bootstrapped;
    if (raft.role !== "leader" && this.keyspace.lessor.isPrimary) this.keyspace.lessor.demote();
    if (leader === this.#leader) return;
    log.info(leader === NO_MEMBER ? "raft.node: lost leader" : "raft.node: elected leader", {
      "local-member-id": idText(this.id),
      "leader": idText(leader === NO_MEMBER ? this.#leader : leader),
      "term": raft.term,
    });
    this.#leader = leader;
    if (leader === NO_MEMBER) return;
    this.#leaderSinceMs = clock.monotonicMs();
    this.statistics.leaderChangeCount++;
  }

  #applyConfChange(entry: Entry): void {
    const { raft } = this.#bootstrapped;
    const applied = applyConfChange(this.membership, entry.data);
    const confState = raft.applyConfChange({ type: applied.type as ConfChange["type"], memberId: applied.memberId });
    this.#loop.onConfState(confState);
    if (applied.error === undefined) {
      this.#onMembership();
    } else this.#options.log.error("Validation on configuration change failed", { error: applied.error });
    this.#changes.onApplied(applied);
  }

  #onMembership(): void {
    this.#peers.update();
    this.#isLearner = this.membership.get(this.id)?.isLearner ?? false;
    if (this.membership.isRemoved(this.id)) this.#onRemoved();
  }

  #onRemoved(): void {
    if (this.#removal !== undefined) return;
    this.#options.log.warn("this member was removed from the cluster and is stopping", { "id": idText(this.id) });
    this.#removal = this.#options.clock.after(REMOVAL_DELAY_MS, () => {
      if (!this.#loop.isStopped) this.#fail(new MemberRemovedError());
    });
  }

  #whenCaughtUp(settle: (isCaughtUp: boolean) => void): void {
    const { commitIndex } = this.#bootstrapped.raft;
    this.#appliedWaits.add(commitIndex, this.#loop.appliedIndex, this.nowMs, settle);
  }

  #progressOf(id: bigint): LearnerProgress {
    const { raft } = this.#bootstrapped;
    const own = raft.progress.progressOf(this.id);
    if (!this.#loop.isLeading || own === undefined) return "not_leader";
    const progress = raft.progress.progressOf(id);
    return progress === undefined ? "member_not_found" : progress.match / own.match;
  }

  /**
   * A member that finds others at its start has waited long enough for a leader when a heartbeat or two have passed, as in
   * etcd: it need not wait a whole election timeout before it campaigns.
   */
  #advanceElection(): void {
    const { clock, log, electionTicks } = this.#options;
    if (!(this.#options.advancesInitialElection ?? true)) {
      return log.info("skipping initial election tick advance", { "election-ticks": electionTicks });
    }
    log.info("starting initial election tick advance", { "election-ticks": electionTicks });
    let looks = 0;
    const timer = clock.every(ADVANCE_LOOK_MS, () => {
      const activeCount = this.#peers.activeCount;
      if (activeCount < 2 && ++looks < ADVANCE_LOOKS && !this.#loop.isStopped) return;
      timer.cancel();
      if (activeCount < 2 || this.#loop.isStopped) return;
      log.info("initialized peer connections; fast-forwarding election ticks", {
        "local-member-id": idText(this.id),
        "active-remote-members": activeCount,
      });
      for (let i = 0; i < electionTicks - 2; i++) this.#loop.tick();
    });
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.defer(resolve));
  }

  /** Tells the cluster, and so the log, this member's name and client URLs. */
  async #publish(): Promise<void> {
    const { name, clientUrls, log } = this.#options;
    const request = create(ClusterMemberAttrSetRequestSchema, {
      memberID: this.id,
      memberAttributes: { name, clientUrls: [...clientUrls] },
    });
    const body = toBinary(ClusterMemberAttrSetRequestSchema, request);
    for (;;) {
      // What a snapshot holds of a proposal is never seen to be applied here: waiting on would take the whole timeout.
      const replaced = new Promise<"replaced">((resolve) => this.#publishAgain = () => resolve("replaced"));
      const proposed = this.#proposeOwn(RaftOperation.CLUSTER_MEMBER_ATTR_SET, body);
      const error = await Promise.race([proposed, replaced]);
      if (error === undefined) break;
      if (error === "replaced") continue;
      if (error === "stopped") throw new Error("the member is stopped");
      log.warn("failed to publish local member to cluster through raft", { "local-member-id": idText(this.id), error });
    }
    this.#publishAgain = undefined;
    log.info("published local member to cluster through raft", {
      "local-member-id": idText(this.id),
      "cluster-id": idText(this.clusterId),
      "publish-timeout": formatDuration(this.requestTimeoutMs),
    });
  }

  #isLate(nowMs: number): boolean {
    return nowMs - this.#lastTickMs > ON_TIME_TICKS * this.#options.tickMs;
  }

  /** A linearizable read, which also shows that no standstill before it has made this member a leader of the past. */
  #confirm(callback: Read): void {
    const count = this.#standstillCount;
    this.linearizableRead((error) => {
      if (error === undefined) this.#standstillsConfirmed = count;
      callback(error);
    });
  }

  #proposeAsLeader(operation: number, body: Uint8Array): void {
    this.#loop.proposeAsLeader(encodeRaftRequest(operation, body, this.#ids.next()));
  }

  #proposeOwn(operation: number, body: Uint8Array): Promise<MemberError | undefined> {
    return new Promise((resolve) => this.propose(operation, body, (_outcome, error) => resolve(error)));
  }

  #startCompaction(job: CompactionJob): void {
    const { clock, log, compactionBatchLimit, compactionSleepMs } = this.#options;
    const paced = new PacedCompaction(job, {
      clock,
      batchLimit: compactionBatchLimit,
      sleepMs: compactionSleepMs,
      onStep: (durationMs) => this.statistics.compactionPauseMs.observe(durationMs),
      wake: () => this.#retryJobs(),
    });
    this.#compactions.set(job, paced);
    const startMs = clock.monotonicMs();
    paced.whenDone(() => {
      this.#compactions.delete(job);
      const { statistics } = this;
      statistics.compactionTotalMs.observe(clock.monotonicMs() - startMs);
      statistics.compactedCount += job.removedCount;
      statistics.lastCompactionMs = clock.wallMs();
      log.info("finished scheduled compaction", {
        "compact-revision": job.revision,
        took: formatDuration(clock.monotonicMs() - startMs),
        "number-of-keys-compacted": job.removedCount,
        hash: job.hash,
        "current-db-size-bytes": this.databaseSize,
        "current-db-size": formatSize(this.databaseSize),
        "current-db-size-in-use-bytes": this.databaseSizeInUse,
        "current-db-size-in-use": formatSize(this.databaseSizeInUse),
      });
    });
    this.runJob(paced);
  }

  #retryJobs(): void {
    this.#loop.jobs.retryWaiting();
    this.#loop.wake();
  }

  /** Brings slow watchers forward a step and hands every stream's owner what it may send. True: some are still behind. */
  #serveWatchers(): boolean {
    const { watchHub } = this.keyspace;
    if (watchHub.hasWork) watchHub.step(JOB_STEP_BUDGET);
    watchHub.flush();
    return watchHub.hasWork;
  }

  #onLeading(): void {
    const { clock, electionTicks, tickMs } = this.#options;
    const now = clock.monotonicMs();
    this.keyspace.lessor.promote(now, electionTicks * tickMs);
    // What was asked of this leader before its first commit may have been lost.
    this.#reads.askAgain(now);
    this.versions.consider();
  }

  #warnOfSlowApply(operation: number, body: Uint8Array, outcome: Outcome, durationMs: number): void {
    let size = 0;
    for (const part of outcome.body) size += part instanceof Uint8Array ? part.length : part.size;
    this.#options.log.warn("apply request took too long", {
      took: formatDuration(durationMs),
      "expected-duration": formatDuration(this.#options.warningApplyMs),
      prefix: "",
      request: `${OPERATION_NAMES[operation] ?? `operation ${operation}`} of ${body.length} bytes`,
      response: `size:${size}`,
      ...(outcome.error === undefined ? {} : { error: outcome.error }),
    });
  }

  #fail(reason: Error): void {
    // Nothing is settled: whether what is pending reached the disk is not known, and the process ends.
    this.#stopDuties();
    this.#onFailure(reason);
  }

  /** Everything that a timer starts. */
  #stopDuties(): void {
    this.#ticks?.cancel();
    this.#duties.stop();
    this.space.stop();
    this.#autoCompaction?.stop();
    this.versions.stop();
    this.#leaderTransfer.stop();
    this.#corruptionChecks.stop();
  }
}

/** A member is on time if its last tick is no longer ago than so many ticks (etcd's figure). */
const ON_TIME_TICKS = 3;

/** etcd looks every 50 ms, for 5 s, whether it can reach others. */
const ADVANCE_LOOK_MS = 50;
const ADVANCE_LOOKS = 100;

/** A renewal may have waited for it. */
function isOfLeases(operation: number): boolean {
  return operation === RaftOperation.LEASE_REVOKE || operation === RaftOperation.LEASE_GRANT ||
    operation === RaftOperation.LEASE_CHECKPOINT;
}

function newKeyspace(options: MemberOptions): Keyspace {
  return new Keyspace({
    electionTimeoutMs: options.electionTicks * options.tickMs,
    slabSize: options.slabSize,
    revokeRetryMs: requestTimeoutMs(options),
    hashSeed: new DataView(options.entropy.fill(new Uint8Array(4)).buffer).getUint32(0),
    quotaBackendBytes: options.quotaBackendBytes,
    leaseCheckpointIntervalMs: options.leaseCheckpointIntervalMs,
  });
}

function newMembership({ learnersMax }: MemberOptions): Membership {
  return new Membership({ learnersMax });
}
