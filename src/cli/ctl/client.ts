/** A connection to one member, on a library's gRPC client. */

import * as net from "node:net";
import type { ClientSessionOptions, SecureClientSessionOptions } from "node:http2";
import { type Client as ServiceClient, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SNAPSHOT_CLIENT_WINDOW_SIZE } from "../../base/limits.ts";
import { Auth } from "../../gen/etcdserverpb/auth_pb.ts";
import { Cluster } from "../../gen/etcdserverpb/cluster_pb.ts";
import { Maintenance } from "../../gen/etcdserverpb/maintenance_pb.ts";
import type { ClientSettings } from "./settings.ts";
import { receiveSnapshot, type SnapshotPiece } from "./snapshot_stream.ts";

export interface Client {
  readonly maintenance: ServiceClient<typeof Maintenance>;
  readonly cluster: ServiceClient<typeof Cluster>;
  /** Logs in, and takes a snapshot as `receiveSnapshot` does. */
  receiveSnapshot(take: (piece: SnapshotPiece) => Promise<void> | undefined, signal: AbortSignal): Promise<void>;
  /** Names the user or hands over the token of the settings; to be awaited before any other call. */
  logIn(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Nothing is connected before the first call. */
export function openClient(endpoint: string, settings: ClientSettings): Client {
  const target = targetOf(endpoint, settings);
  const sessions = new Http2SessionManager(target.url, {
    pingIntervalMs: settings.keepaliveMs,
    pingTimeoutMs: settings.keepaliveTimeoutMs,
  }, target.options);
  let token = settings.login?.kind === "token" ? settings.login.token : "";
  const addToken: Interceptor = (next) => (request) => {
    if (token !== "") request.header.set("token", token);
    return next(request);
  };
  const transport = createGrpcTransport({
    baseUrl: target.url,
    sessionManager: sessions,
    interceptors: [addToken],
    ...(settings.responseSizeMax > 0 ? { readMaxBytes: settings.responseSizeMax } : {}),
    ...(settings.requestSizeMax > 0 ? { writeMaxBytes: settings.requestSizeMax } : {}),
  });
  const logIn = async (signal: AbortSignal) => {
    if (settings.login?.kind !== "password") return;
    const { name, password } = settings.login;
    token = (await createClient(Auth, transport).authenticate({ name, password }, { signal })).token;
  };
  return {
    maintenance: createClient(Maintenance, transport),
    cluster: createClient(Cluster, transport),
    logIn,
    receiveSnapshot: async (take, signal) => {
      await logIn(signal);
      await receiveSnapshot(sessions, token, take, signal);
    },
    close: () => sessions.abort(),
  };
}

interface Target {
  readonly url: string;
  readonly options: ClientSessionOptions | SecureClientSessionOptions;
}

/** "host:port", or a URL of scheme http, https, unix or unixs. Without a scheme, TLS is used where flags speak of it. */
function targetOf(endpoint: string, settings: ClientSettings): Target {
  const match = /^(?:(https?|unixs?):\/\/)?(.*)$/s.exec(endpoint)!;
  const [, scheme, rest] = match;
  const isSecure = scheme === "https" || scheme === "unixs" || (scheme !== "http" && settings.tls !== undefined);
  const isSocket = scheme === "unix" || scheme === "unixs";
  const options: SecureClientSessionOptions = { settings: { initialWindowSize: SNAPSHOT_CLIENT_WINDOW_SIZE } };
  if (isSecure) Object.assign(options, settings.tls, { rejectUnauthorized: !settings.skipsVerification });
  if (isSocket) options.createConnection = () => net.connect(rest);
  return { url: `${isSecure ? "https" : "http"}://${isSocket ? "localhost" : rest}`, options };
}

/** A failed call in the words in which Go's client prints it. */
export function callErrorText(error: unknown): string {
  const failure = ConnectError.from(error);
  // Errors of etcd's own go by their text alone.
  if (/^(etcdserver|auth|lease|mvcc|raft): /.test(failure.rawMessage)) return failure.rawMessage;
  if (failure.code === Code.DeadlineExceeded) return "context deadline exceeded";
  return `rpc error: code = ${Code[failure.code]} desc = ${failure.rawMessage}`;
}

export function isUnreachable(error: unknown): boolean {
  return ConnectError.from(error).code === Code.Unavailable;
}
