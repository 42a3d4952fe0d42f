/** What this member answers on its peer port outside of raft, as etcd answers it. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES, utf8 } from "../base/bytes.ts";
import { LeaseKeepAliveRequestSchema, LeaseKeepAliveResponseSchema } from "../gen/etcdserverpb/lease_pb.ts";
import { LeaseInternalRequestSchema, LeaseInternalResponseSchema } from "../gen/leasepb/lease_pb.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import type { Answer, Question } from "../peer/mod.ts";
import type { KvHashSettle } from "./kv_hash.ts";
import { answerHashKv, HASH_KV_PATH } from "./peer_hash.ts";
import { LEASES_INTERNAL_PATH, LEASES_PATH, PROTOBUF_TYPE } from "./peer_questions.ts";

export interface PeerAnswersParts {
  /** Renews a lease in the name of another member: its TTL, 0 where there is no such lease; undefined: not the leader. */
  readonly renewLease: (id: bigint) => Promise<number | undefined>;
  readonly hashKv: (revision: number, settle: KvHashSettle) => void;
  readonly keyspace: Keyspace;
  readonly nowMs: () => number;
}

type Answerer = (question: Question) => Answer | Promise<Answer>;

export class PeerAnswers {
  readonly #parts: PeerAnswersParts;
  readonly #answerers: ReadonlyMap<string, Answerer>;

  constructor(parts: PeerAnswersParts) {
    this.#parts = parts;
    this.#answerers = new Map<string, Answerer>([
      [LEASES_PATH, (question) => this.#renewLease(question)],
      [HASH_KV_PATH, (question) => answerHashKv(question, parts.hashKv)],
      [LEASES_INTERNAL_PATH, (question) => this.#remainingTtl(question)],
    ]);
  }

  async answer(question: Question): Promise<Answer> {
    const answerer = this.#answerers.get(question.path);
    return answerer === undefined ? textAnswer(404, "404 page not found") : await answerer(question);
  }

  async #renewLease(question: Question): Promise<Answer> {
    const request = read(LeaseKeepAliveRequestSchema, question);
    if (request === undefined) return textAnswer(400, "error unmarshalling request");
    const ttl = await this.#parts.renewLease(request.ID);
    if (ttl === undefined) return textAnswer(400, "not a primary lessor");
    if (ttl === 0) return textAnswer(404, "lease not found");
    const response = create(LeaseKeepAliveResponseSchema, { ID: request.ID, TTL: BigInt(ttl) });
    return { status: 200, contentType: PROTOBUF_TYPE, body: toBinary(LeaseKeepAliveResponseSchema, response) };
  }

  #remainingTtl(question: Question): Answer {
    const ID = read(LeaseInternalRequestSchema, question)?.LeaseTimeToLiveRequest?.ID;
    if (ID === undefined) return textAnswer(400, "error unmarshalling request");
    const status = this.#parts.keyspace.lessor.timeToLive(ID, this.#parts.nowMs());
    if (status === undefined) return textAnswer(404, "lease not found");
    if (status.ttl === undefined) return textAnswer(500, "not a primary lessor");
    const response = create(LeaseInternalResponseSchema, {
      LeaseTimeToLiveResponse: { header: {}, ID, TTL: BigInt(status.ttl), grantedTTL: BigInt(status.grantedTtl) },
    });
    return { status: 200, contentType: PROTOBUF_TYPE, body: toBinary(LeaseInternalResponseSchema, response) };
  }
}

/** As Go's http.Error writes it. */
export function textAnswer(status: number, text: string): Answer {
  return { status, contentType: "text/plain; charset=utf-8", body: text === "" ? EMPTY_BYTES : utf8(`${text}\n`) };
}

function read<Desc extends DescMessage>(schema: Desc, { body }: Question): MessageShape<Desc> | undefined {
  try {
    return fromBinary(schema, body);
  } catch {
    return undefined;
  }
}
