import { create, toBinary } from "@bufbuild/protobuf";
import { Applier, type Outcome } from "../apply/mod.ts";
import { assert } from "../base/assert.ts";
import { JOB_STEP_BUDGET, PURGE_INTERVAL_MS } from "../base/limits.ts";
import { formatDuration } from "../base/duration.ts";
import { formatSize } from "../base/size.ts";
import { ETCD_VERSION } from "../base/version.ts";
import { ClusterMemberAttrSetRequestSchema } from "../gen/membershippb/membership_pb.ts";
import type { Timer } from "../io/clock.ts";
import { Keyspace } from "../keyspace/mod.ts";
import { idText, Membership } from "../membership/mod.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import { HeaderIdentity, RaftOperation } from "../wire/mod.ts";
import { type AutoCompaction, autoCompaction } from "./auto_compaction.ts";
import { applyConfChange, bootstrap, type Bootstrapped } from "./bootstrap.ts";
import { storageVersionOf } from "./buckets.ts";
import { PacedCompaction } from "./compaction.ts";
import { defragmentAtStart } from "./bootstrap_defragment.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { DatabaseSnapshot, MemberDatabase } from "./database_snapshot.ts";
import { Duties, type DutiesParts } from "./duties.ts";
import type { Job } from "./jobs.ts";
import { LeaderTransfer, type TransferSettle } from "./leader_transfer.ts";
import { Loop } from "./loop.ts";
import { type MemberOptions, requestTimeoutMs } from "./options.ts";
import { PendingReads, type Read } from "./pending_reads.ts";
import { Proposals, type Settle } from "./proposals.ts";
import { RequestIds } from "./request_ids.ts";
import { logQuota } from "./quota_log.ts";
import { Statistics } from "./statistics.ts";
import { SpaceAlarm } from "./space_alarm.ts";
import { SpaceMonitor } from "./space_monitor.ts";
import { hashState } from "./state_hash.ts";
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
  readonly #reads = new PendingReads();
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
  readonly #compactions = new Map<CompactionJob, PacedCompaction>();
  #ticks: Timer | undefined;
  #purges: Timer | undefined;
  #onFailure: (reason: Error) => void = () => {};

  private constructor(
    options: MemberOptions,
    bootstrapped: Bootstrapped,
    applier: Applier,
    keyspace: Keyspace,
    membership: Membership,
  ) {
    const { clock, log } = options;
    const { raft } = bootstrapped;
    const isLeader = (): boolean => raft.role === "leader";
    const propose: DutiesParts["propose"] = (operation, body, settle) => this.propose(operation, body, settle);
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
    this.#loop = new Loop({
      clock,
      raft: bootstrapped.raft,
      wal: bootstrapped.wal,
      applier,
      proposals: this.#proposals,
      replayEndIndex: bootstrapped.raft.log.lastIndex,
      snapshotCatchUpEntries: options.snapshotCatchUpEntries,
      applyConfChange: (entry) =>
        void applyConfChange(entry, membership, (change) => bootstrapped.raft.applyConfChange(change)),
      publish: (firstRow, endRow) => keyspace.watchHub.publish(firstRow, endRow),
      serveWatchers: () => this.#serveWatchers(),
      startCompaction: (job) => this.#startCompaction(job),
      onLeading: () => this.#onLeading(),
      onApplied: (operation, body, outcome, durationMs) => {
        if (outcome.error === undefined) {
          if (operation === RaftOperation.LEASE_GRANT) this.statistics.leasesGrantedCount++;
          else if (operation === RaftOperation.LEASE_REVOKE) this.statistics.leasesRevokedCount++;
        }
        if (durationMs > options.warningApplyMs && options.warningApplyMs > 0) {
          this.#warnOfSlowApply(operation, body, outcome, durationMs);
        }
      },
      onProgress: (nowMs) => this.#checkpointer.consider(nowMs),
      onNoSpace: (done) => this.#spaceAlarm.onExceeded(done),
      onFatal: (reason) => this.#fail(reason),
    });
    this.#checkpointer = new Checkpointer({
      options,
      memberId: this.id,
      keyspace,
      membership,
      raft: bootstrapped.raft,
      wal: bootstrapped.wal,
      directory: bootstrapped.directory,
      state: bootstrapped.checkpoint,
      whenApplied: (callback) => this.whenApplied(callback),
      onReleased: () => this.#retryJobs(),
      recordSnapshot: (snapshot) => this.#loop.recordSnapshot(snapshot),
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
      memberVersions: () => [ETCD_VERSION],
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
    this.#duties = new Duties({ clock, keyspace, isLeader: () => raft.canReadAlone, propose });
  }

  /** Opens or creates the data directory, replays the log, and returns once this member leads and has published itself. */
  static async start(options: MemberOptions): Promise<Member> {
    const membership = new Membership();
    const keyspace = new Keyspace({
      electionTimeoutMs: options.electionTicks * options.tickMs,
      revokeRetryMs: requestTimeoutMs(options),
      hashSeed: new DataView(options.entropy.fill(new Uint8Array(4)).buffer).getUint32(0),
      quotaBackendBytes: options.quotaBackendBytes,
    });
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
      appliedIndex: raft.appliedIndex,
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
    const unapplied = raft.commitIndex - raft.appliedIndex;
    this.#proposals.add(operation, body, unapplied, this.#options.clock.monotonicMs(), settle);
    this.#loop.wake();
  }

  /** A linearizable read would be called back at once. */
  get isReadable(): boolean {
    return this.#bootstrapped.raft.canReadAlone;
  }

  /** Calls `read` once the applied state is as new as every write acknowledged before this call: usually at once. */
  linearizableRead(read: Read): void {
    if (this.isReadable) read(undefined);
    else this.#reads.add(read, this.#options.clock.monotonicMs());
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

  /** An id for a lease that leaves the choice to the server: positive, unique in the cluster. */
  nextLeaseId(): bigint {
    return this.#ids.nextInt63();
  }

  /**
   * Renews a lease; `settle` gets its TTL in seconds, or 0 when there is no such lease. A lease that has expired but is not
   * yet revoked is waited for, so that nobody is told of a renewal that a revocation undoes.
   */
  renewLease(id: bigint, settle: (ttl: number) => void): void {
    this.#duties.renewLease(id, settle);
  }

  /** See MemberDatabase. */
  openSnapshot(): Promise<DatabaseSnapshot> {
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

  /** Fails what is pending, finishes the append in flight and closes the files. */
  async stop(): Promise<void> {
    this.#purges?.cancel();
    await this.#checkpointer.stop();
    this.#stopDuties();
    await this.#loop.stop();
    this.#proposals.stop();
    this.#reads.release("stopped");
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
    const { clock, tickMs, log } = this.#options;
    this.#ticks = clock.every(tickMs, () => {
      this.#loop.tick();
      const now = clock.monotonicMs();
      this.keyspace.watchHub.tick(now);
      this.#proposals.expire(now, this.requestTimeoutMs);
      this.#reads.expire(now, this.requestTimeoutMs);
      this.#checkpointer.consider(now);
    });
    // Entry 1 brings the configuration in which this member may campaign; nobody else could win.
    this.#loop.wake();
    log.info("started as single-node; fast-forwarding election ticks", { "local-member-id": idText(this.id) });
    while (!raft.confState.voters.includes(this.id) && !this.#loop.isStopped) await this.#nextTurn();
    raft.campaign();
    this.#loop.wake();
    await new Promise<void>((resolve) => this.linearizableRead(() => resolve()));
    await this.#publish();
    await new Promise<void>((resolve) => this.versions.start(resolve));
    this.#duties.start();
    this.space.start();
    this.#autoCompaction?.start();
    defragmentAtStart(this, this.#options.bootstrapDefragThresholdSize ?? 0, log);
    if (this.#bootstrapped.compaction !== undefined) this.#startCompaction(this.#bootstrapped.compaction);
    this.#loop.wake();
    this.#purges = clock.every(PURGE_INTERVAL_MS, () => void this.#checkpointer.purge());
    await this.#checkpointer.purge();
    this.#onFailure = this.#options.onFatal;
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.defer(resolve));
  }

  /** Tells the cluster, and so the log, this member's name and client URLs. */
  async #publish(): Promise<void> {
    const { name, clientUrls, log } = this.#options;
    await this.#proposeOwn(
      RaftOperation.CLUSTER_MEMBER_ATTR_SET,
      toBinary(
        ClusterMemberAttrSetRequestSchema,
        create(ClusterMemberAttrSetRequestSchema, {
          memberID: this.id,
          memberAttributes: { name, clientUrls: [...clientUrls] },
        }),
      ),
    );
    log.info("published local member to cluster through raft", {
      "local-member-id": idText(this.id),
      "cluster-id": idText(this.clusterId),
      "publish-timeout": formatDuration(this.requestTimeoutMs),
    });
  }

  #proposeOwn(operation: number, body: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) =>
      this.propose(operation, body, (_outcome, error) => error === undefined ? resolve() : reject(new Error(error)))
    );
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
    this.#loop.jobs.add(paced);
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
    assert(this.#bootstrapped.raft.canReadAlone, "a single voter that leads can read alone");
    this.keyspace.lessor.promote(clock.monotonicMs(), electionTicks * tickMs);
    this.#reads.release(undefined);
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
  }
}
