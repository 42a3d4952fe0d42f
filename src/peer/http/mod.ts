/**
 * HTTP/1.1 (RFC 9112) for members talking to each other: a server and a client over any ordered byte stream. It knows
 * nothing of raft, of what is asked, of sockets, or of TLS.
 *
 * To read in this order: call, client; server; peer_url.
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
