import type { Clock } from "../io/clock.ts";
import type { Crypto } from "../io/crypto.ts";
import type { Disk } from "../io/disk.ts";
import type { Entropy } from "../io/entropy.ts";
import type { Logger } from "../io/log.ts";
import type { Member as ClusterMember } from "../membership/mod.ts";
import type { Transport } from "../peer/mod.ts";
import type { CorruptionOptions } from "./corruption.ts";
import type { CompactionRetention } from "./auto_compaction.ts";

/** One of the members that a new cluster begins with. */
export interface InitialMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** A cluster that is there already, as its members told: this member is one of them. */
export interface ExistingCluster {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly members: readonly ClusterMember[];
}

/** How a member without a log comes to its cluster: it begins with it, or joins it. */
export type ClusterOrigin = { readonly initial: readonly InitialMember[] } | { readonly existing: ExistingCluster };

/** What a member needs of its machine and its operator. Durations in milliseconds. */
export interface MemberOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly log: Logger;

  readonly name: string;
  readonly dataDirectory: string;
  /** Empty: inside the data directory. */
  readonly walDirectory: string;
  /** Bytes preallocated per segment of the log. Default: etcd's 64,000,000. */
  readonly walSegmentSize?: number;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly clusterToken: string;

  /** The way to other members. Default: none, this member is alone for ever. */
  readonly transport?: Transport;
  /**
   * Called once where the log holds nothing yet: among the members of a new cluster, this one is found by its name. A
   * rejection ends the start. Default: this member begins a cluster of its own.
   */
  readonly origin?: () => Promise<ClusterOrigin>;
  /** What is in the log and not committed is given up, and all other members with it: this one goes on alone. */
  readonly forcesNewCluster?: boolean;
  /** Ask before an election whether it could be won. Default: true, as etcd's. */
  readonly preVote?: boolean;
  /** A member that finds the others at its start does not wait a whole election timeout. Default: true, as etcd's. */
  readonly advancesInitialElection?: boolean;
  /** Changes of the membership that would lose the quorum are refused. Default: true, as etcd's. */
  readonly strictReconfigCheck?: boolean;
  /** How many learners there may be. Default: 1. */
  readonly learnersMax?: number;

  readonly tickMs: number;
  readonly electionTicks: number;
  /** Applied entries that stay in memory for followers to catch up from. */
  readonly snapshotCatchUpEntries: number;
  /** Entries applied between two checkpoints, at least; how much more depends on what they wrote. */
  readonly snapshotCount: number;
  /** Bytes of log after which that many entries are worth a checkpoint. Default: CHECKPOINT_LOG_SIZE. */
  readonly checkpointLogSize?: number;
  /** Bytes of memory that the store takes at a time. Default: SLAB_SIZE. */
  readonly slabSize?: number;
  /** Segments of the log, and snapshot files, that are kept; 0: all. */
  readonly walsMax: number;
  readonly snapshotsMax: number;
  /** Largest encoded request that may enter the log, in bytes. */
  readonly requestSizeMax: number;
  /** Entries that take longer to apply are logged; 0 never. */
  readonly warningApplyMs: number;
  /** History rows removed in one step of a compaction, and the pause after it; 0: the defaults. */
  readonly compactionBatchLimit: number;
  readonly compactionSleepMs: number;

  /** Milliseconds between records in the log of what is left of long leases; the same on all members. Default: never. */
  readonly leaseCheckpointIntervalMs?: number;
  /** How the members are compared with one another. Default: they are not. */
  readonly corruptionChecks?: CorruptionOptions;

  /** Bytes that may be stored: 0, the default, for 2 GiB, negative for no bound. */
  readonly quotaBackendBytes?: number;
  /** This member's NOSPACE alarm is cleared once there is room again. Default: false, as only an operator clears etcd's. */
  readonly clearsSpaceAlarm?: boolean;
  /** History that automatic compaction keeps. Default: it is off. */
  readonly compactionRetention?: CompactionRetention;
  /** Bytes that a start must be able to free for it to write the database file anew; 0, the default: it never does. */
  readonly bootstrapDefragThresholdSize?: number;
  /** Time between looks at a running downgrade; 0: never. Default: etcd's 5 s. */
  readonly downgradeCheckMs?: number;

  /** The member cannot go on (a failed append, a broken invariant): nothing more may be acknowledged. */
  readonly onFatal: (reason: Error) => void;
}

/** How long etcd waits for a proposal or a leader: 5 s, and two elections on top. */
export function requestTimeoutMs(options: MemberOptions): number {
  return 5000 + 2 * options.electionTicks * options.tickMs;
}
