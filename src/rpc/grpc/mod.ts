/**
 * gRPC over HTTP/2: finds the method of a request, cuts its messages out of the stream and gives them to the handler,
 * with deadline, cancellation, metadata and compression; codes and texts are grpc-go's. It knows nothing of etcd, of
 * protobuf (messages are bytes) or of sockets; there is no client side, and no retry, load balancing or reflection.
 *
 * Invariants
 * 1. A call ends once: by its handler's answer, or by cancellation, which the handler hears of if it has not answered.
 * 2. A message too large is refused by its prefix, before anything of it is kept.
 * 3. What is kept of incomplete messages grows as bytes arrive, never as sizes are announced, and counts in the budget.
 * 4. No call owns a timer: deadlines share one wheel.
 *
 * To read in this order: timeout, status, gzip, request; deadlines; call, unary_call, stream_call; router.
 */
export { GrpcRouter, type GrpcRouterOptions } from "./router.ts";
