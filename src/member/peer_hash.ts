/**
 * Hashes between members: GET /members/hashkv, with bodies in the JSON that Go makes of HashKVRequest and HashKVResponse
 * (frozen):
 *
 *     {"revision":3}
 *     {"header":{"revision":4},"hash":535221974,"compact_revision":-1,"hash_revision":3}
 */
import { utf8, utf8Text } from "../base/bytes.ts";
import type { Answer, Question } from "../peer/mod.ts";
import type { KvHash, PeerHashError } from "./corruption.ts";
import type { KvHashError, KvHashSettle } from "./kv_hash.ts";
import { textAnswer } from "./peer_answers.ts";

export const HASH_KV_PATH = "/members/hashkv";

/** What etcd's store says; whoever asks looks for these words. */
const ERROR_TEXTS: Readonly<Record<KvHashError, string>> = {
  compacted: "mvcc: required revision has been compacted",
  future_revision: "mvcc: required revision is a future revision",
};
const MISMATCH_TEXT = "cluster ID mismatch";

/** Revisions beyond this do not exist, in any member. */
const INT64_MAX = 2 ** 63;

export function hashKvQuestion(revision: number): Question {
  const body = utf8(JSON.stringify({ revision }));
  return { method: "GET", path: HASH_KV_PATH, contentType: "application/json", body };
}

/** What another member answered; undefined: nothing that makes sense. */
export function readHashKv(answer: Answer | undefined): KvHash | PeerHashError {
  if (answer === undefined) return undefined;
  const text = utf8Text(answer.body);
  if (answer.status === 400) {
    if (text.includes(ERROR_TEXTS.compacted)) return "compacted";
    return text.includes(ERROR_TEXTS.future_revision) ? "future_revision" : undefined;
  }
  if (answer.status === 412 && text.includes(MISMATCH_TEXT)) return "cluster_id_mismatch";
  const fields = answer.status === 200 ? objectOf(text) : undefined;
  if (fields === undefined) return undefined;
  const { header, hash = 0, compact_revision: compactRevision = 0, hash_revision: hashRevision = 0 } = fields;
  const revision = (header as { revision?: unknown } | undefined)?.revision ?? 0;
  const numbers = { hash, compactRevision, hashRevision, revision };
  return Object.values(numbers).every(Number.isSafeInteger) ? numbers as KvHash : undefined;
}

export function answerHashKv(
  { body }: Question,
  hashKv: (revision: number, settle: KvHashSettle) => void,
): Promise<Answer> {
  const revision = requestedRevision(utf8Text(body));
  if (revision === undefined) return Promise.resolve(textAnswer(400, "error unmarshalling request"));
  return new Promise((resolve) =>
    hashKv(revision, (result, storeRevision, error) => {
      if (result === undefined) return resolve(textAnswer(400, ERROR_TEXTS[error!]));
      const { hash, compactRevision } = result;
      const text = JSON.stringify({
        header: { revision: storeRevision },
        // Go leaves out what is zero.
        ...hash !== 0 && { hash },
        ...compactRevision !== 0 && { compact_revision: compactRevision },
        // A negative revision stands for the newest and is echoed as it came.
        hash_revision: revision < 0 ? revision : result.hashRevision,
      });
      resolve({ status: 200, contentType: "application/json", body: utf8(text) });
    })
  );
}

/** Go takes names in any case, and null for nothing; undefined: it would refuse this. */
function requestedRevision(text: string): number | undefined {
  const value = parse(text);
  if (value === null) return 0;
  if (typeof value !== "object" || Array.isArray(value)) return undefined;
  let revision: unknown = 0;
  for (const [name, field] of Object.entries(value)) if (name.toLowerCase() === "revision") revision = field ?? 0;
  if (typeof revision !== "number" || !Number.isInteger(revision)) return undefined;
  return Math.abs(revision) < INT64_MAX ? revision : undefined;
}

function objectOf(text: string): Record<string, unknown> | undefined {
  const value = parse(text);
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
