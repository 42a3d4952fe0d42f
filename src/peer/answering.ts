import { PEER_QUESTION_SIZE_MAX } from "../base/limits.ts";
import type { HttpExchange, HttpField } from "../io/net.ts";
import type { Bodies } from "./bodies.ts";
import type { PeerContext } from "./context.ts";
import { fieldValue } from "./http/mod.ts";
import { CLUSTER_ID_FIELD } from "./identity.ts";
import { reply, replyText } from "./reply.ts";

/** Brings a question to the member, and its answer back. `fields` go with the answer: they name the cluster. */
export function answerQuestion(
  context: PeerContext,
  exchange: HttpExchange,
  bodies: Bodies,
  fields: readonly HttpField[],
): void {
  const { method, headers, path } = exchange;
  if (method !== "GET" && method !== "POST") {
    return replyText(exchange, 405, "Method Not Allowed", [...fields, ["allow", "GET, POST"]]);
  }
  const clusterId = fieldValue(headers, CLUSTER_ID_FIELD);
  if (clusterId !== undefined && clusterId !== fieldValue(fields, CLUSTER_ID_FIELD)) {
    return replyText(exchange, 412, "cluster ID mismatch", fields);
  }
  const contentType = fieldValue(headers, "content-type") ?? "";
  bodies.gather(exchange, PEER_QUESTION_SIZE_MAX, (body) => {
    if (body === "too large") return replyText(exchange, 413, "request body too large", fields);
    if (body === "no room") return replyText(exchange, 503, "too many requests at once", fields);
    void context.handler.answer({ method, path, contentType, body }).then((answer) => {
      reply(exchange, answer.status, answer.contentType, answer.body, fields);
    });
  });
}
