/**
 * Changes of the membership that somebody asked this member for: proposed as etcd's conf changes, settled when they are
 * applied here.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { AppliedConfChange } from "../apply/mod.ts";
import { utf8 } from "../base/bytes.ts";
import { MEMBERSHIP_CHANGES_MAX } from "../base/limits.ts";
import { ConfChangeSchema, type ConfChangeType } from "../gen/raftpb/raft_pb.ts";
import {
  bootstrapMemberId,
  changeContextJson,
  type ChangeError,
  ChangeType,
  type Member,
  memberJson,
  type Membership,
  type Sha1,
} from "../membership/mod.ts";
import type { RequestId } from "../wire/mod.ts";
import type { MemberError } from "./proposals.ts";

/** Why a change is not made, besides what may befall any request. */
export type ReconfigurationError =
  | ChangeError
  /** The learner has not caught up with the leader yet. */
  | "learner_not_ready"
  /** Only the leader knows whether a learner is ready. */
  | "not_leader"
  /** Without this member there would be none that votes. */
  | "not_enough_started_members";

/** Called exactly once: with the members after the change, or with the reason why it was not made. */
export type ReconfigurationSettle = (
  members: readonly Member[] | undefined,
  error: ReconfigurationError | MemberError | undefined,
) => void;

export interface MembershipChangesParts {
  readonly membership: Membership;
  readonly sha1: Sha1;
  readonly nextId: () => RequestId;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  /** How far a learner is, as a part of the leader's log: undefined where this member does not lead. */
  readonly learnerProgress: (id: bigint) => number | undefined;
  /** Asks for a turn. */
  readonly wake: () => void;
}

interface Pending {
  readonly settle: ReconfigurationSettle;
  readonly sinceMs: number;
}

/** A learner that has so much of the leader's log may vote (etcd's figure). */
const READY_PROGRESS = 0.9;

export class MembershipChanges {
  readonly #parts: MembershipChangesParts;
  /** By request id, the oldest first. */
  readonly #pending = new Map<bigint, Pending>();
  #queue: { readonly id: bigint; readonly data: Uint8Array }[] = [];
  #isStopped = false;

  constructor(parts: MembershipChangesParts) {
    this.#parts = parts;
  }

  /** Gives a new member an id, and proposes it. */
  add(peerUrls: readonly string[], isLearner: boolean, settle: ReconfigurationSettle): bigint {
    const { sha1, wallMs } = this.#parts;
    const id = bootstrapMemberId(peerUrls, String(Math.floor(wallMs() / 1000)), sha1);
    const member = { id, name: "", peerUrls: [...peerUrls].sort(), clientUrls: [], isLearner };
    const type = isLearner ? ChangeType.ADD_LEARNER_NODE : ChangeType.ADD_NODE;
    this.#propose(type, id, changeContextJson(member, false), settle);
    return id;
  }

  promote(id: bigint, settle: ReconfigurationSettle): void {
    const { membership, learnerProgress } = this.#parts;
    const member = membership.get(id);
    if (member === undefined) return settle(undefined, "member_not_found");
    if (!member.isLearner) return settle(undefined, "member_not_learner");
    const progress = learnerProgress(id);
    if (progress === undefined) return settle(undefined, "not_leader");
    if (progress < READY_PROGRESS) return settle(undefined, "learner_not_ready");
    this.#propose(ChangeType.ADD_NODE, id, changeContextJson({ ...member, isLearner: false }, true), settle);
  }

  update(id: bigint, peerUrls: readonly string[], settle: ReconfigurationSettle): void {
    const member = { id, name: "", peerUrls, clientUrls: [], isLearner: false };
    this.#propose(ChangeType.UPDATE_NODE, id, memberJson(member), settle);
  }

  remove(id: bigint, settle: ReconfigurationSettle): void {
    const voters = this.#parts.membership.list().filter(({ isLearner }) => !isLearner);
    if (voters.length === 1 && voters[0].id === id) return settle(undefined, "not_enough_started_members");
    this.#propose(ChangeType.REMOVE_NODE, id, "", settle);
  }

  /** Hands out everything queued; what `propose` returns false for stays in the queue. */
  drain(propose: (data: Uint8Array) => boolean): void {
    if (this.#queue.length === 0) return;
    // Whoever has been told that it took too long may have asked for something else since.
    const wanted = this.#queue.filter(({ id }) => this.#pending.has(id));
    this.#queue = wanted.filter(({ data }) => !propose(data));
  }

  /** A change was applied, or refused when it came to that. */
  onApplied({ requestId, error }: AppliedConfChange): void {
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return;
    this.#pending.delete(requestId);
    if (error !== undefined) pending.settle(undefined, error);
    else pending.settle(this.#parts.membership.list(), undefined);
  }

  /** As Proposals.expire. */
  expire(nowMs: number, timeoutMs: number, error: (sinceMs: number) => MemberError): void {
    for (const [id, { settle, sinceMs }] of this.#pending) {
      if (nowMs - sinceMs < timeoutMs) return;
      this.#pending.delete(id);
      settle(undefined, error(sinceMs));
    }
  }

  stop(): void {
    this.#isStopped = true;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { settle } of pending) settle(undefined, "stopped");
  }

  #propose(type: number, memberId: bigint, context: string, settle: ReconfigurationSettle): void {
    if (this.#isStopped) return settle(undefined, "stopped");
    if (this.#pending.size >= MEMBERSHIP_CHANGES_MAX) return settle(undefined, "too_many_requests");
    const { nextId, nowMs, wake } = this.#parts;
    const { member, sequence } = nextId();
    const id = (BigInt(member) << 48n) | BigInt(sequence);
    const change = create(ConfChangeSchema, {
      id,
      type: type as ConfChangeType,
      nodeId: memberId,
      context: utf8(context),
    });
    this.#pending.set(id, { settle, sinceMs: nowMs() });
    this.#queue.push({ id, data: toBinary(ConfChangeSchema, change) });
    wake();
  }
}
