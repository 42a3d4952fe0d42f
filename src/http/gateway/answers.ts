/** What the gateway answers when there is no message to answer with. */

import { Code, RpcError } from "../../io/rpc.ts";

/** HTTP statuses of gRPC codes, by code. */
const HTTP_STATUS = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

export const JSON_TYPE = "application/json";

export function httpStatusOf(code: Code): number {
  return HTTP_STATUS[code] ?? 500;
}

/** `{"code":5,"message":"Not Found"}`: a google.rpc.Status. Its details are left out, as etcd has none. */
export function statusJson(status: RpcError): string {
  const message = status.message === "" ? "" : `,"message":${JSON.stringify(status.message)}`;
  return `{"code":${status.code}${message}}`;
}

export function errorResponse(status: RpcError): Response {
  const body = new TextEncoder().encode(statusJson(status));
  const headers = new Headers({ "content-type": JSON_TYPE, "content-length": String(body.length) });
  if (status.code === Code.UNAUTHENTICATED) headers.set("www-authenticate", status.message);
  return new Response(body, { status: httpStatusOf(status.code), headers });
}

export const NOT_FOUND = new RpcError(Code.NOT_FOUND, "Not Found");
export const METHOD_NOT_ALLOWED = new RpcError(Code.UNIMPLEMENTED, "Method Not Allowed");
