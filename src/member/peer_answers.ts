/** What this member answers on its peer port outside of raft: etcd's statuses, types and bodies, to the byte (frozen). */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES, utf8 } from "../base/bytes.ts";
import { LEASE_KEYS_PER_STEP, LEASE_QUESTION_SIZE_MAX, LONG_QUESTIONS_MAX } from "../base/limits.ts";
import { ETCD_VERSION } from "../base/version.ts";
import { LeaseKeepAliveRequestSchema, LeaseKeepAliveResponseSchema } from "../gen/etcdserverpb/lease_pb.ts";
import { LeaseInternalRequestSchema, LeaseInternalResponseSchema } from "../gen/leasepb/lease_pb.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import { type Membership, membersJson } from "../membership/mod.ts";
import type { Answer, Question } from "../peer/mod.ts";
import type { Job } from "./jobs.ts";
import type { KvHashSettle } from "./kv_hash.ts";
import type { ReconfigurationSettle } from "./membership_changes.ts";
import { answerHashKv, HASH_KV_PATH } from "./peer_hash.ts";
import { JSON_TYPE, LEASES_INTERNAL_PATH, LEASES_PATH, PROMOTE_PATH, PROTOBUF_TYPE } from "./peer_questions.ts";
import { LEASE_TEXTS, PROMOTION_TEXTS } from "./peer_texts.ts";
import type { Read } from "./pending_reads.ts";
import { MEMBER_ERROR_TEXTS } from "./proposals.ts";

export interface PeerAnswersParts {
  /** Renews a lease in the name of another member: its TTL, 0 where there is no such lease; undefined: not the leader. */
  readonly renewLease: (id: bigint) => Promise<number | undefined>;
  /** Settles once the state holds what is committed by now, or with false where that takes too long. */
  readonly whenCaughtUp: (settle: (isCaughtUp: boolean) => void) => void;
  readonly promote: (id: bigint, settle: ReconfigurationSettle) => void;
  readonly hashKv: (revision: number, settle: KvHashSettle) => void;
  readonly linearizableRead: (read: Read) => void;
  readonly runJob: (job: Job) => void;
  /** Empty as long as it is not known. */
  readonly storageVersion: () => string;
  readonly membership: Membership;
  readonly keyspace: Keyspace;
  readonly nowMs: () => number;
}

/** What is answered at one path. */
interface Endpoint {
  readonly method: Question["method"];
  readonly answer: (question: Question) => Answer | Promise<Answer>;
}

export class PeerAnswers {
  readonly #parts: PeerAnswersParts;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #promotion: Endpoint;
  /** Those being answered that take work in proportion to what is stored. */
  #longCount = 0;

