/**
 * etcd's services, one file each, as lists of Methods with protobuf bytes in and out: validation, errors with etcd's
 * texts, response headers. Every door (native gRPC, Connect, gRPC-Web, the JSON gateway) calls these same methods.
 *
 * It knows nothing of transports, and holds no state of its own beyond open streams.
 *
 * Invariants
 * 1. A request is answered exactly once; what it still holds of the store is released when its call ends early.
 * 2. No request can trip an assertion: numbers of clients are clamped where they are compared, and exact where they are
 *    echoed or used as keys.
 * 3. What is not built yet answers UNIMPLEMENTED and says so; nothing is pretended.
 *
 * Read: errors, header, request, validation, kv, watch, lease, maintenance, cluster, auth; local_client, lease_queue, lock,
 * election; health, reflection, descriptors; browser_watch, browser_lease; services.
 */
export { serviceDescriptors } from "./descriptors.ts";
export { type ServiceOptions, services } from "./services.ts";
export { ApiError } from "./errors.ts";
