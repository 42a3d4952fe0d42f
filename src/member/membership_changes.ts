/**
 * Changes of the membership that somebody asked this member for: checked, proposed as etcd's conf changes, settled when
 * they are applied here.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { AppliedConfChange } from "../apply/mod.ts";
import { EMPTY_BYTES, utf8 } from "../base/bytes.ts";
import { MEMBERSHIP_CHANGES_MAX } from "../base/limits.ts";
import { ConfChangeSchema, ConfChangeType } from "../gen/raftpb/raft_pb.ts";
import type { Logger } from "../io/log.ts";
import {
  bootstrapMemberId,
  type ChangeError,
  ChangeType,
  idText,
  type Member,
  memberJson,
  promotionJson,
  type Sha1,
} from "../membership/mod.ts";
import type { RequestId } from "../wire/mod.ts";
import type { MemberError } from "./proposals.ts";
import { ReconfigurationChecks, type ReconfigurationChecksParts } from "./reconfiguration_checks.ts";

/** Why a change is not made, besides what may befall any request. */
export type ReconfigurationError =
  | ChangeError
  /** The learner has not caught up with the leader yet. */
  | "learner_not_ready"
  /** Only the leader knows whether a learner is ready. */
  | "not_leader"
  /** There would be no quorum of voters that have ever started. */
  | "not_enough_started_members"
  /** So few voters have been within reach for a while that the change might leave no quorum. */
  | "unhealthy_cluster"
  /** This member has much to apply before it can judge. */
  | "timeout_applied_index";

/** Called exactly once: with the members after the change, or with the reason why it was not made. */
export type ReconfigurationSettle = (
  members: readonly Member[] | undefined,
  error: ReconfigurationError | MemberError | undefined,
) => void;

export interface MembershipChangesParts extends ReconfigurationChecksParts {
  readonly log: Logger;
  readonly sha1: Sha1;
  readonly nextId: () => RequestId;
  readonly wallMs: () => number;
  /** Settles once the state holds what is committed by now, or with false where that takes too long. */
  readonly whenCaughtUp: (settle: (isCaughtUp: boolean) => void) => void;
  /** Asks for a turn. */
  readonly wake: () => void;
}

interface Pending {
  readonly settle: ReconfigurationSettle;
  readonly sinceMs: number;
}

interface Change {
  /** A ChangeType. */
  readonly type: number;
  readonly memberId: bigint;
  readonly context: Uint8Array;
}

export class MembershipChanges {
  readonly #parts: MembershipChangesParts;
  readonly #checks: ReconfigurationChecks;
  /** By request id, the oldest first. */
  readonly #pending = new Map<bigint, Pending>();
  #queue: { readonly id: bigint; readonly data: Uint8Array }[] = [];
  #isStopped = false;

  constructor(parts: MembershipChangesParts) {
    this.#parts = parts;
    this.#checks = new ReconfigurationChecks(parts);
  }

  /** Gives a new member an id, and proposes it. */
  add(peerUrls: readonly string[], isLearner: boolean, settle: ReconfigurationSettle): bigint {
    const { sha1, wallMs } = this.#parts;
    const id = bootstrapMemberId(peerUrls, String(Math.floor(wallMs() / 1000)), sha1);
    const member = { id, name: "", peerUrls: [...peerUrls].sort(), clientUrls: [], isLearner };
    const error = this.#checks.whyNotAdd(isLearner);
    if (error !== undefined) {
      this.#reject("add", error, { "requested-member-add": memberJson(member) });
      settle(undefined, error);
      return id;
    }
    const type = isLearner ? ChangeType.ADD_LEARNER_NODE : ChangeType.ADD_NODE;
    this.#propose({ type, memberId: id, context: utf8(memberJson(member)) }, settle);
    return id;
  }

  /** Only a leader can: elsewhere it is not made because of "not_leader". */
  promote(id: bigint, settle: ReconfigurationSettle): void {
    this.#parts.whenCaughtUp((isCaughtUp) => {
      if (!isCaughtUp) return settle(undefined, "timeout_applied_index");
      const error = this.#checks.whyNotPromote(id);
      if (error !== undefined) {
        if (error !== "not_leader") this.#reject("promote", error, { "requested-member-promote-id": idText(id) });
        return settle(undefined, error);
      }
      this.#propose({ type: ChangeType.ADD_NODE, memberId: id, context: utf8(promotionJson(id)) }, settle);
    });
  }

  update(id: bigint, peerUrls: readonly string[], settle: ReconfigurationSettle): void {
    const context = utf8(memberJson({ id, name: "", peerUrls, clientUrls: [], isLearner: false }));
    this.#propose({ type: ChangeType.UPDATE_NODE, memberId: id, context }, settle);
  }

  remove(id: bigint, settle: ReconfigurationSettle): void {
    const error = this.#checks.whyNotRemove(id);
    if (error !== undefined) {
      this.#reject("remove", error, { "requested-member-remove-id": idText(id) });
      return settle(undefined, error);
    }
    this.#propose({ type: ChangeType.REMOVE_NODE, memberId: id, context: EMPTY_BYTES }, settle);
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

  #reject(what: string, error: ReconfigurationError, fields: Readonly<Record<string, string>>): void {
    const { log, memberId } = this.#parts;
    log.warn(`rejecting member ${what} request`, { "local-member-id": idText(memberId), ...fields, error });
  }

  #propose(change: Change, settle: ReconfigurationSettle): void {
    if (this.#isStopped) return settle(undefined, "stopped");
    if (this.#pending.size >= MEMBERSHIP_CHANGES_MAX) return settle(undefined, "too_many_requests");
    const { nextId, nowMs, wake } = this.#parts;
    const { member, sequence } = nextId();
    const id = (BigInt(member) << 48n) | BigInt(sequence);
    const { type, memberId: nodeId, context } = change;
    const data = toBinary(
      ConfChangeSchema,
      create(ConfChangeSchema, { id, type: type as ConfChangeType, nodeId, context }),
    );
    this.#pending.set(id, {
      settle: (members, error) => this.#settle(change, settle, members, error),
      sinceMs: nowMs(),
    });
    this.#queue.push({ id, data });
    wake();
  }

  #settle(
    { type, memberId }: Change,
    settle: ReconfigurationSettle,
    ...result: Parameters<ReconfigurationSettle>
  ): void {
    const [members, error] = result;
    if (members !== undefined) {
      this.#parts.log.info("applied a configuration change through raft", {
        "local-member-id": idText(this.#parts.memberId),
        "raft-conf-change": ConfChangeType[type],
        "raft-conf-change-node-id": idText(memberId),
      });
    }
    settle(members, error);
  }
}