  constructor(parts: PeerAnswersParts) {
    this.#parts = parts;
    this.#promotion = { method: "POST", answer: (question) => this.#promote(question) };
    this.#endpoints = new Map<string, Endpoint>([
      ["/members", { method: "GET", answer: () => this.#members() }],
      ["/version", { method: "GET", answer: () => this.#version() }],
      ["/downgrade/enabled", { method: "GET", answer: () => this.#downgradeEnabled() }],
      [HASH_KV_PATH, {
        method: "GET",
        answer: (question) => this.#long(() => answerHashKv(question, parts.hashKv)),
      }],
      [LEASES_PATH, { method: "POST", answer: (question) => this.#renewLease(question) }],
      [LEASES_INTERNAL_PATH, { method: "POST", answer: (question) => this.#timeToLive(question) }],
    ]);
  }

  async answer(question: Question): Promise<Answer> {
    const path = pathOf(question);
    const endpoint = path.startsWith(PROMOTE_PATH) ? this.#promotion : this.#endpoints.get(path);
    if (endpoint === undefined) return textAnswer(404, "404 page not found");
    if (endpoint.method !== question.method) return textAnswer(405, "Method Not Allowed");
    return await endpoint.answer(question);
  }

  #members(): Answer {
    return jsonAnswer(`${membersJson(this.#parts.membership.list())}\n`);
  }

  #version(): Answer {
    const { membership, storageVersion } = this.#parts;
    const etcdcluster = membership.clusterVersion || "not_decided";
    return jsonAnswer(
      JSON.stringify({ etcdserver: ETCD_VERSION, etcdcluster, storage: storageVersion() || "unknown" }),
    );
  }

  #downgradeEnabled(): Promise<Answer> {
    const { linearizableRead, membership } = this.#parts;
    return new Promise((resolve) =>
      linearizableRead((error) => {
        if (error !== undefined) {
          return resolve(textAnswer(500, `failed linearized read: ${MEMBER_ERROR_TEXTS[error]}`));
        }
        const isEnabled = membership.downgrade?.isEnabled ?? false;
        resolve({ status: 200, contentType: "text/plain", body: utf8(String(isEnabled)) });
      })
    );
  }

  #promote(question: Question): Promise<Answer> | Answer {
    const text = pathOf(question).slice(PROMOTE_PATH.length);
    const id = /^\d+$/.test(text) ? BigInt(text) : undefined;
    if (id === undefined || id !== BigInt.asUintN(64, id)) {
      return textAnswer(404, `member ${text} not found in cluster`);
    }
    return new Promise((resolve) =>
      this.#parts.promote(id, (members, error) => {
        if (members !== undefined) return resolve(jsonAnswer(`${membersJson(members)}\n`));
        if (error === "member_not_found") return resolve(textAnswer(404, PROMOTION_TEXTS[error]));
        if (error === "member_not_learner" || error === "learner_not_ready") {
          return resolve(textAnswer(412, PROMOTION_TEXTS[error]));
        }
        // Whoever asked does not learn more, and asks again.
        resolve(jsonAnswer(`{"message":"Internal Server Error"}`, 500));
      })
    );
  }

  async #renewLease(question: Question): Promise<Answer> {
    const request = readLeaseQuestion(LeaseKeepAliveRequestSchema, question);
    if ("status" in request) return request;
    if (!await this.#isCaughtUp()) return textAnswer(408, LEASE_TEXTS.TIMEOUT);
    const ttl = await this.#parts.renewLease(request.ID);
    if (ttl === undefined) return textAnswer(400, LEASE_TEXTS.NOT_PRIMARY);
    if (ttl === 0) return textAnswer(404, LEASE_TEXTS.NOT_FOUND);
    const response = create(LeaseKeepAliveResponseSchema, { ID: request.ID, TTL: BigInt(ttl) });
    return protobufAnswer(toBinary(LeaseKeepAliveResponseSchema, response));
  }

  async #timeToLive(question: Question): Promise<Answer> {
    const request = readLeaseQuestion(LeaseInternalRequestSchema, question);
    if ("status" in request) return request;
    const { LeaseTimeToLiveRequest: asked } = request;
    // etcd's server breaks off here.
    if (asked === undefined) return textAnswer(400, "error unmarshalling request");
    if (!await this.#isCaughtUp()) return textAnswer(408, LEASE_TEXTS.TIMEOUT);
    const { ID } = asked;
    if (!asked.keys) return this.#answerTimeToLive(ID, []);
    return await this.#long(async () => this.#answerTimeToLive(ID, await this.#keysOf(ID)));
  }

  #answerTimeToLive(ID: bigint, keys: Uint8Array[]): Answer {
    const status = this.#parts.keyspace.lessor.timeToLive(ID, this.#parts.nowMs());
    if (status === undefined) return textAnswer(404, LEASE_TEXTS.NOT_FOUND);
    if (status.ttl === undefined) return textAnswer(500, LEASE_TEXTS.NOT_PRIMARY);
    const { ttl, grantedTtl } = status;
    const response = create(LeaseInternalResponseSchema, {
      LeaseTimeToLiveResponse: { header: {}, ID, TTL: BigInt(ttl), grantedTTL: BigInt(grantedTtl), keys },
    });
    return protobufAnswer(toBinary(LeaseInternalResponseSchema, response));
  }

  /** There may be very many. */
  #keysOf(lease: bigint): Promise<Uint8Array[]> {
    const nextKeys = this.#parts.keyspace.lessor.keyPortions(lease);
    const keys: Uint8Array[] = [];
    return new Promise((resolve) =>
      this.#parts.runJob({
        step: () => {
          const portion = nextKeys(LEASE_KEYS_PER_STEP);
          for (const key of portion) keys.push(key.slice());
          if (portion.length > 0) return "running";
          resolve(keys);
          return "done";
        },
      })
    );
  }

  /** Goes on when whoever asked has hung up, so that there may be only so many. */
  async #long(answer: () => Promise<Answer>): Promise<Answer> {
    if (this.#longCount >= LONG_QUESTIONS_MAX) return textAnswer(503, "too many requests at once");
    this.#longCount++;
    try {
      return await answer();
    } finally {
      this.#longCount--;
    }
  }

  #isCaughtUp(): Promise<boolean> {
    return new Promise((resolve) => this.#parts.whenCaughtUp(resolve));
  }
}

/** As Go's http.Error writes it. */
export function textAnswer(status: number, text: string): Answer {
  return { status, contentType: "text/plain; charset=utf-8", body: text === "" ? EMPTY_BYTES : utf8(`${text}\n`) };
}

function jsonAnswer(json: string, status = 200): Answer {
  return { status, contentType: JSON_TYPE, body: utf8(json) };
}

function protobufAnswer(body: Uint8Array): Answer {
  return { status: 200, contentType: PROTOBUF_TYPE, body };
}

function pathOf({ path }: Question): string {
  const end = path.indexOf("?");
  return end < 0 ? path : path.slice(0, end);
}

/** The request, or the answer to what is none. */
function readLeaseQuestion<Desc extends DescMessage>(schema: Desc, { body }: Question): MessageShape<Desc> | Answer {
  if (body.length > LEASE_QUESTION_SIZE_MAX) return textAnswer(413, "request body too large");
  try {
    return fromBinary(schema, body);
  } catch {
    return textAnswer(400, "error unmarshalling request");
  }
}
