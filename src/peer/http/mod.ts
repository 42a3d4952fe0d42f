/**
 * HTTP/1.1 (RFC 9112) for members talking to each other: a server and a client over any ordered byte stream. It knows
 * nothing of raft, of what is asked, of sockets, or of TLS.
 *
 * Invariants
 * 1. No input throws out of a connection. What two programs might read differently is refused: nobody hides one request
 *    inside another.
 * 2. A server answers a connection's requests one after the other, in order, and reads the next when one is answered.
 * 3. All that a connection sends in one turn of the event loop leaves in one write, and as one chunk where it is chunked.
 * 4. A client sends a request again only if it is a GET that an idle connection lost before anything of an answer came:
 *    what changes something is never sent twice.
 * 5. A listener hears nothing from inside of a call to what it listens to, and nothing after its last call.
 * 6. Every wait has a bound, but for those that a caller asked to have none.
 *
 * To read in this order: head, body, watchdog, output, input; exchange, server_connection, server; call, client_call,
 * body_sender, client_connection, client; peer_url.
 */
export {
  fieldValue,
  type HttpAnswer,
  type HttpBody,
  type HttpBodySource,
  type HttpCall,
  type HttpCallListener,
  HttpError,
  type HttpPatience,
  type HttpRequest,
} from "./call.ts";
export { HttpClient, type HttpClientOptions } from "./client.ts";
export { parsePeerUrl, type PeerUrl } from "./peer_url.ts";
export { HttpServer, type HttpServerOptions } from "./server.ts";
