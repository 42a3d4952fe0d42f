/**
 * The hot messages of etcdserverpb by hand: requests read from wire form into plain objects whose byte fields are views
 * of the input, and responses assembled from parts without ever building the messages. Used below (apply, which reads
 * them from log entries) and above (api, which reads them from calls); everything that is not hot uses src/gen.
 *
 * It knows nothing of stores, calls or errors of etcd.
 *
 * Invariants
 * 1. Decoding accepts what Go's protobuf accepts: any field order, repeated fields (the last scalar wins, messages
 *    merge), unknown fields. It throws WireError otherwise.
 * 2. int64 that are only compared are clamped numbers; lease ids are exact bigints, 0n when absent.
 * 3. A decoded object is valid as long as the bytes it was decoded from.
 *
 * Read: requests, raft_request, v2_request, response.
 */
export * from "./requests.ts";
export * from "./raft_request.ts";
export * from "./v2_request.ts";
export * from "./response.ts";
