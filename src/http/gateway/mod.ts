/**
 * etcd's JSON gateway: `/v3/*` over HTTP, exact to grpc-gateway v2 with the options etcd gives it.
 *
 * It knows no service: paths come from a table, messages from their descriptors, answers from the methods it is given.
 *
 * 1. What etcd accepts is accepted, what it refuses is refused with its status, code and text. Two things its JSON library
 *    varies from build to build on purpose are fixed here: no blank after a comma, a plain one after "proto:".
 * 2. Bodies are read only up to a bound, and what is held for a call counts against the server's budget.
 * 3. A client that goes away cancels its call.
 *
 * Files, in reading order: `routes`, `metadata`, `json_values` (bytes to JSON values), `json_reader` (JSON to message),
 * `answers` (statuses and errors), `gateway` (the calls), `websocket` (the same over RFC 6455).
 */

export { createGateway, type Gateway, type GatewayOptions } from "./gateway.ts";
export { goQuoted } from "./json_values.ts";
export { serveWebSocket, type WebSocketRequest } from "./websocket.ts";
