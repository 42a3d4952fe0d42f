/** A question as an HTTP request, and the answer to it. */

import { PEER_ANSWER_SIZE_MAX } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { HttpField, Network } from "../io/net.ts";
import { idFromText } from "../membership/mod.ts";
import { fieldValue, type HttpAnswer, HttpClient, HttpError, parsePeerUrl, type PeerUrl } from "./http/mod.ts";
import type { Answer, AskUrl, Question } from "./transport.ts";

export interface QuestionCall {
  readonly client: HttpClient;
  readonly clock: Clock;
  /** Where it may be answered: the next URL is tried where the one before cannot have heard of it. */
  readonly urls: readonly PeerUrl[];
  readonly question: Question;
  /** Besides the content type. */
  readonly fields: readonly HttpField[];
  readonly timeoutMs: number;
}

/** Undefined: there was no answer in time. Does not reject. */
export function callQuestion(call: QuestionCall): Promise<Answer | undefined> {
  const { clock, timeoutMs } = call;
  return new Promise((resolve) => {
    const timer = clock.after(timeoutMs, () => resolve(undefined));
    void callInTurn(call, clock.monotonicMs() + timeoutMs).then((answer) => {
      timer.cancel();
      resolve(answer);
    });
  });
}

async function callInTurn(call: QuestionCall, deadlineMs: number): Promise<Answer | undefined> {
  const { client, clock, urls, question: { method, path, contentType, body }, fields } = call;
  const headers = contentType === "" ? fields : [...fields, ["Content-Type", contentType] as const];
  for (const url of urls) {
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) return undefined;
    const patience = { connectMs: leftMs, answerMs: leftMs, idleMs: leftMs, stallMs: leftMs };
    // etcd takes what is asked of /members/hashkv from the body of a GET.
    const request = { method, path, headers, patience, body: method === "POST" || body.length > 0 ? body : undefined };
    try {
      return answerOf(await client.collect(url, request, PEER_ANSWER_SIZE_MAX));
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      // What is asked for may have been done: asking again could do it twice.
      if (method === "POST" && !error.isUnsent) return undefined;
    }
  }
  return undefined;
}

function answerOf({ status, headers, body }: HttpAnswer): Answer {
  const contentType = fieldValue(headers, "content-type") ?? "";
  const clusterId = idFromText(fieldValue(headers, "x-etcd-cluster-id") ?? "");
  return { status, contentType, body, clusterId };
}

/** Asks peers by URL, before there is a cluster to take part in. */
export function urlAsker({ network, clock }: { network: Network; clock: Clock }): AskUrl {
  return async (peerUrl, question, timeoutMs) => {
    const url = parsePeerUrl(peerUrl);
    if (url === undefined) return undefined;
    const client = new HttpClient({ network, clock });
    try {
      return await callQuestion({ client, clock, urls: [url], question, fields: [], timeoutMs });
    } finally {
      client.close();
    }
  };
}
