import { ask } from "../support.ts";
import type { GatewayRequest } from "./requests.ts";

/** What is compared of an answer. */
export interface GatewayAnswer {
  readonly status: number;
  readonly type: string | undefined;
  readonly location?: string;
  readonly body: string;
}

export async function gatewayAnswer(url: string, request: GatewayRequest): Promise<GatewayAnswer> {
  const { method = "POST", headers, body, lines } = request;
  const answer = await ask(url, request.path, { method, headers, body, lines });
  const { location } = answer.headers;
  return {
    status: answer.status,
    type: answer.headers["content-type"] as string | undefined,
    ...(location === undefined ? {} : { location: location as string }),
    body: canonical(answer.body),
  };
}

/**
 * Ids of cluster, member and term differ from server to server, and protojson varies two blanks from build to build so that
 * nobody relies on them: after a comma, and after "proto:".
 */
function canonical(body: string): string {
  return body
    .replace(/"(cluster_id|member_id|ID)":"\d{15,}"/g, '"$1":"#"')
    .replace(/"raft_term":"\d+"/g, '"raft_term":"#"')
    .replace(/(peerURLs|clientURLs)":\[[^\]]*\]/g, '$1":[]')
    .replace(/("|\d|e|\}|\]), (?=["{\[\dtf])/g, "$1,")
    .replaceAll("proto:\u00a0", "proto: ");
}
