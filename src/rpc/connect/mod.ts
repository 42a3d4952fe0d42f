/**
 * The Connect and gRPC-Web doors: the services of `io/rpc`, served through the Connect router as fetch handlers.
 *
 * It knows nothing of etcd, of sockets or of routes: it is given methods with their descriptors, and requests.
 *
 * 1. One implementation per service: a request message is written as protobuf bytes, handled by the very `Method` that
 *    native gRPC calls, and the answer is read back. Unknown fields survive both ways.
 * 2. A code, a text and the details of an error reach the client as the handler gave them.
 * 3. What a call holds of the server-wide budget is returned when its response was taken or abandoned.
 * 4. A large answer is never whole in memory: it is converted and sent piece by piece while the client reads.
 * 5. A client that goes away or runs out of time cancels its handler.
 *
 * Absent on purpose: native gRPC, which has its own engine (a fetch response cannot carry its trailers).
 *
 * Files, in reading order: `router` (requests to calls), `adapter` (one method), `large_answer` and `answer_stream` (what goes
 * round the library), `json_writer`, `reservation` (the budget).
 */

export { type ConnectDoor, type ConnectDoorOptions, createConnectDoor, type DoorInfo } from "./router.ts";
export { Reservation } from "./reservation.ts";
export { answerStream, encoded } from "./answer_stream.ts";
export { jsonPieces, messageToJson } from "./json_writer.ts";
