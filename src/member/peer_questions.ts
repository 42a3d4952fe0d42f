/**
 * What this member asks another outside of raft. The paths, bodies and codes are those of etcd's peer port (frozen), so
 * that it does not matter which program answers.
 */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES, utf8Text } from "../base/bytes.ts";
import { LeaseKeepAliveRequestSchema, LeaseKeepAliveResponseSchema } from "../gen/etcdserverpb/lease_pb.ts";
import { LeaseInternalRequestSchema, LeaseInternalResponseSchema } from "../gen/leasepb/lease_pb.ts";
import { type Member, membersFromJson } from "../membership/mod.ts";
import type { Answer, Question, Transport } from "../peer/mod.ts";
import { NO_MEMBER } from "../raft/mod.ts";
import type { KvHash, PeerHashError } from "./corruption.ts";
import { hashKvQuestion, readHashKv } from "./peer_hash.ts";
import { PROMOTION_TEXTS } from "./peer_texts.ts";

export const LEASES_PATH = "/leases";
export const LEASES_INTERNAL_PATH = "/leases/internal";
/** Followed by the member's id in decimal. */
export const PROMOTE_PATH = "/members/promote/";
export const PROTOBUF_TYPE = "application/protobuf";
export const JSON_TYPE = "application/json";

/** An answer that would come later than this is of no use to who waits for it. */
const LEASE_ASK_TIMEOUT_MS = 1000;

/** What the leader says to a promotion: the members after it, or why it is not made. */
export type PromotionAnswer = readonly Member[] | keyof typeof PROMOTION_TEXTS;

export interface PeerQuestionsParts {
  /** Undefined: there is no way to others. */
  readonly transport: Transport | undefined;
  readonly memberId: bigint;
  readonly requestTimeoutMs: number;
}

/** Everything here resolves to undefined where there is no answer, or none that makes sense; nothing rejects. */
export class PeerQuestions {
  readonly #parts: PeerQuestionsParts;

  constructor(parts: PeerQuestionsParts) {
    this.#parts = parts;
  }

  /** Asks a member, as the leader, to renew a lease: its TTL in seconds, 0 where there is no such lease. */
  async renewLease(to: bigint, ID: bigint): Promise<number | undefined> {
    const body = toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID }));
    const answer = await this.#askForLease(to, LEASES_PATH, body);
    if (answer?.status === 404) return 0;
    const response = read(LeaseKeepAliveResponseSchema, answer);
    return response?.ID === ID ? Number(response.TTL) : undefined;
  }

  /** Asks a member, as the leader, how many seconds a lease has left: negative where there is no such lease. */
  async remainingTtl(to: bigint, ID: bigint): Promise<number | undefined> {
    const request = create(LeaseInternalRequestSchema, { LeaseTimeToLiveRequest: { ID } });
    const answer = await this.#askForLease(to, LEASES_INTERNAL_PATH, toBinary(LeaseInternalRequestSchema, request));
    if (answer?.status === 404) return -1;
    const response = read(LeaseInternalResponseSchema, answer)?.LeaseTimeToLiveResponse;
    return response?.ID === ID ? Number(response.TTL) : undefined;
  }

  /** Asks a member, as the leader, to make a voter of a learner. Undefined also where it is worth asking again. */
  async promote(to: bigint, id: bigint, timeoutMs: number): Promise<PromotionAnswer | undefined> {
    const path = `${PROMOTE_PATH}${id}`;
    const answer = await this.#ask(to, { method: "POST", path, contentType: "", body: EMPTY_BYTES }, timeoutMs);
    if (answer?.status === 404) return "member_not_found";
    if (answer?.status === 412) return errorIn(PROMOTION_TEXTS, answer);
    if (answer?.status !== 200) return undefined;
    try {
      return membersFromJson(utf8Text(answer.body));
    } catch {
      return undefined;
    }
  }

  /** Asks a member for the hash of its revisions up to one. Hashing a great many takes a while. */
  async hashKv(to: bigint, revision: number): Promise<KvHash | PeerHashError> {
    return readHashKv(await this.#ask(to, hashKvQuestion(revision), this.#parts.requestTimeoutMs));
  }

  #askForLease(to: bigint, path: string, body: Uint8Array): Promise<Answer | undefined> {
    return this.#ask(to, { method: "POST", path, contentType: PROTOBUF_TYPE, body }, LEASE_ASK_TIMEOUT_MS);
  }

  #ask(to: bigint, question: Question, timeoutMs: number): Promise<Answer | undefined> {
    const { transport, memberId } = this.#parts;
    if (transport === undefined || to === NO_MEMBER || to === memberId) return Promise.resolve(undefined);
    return transport.ask(to, question, timeoutMs);
  }
}

function read<Desc extends DescMessage>(schema: Desc, answer: Answer | undefined): MessageShape<Desc> | undefined {
  if (answer?.status !== 200) return undefined;
  try {
    return fromBinary(schema, answer.body);
  } catch {
    return undefined;
  }
}

/** The error whose text the answer contains, of several with the same status. */
function errorIn<E extends string>(texts: Readonly<Record<E, string>>, { body }: Answer): E | undefined {
  const text = utf8Text(body);
  return (Object.keys(texts) as E[]).find((error) => text.includes(texts[error]));
}
