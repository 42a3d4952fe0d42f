/** The HTTP side of the client port as one fetch function: access control, then Hono's routes. */

import { Hono } from "hono";
import type { DescService } from "@bufbuild/protobuf";
import { HTTP_PATH_SIZE_MAX } from "../base/limits.ts";
import type { Logger } from "../io/log.ts";
import type { MemoryBudget, Method } from "../io/rpc.ts";
import { createConnectDoor } from "../rpc/connect/mod.ts";
import { AccessControl, type AccessOptions, misdirectedText } from "./access.ts";
import { cleanPath, methodNotAllowed, notFound, redirect, textError, textResponse } from "./answers.ts";
import { createGateway } from "./gateway/mod.ts";
import { checkResponse, healthResponse, type ServerStatus, versionResponse } from "./health.ts";

/** What is known of a request beside the request. */
export interface RequestInfo {
  /** As `Call.peer`. */
  readonly peer: string;
  readonly httpVersion: "1.1" | "2";
  /** As the client sent it, with the query: a fetch Request has a normalized one. */
  readonly rawPath: string;
  /** The Host header or :authority. */
  readonly host: string;
  readonly isSecure: boolean;
}

export interface HttpAppOptions extends AccessOptions {
  readonly methods: readonly Method[];
  /** Descriptors of the services the methods belong to. */
  readonly descriptors: readonly DescService[];
  readonly budget: MemoryBudget;
  /** Largest request message: `--max-request-bytes` and half a MiB. */
  readonly maxRequestSize: number;
  /** `--enable-grpc-gateway` */
  readonly hasGateway: boolean;
  readonly status: ServerStatus;
  /** The body of /metrics, in Prometheus' text format. */
  metrics(): string;
  readonly log: Logger;
  /** Aborted with an RpcError when the server stops: open streams end with that. */
  readonly stopSignal: AbortSignal;
}

export interface HttpApp {
  fetch(request: Request, info: RequestInfo): Promise<Response>;
}

/** What Hono hands to each route. */
type Environment = { Bindings: RequestInfo };

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

export function createHttpApp(options: HttpAppOptions): HttpApp {
  const access = new AccessControl(options);
  const door = createConnectDoor({ ...options, services: options.descriptors });
  const gateway = options.hasGateway ? createGateway({ ...options, services: options.descriptors }) : undefined;
  const { status, log } = options;

  const app = new Hono<Environment>({ getPath: pathOf });

  app.use(async (context, next) => {
    const { host, isSecure, rawPath } = context.env;
    if (!isSecure && !access.allowsHost(host)) {
      log.warn("rejecting HTTP request to prevent DNS rebinding attacks", { host });
      context.res = textError(421, misdirectedText(host));
      return;
    }
    const { path, method } = context.req;
    if (method === "OPTIONS") {
      context.res = new Response(null, { status: 200, headers: { "content-length": "0" } });
    } else {
      const dirty = rawPath.split("?", 1)[0];
      const clean = cleanPath(dirty);
      if (rawPath.length > HTTP_PATH_SIZE_MAX) context.res = textError(414, "414 URI Too Long");
      else if (clean !== dirty) context.res = redirect(method, clean + rawPath.slice(dirty.length));
      else await next();
    }
    access.addHeaders(context.res.headers, context.req.header("origin") ?? null, door.has(path));
  });

  app.all("/health", (context) => healthResponse(context.req.method, queryOf(context.req.url), status, log));
  app.all("/version", (context) => versionResponse(context.req.method, status));
  app.all("/metrics", (context) => {
    const { method } = context.req;
    if (method !== "GET" && method !== "HEAD") return methodNotAllowed();
    return textResponse(options.metrics(), { "content-type": METRICS_TYPE });
  });
  if (gateway !== undefined) {
    app.all("/v3", (context) => redirect(context.req.method, "/v3/"));
    app.all("/v3/*", (context) => gateway.handle(context.req.path, context.req.raw, context.env.peer));
  }
  app.all("*", (context) => {
    const { path, method, raw, url } = context.req;
    if (door.has(path)) return door.handle(path, raw, context.env);
    return checkResponse(method, path, queryOf(url), status, log) ?? notFound();
  });
  app.onError((error) => {
    log.error("failed to answer an HTTP request", { error });
    return textError(500, "Internal Server Error");
  });

  return { fetch: async (request, info) => await app.fetch(request, info) };
}

/** The decoded path, with etcd's old name of the gateway replaced. */
function pathOf(request: Request): string {
  const { pathname } = new URL(request.url);
  let path = pathname;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    // Kept as it is: no route has such a name.
  }
  return path.startsWith("/v3beta/") ? `/v3/${path.slice("/v3beta/".length)}` : path;
}

function queryOf(url: string): URLSearchParams {
  return new URL(url).searchParams;
}
