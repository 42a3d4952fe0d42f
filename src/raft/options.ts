import { RAFT_INFLIGHT_MESSAGES_MAX, RAFT_MESSAGE_SIZE_MAX } from "../base/limits.ts";
import { assert } from "../base/assert.ts";
import type { RaftLog } from "./log.ts";
import type { ConfState, HardState } from "./types.ts";

export interface RaftOptions {
  /** This member. */
  readonly id: bigint;
  /** What the log on disk ended with; all of it durable. */
  readonly log: RaftLog;
  readonly hardState: HardState;
  readonly confState: ConfState;
  /** The last entry that the state machine already holds. */
  readonly applied: number;
  /** A random integer from 0 to `limit` - 1. Members of a group must not draw the same numbers, or no election is won. */
  readonly random: (limit: number) => number;

  /** Ticks without a leader after which a voter campaigns; each time between this and twice as many, at random. */
  readonly electionTicks: number;
  /** Ticks between two heartbeats. Default 1, as in etcd. */
  readonly heartbeatTicks?: number;
  /** Ask first whether an election could be won, so that a member that was cut off disturbs no one. Default: no. */
  readonly preVote?: boolean;
  /** A leader that a quorum does not answer steps down; votes are refused while a leader is heard of. Default: no. */
  readonly checkQuorum?: boolean;
  /**
   * How a leader makes sure that it still leads before it answers a read: "safe" asks a quorum, "lease" trusts the clocks
   * and needs `checkQuorum`. Default "safe".
   */
  readonly readMode?: "safe" | "lease";
  /** A leader that is removed, or made a learner, steps down at once. Default: no, it leads until another is elected. */
  readonly stepDownOnRemoval?: boolean;
  /** Followers pass proposals on to their leader. Default: yes. */
  readonly forwardsProposals?: boolean;
  /**
   * A leader refuses a membership change while another is not applied yet, and one that does not fit the configuration.
   * Default: yes. Without, the application has to know that the change is possible when it is applied.
   */
  readonly checksConfChanges?: boolean;
  /**
   * Committed entries are handed out before they are durable here: only for a driver that makes the entries of each Ready
   * durable before it applies the committed ones of the same Ready, and takes no other Ready in between. Default: no.
   */
  readonly appliesBeforeDurable?: boolean;

  /** Most bytes of committed entries handed out and not yet applied (at least one entry is). */
  readonly committedSizeMax: number;
  /** Most bytes of entries in one message (at least one entry is sent). Default: `RAFT_MESSAGE_SIZE_MAX`. */
  readonly messageSizeMax?: number;
  /** Most bytes of data proposed and not yet applied (one proposal always fits). Default: no limit. */
  readonly uncommittedSizeMax?: number;
  /** Most appends on their way to one member. Default: `RAFT_INFLIGHT_MESSAGES_MAX`. */
  readonly inflightMessagesMax?: number;
  /** Most bytes of entries on their way to one member, after which one more append is sent. Default 0: no limit. */
  readonly inflightBytesMax?: number;
}

export type Settings = Required<RaftOptions>;

/** The options with their defaults. */
export function completeOptions(options: RaftOptions): Settings {
  const settings = {
    heartbeatTicks: 1,
    preVote: false,
    checkQuorum: false,
    readMode: "safe" as const,
    stepDownOnRemoval: false,
    forwardsProposals: true,
    checksConfChanges: true,
    appliesBeforeDurable: false,
    messageSizeMax: RAFT_MESSAGE_SIZE_MAX,
    uncommittedSizeMax: Infinity,
    inflightMessagesMax: RAFT_INFLIGHT_MESSAGES_MAX,
    inflightBytesMax: 0,
    ...options,
  };
  assert(settings.id !== 0n, "a member has an id");
  assert(settings.heartbeatTicks > 0, "there is time between heartbeats");
  assert(settings.electionTicks > settings.heartbeatTicks, "several heartbeats fit into an election timeout");
  assert(settings.committedSizeMax > 0, "something can be handed out");
  assert(settings.inflightMessagesMax > 0, "something can be sent");
  assert(settings.readMode === "safe" || settings.checkQuorum, "a lease is kept by checking the quorum");
  return settings;
}
