/**
 * The client port: one address for native gRPC, Connect, gRPC-Web, etcd's JSON gateway and the operations endpoints.
 *
 * It knows no service and no store: methods, descriptors and the member's status are given to it.
 *
 * 1. The first bytes of a connection decide: the preface of HTTP/2 goes to our engine, all else to node:http. Requests of
 *    HTTP/2 that are not gRPC meet the same application as those of HTTP/1.1.
 * 2. Nothing is served before `start`, though sockets are open and their errors known before.
 * 3. Every answer, errors included, passes access control: a foreign host is refused, allowed origins get their headers.
 * 4. Connections are bounded, so that clients never take the file descriptors that the log needs.
 * 5. A client may be slow, silent or gone: its header block has a size and a time, its body a size, its call a cancellation.
 *
 * TLS is not here yet; its place is between `listener` (which would look at the first byte) and the two servers.
 *
 * Files, in reading order: `connection_limit`, `listener` (sockets, sniffing), `duplex` and `http1` (node:http), `exchange` (HTTP/2 exchanges as fetch
 * requests), `app` (Hono's routes), `access` (CORS, hosts), `health`, `answers`, `gateway/` (etcd's JSON), `server` (all of it).
 */

export { ConnectionLimit } from "./connection_limit.ts";
export { createHttpApp, type HttpApp, type HttpAppOptions, type RequestInfo } from "./app.ts";
export type { ServerStatus } from "./health.ts";
export { Listener, ListenError, type ListenUrl, type Traffic } from "./listener.ts";
export { ClientServer, type ClientServerOptions, type ClientUrls } from "./server.ts";
