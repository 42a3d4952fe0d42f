/**
 * The server side of HTTP/2 (RFC 9113) with HPACK (RFC 7541), on any ordered byte stream. It frames, checks, multiplexes
 * and bounds; what requests mean is the application's business. It knows nothing of gRPC, of etcd, of sockets or of
 * HTTP/1.1, and there is no client side, no server push and no priorities.
 *
 * Invariants
 * 1. No input throws out of a connection: it ends in a stream error, a connection error with GOAWAY, or an answer.
 * 2. Every header block is decoded, in order, whatever becomes of its stream: the header table belongs to the connection.
 * 3. A stream's handler hears nothing after `onAbort` or after it ended the stream itself.
 * 4. A socket has at most one write in flight; what is produced in one turn leaves in one write, up to a turn's share.
 * 5. Whatever is buffered for a stream is counted in the budget, and given back when the stream closes; no connection
 *    takes more than it leaves to the others.
 * 6. Bytes handed to a handler are valid until it returns; bytes handed to a stream are copied before the call returns.
 *
 * To read in this order: protocol, huffman, static_table, field, hpack, encoder; budget, credit, buffers; stream,
 * connection, server; exchange.
 */
export { Budget, BudgetShare } from "./budget.ts";
export { HeaderTemplate } from "./encoder.ts";
export { exchangeApplication } from "./exchange.ts";
export { type FieldKind, fieldKind, type HeaderField, type HeaderList } from "./field.ts";
export { CLIENT_PREFACE, ErrorCode } from "./protocol.ts";
export { Http2Server, type Http2ServerOptions } from "./server.ts";
export { type AbortCause, type Application, Http2Stream, type StreamHandler } from "./stream.ts";
